"""Sample rows as the text that the official SDK reads with ``pandas.read_json(text, orient="table")``.

It is written here and not by pandas, whose writer rounds floats to 15 digits, cannot write bytes, and turns integers
with a null among them into floats first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

__all__ = ["to_text"]

_EXACT_IN_FLOAT = 2**53
_LARGEST_INT64 = 2**63 - 1
_Field = dict[str, str]
_Column = tuple[_Field, Sequence[object]]


def to_text(table: pa.Table) -> str:
    """Write the rows of a table."""
    names = _unique(table.column_names)
    columns = [_column(column) for column in table.columns]
    fields = [{"name": name, **field} for name, (field, _) in zip(names, columns, strict=True)]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*(values for _, values in columns), strict=True)]
    document = {"schema": {"fields": fields, "pandas_version": "1.4.0"}, "data": rows}
    return json.dumps(document, ensure_ascii=False, default=str)


def _unique(names: Sequence[str]) -> list[str]:
    """Number repeated names, since an object in JSON holds each only once."""
    unique: dict[str, None] = {}
    for name in names:
        number = 0
        while (free := f"{name}_{number}" if number else name) in unique:
            number += 1
        unique[free] = None
    return list(unique)


def _column(column: pa.ChunkedArray[Any]) -> _Column:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _times(column)
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return {"type": "number"}, [_number(value) for value in column.to_pylist()]
    if pa.types.is_boolean(kind):
        has_null = bool(column.null_count)
        return {"type": "boolean", **({"extDtype": "boolean"} if has_null else {})}, column.to_pylist()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return {"type": "string", "extDtype": "str"}, column.to_pylist()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return {"type": "string", "extDtype": "str"}, [_text(value) for value in column.to_pylist()]
    return {"type": "string"}, column.to_pylist()


def _number(value: object) -> float | None:
    number = None if value is None else float(str(value))
    return None if number is None or math.isnan(number) else number


def _text(value: bytes | None) -> str | None:
    # JSON has no bytes. Most binary columns hold text, and of the others every byte stays visible.
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _integers(column: pa.ChunkedArray[Any]) -> _Column:
    values = column.to_pylist()
    if any(value is not None and value > _LARGEST_INT64 for value in values):
        return {"type": "string", "extDtype": "str"}, [None if value is None else str(value) for value in values]
    if not column.null_count:
        return {"type": "integer"}, values
    # With a null among them pandas reads numbers as floats before it makes integers of them, but not texts.
    is_large = any(value is not None and abs(value) > _EXACT_IN_FLOAT for value in values)
    exact = [None if value is None else str(value) for value in values] if is_large else values
    return {"type": "integer", "extDtype": "Int64"}, exact


def _times(column: pa.ChunkedArray[Any]) -> _Column:
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    # Pandas knows zones by name; an instant with a fixed offset is the same instant in UTC.
    field = {} if zone is None else {"tz": zone if "/" in zone else "UTC"}
    bare = column.cast(pa.timestamp(column.type.unit)) if zone else column
    texts = [_iso(value, zone) for value in bare.cast(pa.string()).to_pylist()]
    try:
        bare.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        # Pandas reads times with nanoseconds, which reach from 1677 to 2262; others can only be shown as text.
        return {"type": "string", "extDtype": "str"}, texts
    return {"type": "datetime", **field}, texts


def _iso(value: str | None, zone: str | None) -> str | None:
    return None if value is None else value.replace(" ", "T") + ("Z" if zone else "")
