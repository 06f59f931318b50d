"""Timestamps of 96 bits, which are never left to Arrow: it takes Julian day 0 for 1970, and wraps what it cannot hold.

Their pages are those of any twelve bytes, so a footer that calls them that has Arrow read them as they are. In tables
with partitions that are copied they are written like that, too, and called INT96 again. Elsewhere they become instants:
eight bytes are the nanoseconds of a day and four the Julian day, little-endian.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import META_DATA, read_row_group
from kumo_async.formats.parquet_footer import SCHEMA, Footer
from kumo_async.formats.parquet_retype import count_elements, with_data
from kumo_async.formats.parquet_schema import FIXED_BYTES, INT96, MAX_ELEMENTS, WRITE_AGAIN, ParquetError
from kumo_async.formats.thrift import ThriftError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from kumo_async.formats.thrift import Patch, Struct

__all__ = ["instants", "int96_as_bytes", "int96_columns"]

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
        ParquetError: The footer does not describe them as any writer does.
    """
    columns = set(int96_columns(footer))
    if not columns:
        return footer
    try:
        schema = [patch for element in _elements(footer, columns) for patch in _as_bytes(footer.data, element)]
        leaves = [leaf for leaf, owner in enumerate(footer.schema.owners) if owner in columns]
        groups = [patch for group in footer.row_groups for patch in _group_patches(footer, group.described_at, leaves)]
    except ThriftError as error:
        raise ParquetError(f"The footer cannot be rewritten: {error} {WRITE_AGAIN}") from error
    moved = sum(len(value) - (end - start) for start, end, value in schema)
    data = thrift.splice(footer.data, 0, len(footer.data), sorted([*schema, *groups]))
    return with_data(footer, data, moved)


def _elements(footer: Footer, columns: Container[int]) -> Iterator[Struct]:
    elements = thrift.structs(footer.data, footer.fields, SCHEMA, MAX_ELEMENTS)
    position = 1
    for column, element in enumerate(footer.elements):
        if column in columns:
            yield elements[position]
        position += count_elements(element)


def _as_bytes(data: bytes, element: Struct) -> list[Patch]:
    patches = thrift.changes(element, {_CONVERTED: None, _LOGICAL: None})
    kind, width = thrift.write_integer(FIXED_BYTES), thrift.write_integer(_WIDTH)
    if _TYPE_LENGTH in element:
        return [*thrift.changes(element, {_TYPE: kind, _TYPE_LENGTH: width}), *patches]
    # The length comes between the type and the field after it, whose number is written as the difference to the last.
    (first, (_, _, start, end)), (_, (_, head, value, _)) = islice(element.items(), 2)
    if first != _TYPE or data[head] < 0x20:
        raise ThriftError("A timestamp of 96 bits is described in an unusual order.")
    return [(start, end, kind + b"\x15" + width), (head, value, bytes([data[head] - 0x10])), *patches]


def _group_patches(footer: Footer, described_at: int, leaves: Iterable[int]) -> Iterator[Patch]:
    columns = read_row_group(footer.data, described_at).columns
    for leaf in leaves:
        meta, _ = thrift.scan(footer.data, columns[leaf][META_DATA][2])
        if thrift.integer(footer.data, meta, _TYPE) != INT96:
            raise ThriftError("A column of timestamps of 96 bits has other pages.")
        yield from thrift.changes(meta, {_TYPE: thrift.write_integer(FIXED_BYTES)})


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
