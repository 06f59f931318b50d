r"""Which delimiter and which quote a sample of CSV text was most likely written with.

Each candidate reads the sample, and the readings are compared: a delimiter that is one gives all rows as many fields as
the header, and leaves no field that another delimiter would split. A comma file whose text is full of semicolons has
none in its header; a semicolon file with decimal commas has commas only in numbers.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Final, Literal, NamedTuple

__all__ = ["DELIMITERS", "is_escaped", "sniff"]

DELIMITERS: Final = ",;\t|"  # the likeliest first
_ROWS: Final = 1000
_CHARACTERS: Final = 1 << 18
#: Commas that separate nothing: the one of a decimal number, and those of prose, each before a space.
_INNER_COMMA: Final = re.compile(r"[-+]?\d[\d.' ]*,\d+( ?[^\s\d,])?|[^,]*(, [^,]*)+")


class _Reading(NamedTuple):
    """How well a delimiter reads a sample; the greater, the better."""

    consistent: float  # share of the rows with as many fields as the header
    clean: float  # share of the fields that look whole: no other delimiter would split them
    fields: int
    likely: int
    delimiter: str


def sniff(text: str, complete: bool, delimiters: str = DELIMITERS, quote: str | None = None) -> tuple[bytes, bytes]:
    """Return the likeliest delimiter and quote; comma and double quote if nothing speaks for others.

    Arguments:
        text: The first characters of the data; a byte may stand for a character.
        complete: Whether that is all of the data, so that the last record is a whole one.
        delimiters: The delimiters that come into question, the likeliest first.
        quote: The quote, empty for none, where it is known.
    """
    best = _best(text, '"' if quote is None else quote, complete, delimiters)
    if quote is None and "'" in text and not re.search(r'(^|[,;\t|\r\n])"', text):
        other = _best(text, "'", complete, delimiters)
        if other and _is_quoted(text, other, best):
            return other.delimiter.encode(), b"'"
    return (best.delimiter if best else delimiters[0]).encode(), ('"' if quote is None else quote).encode()


def is_escaped(text: str, complete: bool, delimiter: str, quote: str) -> bool:
    r"""Whether quotes within quoted fields stand behind backslashes.

    By RFC 4180 such a quote closes the field, and what follows must be a delimiter or a line end. So a file in which
    something else does is broken, unless the backslash is an escape; and with it all records must be alike.

    Arguments:
        text: The first characters of the data; a byte may stand for a character.
        complete: Whether that is all of the data.
        delimiter: The delimiter.
        quote: The quote.

    Example:
        >>> is_escaped('a,b\n1,"say \\"hi\\""\n', True, ",", '"'), is_escaped('a,b\n1,"C:\\"\n', True, ",", '"')
        (True, False)
    """
    ends = re.escape(delimiter) + r"\r\n"
    broken = rf"(?:^|(?<=[{ends}])){quote}[^{quote}]*\\{quote}(?=[^{ends}{quote}])"
    if not re.search(broken, text[:_CHARACTERS]):
        return False
    rows = _sample(text, delimiter, quote, complete, escape="\\")
    return len(rows) > 1 and all(len(row) == len(rows[0]) for row in rows)


def _best(text: str, quote: str, complete: bool, delimiters: str) -> _Reading | None:
    samples = ((delimiter, _sample(text, delimiter, quote, complete)) for delimiter in delimiters)
    readings = (_read(rows, delimiter, delimiters) for delimiter, rows in samples if rows and len(rows[0]) > 1)
    return max(readings, default=None)


def _sample(text: str, delimiter: str, quote: str, complete: bool, escape: str | None = None) -> list[list[str]]:
    """Read the first rows, without a last one that the end of the text may have cut."""
    lines = io.StringIO(text, newline="")
    rows: list[list[str]] = []
    try:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote or None, quoting=quoting, escapechar=escape)
        for row in reader:
            rows += [row] if row else []
            if len(rows) >= _ROWS or (len(rows) > 1 and lines.tell() > _CHARACTERS):
                return rows
    except csv.Error:  # a field of more than 128 KiB; the rows before it tell enough
        return rows
    return rows if complete or len(rows) < 2 else rows[:-1]


def _read(rows: list[list[str]], delimiter: str, delimiters: str) -> _Reading:
    fields = len(rows[0])
    data = rows[1:] or rows
    consistent = sum(len(row) == fields for row in data) / len(data)
    clean = [_is_clean(field, delimiter) for row in data for field in row]
    return _Reading(consistent, sum(clean) / len(clean), fields, -delimiters.index(delimiter), delimiter)


def _is_clean(field: str, delimiter: str) -> bool:
    # Wrong delimiters cut quoted fields in two, and prose at its ", ".
    if field.count('"') % 2 or field.startswith(" "):
        return False
    others = [other for other in DELIMITERS if other != delimiter and other in field]
    return not others or (others == [","] and _INNER_COMMA.fullmatch(field.strip()) is not None)


def _is_quoted(text: str, single: _Reading, double: _Reading | None) -> bool:
    """Whether single quotes are quotes: all rows are alike with them, and they keep delimiters within fields.

    Or they stand around every name in the header, which apostrophes do not.
    """
    # An apostrophe is far more common than this quote, so the doubt is in favour of the apostrophe.
    field = r"(?:(?<=[%s\r\n])|^)'[^'\r\n]*%s[^'\r\n]*'(?=[%s\r\n]|$)".replace("%s", re.escape(single.delimiter))
    evidence = len(re.findall(field, text[:_CHARACTERS]))
    needed = 1 if double is None or double.consistent < 1 else 2
    names = text.lstrip("\r\n").partition("\n")[0].strip("\r").split(single.delimiter)
    named = all(len(name) > 1 and name[0] == name[-1] == "'" for name in names)
    return single.consistent == 1 and (named or evidence >= needed)
