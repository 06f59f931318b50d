"""The description of one row group in a Parquet footer and of its columns, found in the encoded form.

Field numbers are from https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from kumo_async.formats import thrift
from kumo_async.formats.thrift import I64, LIST, STRUCT, Allowance, Struct, ThriftError
from kumo_async.formats.thrift_skip import I32, NUMBER, SHORT_LIST, SMALL_STRUCT

__all__ = ["Range", "RawRowGroup", "column_range", "page_index_places", "read_row_group"]

Range: TypeAlias = tuple[int, int]
"""First byte and end of a piece of the source file, in bytes from its beginning."""

# RowGroup, ColumnChunk and ColumnMetaData: the fields that are read or changed, by the names they have there.
COLUMNS, NUM_ROWS, GROUP_FILE_OFFSET, ORDINAL = 1, 3, 5, 7
FILE_PATH, FILE_OFFSET, META_DATA, CRYPTO, ENCRYPTED_META = 1, 2, 3, 8, 9
OFFSET_INDEX, OFFSET_INDEX_LENGTH, COLUMN_INDEX, COLUMN_INDEX_LENGTH = 4, 5, 6, 7
PATH, COMPRESSED_SIZE, DATA_PAGE, INDEX_PAGE, DICTIONARY_PAGE, BLOOM_OFFSET, BLOOM_LENGTH = 3, 7, 9, 10, 11, 14, 15
COLUMN_KEY_VALUES = 8


class RawRowGroup(NamedTuple):
    """The encoded fields of a row group, of its columns and of their metadata.

    Of a column only those fields are sure to be there that this package reads or changes.
    """

    fields: Struct
    columns: list[Struct]
    metas: list[Struct]
    end: int


_INDEX_FIELDS = (OFFSET_INDEX, OFFSET_INDEX_LENGTH, COLUMN_INDEX, COLUMN_INDEX_LENGTH)
_INDEX_KINDS = (I64, I32, I64, I32)

# What writers mostly make of a column: a file offset, metadata without key-values or Bloom filter, maybe page indexes.
# One match finds the fields of interest three times as fast as going from field to field. No number follows the page
# offsets, so whatever the ids of the lists and structs there are, no offset hides among them.
_match_usual = re.compile(
    rb"\x26(?P<file_offset>%(n)b)\x1c(?P<meta>\x15%(n)b\x19%(l)b\x19(?P<path>%(l)b)\x15%(n)b\x16%(n)b\x16%(n)b"
    rb"\x16(?P<size>%(n)b)\x26(?P<data_page>%(n)b)(?:\x26(?P<dictionary>%(n)b))?+"
    rb"(?:[\x1c\x3c]%(s)b)?+(?:[\x19\x29\x49]%(l)b)?+(?:[\x3c\x4c\x5c\x7c]%(s)b)?+\x00)"
    rb"(?:\x16(?P<offset_index>%(n)b)\x15(?P<its_length>%(n)b)(?:\x16(?P<column_index>%(n)b)\x15(?P<length>%(n)b))?+)?+"
    rb"\x00" % {b"n": NUMBER, b"l": SHORT_LIST, b"s": SMALL_STRUCT},
    re.DOTALL,
).match


def _add_usual(usual: re.Match[bytes], columns: list[Struct], metas: list[Struct]) -> int:
    whole, file_offset, meta, path, size, data_page, dictionary, *indexes = usual.regs
    column = {FILE_OFFSET: _span(I64, file_offset), META_DATA: _span(STRUCT, meta)}
    for field, kind, place in zip(_INDEX_FIELDS, _INDEX_KINDS, indexes, strict=True):
        if place[0] < 0:
            break
        column[field] = _span(kind, place)
    columns.append(column)
    fields = {PATH: _span(LIST, path), COMPRESSED_SIZE: _span(I64, size), DATA_PAGE: _span(I64, data_page)}
    if dictionary[0] >= 0:
        fields[DICTIONARY_PAGE] = _span(I64, dictionary)
    metas.append(fields)
    return whole[1]


def _span(kind: int, value: tuple[int, int]) -> thrift.Span:
    return kind, value[0] - 1, value[0], value[1]


VALUES_PER_COLUMN = 64
"""What each column of a row group adds to the values that may be walked over."""


def read_row_group(data: bytes, pos: int, allowance: Allowance | None = None, wanted: int | None = None) -> RawRowGroup:
    """Find the fields of the row group that is described at `pos`, and those of its columns.

    Args:
        data: The footer's encoded bytes.
        pos: Where the description starts.
        allowance: The values that may be walked over in the whole footer, to which each column adds some.
        wanted: The columns that it must have; None where it was read before and is known to.

    Raises:
        ThriftError: The encoding is broken, it has other columns, or there is more in it than is supported.
    """
    columns: list[Struct] = []
    metas: list[Struct] = []

    def read_meta(data: bytes, pos: int, _: Struct) -> int:
        meta, end = thrift.scan(data, pos, allowance=allowance)
        metas.append(meta)
        return end

    def read_columns(data: bytes, pos: int, _: Struct) -> int:
        _kind, count, pos = thrift.list_head(data, pos)
        if wanted not in (None, count):
            raise ThriftError(f"A row group has {count} columns, and the schema {wanted}.")
        if allowance is not None:
            allowance.left += count * VALUES_PER_COLUMN
        for _number in range(count):
            if usual := _match_usual(data, pos):
                pos = _add_usual(usual, columns, metas)
            else:
                column, pos = thrift.scan(data, pos, META_DATA, read_meta, allowance)
                columns.append(column)
        return pos

    fields, end = thrift.scan(data, pos, COLUMNS, read_columns, allowance)
    return RawRowGroup(fields, columns, metas, end)


def column_range(data: bytes, meta: Struct) -> tuple[int, int, int]:
    """Say where a column's pages lie: their first byte, their end, and the later one of the page offsets.

    A file of an old parquet-mr has 0 for the dictionary's offset, and the dictionary where the first data page is said
    to be. The file offset is not asked: it has meant too many things.
    """
    start = later = thrift.integer(data, meta, DATA_PAGE)
    if DICTIONARY_PAGE in meta and (dictionary := thrift.integer(data, meta, DICTIONARY_PAGE)) > 0:
        start, later = min(start, dictionary), max(later, dictionary)
    return start, start + thrift.integer(data, meta, COMPRESSED_SIZE), later


def page_index_places(data: bytes, column: Struct) -> tuple[Range | None, Range | None]:
    """Say where the offset index and the column index of a column are said to lie, None where there is none.

    Fields of other types are none to other readers either. Without the places of the pages nobody can use what a column
    index says of their values, so it does not count alone.
    """
    offsets = _place(data, column, OFFSET_INDEX, OFFSET_INDEX_LENGTH)
    return offsets, offsets and _place(data, column, COLUMN_INDEX, COLUMN_INDEX_LENGTH)


def _place(data: bytes, column: Struct, field: int, length: int) -> Range | None:
    if field not in column or length not in column or column[field][0] != I64 or column[length][0] != I32:
        return None
    start, size = thrift.integer(data, column, field), thrift.integer(data, column, length)
    return (start, start + size) if size > 0 else None
