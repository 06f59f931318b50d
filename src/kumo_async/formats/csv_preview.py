r"""What the first records of a CSV file look like, for people: some rows, and the type that each column seems to have.

Nothing depends on it: the bytes of a CSV file are sent as they are, and what reads them there decides about types. So a
look at a thousand records is enough, and it takes a few milliseconds and no library.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from kumo_async.formats.csv_dialect import read_records

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect

__all__ = ["FirstRecord", "first_records", "first_rows", "seeming_type", "seeming_types"]

_ROWS: Final = 1000
_BYTES: Final = 1 << 18

#: What stands for no value: pandas and pyarrow agree on these, https://arrow.apache.org/docs/python/csv.html
_NO_VALUE: Final = frozenset(["", "NA", "N/A", "NULL", "null", "NaN", "nan", "#N/A"])
_KINDS: Final = re.compile(
    r"(?P<bool>true|false|True|False|TRUE|FALSE)"
    # A leading zero is part of what the value says, as in a postal code, so such values are text.
    r"|(?P<int64>-?(?:0|[1-9]\d{0,17}))"
    r"|(?P<double>-?(?:0|[1-9]\d*)?\.\d+(?:[eE][-+]?\d+)?|-?[1-9]\d*[eE][-+]?\d+)"
    r"|(?P<date32>\d{4}-\d\d-\d\d)"
    r"|(?P<timestamp>\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z?)",
    re.ASCII,
)
_WIDER: Final = {
    frozenset(["int64", "double"]): "double",
    frozenset(["date32", "timestamp"]): "timestamp",
}


class FirstRecord(NamedTuple):
    """One of the first records.

    Attributes:
        lines: The lines before it.
        fields: Its fields.
    """

    lines: int
    fields: list[str]


def first_records(block: bytes, dialect: CsvDialect, complete: bool) -> list[FirstRecord]:
    r"""Read the first records, a thousand and one at most; what is wrong with later ones is for others to find.

    Args:
        block: The data; about 256 KiB of it are looked at.
        dialect: How it separates and quotes its fields.
        complete: Whether it is all of the data, so that the last record is a whole one.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> first_records(b'1,"a, b"\n\n2,c\n3,', CsvDialect(), complete=False)
        [FirstRecord(lines=0, fields=['1', 'a, b']), FirstRecord(lines=2, fields=['2', 'c'])]
    """
    complete = complete and len(block) <= _BYTES
    records: list[FirstRecord] = []
    lines = 0
    reader = read_records(io.StringIO(block[:_BYTES].decode(errors="replace"), newline=""), dialect)
    try:
        for fields in reader:
            records += [FirstRecord(lines, fields)] if fields else []
            lines = reader.line_num
            if len(records) > _ROWS:
                return records
    except csv.Error:  # a field of more than 128 KiB
        return records
    return records if complete else records[:-1]


def first_rows(block: bytes, dialect: CsvDialect, complete: bool) -> list[list[str]]:
    r"""Read the first rows, a thousand at most; see `first_records`.

    Args:
        block: The data after the header.
        dialect: How it separates and quotes its fields.
        complete: Whether it is all of the data.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> first_rows(b'1,"a, b"\n\n2,c\n3,', CsvDialect(), complete=False)
        [['1', 'a, b'], ['2', 'c']]
    """
    return [record.fields for record in first_records(block, dialect, complete)[:_ROWS]]


def seeming_type(values: Iterable[str]) -> str | None:
    """Return the narrowest type that all values have, in Arrow's words; None where there is no value.

    Example:
        >>> seeming_type(["1", "0.5", ""]), seeming_type(["NA"])
        ('double', None)
    """
    found = set(values) - _NO_VALUE
    return _type_of(found) if found else None


def seeming_types(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    """Return the narrowest type that all values of each column have, in Arrow's words; string where there are none.

    Example:
        >>> seeming_types([["1", "2024-01-01", "00501"], ["0.5", "NA", "10001"]], 3)
        ['double', 'date32', 'string']
    """
    return [seeming_type(row[at] for row in rows if at < len(row)) or "string" for at in range(columns)]


def _type_of(values: set[str]) -> str:
    kinds: set[str | None] = set()
    for value in values:
        match = _KINDS.fullmatch(value)
        kinds.add(match.lastgroup if match else None)
        if None in kinds:
            return "string"
    if len(kinds) == 1:
        return kinds.pop() or "string"
    return _WIDER.get(frozenset(kind for kind in kinds if kind), "string")
