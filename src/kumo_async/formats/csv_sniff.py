r"""Which delimiter separates the fields of a CSV file, and what in its first records speaks for another dialect.

The grammar is that of RFC 4180: fields are quoted with ``"``, and a quote within them is doubled. Only the delimiter is
detected. Another quote, an escape, or blanks before quotes are read where they are given, and where the sample seems to
have one of them, a warning says so, with the option that would read it. So no reading ever has fewer records than the
plain one without being told to.

Each delimiter reads the sample, and the readings are compared: one that is right gives all rows as many fields as the
header, and leaves no field that another delimiter would split. A comma file whose text is full of semicolons has none
in its header; a semicolon file with decimal commas has commas only in numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from kumo_async.formats.csv_dialect import BOM, SEPARATOR_LINE, CsvDialect, read_records

__all__ = ["DELIMITERS", "Sniffed", "sniff"]

#: What separates fields where nothing is said, the likeliest first.
DELIMITERS: Final = (b",", b";", b"\t", b"|")
_ROWS: Final = 1000
_CHARACTERS: Final = 1 << 18
#: A delimiter leaves less than this share of the clean fields of a better one if it is none.
_CLOSE: Final = 0.8
#: Commas that separate nothing: the one of a decimal number, and those of prose, each before a space.
_INNER_COMMA: Final = re.compile(r"[-+]?\d[\d.' ]*,\d+( ?[^\s\d,])?|[^,]*(, [^,]*)+")


class Sniffed(NamedTuple):
    """What the beginning of a file tells of its dialect.

    Attributes:
        dialect: The dialect: what was given, the detected delimiter, and otherwise that of RFC 4180.
        warnings: What speaks for another one, each with the option to pass; sentences without a value of the data.
    """

    dialect: CsvDialect
    warnings: tuple[str, ...] = ()


def sniff(
    block: bytes,
    complete: bool,
    *,
    delimiter: bytes | None = None,
    quote: bytes | None = None,
    escape: bytes | None = None,
    skip_initial_space: bool = False,
) -> Sniffed:
    r"""Detect the delimiter of a CSV file, and look for signs of another dialect; what is given is not doubted.

    The delimiter is the one, of ``,`` ``;`` tab and ``|``, that occurs in the header and gives the most rows as many
    fields as the header has; where several do, the one that leaves the fewest other delimiters in the fields, the
    commas of decimal numbers and of prose aside. A first line such as ``sep=;``, which Excel knows, tells it.

    Args:
        block: The first bytes of the file; about 256 KiB of them are looked at.
        complete: Whether these bytes are the whole file, so that the last record is a whole one.
        delimiter: The delimiter, where it is given.
        quote: The quote, where it is given; ``b""`` where the file knows no quoting.
        escape: The escape, where it is given; ``b""`` where there is none.
        skip_initial_space: Whether spaces at the beginning of a field are skipped.

    Example:
        >>> sniff(b"name;price\nnut;0,50\nbolt;1,75\n", complete=True).dialect
        CsvDialect(delimiter=b';', quote=b'"', escape=None, skip_initial_space=False)
        >>> sniff(b"a;b|c\n1;2|3\n", complete=True).warnings
        ("With the delimiter '|' its first records are alike as well: pass csv=CsvOptions(delimiter='|'), or ';'.",)
    """
    block = block.removeprefix(BOM)
    usual = b'"' if quote is None else quote or None
    taken = {usual, escape, b" " if skip_initial_space else None}
    if told := SEPARATOR_LINE.match(block):
        block = block[told.end() :]
        delimiter = delimiter or (None if told[1] in taken else told[1])
    sample = _Sample(block.decode("latin-1"), complete)
    candidates = [each for each in DELIMITERS if each not in taken] if delimiter is None else [delimiter]
    readings = [sample.read(CsvDialect(each, usual, escape or None, skip_initial_space)) for each in candidates]
    best = max(readings, key=lambda reading: reading.score)
    doubts = [
        *_rival_delimiters(best, readings),
        *(_spaces_before_quotes(best) if not skip_initial_space else ()),
        *(_apostrophes(best) if quote is None else ()),
        *(_backslashes(best) if escape is None else ()),
    ]
    return Sniffed(best.dialect, tuple(doubts))


class _Score(NamedTuple):
    """How well a delimiter reads a sample; the greater, the better.

    Attributes:
        consistent: The share of the rows with as many fields as the header, where that is most of them; else 0.
        alike: The share of all records with as many fields as most have, where those have two or more; else 0.
        clean: The share of the fields that look whole: no other delimiter would split them.
        fields: The fields of the header.
    """

    consistent: float
    alike: float
    clean: float
    fields: int


class _Sample:
    """The first characters of a text; a byte stands for a character."""

    def __init__(self, text: str, complete: bool) -> None:
        self.text = text[:_CHARACTERS]
        self._all = text
        self._complete = complete

    def read(self, dialect: CsvDialect) -> _Reading:
        """Read it in a dialect, generously."""
        return _Reading(self, dialect, self._rows(dialect, strict=False))

    def is_sound(self, dialect: CsvDialect, rows: int) -> bool:
        """Whether a strict reader finds as many records: no text after a closing quote, no quote that stays open."""
        return len(self._rows(dialect, strict=True)) == rows

    def _rows(self, dialect: CsvDialect, *, strict: bool) -> list[list[str]]:
        """Read the first records, without a last one that the end of the text may have cut."""
        lines = io.StringIO(self._all, newline="")
        found: list[list[str]] = []
        # A field of more than 128 KiB ends the sample; the records before it tell enough.
        with suppress(csv.Error):
            for row in read_records(lines, dialect, strict=strict):
                found += [row] if row else []
                if len(found) >= _ROWS or (len(found) > 1 and lines.tell() > _CHARACTERS):
                    return found
            return found if self._complete or len(found) < 2 else found[:-1]
        return found


@dataclass(frozen=True, eq=False)
class _Reading:
    """A sample as a dialect reads it, without blank lines."""

    sample: _Sample
    dialect: CsvDialect
    rows: list[list[str]]

    @cached_property
    def score(self) -> _Score:
        rows, delimiter = self.rows, self.dialect.delimiter.decode()
        if not rows:
            return _Score(0, 0, 0, 0)
        fields, data = len(rows[0]), rows[1:] or rows
        most, times = Counter(map(len, rows)).most_common(1)[0]
        consistent = sum(len(row) == fields for row in data) / len(data)
        clean = [_is_clean(field, delimiter) for row in data for field in row]
        # A line that most records contradict is no header, but a notice before the table.
        is_header = fields > 1 and consistent > 0.5
        return _Score(consistent * is_header, (most > 1) * times / len(rows), sum(clean) / len(clean), fields)

    @cached_property
    def fits(self) -> bool:
        """Whether there are rows, all with as many fields as the header, and a strict reader agrees."""
        alike = self.score.consistent == 1 and len(self.rows) > 1
        return alike and self.sample.is_sound(self.dialect, len(self.rows))

    def differs(self, dialect: CsvDialect) -> bool:
        """Whether all records are alike in another dialect as well, and other ones."""
        other = self.sample.read(dialect)
        return other.fits and other.rows != self.rows


def _is_clean(field: str, delimiter: str) -> bool:
    # Wrong delimiters cut quoted fields in two, and prose at its ", ".
    if field.count('"') % 2 or field.startswith(" "):
        return False
    others = [other for other in map(bytes.decode, DELIMITERS) if other != delimiter and other in field]
    return not others or (others == [","] and _INNER_COMMA.fullmatch(field.strip()) is not None)


def _rival_delimiters(best: _Reading, readings: Sequence[_Reading]) -> Iterator[str]:
    """Tell which other delimiters all records would be alike with, and be about as clean."""
    for other in readings:
        if other is best or not other.fits:
            continue
        clean_names = all(_is_clean(name, best.dialect.delimiter.decode()) for name in best.rows[0])
        if other.score.clean >= _CLOSE * best.score.clean or not clean_names:
            rival, kept = (reading.dialect.delimiter.decode() for reading in (other, best))
            yield (
                f"With the delimiter {rival!r} its first records are alike as well: pass "
                f"csv=CsvOptions(delimiter={rival!r}), or {kept!r}."
            )


def _spaces_before_quotes(best: _Reading) -> Iterator[str]:
    """Tell of fields that would be quoted if no space stood before the quote."""
    dialect = best.dialect
    if dialect.quote is None or b" " in (dialect.delimiter, dialect.quote, dialect.escape):
        return
    pattern = _fields(dialect, f" +{_quoted(dialect.quote)}")
    if any(match["sought"] for match in pattern.finditer(best.sample.text)):
        yield (
            "A space before an opening quote keeps it from quoting, and is part of the value: pass "
            "csv=CsvOptions(skip_initial_space=True) if spaces at the beginning of fields mean nothing."
        )


def _apostrophes(best: _Reading) -> Iterator[str]:
    """Tell of signs that ``'`` quotes fields: around a whole column or header, or where it keeps one together."""
    if "'" not in best.sample.text or best.dialect.delimiter == b"'" or best.dialect.escape == b"'":
        return
    if _is_column_within(best.rows, "'") or _keeps_together(best) or _quote_otherwise(best):
        yield (
            'Fields may be quoted with apostrophes, which are read as text: pass csv=CsvOptions(quote="\'") if they '
            "are quotes, or quote='\"' if they are not."
        )


def _quote_otherwise(best: _Reading) -> bool:
    """Whether all records are alike with apostrophes as quotes, and any of them would quote."""
    quoted = best.sample.read(replace(best.dialect, quote=b"'"))
    # Where none does, and fields are in other quotes, these would only become text.
    unquoted = best.sample.read(replace(best.dialect, quote=None))
    return quoted.fits and quoted.rows not in (best.rows, unquoted.rows)


def _is_column_within(rows: Sequence[Sequence[str]], quote: str) -> bool:
    """Whether a whole column, or the whole header, is in quotes, as texts hardly ever are."""

    def is_within(field: str) -> bool:
        return len(field) > 1 and field[0] == field[-1] == quote

    columns = zip(*rows[1:], strict=False)
    return bool(rows) and (all(map(is_within, rows[0])) or any(all(map(is_within, column)) for column in columns))


def _keeps_together(best: _Reading) -> bool:
    """Whether a field in apostrophes holds a delimiter; or a newline, where the records are not alike without it."""
    delimiter = re.escape(best.dialect.delimiter.decode())
    inner = "[^'\r\n]" if best.fits else "[^']"
    pattern = _fields(best.dialect, f"'(?:{inner}|'')*+'")
    kept = (match["sought"] for match in pattern.finditer(best.sample.text) if match["sought"])
    return any(re.search(f"[{delimiter}\r\n]", field) for field in kept)


def _backslashes(best: _Reading) -> Iterator[str]:
    r"""Tell of signs that ``\`` is an escape: it stands before what it could make literal, and reads otherwise."""
    text, dialect = best.sample.text, best.dialect
    specials = f"{dialect.delimiter.decode()}{(dialect.quote or b'').decode()}\r\n"
    if "\\" not in text or b"\\" in (dialect.delimiter, dialect.quote):
        return
    rest = re.sub(rf"\\[\\{re.escape(specials)}]", "", text)
    seen = len(rest) < len(text)
    # Null values of databases stand as they are in a dialect with an escape.
    only_before = re.search(r"\\(?!N)", rest) is None
    if seen and (not best.fits or (only_before and best.differs(replace(dialect, escape=b"\\")))):
        yield (
            "Backslashes may be escapes, as in what MySQL writes, and are read as text: pass "
            "csv=CsvOptions(escape='\\\\') if they are, or escape='' if they are not."
        )


def _fields(dialect: CsvDialect, sought: str) -> re.Pattern[str]:
    """Match quoted fields, and those that are ``sought`` as a whole."""
    ends = f"{re.escape(dialect.delimiter.decode())}\r\n"
    quoted = _quoted(dialect.quote) if dialect.quote else "(?!)"
    return re.compile(rf"(?:^|(?<=[{ends}]))(?:{quoted}|(?P<sought>{sought})(?=[{ends}]|\Z))")


def _quoted(quote: bytes) -> str:
    # Possessive, so that no text takes more than linear time.
    mark = re.escape(quote.decode())
    return f"{mark}(?:[^{mark}]++|{mark}{mark})*+{mark}"
