r"""Which delimiter, quote and escape a sample of CSV text was most likely written with.

Each candidate reads the sample, and the readings are compared: a delimiter that is one gives all rows as many fields as
the header, and leaves no field that another delimiter would split. A comma file whose text is full of semicolons has
none in its header; a semicolon file with decimal commas has commas only in numbers.

RFC 4180 is what is read unless the text speaks against it: fields that begin with a quote and go on behind the next one
were written by somebody with another quote, an escape, or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final, NamedTuple

from kumo_async.formats.csv_quoting import is_only_before, without_escapes
from kumo_async.formats.csv_readings import DELIMITERS, Reading, Sample

__all__ = ["ESCAPES", "QUOTES", "Guess", "sniff"]

#: What comes into question, the likeliest first; empty for none.
QUOTES: Final = ('"', "'", "")
ESCAPES: Final = ("", "\\")
#: More records than these, the header among them, are no coincidence.
_FEW: Final = 3
#: A delimiter leaves less than this share of the clean fields of a better one if it is none.
_CLOSE: Final = 0.8


class Guess(NamedTuple):
    """The likeliest dialect of a text.

    Attributes:
        delimiter: The delimiter.
        quote: The quote, empty where the text knows none.
        escape: The escape, empty where there is none.
        doubts: What else would fit as well, and cut the text elsewhere; in words.
    """

    delimiter: str
    quote: str
    escape: str
    doubts: tuple[str, ...] = ()


def sniff(
    text: str,
    complete: bool,
    delimiters: Sequence[str] = DELIMITERS,
    quotes: Sequence[str] = QUOTES,
    escapes: Sequence[str] = ESCAPES,
) -> Guess:
    r"""Return the likeliest dialect; comma and double quote if nothing speaks for others.

    Args:
        text: The first characters of the data; a byte may stand for a character.
        complete: Whether that is all of the data, so that the last record is a whole one.
        delimiters: The delimiters that come into question, the likeliest first.
        quotes: The quotes that come into question, the likeliest first; empty for none.
        escapes: The escapes that come into question, the likeliest first; empty for none.

    Example:
        >>> sniff("a;b\n1,5;'x;y'\n2,5;'z;q'\n", complete=True)
        Guess(delimiter=';', quote="'", escape='', doubts=())
    """
    return _Sniffer(Sample(text, complete), delimiters, quotes, escapes).guess()


class _Sniffer:
    def __init__(
        self, sample: Sample, delimiters: Sequence[str], quotes: Sequence[str], escapes: Sequence[str]
    ) -> None:
        self._sample = sample
        self._delimiters = delimiters
        self._quotes = [quotes[0], *(quote for quote in quotes[1:] if (quote or quotes[0]) in sample.text)]
        self._escapes = [escapes[0], *(escape for escape in escapes[1:] if escape in sample.text)]
        self._known: dict[tuple[str, str, str], Reading] = {}

    def guess(self) -> Guess:
        usual = self._with_quote(self._quotes[0])
        others = (self._with_quote(quote) for quote in self._quotes[1:])
        best = next((other for other in others if self._is_quoted_so(other, usual)), usual)
        return Guess(best.delimiter, best.quote, best.escape, tuple(self._doubts(best)))

    def _read(self, delimiter: str, quote: str, escape: str) -> Reading:
        dialect = delimiter, quote, escape
        if dialect not in self._known:
            self._known[dialect] = self._sample.read(*dialect)
        return self._known[dialect]

    def _best(self, quote: str, escape: str) -> Reading:
        readings = (self._read(delimiter, quote, escape) for delimiter in self._delimiters)
        return max(readings, key=lambda reading: reading.score)

    def _with_quote(self, quote: str) -> Reading:
        """Read with a quote, and with an escape if that is proven."""
        best = self._best(quote, self._escapes[0])
        for escape in self._escapes[1:]:
            escaped = self._best(quote, escape)
            if self._is_escaped(escaped, best):
                return escaped
        return best

    def _is_escaped(self, escaped: Reading, plain: Reading) -> bool:
        r"""Whether backslashes are escapes: with them all records are alike, and quoted fields are well-formed.

        And by RFC 4180 a quote within quotes that stands behind a backslash closes the field, and something else than a
        delimiter or a line end follows. Or backslashes stand nowhere but before what they make literal, and without
        them the records are not alike, or there are quotes within fields and each of them stands behind one.
        """
        if not escaped.fits:
            return False
        if plain.quoting.bad:
            return True
        text, escape, quote = self._sample.text, escaped.escape, escaped.quote
        if not is_only_before(text, escape, f"{escaped.delimiter}{quote}\r\n"):
            return False
        if plain.score.consistent < 1:
            return True
        # A quote that opens at the end of the sample is one more than pairs.
        bare = without_escapes(text, escape).count(quote) - 2 * escaped.quoting.good
        return bool(quote) and text.count(escape + quote) > 1 and bare <= 1

    def _is_quoted_so(self, other: Reading, usual: Reading) -> bool:
        """Whether another quote, or none, is proven: all records are alike with it, and what it quotes is well-formed.

        An apostrophe is far more common than a single quote, so the doubt is in favour of the apostrophe.
        """
        if not other.fits or (usual.fits and usual.quoting.good):
            return False
        if not other.quote:
            within = any(_is_within(field, usual.quote) for row in other.rows for field in row)
            # A quote that is not closed in its line is more likely one that was forgotten, and is refused.
            return not usual.quoting.good and usual.quoting.bad == usual.quoting.inline > 0 and not within
        needed = 1 if usual.score.consistent < 1 else 2
        kept = other.quoting.doubled or other.quoting.kept >= needed
        return bool(kept or self._names_are_quoted(other) or _is_column_quoted(usual.rows, other.quote))

    def _names_are_quoted(self, reading: Reading) -> bool:
        line = self._sample.text.lstrip("\r\n").partition("\n")[0].strip("\r")
        names = line.split(reading.delimiter)
        return all(_is_within(name, reading.quote) for name in names)

    def _doubts(self, best: Reading) -> Iterator[str]:
        """Tell what else all records would be alike with, and mean something else."""
        for dialect in product(self._delimiters, self._quotes, self._escapes):
            other = self._read(*dialect)
            if other.fits and _is_rival(other, best):
                named = zip(("delimiter", "quote", "escape"), dialect, strict=True)
                told = ", ".join(f"{name}={its!r}" for name, its in named if its != getattr(best, name))
                yield f"with {told} its first records are alike as well"


def _is_rival(other: Reading, best: Reading) -> bool:
    """Whether another reading is about as good, and cuts the text elsewhere or gives other values."""
    if other.quote not in ("", best.quote) and not other.quoting.good:
        return False
    if other.delimiter != best.delimiter:
        return other.score.clean >= _CLOSE * best.score.clean or not best.has_clean_names
    if other.ends != best.ends:
        return True
    # Without quotes all that is quoted has them around it, and with an escape backslashes are gone.
    return other.quote not in ("", best.quote) and other.rows != best.rows


def _is_column_quoted(rows: Sequence[Sequence[str]], quote: str) -> bool:
    """Whether all fields of a column are in quotes, as texts never are."""
    columns = zip(*rows[1:], strict=False)
    return len(rows) > _FEW and any(all(_is_within(field, quote) for field in column) for column in columns)


def _is_within(field: str, quote: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == quote
