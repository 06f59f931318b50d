"""What a sample of CSV text looks like, read with one dialect or another, and which reading looks better."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

from kumo_async.formats.csv_quoting import Quoting, find_quoting

__all__ = ["DELIMITERS", "Reading", "Sample", "Score"]

#: What separates fields where nothing is said, the likeliest first.
DELIMITERS: Final = (",", ";", "\t", "|")
_ROWS: Final = 1000
_CHARACTERS: Final = 1 << 18
#: Commas that separate nothing: the one of a decimal number, and those of prose, each before a space.
_INNER_COMMA: Final = re.compile(r"[-+]?\d[\d.' ]*,\d+( ?[^\s\d,])?|[^,]*(, [^,]*)+")


class Score(NamedTuple):
    """How well a dialect reads a sample; the greater, the better.

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


@dataclass(frozen=True, eq=False)
class Reading:
    """A sample as a dialect reads it; quote and escape are empty where there is none.

    Attributes:
        sample: What was read.
        rows: The first records, without blank lines.
        ends: The number of the line that each of them ends with.
    """

    sample: Sample
    delimiter: str
    quote: str
    escape: str
    rows: list[list[str]]
    ends: list[int]
    score: Score

    @cached_property
    def quoting(self) -> Quoting:
        """Its quoted fields. Counting them takes longer than all else, and few readings come so far."""
        return self.sample.quoting(self.delimiter, self.quote, self.escape)

    @property
    def fits(self) -> bool:
        """Whether there are rows, all with as many fields as the header, and quoted fields are well-formed."""
        return self.score.consistent == 1 and len(self.rows) > 1 and not self.quoting.bad

    @property
    def has_clean_names(self) -> bool:
        """Whether no other delimiter would split a name in the header."""
        return all(_is_clean(name, self.delimiter) for name in self.rows[0])


class Sample:
    """The first characters of a text.

    Args:
        text: The text; about 256 KiB of it are looked at.
        complete: Whether that is all of the data, so that the last record is a whole one.
    """

    def __init__(self, text: str, complete: bool) -> None:
        self.text = text[:_CHARACTERS]
        self._all = text
        self._complete = complete

    def read(self, delimiter: str, quote: str, escape: str) -> Reading:
        """Read it in a dialect."""
        records = self._records(delimiter, quote, escape)
        rows, ends = [row for row, _ in records], [end for _, end in records]
        return Reading(self, delimiter, quote, escape, rows, ends, _score(rows, delimiter))

    def quoting(self, delimiter: str, quote: str, escape: str) -> Quoting:
        """Count the quoted fields that it has in a dialect."""
        if not quote or quote not in self.text:
            return Quoting()
        whole = self._complete and self.text == self._all
        return find_quoting(self.text, whole, delimiter, quote, escape)

    def _records(self, delimiter: str, quote: str, escape: str) -> list[tuple[list[str], int]]:
        """Read the first records, without a last one that the end of the text may have cut; and their last lines."""
        lines = io.StringIO(self._all, newline="")
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        reader = csv.reader(
            lines, delimiter=delimiter, quotechar=quote or None, escapechar=escape or None, quoting=quoting
        )
        found: list[tuple[list[str], int]] = []
        # A field of more than 128 KiB ends the sample; the records before it tell enough.
        with suppress(csv.Error):
            for row in reader:
                found += [(row, reader.line_num)] if row else []
                if len(found) >= _ROWS or (len(found) > 1 and lines.tell() > _CHARACTERS):
                    return found
            return found if self._complete or len(found) < 2 else found[:-1]
        return found


def _score(rows: Sequence[Sequence[str]], delimiter: str) -> Score:
    if not rows:
        return Score(0, 0, 0, 0)
    fields, data = len(rows[0]), rows[1:] or rows
    most, times = Counter(map(len, rows)).most_common(1)[0]
    consistent = sum(len(row) == fields for row in data) / len(data)
    clean = [_is_clean(field, delimiter) for row in data for field in row]
    # A line that most records contradict is no header, but a notice before the table.
    is_header = fields > 1 and consistent > 0.5
    return Score(consistent * is_header, (most > 1) * times / len(rows), sum(clean) / len(clean), fields)


def _is_clean(field: str, delimiter: str) -> bool:
    # Wrong delimiters cut quoted fields in two, and prose at its ", ".
    if field.count('"') % 2 or field.startswith(" "):
        return False
    others = [other for other in DELIMITERS if other != delimiter and other in field]
    return not others or (others == [","] and _INNER_COMMA.fullmatch(field.strip()) is not None)
