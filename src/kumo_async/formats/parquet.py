"""New Parquet files out of the row groups of one, without touching a page.

A partition is the file's magic number, byte ranges of the source file back to back, and a new footer:

    footer = Footer.parse(thrift_bytes, data_end)           what the file says, checked       parquet_footer
    for groups in plan_row_groups(footer, target_bytes):    consecutive row groups
        layout = partition_footer(footer, groups, names)    which bytes, and the new footer
        verify_footer(layout.footer, ...)                   read back by pyarrow

The order of the bytes is kept, so every new offset is at most the old one and a footer can only shrink by the move.
Everything in the footer is kept, including fields that this code does not know.

Page indexes are left out of partitions. They are no part of the footer: for each column of each row group they are two
structs elsewhere in the file, one of which has the absolute offset of every page. To keep them, planning would have to
read both, check each offset, since a reader that skips pages believes them over the pages, and write them anew between
the data and the footer: for 100,000 columns of row groups 200,000 small reads before the first byte is sent. They help
those who look for a few rows, and a table is read whole. A file that is sent as one object has all bytes where they
were, and so keeps them. Format: https://github.com/apache/parquet-format.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import parquet_footer, thrift
from kumo_async.formats.arrow_errors import arrow_errors
from kumo_async.formats.parquet_columns import Range, RawRowGroup, column_range, read_row_group
from kumo_async.formats.parquet_footer import ENCRYPTED_MAGIC, MAGIC, MAX_FOOTER_BYTES, Footer, tail_length
from kumo_async.formats.parquet_rename import Renames
from kumo_async.formats.parquet_row_groups import RowGroup, joined
from kumo_async.formats.parquet_schema import ParquetError, SchemaElement
from kumo_async.formats.thrift import Patch, Struct, ThriftError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "ENCRYPTED_MAGIC",
    "MAGIC",
    "MAX_FOOTER_BYTES",
    "Footer",
    "ParquetError",
    "PartitionLayout",
    "Range",
    "RowGroup",
    "SchemaElement",
    "partition_footer",
    "plan_row_groups",
    "tail_length",
    "verify_footer",
    "whole_footer",
]

_GROUP_SLACK = 16
"""Bytes that a row group's description can grow by: a file offset and an ordinal that were wrong become right."""

_MAX_ORDINAL = (1 << 15) - 1


@dataclass(frozen=True, slots=True)
class PartitionLayout:
    """One partition as bytes: `MAGIC`, the ranges of the source file back to back, the footer.

    Attributes:
        ranges: First byte and end of each range of the source file, ascending, adjacent ones joined.
        footer: The new footer with its length and the magic number behind it.
        num_rows: Rows of the partition.
        size: Bytes of the whole partition.
    """

    ranges: tuple[Range, ...]
    footer: bytes
    num_rows: int
    size: int


def plan_row_groups(footer: Footer, target_bytes: int, names: Sequence[str] | None = None) -> list[range]:
    """Pack consecutive row groups into as few partitions as their order allows.

    Args:
        footer: The source's footer.
        target_bytes: The most bytes of a partition, its footer included. A row group that is larger alone is alone.
        names: The new names of the top-level columns, where they are to be renamed.

    Returns:
        Positions of row groups, which together are all of them. Each partition has rows, unless the file has none.

    Raises:
        ParquetError: The footer cannot be rewritten.
    """
    base, for_each = _footer_overhead(footer, names)
    plan: list[range] = []
    start = 0
    size = base
    rows = 0
    for position, group in enumerate(footer.row_groups):
        # Row groups without rows are left out of the new files, so they cost nothing and go wherever they stand.
        needed = group.size + group.described_by + for_each if group.num_rows else 0
        if rows and size + needed > target_bytes:
            plan.append(range(start, position))
            start, size, rows = position, base, 0
        size += needed
        rows += group.num_rows
    if footer.row_groups:
        plan.append(range(start, len(footer.row_groups)))
    return _without_empty_end(plan, rows)


def _without_empty_end(plan: list[range], rows_of_last: int) -> list[range]:
    if len(plan) > 1 and not rows_of_last:
        last = plan.pop()
        plan[-1] = range(plan[-1].start, last.stop)
    return plan


def _footer_overhead(footer: Footer, names: Sequence[str] | None) -> tuple[int, int]:
    """Give the bytes of a partition without its row groups, and those to add for each of them."""
    renames = Renames.of(footer, names)
    _, _, start, end = footer.fields[parquet_footer.ROW_GROUPS]
    grown = sum(len(value) - (last - first) for first, last, value in renames.patches)
    static = len(footer.data) - (end - start) + grown + _GROUP_SLACK + 2 * len(MAGIC) + 4
    paths = sum(max(0, len(path) - len(footer.schema.paths[leaf])) for leaf, path in renames.paths.items())
    return static, paths + _GROUP_SLACK


def partition_footer(footer: Footer, row_groups: range, names: Sequence[str] | None = None) -> PartitionLayout:
    """Lay out a new file that has only some row groups of the source, byte for byte as they are.

    Args:
        footer: The source's footer.
        row_groups: Positions of the row groups. Those without rows are left out.
        names: The new names of all top-level columns, where they are to be renamed.

    Returns:
        The ranges to copy and the new footer.

    Raises:
        ParquetError: The footer cannot be rewritten.
        ValueError: There are not as many names as columns.
    """
    groups = [group for group in footer.row_groups[row_groups.start : row_groups.stop] if group.num_rows]
    ranges = joined(sorted(piece for group in groups for piece in (*group.ranges, *group.blooms)))
    renames = Renames.of(footer, names)
    rows = sum(group.num_rows for group in groups)
    try:
        mover = Mover(footer, ranges, renames.paths)
        described = [mover.moved(ordinal, group) for ordinal, group in enumerate(groups)]
        values = {
            parquet_footer.NUM_ROWS: thrift.write_integer(rows),
            parquet_footer.ROW_GROUPS: thrift.write_list(thrift.STRUCT, described),
        }
        patches = sorted([*renames.patches, *thrift.changes(footer.fields, values)])
    except ThriftError as error:
        raise ParquetError(f"The footer cannot be rewritten: {error}") from error
    new = with_tail(thrift.splice(footer.data, 0, len(footer.data), patches))
    size = len(MAGIC) + sum(end - start for start, end in ranges) + len(new)
    return PartitionLayout(tuple(ranges), new, rows, size)


def whole_footer(footer: Footer, names: Sequence[str]) -> bytes:
    """Make the footer of a file whose columns get other names while all its data keep their place.

    Args:
        footer: The source's footer.
        names: The new names of all top-level columns.

    Returns:
        The new footer with its length and the magic number behind it; the source's own where no name changes.

    Raises:
        ParquetError: The footer cannot be rewritten.
        ValueError: There are not as many names as columns.
    """
    renames = Renames.of(footer, names)
    patches = renames.patches
    if renames.paths:
        for group in footer.row_groups:
            metas = read_row_group(footer.data, group.described_at).metas
            patches += (
                (*metas[leaf][ids.PATH][2:], path) for leaf, path in renames.paths.items() if ids.PATH in metas[leaf]
            )
    return with_tail(thrift.splice(footer.data, 0, len(footer.data), sorted(patches)))


def with_tail(data: bytes) -> bytes:
    """Put the length and the magic number behind the Thrift bytes of a footer.

    Raises:
        ParquetError: It is larger than what is ever read.
    """
    if len(data) > MAX_FOOTER_BYTES:
        raise ParquetError(f"The new footer would have {len(data)} bytes, more than {MAX_FOOTER_BYTES}.")
    return b"".join([data, len(data).to_bytes(4, "little"), MAGIC])


class Mover:
    """Rewrites the descriptions of row groups for a file that has some ranges of the source from `position` on."""

    def __init__(
        self, footer: Footer, ranges: Sequence[Range], paths: dict[int, bytes], position: int = len(MAGIC)
    ) -> None:
        self._data = footer.data
        self._keep_blooms = footer.keep_blooms
        self._paths = paths
        self._starts = [start for start, _ in ranges]
        self._shifts = list(_shifts(ranges, position))

    def moved(self, ordinal: int, group: RowGroup) -> bytes:
        """Describe a row group, which all lies in the ranges, as the one with this number in the new file."""
        raw = read_row_group(self._data, group.described_at)
        patches = self._column_patches(raw)
        values = {
            ids.GROUP_FILE_OFFSET: self._at(group.first) if group.ranges else thrift.write_integer(0),
            ids.ORDINAL: thrift.write_integer(ordinal) if ordinal <= _MAX_ORDINAL else None,
        }
        patches += thrift.changes(raw.fields, values)
        patches.sort()
        return thrift.splice(self._data, group.described_at, raw.end, patches)

    def _at(self, position: int) -> bytes:
        return thrift.write_integer(position - self._shift(position))

    def _shift(self, position: int) -> int:
        return self._shifts[bisect_right(self._starts, position) - 1]

    def _column_patches(self, raw: RawRowGroup) -> list[Patch]:
        patches: list[Patch] = []
        for leaf, (column, meta) in enumerate(zip(raw.columns, raw.metas, strict=True)):
            start, end, _ = column_range(self._data, meta)
            shift = self._shift(start)
            patches += thrift.changes(column, self._chunk_values(column, start, end, shift))
            patches += thrift.changes(meta, self._meta_values(leaf, meta, start, end, shift))
        return patches

    def _chunk_values(self, column: Struct, start: int, end: int, shift: int) -> dict[int, bytes | None]:
        # The deprecated file offset is the first page to some writers. To others it is a copy of the metadata behind
        # the pages, which is not kept, and 0 says that there is none.
        values: dict[int, bytes | None] = {}
        if offset := thrift.integer(self._data, column, ids.FILE_OFFSET, 0):
            values[ids.FILE_OFFSET] = thrift.write_integer(offset - shift if start <= offset < end else 0)
        if ids.OFFSET_INDEX in column or ids.COLUMN_INDEX in column:
            values |= _NO_PAGE_INDEXES
        return values

    def _meta_values(self, leaf: int, meta: Struct, start: int, end: int, shift: int) -> dict[int, bytes | None]:
        values: dict[int, bytes | None] = {}
        if leaf in self._paths:
            values[ids.PATH] = self._paths[leaf]
        for field in _PAGE_OFFSETS:
            if field in meta:
                offset = thrift.integer(self._data, meta, field)
                # 0 says that there is none; an offset that points elsewhere would mean another thing afterwards.
                if offset:
                    values[field] = thrift.write_integer(offset - shift) if start <= offset < end else None
        if ids.BLOOM_OFFSET in meta:
            values.update(self._bloom_values(meta))
        return values

    def _bloom_values(self, meta: Struct) -> dict[int, bytes | None]:
        offset, length = ids.BLOOM_OFFSET, ids.BLOOM_LENGTH
        if self._keep_blooms and thrift.integer(self._data, meta, length, 0) > 0:
            return {offset: self._at(thrift.integer(self._data, meta, offset))}
        return {offset: None, length: None}


_PAGE_OFFSETS = (ids.DATA_PAGE, ids.INDEX_PAGE, ids.DICTIONARY_PAGE)
_NO_PAGE_INDEXES: dict[int, bytes | None] = dict.fromkeys(
    [ids.OFFSET_INDEX, ids.OFFSET_INDEX_LENGTH, ids.COLUMN_INDEX, ids.COLUMN_INDEX_LENGTH]
)


def _shifts(ranges: Iterable[Range], position: int) -> Iterable[int]:
    for start, end in ranges:
        yield start - position
        position += end - start


def verify_footer(footer: bytes, expected_rows: int, expected_names: Sequence[str]) -> None:
    """Read a new footer back with pyarrow and compare it with what it is to say, before anything is sent.

    Args:
        footer: The new footer with its length and the magic number behind it.
        expected_rows: Rows that the file is to have.
        expected_names: Names of its top-level columns.

    Raises:
        ParquetError: pyarrow cannot read it, or it says something else.
    """
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(io.BytesIO(MAGIC + footer))
        names = metadata.schema.to_arrow_schema().names
    except arrow_errors() as error:
        raise ParquetError(f"pyarrow cannot read the new footer: {error}") from error
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if not metadata.num_rows == sum(rows) == expected_rows:
        raise ParquetError(f"The new footer has {metadata.num_rows} rows instead of {expected_rows}.")
    if names != list(expected_names):
        raise ParquetError("The new footer does not have the expected columns.")
