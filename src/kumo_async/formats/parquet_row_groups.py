"""The row groups of a Parquet footer: where their data are, read from the encoded form and checked.

A large footer describes hundreds of thousands of columns of row groups. They are walked over once; kept are a few
numbers for each row group and the place of its description, which is read again when the row group gets its place in a
new file.
Field numbers are from https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import Range, RawRowGroup, column_range, page_index_places, read_row_group
from kumo_async.formats.parquet_schema import REPEATED, WRITE_AGAIN, ParquetError, Schema
from kumo_async.formats.thrift import LIST, STRUCT, Allowance, Patch, Struct
from kumo_async.formats.types import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kumo_async.formats.parquet_schema import SchemaElement

__all__ = [
    "EXTENSION_HEADS",
    "RowGroup",
    "RowGroupReader",
    "blooms_are_sound",
    "bridged",
    "joined",
    "sharing_indexes",
    "without_extension",
]

ENCRYPTED = "It is encrypted. Write it without encryption; Kumo cannot read encrypted Parquet."

SMALL_GAP = 1024
"""Bytes between two columns that are copied along, so that both are one range."""

MOST_SHARING = 8
"""How often all data of a file may be named by its columns together; most name them once."""

SHARING_FLOOR = 64 * 1024 * 1024
"""Bytes that columns may name together in a file of any size: so many do no harm."""

_FIRST_BYTE = 4
_MAX_ROWS = (1 << 63) - 1

_EXTENSION_IDS = (-(1 << 14), (1 << 15) - 1)
"""The field that extends any struct of the format has the id 32767, written without the zigzag that Thrift reads.

https://github.com/apache/parquet-format/blob/master/BinaryProtocolExtensions.md. With the zigzag, as Thrift's own
libraries would write it, it is the second number.
"""

EXTENSION_HEADS = tuple(bytes([thrift.BINARY]) + thrift.write_integer(field) for field in _EXTENSION_IDS)
"""How it begins: a footer without these bytes has no extension."""


def without_extension(struct: Struct) -> list[Patch]:
    """Drop the extension of a struct: it may repeat what is changed, and say where things were."""
    found = {field: None for field in _EXTENSION_IDS if field in struct}
    return thrift.changes(struct, found) if found else []


class RowGroup(NamedTuple):
    """What planning needs to know of one row group.

    Attributes:
        num_rows: Its rows.
        first: Its first byte in the file, 0 where it has no data.
        end: The byte after its last one.
        size: The bytes that travel with it: its columns, small gaps behind them and its Bloom filters, if they do.
        ranges: Where its columns lie, ascending, adjacent ones joined.
        blooms: Where its Bloom filters lie.
        column_indexes: Where what is known of the values in its pages lies, ascending, adjacent ones joined.
        offset_indexes: Where the positions of its pages lie, likewise. Empty, as those, where they cannot be there.
        described_at: Where the footer describes it.
        described_by: Bytes of that description.
    """

    num_rows: int
    first: int
    end: int
    size: int
    ranges: tuple[Range, ...]
    blooms: tuple[Range, ...]
    column_indexes: tuple[Range, ...]
    offset_indexes: tuple[Range, ...]
    described_at: int
    described_by: int

    def placed(self, longer: Mapping[Range, Range], keep_blooms: bool) -> RowGroup:
        """Give the same row group with other ranges for some of its own, and without Bloom filters if they go."""
        ranges = tuple(joined(longer.get(piece, piece) for piece in self.ranges))
        blooms = self.blooms if keep_blooms else ()
        end = ranges[-1][1] if ranges else 0
        return self._replace(end=end, size=_total(ranges) + _total(blooms), ranges=ranges, blooms=blooms)

    def without_page_indexes(self) -> RowGroup:
        """Give the same row group without page indexes."""
        return self._replace(column_indexes=(), offset_indexes=())

    @property
    def page_indexes_size(self) -> int:
        """Bytes of its page indexes."""
        return _total(self.column_indexes) + _total(self.offset_indexes)


class RowGroupReader:
    """Reads the descriptions of the row groups of one footer, one after another.

    Attributes:
        corrections: What has to change in the footer, so that it says what other readers make of it.
        extensions: What has to go from a footer that is rewritten.
    """

    def __init__(self, data: bytes, data_end: int, schema: Schema, allowance: Allowance) -> None:
        self.corrections: list[Patch] = []
        self.extensions: list[Patch] = []
        self._data = data
        self._data_end = data_end
        self._file_end = data_end + len(data) + 2 * _FIRST_BYTE
        self._paths = schema.paths
        self._names = [shortened(schema.columns[owner].name) for owner in schema.owners]
        self._repeated = [repeated for column in schema.columns for repeated in _are_repeated(column)]
        self._allowance = allowance
        self._extended = any(head in data for head in EXTENSION_HEADS)
        self._named = 0

    def read(self, number: int, pos: int) -> RowGroup:
        """Read and check one row group.

        Args:
            number: Which one it is, from 0; for messages.
            pos: Where its description starts.

        Raises:
            ParquetError: What it says cannot be true.
            ThriftError: Its encoding is broken.
        """
        raw = read_row_group(self._data, pos, self._allowance, len(self._paths))
        self._check_columns(number, raw)
        rows = thrift.integer(self._data, raw.fields, ids.NUM_ROWS)
        if not 0 <= rows <= _MAX_ROWS:
            raise ParquetError(f"Row group {number} declares {rows} rows.")
        if rows:
            self._check_values(number, raw, rows)
        if self._extended:
            for struct in (raw.fields, *raw.columns, *raw.metas):
                self.extensions += without_extension(struct)
        # Writers disagree on what the offsets of an empty row group are, and nothing of it is ever copied.
        columns = self._column_ranges(number, raw.metas) if rows else []
        blooms = tuple(self._blooms(raw.metas)) if rows else ()
        indexes = self._page_indexes(raw.columns) if rows else ((), ())
        ranges = tuple(joined(columns))
        first, end = (ranges[0][0], ranges[-1][1]) if ranges else (0, 0)
        size = _total(ranges) + _total(blooms)
        return RowGroup(rows, first, end, size, ranges, blooms, *indexes, pos, raw.end - pos)

    def _check_columns(self, number: int, raw: RawRowGroup) -> None:
        if ids.COLUMNS not in raw.fields or raw.fields[ids.COLUMNS][0] != LIST or len(raw.columns) != len(self._paths):
            wanted = f"has {len(raw.columns)} columns, and the schema {len(self._paths)}"
            raise ParquetError(f"Row group {number} {wanted}.")
        for column in raw.columns:
            if ids.CRYPTO in column or ids.ENCRYPTED_META in column:
                raise ParquetError(ENCRYPTED)
            if ids.META_DATA not in column or column[ids.META_DATA][0] != STRUCT:
                raise ParquetError(f"Row group {number} has a column without metadata.")
            if ids.FILE_PATH in column and thrift.binary(self._data, column, ids.FILE_PATH):
                raise ParquetError(f"The data of row group {number} are in another file. Merge them into one file.")
        for meta, path in zip(raw.metas, self._paths, strict=True):
            if ids.PATH in meta:
                self._check_path(number, meta, path)

    def _check_path(self, number: int, meta: Struct, path: bytes) -> None:
        kind, _, start, end = meta[ids.PATH]
        # Equal bytes are the rule. A longer encoding of the same path would do, but no writer makes one.
        if kind != LIST or self._data[start:end] != path:
            raise ParquetError(f"The columns of row group {number} are not those of the schema, in its order.")

    def _check_values(self, number: int, raw: RawRowGroup, rows: int) -> None:
        """Refuse columns that cannot fill the rows: each row has one value, or at least one where they repeat."""
        encoded = self._data[slice(*raw.fields[ids.NUM_ROWS][2:])]
        for leaf, meta in enumerate(raw.metas):
            if ids.NUM_VALUES in meta and self._data[slice(*meta[ids.NUM_VALUES][2:])] == encoded:
                continue
            values = thrift.integer(self._data, meta, ids.NUM_VALUES)
            if values < rows or (values > rows and not self._repeated[leaf]):
                where = f"column {self._names[leaf]!r} of row group {number}"
                raise ParquetError(
                    f"The footer declares {values} values in {where}, which has {rows} rows. {WRITE_AGAIN}"
                )

    def _column_ranges(self, number: int, metas: list[Struct]) -> list[Range]:
        ranges = []
        for meta in metas:
            start, end, later_page = column_range(self._data, meta)
            if self._data_end < end <= self._file_end:
                # Some writers count a little more than the pages, and readers stop at the last value.
                size = thrift.write_integer(self._data_end - start)
                self.corrections += thrift.changes(meta, {ids.COMPRESSED_SIZE: size})
                end = self._data_end
            if not _FIRST_BYTE <= start <= later_page < end <= self._data_end:
                place = f"at bytes {start} to {end} of {self._data_end}, with a page at {later_page}"
                raise ParquetError(f"Row group {number} has a column {place}. {WRITE_AGAIN}")
            ranges.append((start, end))
        self._check_sharing(ranges)
        return sorted(ranges)

    def _check_sharing(self, ranges: list[Range]) -> None:
        """Bound how often columns share bytes: that multiplies what is sent."""
        self._named += sum(end - start for start, end in ranges)
        if self._named > max(SHARING_FLOOR, MOST_SHARING * self._data_end):
            how = f"together they have over {MOST_SHARING} times those of the file"
            raise ParquetError(f"Its columns share bytes: {how}. {WRITE_AGAIN}")

    def _blooms(self, metas: list[Struct]) -> Iterator[Range]:
        for meta in metas:
            if ids.BLOOM_OFFSET in meta and (length := thrift.integer(self._data, meta, ids.BLOOM_LENGTH, 0)) > 0:
                start = thrift.integer(self._data, meta, ids.BLOOM_OFFSET)
                yield start, start + length

    def _page_indexes(self, columns: list[Struct]) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
        places = [page_index_places(self._data, column) for column in columns if ids.OFFSET_INDEX in column]
        offsets = sorted(place for place, _ in places if place)
        values = sorted(place for _, place in places if place)
        if not _apart(sorted([*offsets, *values]), self._data_end):
            return (), ()
        return tuple(joined(values)), tuple(joined(offsets))


def _are_repeated(element: SchemaElement, within: bool = False) -> Iterator[bool]:
    """Say of each leaf of an element whether a row can have several values of it."""
    repeated = within or element.repetition == REPEATED
    if element.physical_type is not None:
        yield repeated
    for child in element.children:
        yield from _are_repeated(child, repeated)


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Join ranges that touch or overlap; they must be in ascending order."""
    result: list[Range] = []
    for start, end in ranges:
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def blooms_are_sound(ranges: Sequence[Range], groups: Sequence[RowGroup], data_end: int) -> bool:
    """Say whether all Bloom filters lie within the data and apart from the columns and from each other."""
    blooms = [bloom for group in groups for bloom in group.blooms]
    merged = sorted([*ranges, *blooms])
    inside = all(_FIRST_BYTE <= start < end <= data_end for start, end in blooms)
    return inside and _apart(merged, data_end)


def _apart(ranges: Sequence[Range], data_end: int) -> bool:
    """Say whether ranges in ascending order lie within the data and share no byte."""
    inside = not ranges or (ranges[0][0] >= _FIRST_BYTE and max(end for _, end in ranges) <= data_end)
    return inside and all(end <= start for (_, end), (start, _) in pairwise(ranges))


def sharing_indexes(claimed: Iterable[Range], groups: Sequence[RowGroup]) -> set[int]:
    """Find the row groups whose page indexes share a byte with what is claimed, or with those of another one."""
    pieces = [
        (start, end, number)
        for number, group in enumerate(groups)
        for start, end in (*group.column_indexes, *group.offset_indexes)
    ]
    if not pieces:
        return set()
    pieces += [(start, end, -1) for start, end in claimed]
    found = set()
    reach, owner = 0, -1
    pieces.sort()
    for start, end, number in pieces:
        if start < reach:
            found |= {owner, number}
        if end > reach:
            reach, owner = end, number
    return found - {-1}


def bridged(ranges: Sequence[Range], others: Sequence[Range], data_end: int, lost: int) -> dict[Range, Range]:
    """Lengthen columns over what lies unclaimed behind them, where that makes fewer pieces of a file or is needed.

    Polars, for one, writes a copy of each column's metadata behind its pages. To leave those out would take a read for
    every single column.

    Args:
        ranges: All ranges of columns, ascending.
        others: Bloom filters and page indexes, which travel on their own account.
        data_end: Where the footer starts.
        lost: Bytes of a column that its size may leave out, to be taken along as far as they are unclaimed.

    Returns:
        The new range of each one that changes.
    """
    starts = sorted(start for start, _ in (*ranges, *others))
    longer = {}
    for start, end in ranges:
        behind = bisect_right(starts, start)
        limit = starts[behind] if behind < len(starts) else data_end
        bridges = end < limit <= end + SMALL_GAP and limit != data_end
        if (new := limit if bridges else min(end + lost, limit)) > end:
            longer[start, end] = (start, new)
    return longer


def _total(ranges: Iterable[Range]) -> int:
    return sum(end - start for start, end in ranges)
