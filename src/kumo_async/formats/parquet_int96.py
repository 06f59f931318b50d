"""Timestamps of 96 bits, which are never left to Arrow: it takes Julian day 0 for 1970, and wraps what it cannot hold.

Their pages are those of any twelve bytes, so a footer that calls them that has Arrow read them as they are. Beside
partitions that are copied they are written so, too, and called INT96 again. Elsewhere they become instants here: eight
bytes are the nanoseconds of a day and four the Julian day, little-endian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import META_DATA, read_row_group
from kumo_async.formats.parquet_footer import SCHEMA, Footer
from kumo_async.formats.parquet_retype import count_elements, with_data
from kumo_async.formats.parquet_schema import MAX_ELEMENTS

if TYPE_CHECKING:
    from kumo_async.formats.thrift import Patch, Struct

__all__ = ["INT96", "instants", "int96_as_bytes", "int96_columns"]

INT96 = 3
_FIXED_BYTES = 7
_TYPE, _TYPE_LENGTH, _CONVERTED, _LOGICAL = 1, 2, 6, 10
_WIDTH = 12

_EPOCH = 2_440_588
_DAY = 86_400 * 10**6
_MOST_DAYS = 2**63 // _DAY - 1


def int96_columns(footer: Footer) -> list[int]:
    """Give the positions of the top-level columns that have timestamps of 96 bits."""
    return [number for number, element in enumerate(footer.elements) if element.physical_type == INT96]


def int96_as_bytes(footer: Footer) -> Footer:
    """Give the footer of the same file that calls timestamps of 96 bits twelve bytes; the same one if there are none.

    Raises:
        ThriftError: The encoding is broken.
    """
    columns = int96_columns(footer)
    if not columns:
        return footer
    elements = thrift.structs(footer.data, footer.fields, SCHEMA, MAX_ELEMENTS)
    starts = [1]
    for element in footer.elements:
        starts.append(starts[-1] + count_elements(element))
    schema = [patch for column in columns for patch in _as_bytes(footer.data, elements[starts[column]])]
    leaves = [leaf for leaf, owner in enumerate(footer.schema.owners) if owner in set(columns)]
    groups = [
        (*_type_of(footer.data, group.described_at, leaf), thrift.write_integer(_FIXED_BYTES))
        for group in footer.row_groups
        for leaf in leaves
    ]
    moved = sum(len(value) - (end - start) for start, end, value in schema)
    return with_data(footer, thrift.splice(footer.data, 0, len(footer.data), sorted([*schema, *groups])), moved)


def _as_bytes(data: bytes, element: Struct) -> list[Patch]:
    patches = thrift.changes(element, {_CONVERTED: None, _LOGICAL: None})
    kind, width = thrift.write_integer(_FIXED_BYTES), thrift.write_integer(_WIDTH)
    if _TYPE_LENGTH in element:
        return [*thrift.changes(element, {_TYPE: kind, _TYPE_LENGTH: width}), *patches]
    # The length comes between the type and the field after it, whose number is written as the difference to the last.
    (_, _, start, end), (_, head, value, _) = list(element.values())[:2]
    after = bytes([data[head] - 0x10])
    return [(start, end, kind + b"\x15" + width), (head, value, after), *patches]


def _type_of(data: bytes, described_at: int, leaf: int) -> tuple[int, int]:
    column = read_row_group(data, described_at).columns[leaf]
    _, _, start, end = thrift.scan(data, column[META_DATA][2])[0][_TYPE]
    return start, end


def instants(values: Any) -> Any:
    """Make timestamps in microseconds of twelve bytes each; what is finer is cut off.

    Args:
        values: An Arrow array of binary of twelve bytes.

    Raises:
        ValueError: Microseconds cannot hold one of them.

    Example:
        >>> import pyarrow as pa
        >>> instants(pa.array([(5_000).to_bytes(8, "little") + (2_440_588).to_bytes(4, "little"), None], pa.binary(12)))
        <pyarrow.lib.TimestampArray object at ...>
        [
          1970-01-01 00:00:00.000005,
          null
        ]
    """
    import numpy as np
    import pyarrow as pa

    nulls = values.is_null().to_numpy(zero_copy_only=False)
    if nulls.all():
        return pa.nulls(len(values), pa.timestamp("us"))
    raw = np.frombuffer(values.buffers()[1], [("nanoseconds", "<i8"), ("day", "<u4")])
    raw = raw[values.offset : values.offset + len(values)]
    days = raw["day"].astype(np.int64) - _EPOCH
    nanoseconds = raw["nanoseconds"]
    held = (abs(days) <= _MOST_DAYS) & (nanoseconds <= 1000 * _DAY) & (nanoseconds >= -1000 * _DAY)
    if not (held | nulls).all():
        raise ValueError("microseconds cannot hold a timestamp of 96 bits")
    microseconds = np.where(nulls, 0, days) * _DAY + np.where(nulls, 0, nanoseconds) // 1000
    return pa.array(microseconds, pa.int64(), mask=nulls).cast(pa.timestamp("us"))
