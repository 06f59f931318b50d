"""Page indexes: what readers that look for a few rows ask before the pages, kept outside the footer.

For each column of a row group there may be two structs, mostly all of them between the data and the footer:

    ColumnIndex    the smallest and the largest value of each page: no positions, so its bytes travel as they are
    OffsetIndex    the position of each page in the file: written anew for the place where the pages come to lie

Readers believe them over the pages. So they are kept only where all that they say agrees with the footer and with each
other, and are left out otherwise: a table can be read without them.

Format: https://github.com/apache/parquet-format/blob/master/PageIndex.md, and the field numbers below are from
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from kumo_async.formats import thrift
from kumo_async.formats.parquet_row_groups import RowGroup, joined
from kumo_async.formats.thrift import BINARY, I64, LIST, STRUCT, Allowance, Patch, Struct, ThriftError
from kumo_async.formats.thrift_skip import I32, NUMBER, SHORT_LIST, STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kumo_async.formats.parquet_columns import Range

__all__ = [
    "MAX_PAGE_INDEX_BYTES",
    "IndexMover",
    "NewOffsetIndexes",
    "PageIndexes",
    "Pages",
    "moved_offset_index",
    "page_count",
    "page_index_ranges",
]

MAX_PAGE_INDEX_BYTES = 16 * 1024 * 1024
"""Page indexes of one partition that are kept. They are read at once, and half of them is held until it is sent."""

MAX_PAGES = 250_000
"""Pages of one partition whose indexes are kept, without those of columns that have a single one in their row group."""

_PAGE_LOCATIONS, _TEXT_SIZES = 1, 2
_OFFSET, _SIZE, _FIRST_ROW = 1, 2, 3
_LOCATION_KINDS = ((_OFFSET, I64), (_SIZE, I32), (_FIRST_ROW, I64))
_NULL_PAGES, _SMALLEST, _LARGEST, _ORDER, _NULL_COUNTS, _REPETITION_LEVELS, _DEFINITION_LEVELS = range(1, 8)
_BOOLEANS = (1, 2)
_VALUES_PER_PAGE = 4

# A file of very many small columns has one page in each, so those are what planning spends its time on. One match sees
# all that there is to see in the index of a single page.
_match_one_location = re.compile(
    rb"\x19\x1c\x16(?P<offset>%(n)b)\x15(?P<size>%(n)b)\x16\x00\x00(?:\x19\x16%(n)b)?+\x00" % {b"n": NUMBER}, re.DOTALL
).fullmatch
_match_one_column_index = re.compile(
    rb"\x19[\x11\x12].\x19\x18%(s)b\x19\x18%(s)b\x15%(n)b"
    rb"(?:\x19\x16%(n)b(?:[\x19\x29]%(l)b)?+(?:\x19%(l)b)?+|(?:[\x29\x39]%(l)b(?:\x19%(l)b)?+)?+)\x00"
    % {b"n": NUMBER, b"s": STRING, b"l": SHORT_LIST},
    re.DOTALL,
).fullmatch


def page_index_ranges(groups: Iterable[RowGroup]) -> list[Range]:
    """Say what has to be read of the file so that the page indexes of these row groups can be kept.

    Returns:
        Ranges in ascending order, adjacent ones joined; none if there are more bytes than are kept.
    """
    ranges = joined(sorted(piece for group in groups for piece in (*group.column_indexes, *group.offset_indexes)))
    return ranges if sum(end - start for start, end in ranges) <= MAX_PAGE_INDEX_BYTES else []


class PageIndexes:
    """The page indexes of some row groups, as they were read.

    Args:
        pieces: Bytes of the file and the position of the first one, in ascending order.
    """

    def __init__(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        self._starts = [start for start, _ in pieces]
        self._pieces = [piece for _, piece in pieces]

    def at(self, place: Range) -> bytes:
        """Return one of them; without the bytes that were not read."""
        number = bisect_right(self._starts, place[0]) - 1
        if number < 0:
            return b""
        start = self._starts[number]
        return self._pieces[number][place[0] - start : place[1] - start]


class Pages(NamedTuple):
    """What an offset index has to agree with.

    Attributes:
        first: Where the footer says that the column's first data page is.
        end: Where the column ends.
        rows: Rows of the row group.
    """

    first: int
    end: int
    rows: int


class NewOffsetIndexes:
    """The offset indexes of a new file, one behind another from `position` on."""

    def __init__(self, position: int) -> None:
        self._made: list[bytes] = []
        self._end = position

    def __len__(self) -> int:
        return len(self._made)

    def add(self, index: bytes) -> Range:
        """Put one more behind the others, and say where it lies."""
        start = self._end
        self._made.append(index)
        self._end += len(index)
        return start, self._end

    def forget(self, kept: int) -> None:
        """Take back all but the first ones."""
        self._end -= sum(map(len, self._made[kept:]))
        del self._made[kept:]

    def joined(self) -> bytes:
        """Return all of them."""
        return b"".join(self._made)


class IndexMover:
    """Moves the page indexes of some row groups to a new file.

    Args:
        read: The indexes of those row groups.
        made: Takes the new offset indexes.
    """

    def __init__(self, read: PageIndexes, made: NewOffsetIndexes) -> None:
        self.made = made
        self._read = read
        self._allowance = Allowance(_VALUES_PER_PAGE * MAX_PAGES)

    def move(self, offsets: Range, values: Range | None, pages: Pages, shift: int) -> Range:
        """Write the offset index of a column anew, and return its new place.

        Args:
            offsets: Where the offset index is in the source.
            values: Where the column index is, if there is one.
            pages: What both have to agree with.
            shift: By how many bytes the pages move towards the beginning of the file.

        Raises:
            ThriftError: One of them is damaged, or they contradict the footer or each other.
        """
        index, count = moved_offset_index(self._read.at(offsets), pages, shift, self._allowance)
        if values is not None and page_count(self._read.at(values), self._allowance) != count:
            raise ThriftError("The two indexes of a column are not about as many pages.")
        return self.made.add(index)


def moved_offset_index(data: bytes, pages: Pages, shift: int, allowance: Allowance) -> tuple[bytes, int]:
    """Write an offset index anew for pages that lie elsewhere; fields that are not known are kept.

    Args:
        data: The offset index.
        pages: The pages that it has to be about: all of them and back to back, as those who read without it find them.
        shift: By how many bytes they move towards the beginning of the file.
        allowance: The values that may be walked over, in all that shares it.

    Returns:
        The new bytes, and the number of pages.

    Raises:
        ThriftError: It is damaged, or about other pages.

    Example:
        >>> location = bytes([0x16, 0xC8, 0x01, 0x15, 0x14, 0x16, 0x00, 0x00])     # byte 100, 10 bytes, from row 0
        >>> index = bytes([0x19, 0x1C, *location, 0x00])
        >>> moved, count = moved_offset_index(index, Pages(100, 110, 5), 96, Allowance())
        >>> moved.hex(), count
        ('191c1608151416000000', 1)
    """
    if usual := _match_one_location(data):
        return _moved_one(data, usual, pages, shift), 1
    patches: list[Patch] = []

    def read_locations(data: bytes, pos: int, _found: Struct) -> int:
        kind, count, pos = thrift.list_head(data, pos)
        if kind != STRUCT or not count:
            raise ThriftError("It has no list of pages.")
        allowance.take(count, pos)
        offset, row = pages.first, 0
        for number in range(count):
            location, pos = thrift.scan(data, pos, allowance=allowance)
            where, size, first_row = _read_location(data, location)
            # Arrow writes a page without rows now and then.
            if where != offset or size <= 0 or not row <= first_row <= (pages.rows if number else 0):
                raise ThriftError(f"Page {number} is not at byte {offset}, or its rows are not behind those before it.")
            patches.append((*location[_OFFSET][2:], thrift.write_integer(where - shift)))
            offset, row = offset + size, first_row
        if offset != pages.end:
            raise ThriftError(f"The pages end at byte {offset}, and the column at {pages.end}.")
        return pos

    fields, end = thrift.scan(data, 0, _PAGE_LOCATIONS, read_locations, allowance)
    if end != len(data) or fields.get(_PAGE_LOCATIONS, (0,))[0] != LIST:
        raise ThriftError("It is longer than its fields, or has no list of pages.")
    if _TEXT_SIZES in fields:
        _check_count(data, fields, _TEXT_SIZES, (I64,), len(patches))
    return thrift.splice(data, 0, end, patches), len(patches)


def _moved_one(data: bytes, usual: re.Match[bytes], pages: Pages, shift: int) -> bytes:
    _, offset, size = usual.regs
    location = {_OFFSET: (I64, 0, *offset), _SIZE: (I64, 0, *size)}
    first = thrift.integer(data, location, _OFFSET)
    if first != pages.first or first + thrift.integer(data, location, _SIZE) != pages.end or first >= pages.end:
        raise ThriftError(f"A page at byte {first} is not the column's only one.")
    return data[: offset[0]] + thrift.write_integer(first - shift) + data[offset[1] :]


def _read_location(data: bytes, location: Struct) -> tuple[int, int, int]:
    for field, kind in _LOCATION_KINDS:
        if field not in location or location[field][0] != kind:
            raise ThriftError(f"Field {field} of a page's location is missing or of another type.")
    return (
        thrift.integer(data, location, _OFFSET),
        thrift.integer(data, location, _SIZE),
        thrift.integer(data, location, _FIRST_ROW),
    )


def page_count(data: bytes, allowance: Allowance) -> int:
    """Return how many pages a column index is about.

    Args:
        data: The column index.
        allowance: The values that may be walked over, in all that shares it.

    Raises:
        ThriftError: It is damaged, or its lists are not all about as many pages.
    """
    if _match_one_column_index(data):
        return 1
    fields, end = thrift.scan(data, 0, allowance=allowance)
    if end != len(data) or _ORDER not in fields or fields.get(_NULL_PAGES, (0,))[0] != LIST:
        raise ThriftError("It is longer than its fields, or lacks one.")
    count = thrift.list_head(data, fields[_NULL_PAGES][2])[1]
    for field, kinds in ((_NULL_PAGES, _BOOLEANS), (_SMALLEST, (BINARY,)), (_LARGEST, (BINARY,))):
        _check_count(data, fields, field, kinds, count)
    if _NULL_COUNTS in fields:
        _check_count(data, fields, _NULL_COUNTS, (I64,), count)
    return count


def _check_count(data: bytes, fields: Struct, field: int, kinds: Sequence[int], count: int) -> None:
    outer, _, start, _ = fields.get(field, (0, 0, 0, 0))
    kind, found, _ = thrift.list_head(data, start) if outer == LIST else (0, -1, 0)
    if kind not in kinds or found != count:
        raise ThriftError(f"Field {field} is not a list with an element for each of {count} pages.")
