"""New Parquet files out of the row groups of one, without touching a page.

A partition is the file's magic number, byte ranges of the source file back to back, and a new footer:

    footer = Footer.parse(thrift_bytes, data_end)                what the file says, checked       parquet_footer
    for groups in plan_row_groups(footer, target_bytes):         consecutive row groups
        layout = partition_footer(footer, groups, names, ...)    which bytes, and the new footer   parquet_move
        verify_footer(layout.footer, ...)                        read back by pyarrow

The order of the bytes is kept, so every new offset is at most the old one and a footer can only shrink by it. Only
offset indexes have no place in that order: they are written anew behind all data (`parquet_page_index`). Everything in
the footer is kept, including fields that this code does not know. Format: https://github.com/apache/parquet-format.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import parquet_footer, thrift
from kumo_async.formats.arrow_errors import arrow_errors
from kumo_async.formats.parquet_columns import Range, column_range, read_row_group
from kumo_async.formats.parquet_footer import ENCRYPTED_MAGIC, MAGIC, MAX_FOOTER_BYTES, Footer, tail_length
from kumo_async.formats.parquet_move import Mover
from kumo_async.formats.parquet_page_index import IndexMover, NewOffsetIndexes, PageIndexes, page_index_ranges
from kumo_async.formats.parquet_rename import Renames
from kumo_async.formats.parquet_row_groups import RowGroup, joined
from kumo_async.formats.parquet_schema import WRITE_AGAIN, ParquetError
from kumo_async.formats.thrift import ThriftError
from kumo_async.formats.types import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kumo_async.formats.parquet_rename import Names
    from kumo_async.formats.thrift import Patch, Struct

__all__ = [
    "ENCRYPTED_MAGIC",
    "MAGIC",
    "MAX_FOOTER_BYTES",
    "Footer",
    "PageIndexes",
    "ParquetError",
    "PartitionLayout",
    "Range",
    "RowGroup",
    "page_index_ranges",
    "partition_footer",
    "plan_row_groups",
    "tail_length",
    "verify_footer",
    "whole_footer",
    "with_tail",
]

_GROUP_SLACK = 16
"""Bytes that a row group's description can grow by: a file offset and an ordinal that were wrong become right."""

_INDEX_SLACK = 5
"""Bytes that the position of a column's offset index can grow by, since all of them come behind the data."""


@dataclass(frozen=True, slots=True)
class PartitionLayout:
    """One partition as bytes: `MAGIC`, the ranges of the source file back to back, offset indexes, the footer.

    Attributes:
        ranges: First byte and end of each range of the source file, ascending, adjacent ones joined.
        offset_indexes: The positions of the pages in the partition; empty where the source tells none.
        footer: The new footer with its length and the magic number behind it.
        num_rows: Rows of the partition.
        size: Bytes of the whole partition.
    """

    ranges: tuple[Range, ...]
    offset_indexes: bytes
    footer: bytes
    num_rows: int
    size: int


def plan_row_groups(footer: Footer, target_bytes: int, names: Names = None) -> list[range]:
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
    for_indexed = for_each + _INDEX_SLACK * len(footer.schema.paths)
    plan: list[range] = []
    start = 0
    size = base
    rows = 0
    for position, group in enumerate(footer.row_groups):
        # Row groups without rows are left out of the new files, so they cost nothing and go wherever they stand.
        needed = group.size + group.described_by + for_each if group.num_rows else 0
        if group.offset_indexes:
            needed += group.page_indexes_size + for_indexed - for_each
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


def _footer_overhead(footer: Footer, names: Names) -> tuple[int, int]:
    """Give the bytes of a partition without its row groups, and those to add for each of them."""
    renames = Renames.of(footer, names)
    _, _, start, end = footer.fields[parquet_footer.ROW_GROUPS]
    grown = sum(len(value) - (last - first) for first, last, value in renames.patches)
    static = len(footer.data) - (end - start) + grown + _GROUP_SLACK + 2 * len(MAGIC) + 4
    paths = sum(max(0, len(path) - len(footer.schema.paths[leaf])) for leaf, path in renames.paths.items())
    return static, paths + _GROUP_SLACK


def partition_footer(
    footer: Footer, row_groups: range, names: Names = None, indexes: PageIndexes | None = None
) -> PartitionLayout:
    """Lay out a new file that has only some row groups of the source, byte for byte as they are.

    Args:
        footer: The source's footer.
        row_groups: Positions of the row groups. Those without rows are left out.
        names: The new names of all top-level columns, where they are to be renamed.
        indexes: What `page_index_ranges` asks for of these row groups; None to leave all page indexes out. Those of a
            row group are left out if anything in them contradicts the footer or is damaged.

    Returns:
        The ranges to copy and the new footer.

    Raises:
        ParquetError: The footer cannot be rewritten.
        ValueError: There are not as many names as columns.
    """
    groups = [group for group in footer.row_groups[row_groups.start : row_groups.stop] if group.num_rows]
    if indexes is None:
        groups = [group.without_page_indexes() for group in groups]
    renames = Renames.of(footer, names)
    try:
        layout, unsound = _laid_out(footer, groups, renames, indexes)
        while unsound:
            groups = [g.without_page_indexes() if g.described_at in unsound else g for g in groups]
            layout, unsound = _laid_out(footer, groups, renames, indexes)
    except ThriftError as error:
        raise ParquetError(f"The footer cannot be rewritten: {error} {WRITE_AGAIN}") from error
    return layout


def _laid_out(
    footer: Footer, groups: Sequence[RowGroup], renames: Renames, indexes: PageIndexes | None
) -> tuple[PartitionLayout, set[int]]:
    """Lay out a file with these row groups; and tell whose page indexes turned out not to be sound."""
    ranges = joined(
        sorted(piece for group in groups for piece in (*group.ranges, *group.blooms, *group.column_indexes))
    )
    rows = sum(group.num_rows for group in groups)
    made = NewOffsetIndexes(len(MAGIC) + sum(end - start for start, end in ranges))
    mover = Mover(footer, ranges, renames.paths, len(MAGIC), IndexMover(indexes, made) if indexes else None)
    described = [mover.moved(ordinal, group) for ordinal, group in enumerate(groups)]
    values = {
        parquet_footer.NUM_ROWS: thrift.write_integer(rows),
        parquet_footer.ROW_GROUPS: thrift.write_list(thrift.STRUCT, described),
    }
    patches = sorted([*renames.patches, *thrift.changes(footer.fields, values)])
    new = with_tail(thrift.splice(footer.data, 0, len(footer.data), patches))
    size = len(MAGIC) + sum(end - start for start, end in ranges) + len(made.joined()) + len(new)
    return PartitionLayout(tuple(ranges), made.joined(), new, rows, size), mover.unsound


def whole_footer(footer: Footer, names: Names) -> bytes:
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
            raw = read_row_group(footer.data, group.described_at)
            for leaf, path in renames.paths.items():
                patches += thrift.changes(raw.metas[leaf], {ids.PATH: path, ids.COLUMN_KEY_VALUES: None})
                patches += _without_copy(footer.data, raw.columns[leaf], raw.metas[leaf])
    return with_tail(thrift.splice(footer.data, 0, len(footer.data), sorted(patches)))


def _without_copy(data: bytes, column: Struct, meta: Struct) -> list[Patch]:
    """Say that there is no copy of a column's metadata after its pages, which would have the old name."""
    start, end, _ = column_range(data, meta)
    if start <= thrift.integer(data, column, ids.FILE_OFFSET, 0) < end:
        return []
    return thrift.changes(column, {ids.FILE_OFFSET: thrift.write_integer(0)})


def with_tail(data: bytes) -> bytes:
    """Put the length and the magic number behind the Thrift bytes of a footer.

    Raises:
        ParquetError: It is larger than what is ever read.
    """
    if len(data) > MAX_FOOTER_BYTES:
        raise ParquetError(
            f"The new footer would have {len(data)} bytes, more than {MAX_FOOTER_BYTES}. Write larger row groups."
        )
    return b"".join([data, len(data).to_bytes(4, "little"), MAGIC])


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
        # `metadata.schema` and the metadata would refer to each other, and footers pile up until garbage is collected.
        file = pq.ParquetFile(io.BytesIO(MAGIC + footer))
        metadata, names = file.metadata, file.schema_arrow.names
    except arrow_errors() as error:
        raise ParquetError(f"pyarrow cannot read the new footer: {shortened(str(error))}. {WRITE_AGAIN}") from error
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if not metadata.num_rows == sum(rows) == expected_rows:
        raise ParquetError(f"The new footer has {metadata.num_rows} rows instead of {expected_rows}. {WRITE_AGAIN}")
    if names != list(expected_names):
        raise ParquetError(f"The new footer does not have the expected columns. {WRITE_AGAIN}")
