r"""Which type each column of a CSV file has: the first that keeps every value of the whole file.

Each text says by itself which types keep it (`csv_texts`); what all texts of a column have in common decides. So the
answer depends on the values alone, not on where blocks end, and blocks may be looked at in any order, side by side. The
first choice comes first:

    bool  int64  double  date32  timestamp[s]  timestamp[ns]  the same in UTC  string

Times without a date, which Kumo does not take, stay strings, and so does a column without any value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kumo_async.errors import ConfigurationError
from kumo_async.formats.arrow_errors import arrow_errors
from kumo_async.formats.csv_texts import EVERY, STRING, every_type, looks_written, possible_types
from kumo_async.formats.types import Action, decide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kumo_async.formats.csv_texts import Masks

__all__ = ["chosen", "common_types", "given_types", "reasons"]

_TOGETHER: Final = 1 << 16  # texts: what a call costs does not show any more
_FIRST: Final = 64  # texts that are asked before all others


def chosen(possible: int) -> Any:
    """Return the type of a column, of which these types keep all values; string where there are no values.

    Example:
        >>> from kumo_async.formats.csv_texts import DOUBLE, INT, STRING
        >>> chosen(DOUBLE | INT | STRING)
        DataType(int64)
    """
    return every_type()[-1] if possible == EVERY else every_type()[(possible & -possible).bit_length() - 1]


def common_types(columns: Sequence[Any], among: Masks) -> Masks:
    """Return for each column the types that keep all of its texts.

    Args:
        columns: Arrays of strings, all with as many.
        among: For each column the types that matter.

    Example:
        >>> import pyarrow as pa
        >>> from kumo_async.formats.csv_texts import EVERY
        >>> possible = common_types([pa.array(["1", "2"]), pa.array(["1", "x"])], np.array([EVERY] * 2))
        >>> [str(chosen(mask)) for mask in possible.tolist()]
        ['int64', 'string']
    """
    found = among.copy()
    for beginning in _beginnings(columns):
        # What the first texts rule out needs not be asked of all.
        asked = np.flatnonzero(found != STRING)
        for at, masks in _judged([beginning[column] for column in asked.tolist()], found[asked]):
            found[asked[at]] &= np.bitwise_and.reduce(masks, axis=1)
    return found


def reasons(columns: Sequence[Any], before: Masks, rows: int, null_values: Sequence[str]) -> list[str | None]:
    """Return for each column why it is one of strings: the record that left it no other type.

    Args:
        columns: Arrays of strings, all with as many, each with such a record.
        before: For each column the types that keep what stands before them; some type other than string is among them.
        rows: How many records stand before them.
        null_values: The texts that mean null without quotes.

    Returns:
        Words for each column; None where its very first text could not be taken for anything but text.

    Example:
        >>> import pyarrow as pa
        >>> from kumo_async.formats.csv_texts import EVERY
        >>> columns = [pa.array(["7", "8", "x"]), pa.array(["00501", "10001", "2"]), pa.array(["Ada", "Bob", "5"])]
        >>> for words in reasons(columns, np.array([EVERY] * 3), 100, [""]):
        ...     print(words)
        record 103 does not fit int64, as those before it do
        record 101 is no number or date in a usual notation
        None
    """
    found: dict[int, str | None] = {}
    for beginning in _beginnings(columns):
        asked = np.array([column for column in range(len(columns)) if column not in found], np.intp)
        for at, masks in _judged([beginning[column] for column in asked.tolist()], before[asked]):
            first = before[asked[at], np.newaxis]
            left = np.bitwise_and.accumulate(np.concatenate([first, masks], axis=1), axis=1)
            for column, masks_left in zip(asked[at].tolist(), left, strict=True):
                if masks_left[-1] == STRING:
                    row = int(np.argmax(masks_left == STRING)) - 1
                    words = _reason(columns[column][row].as_py(), int(masks_left[row]), null_values)
                    found[column] = words and f"record {rows + row + 1} {words}"
    return [found[column] for column in range(len(columns))]


def _beginnings(columns: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the first texts of long columns, which tell nearly all of what is asked, and then the whole columns."""
    if columns and len(columns[0]) > 4 * _FIRST:
        yield [column.slice(0, _FIRST) for column in columns]
    yield columns


def _reason(text: str, earlier: int, null_values: Sequence[str]) -> str | None:
    if text in null_values:
        return "has a null value in quotes, which is a text unless csv=CsvOptions(quoted_nulls=True)"
    if earlier != EVERY:
        return f"does not fit {chosen(earlier)}, as those before it do"
    return "is no number or date in a usual notation" if looks_written(text) else None


def _judged(columns: Sequence[Any], among: Masks) -> Iterator[tuple[NDArray[np.intp], Masks]]:
    """Yield positions of columns, and for these the types that keep each text; of short columns many at once."""
    step = max(1, _TOGETHER // max(1, len(columns[0]))) if columns else 1
    for mask in np.unique(among).tolist():
        where = np.flatnonzero(among == mask)
        for start in range(0, where.size, step):
            at = where[start : start + step]
            texts = _joined([columns[column] for column in at.tolist()])
            yield at, possible_types(texts, mask).reshape(at.size, -1)


def _joined(arrays: Sequence[Any]) -> Any:
    import pyarrow as pa

    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def given_types(types: Mapping[str, Any], old: Sequence[str], new: Sequence[str]) -> dict[str, Any]:
    """Return the Arrow types that a user gave, by the names that the columns have in Kumo.

    Args:
        types: A type, or its name, for the name that a column has in the file or in Kumo.
        old: The columns' names in the file.
        new: Their names in Kumo.

    Raises:
        ConfigurationError: If there is no such column or type, or Kumo does not take the type.

    Example:
        >>> given_types({"zip code": "string", "x": "decimal128(9, 2)"}, ["zip code", "x"], ["zip_code", "x"])
        {'zip_code': DataType(string), 'x': Decimal128Type(decimal128(9, 2))}
    """
    times = Counter(old)
    known = {name: to for name, to in zip(old, new, strict=True) if times[name] == 1} | {name: name for name in new}
    found = {}
    for name, kind in types.items():
        if name not in known:
            raise ConfigurationError(f"CsvOptions.types names a column {name!r}, and there is none of that name.")
        found[known[name]] = _checked(name, _parsed(kind))
    return found


def _parsed(kind: Any) -> Any:
    """Return the type that a text or a type of Arrow means; None if it means none."""
    import pyarrow as pa

    if not isinstance(kind, str):
        return kind if isinstance(kind, pa.DataType) else None
    if found := re.fullmatch(r"decimal(?:128)?\((\d{1,2}), ?(-?\d{1,2})\)", kind):
        return pa.decimal128(int(found[1]), int(found[2])) if 0 < int(found[1]) <= 38 else None
    if found := re.fullmatch(r"timestamp\[(s|ms|us|ns), ?tz=([^\]]+)\]", kind):
        return pa.timestamp(found[1], found[2])
    try:
        return pa.type_for_alias(kind)
    except ValueError:
        return None


def _checked(name: str, kind: Any) -> Any:
    import pyarrow as pa

    if kind is None:
        raise ConfigurationError(
            f"CsvOptions.types has no type for column {name!r} that Arrow knows: use a name such as 'string', 'int64', "
            f"'double', 'bool', 'date32', 'timestamp[us]' or 'decimal128(9, 2)'."
        )
    column = decide(pa.schema([(name, kind)]))[0]
    if column.action is not Action.KEEP:
        remedy = column.remedy or f"use {column.target}"
        raise ConfigurationError(f"CsvOptions.types gives column {name!r} the type {kind}: {remedy}.")
    if pa.types.is_timestamp(kind) and kind.tz and not _is_zone(kind):
        raise ConfigurationError(
            f"CsvOptions.types gives column {name!r} the type {kind}, and there is no time zone {kind.tz!r}: use 'UTC' "
            f"or a name such as 'Europe/Berlin', or an offset such as '+02:00'."
        )
    _check_holds(kind)
    return kind


def _is_zone(kind: Any) -> bool:
    """Whether the zone of a timestamp is known; true as well where Arrow finds no time zones at all."""
    import pyarrow as pa

    for zone in (kind.tz, "UTC"):
        with suppress(*arrow_errors()):
            pa.scalar(0, pa.timestamp("s", zone)).cast(pa.string())
            return bool(zone == kind.tz)
    return True


def _check_holds(kind: Any) -> None:
    """Refuse what pyarrow cannot read from CSV, or cannot write to Parquet."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    what = "no column of CSV can be read as"
    try:
        convert = csv.ConvertOptions(column_types={"x": kind})
        read = csv.ReadOptions(column_names=["x", "y"])
        table = csv.read_csv(pa.BufferReader(b",\n"), read, convert_options=convert)
        what = "no column of Parquet can hold"
        parquet.write_table(table.slice(0, 0), pa.BufferOutputStream())
    except arrow_errors() as error:
        raise ConfigurationError(f"CsvOptions.types: {what} {kind}.") from error
