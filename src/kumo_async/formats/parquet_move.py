"""The descriptions of row groups and of their columns, rewritten for another place in another file."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import Range, RawRowGroup, column_range, page_index_places, read_row_group
from kumo_async.formats.parquet_page_index import IndexMover, Pages
from kumo_async.formats.thrift import Patch, Struct, ThriftError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kumo_async.formats.parquet_footer import Footer
    from kumo_async.formats.parquet_row_groups import RowGroup

__all__ = ["Mover"]

_MAX_ORDINAL = (1 << 15) - 1


class Mover:
    """Rewrites the descriptions of row groups for a file that has some ranges of the source from `position` on.

    Args:
        footer: The source's footer.
        ranges: The ranges, in ascending order.
        paths: New paths of columns by their position.
        position: Where the first range comes to lie.
        indexes: Moves the page indexes of the row groups where they are sound; None to keep none.

    Attributes:
        unsound: Where row groups are described whose page indexes were not kept, although they were there.
    """

    def __init__(
        self,
        footer: Footer,
        ranges: Sequence[Range],
        paths: dict[int, bytes],
        position: int,
        indexes: IndexMover | None = None,
    ) -> None:
        self.unsound: set[int] = set()
        self._data = footer.data
        self._keep_blooms = footer.keep_blooms
        self._paths = paths
        self._starts = [start for start, _ in ranges]
        self._shifts = list(_shifts(ranges, position))
        self._indexes = indexes

    def moved(self, ordinal: int, group: RowGroup) -> bytes:
        """Describe a row group, which all lies in the ranges, as the one with this number in the new file."""
        raw = read_row_group(self._data, group.described_at)
        patches = self._patches(group, raw)
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

    def _patches(self, group: RowGroup, raw: RawRowGroup) -> list[Patch]:
        if self._indexes is not None and group.offset_indexes:
            made = len(self._indexes.made)
            try:
                return self._column_patches(raw, self._indexes, group.num_rows)
            except ThriftError:
                self._indexes.made.forget(made)
                self.unsound.add(group.described_at)
        return self._column_patches(raw)

    def _column_patches(self, raw: RawRowGroup, indexes: IndexMover | None = None, rows: int = 0) -> list[Patch]:
        patches: list[Patch] = []
        for leaf, (column, meta) in enumerate(zip(raw.columns, raw.metas, strict=True)):
            start, end, _ = column_range(self._data, meta)
            shift = self._shift(start)
            values = self._offset_values(column, start, end, shift)
            if ids.OFFSET_INDEX in column or ids.COLUMN_INDEX in column:
                pages = Pages(thrift.integer(self._data, meta, ids.DATA_PAGE), end, rows)
                values |= self._index_values(indexes, column, pages, shift) if indexes else _NO_PAGE_INDEXES
            patches += thrift.changes(column, values)
            patches += thrift.changes(meta, self._meta_values(leaf, meta, start, end, shift))
        return patches

    def _offset_values(self, column: Struct, start: int, end: int, shift: int) -> dict[int, bytes | None]:
        # The deprecated file offset is the first page to some writers. To others it is a copy of the metadata behind
        # the pages, which is not kept, and 0 says that there is none.
        if offset := thrift.integer(self._data, column, ids.FILE_OFFSET, 0):
            return {ids.FILE_OFFSET: thrift.write_integer(offset - shift if start <= offset < end else 0)}
        return {}

    def _meta_values(self, leaf: int, meta: Struct, start: int, end: int, shift: int) -> dict[int, bytes | None]:
        values: dict[int, bytes | None] = {}
        if leaf in self._paths:
            # What a column has of key-value metadata speaks of it by its old name, if at all by a name.
            values |= {ids.PATH: self._paths[leaf], ids.COLUMN_KEY_VALUES: None}
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

    def _index_values(self, indexes: IndexMover, column: Struct, pages: Pages, shift: int) -> dict[int, bytes | None]:
        """Say where both indexes of a column come to lie."""
        offsets, values = page_index_places(self._data, column)
        if offsets is None:
            return _NO_PAGE_INDEXES
        start, end = indexes.move(offsets, values, pages, shift)
        places: dict[int, bytes | None] = {
            ids.OFFSET_INDEX: thrift.write_integer(start),
            ids.OFFSET_INDEX_LENGTH: thrift.write_integer(end - start),
        }
        return _NO_PAGE_INDEXES | places if values is None else places | {ids.COLUMN_INDEX: self._at(values[0])}


_PAGE_OFFSETS = (ids.DATA_PAGE, ids.INDEX_PAGE, ids.DICTIONARY_PAGE)
_NO_PAGE_INDEXES: dict[int, bytes | None] = dict.fromkeys(
    [ids.OFFSET_INDEX, ids.OFFSET_INDEX_LENGTH, ids.COLUMN_INDEX, ids.COLUMN_INDEX_LENGTH]
)


def _shifts(ranges: Iterable[Range], position: int) -> Iterable[int]:
    for start, end in ranges:
        yield start - position
        position += end - start
