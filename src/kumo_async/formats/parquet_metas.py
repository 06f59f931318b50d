"""What a footer says of a row group's columns beyond where they lie, read from the encoded form.

pyarrow has objects for this too, but it makes them in C++ constructors that throw where a column contradicts the schema
or itself, and nothing catches that: a footer with a single wrong byte would end the whole process. Field numbers are
from https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import META_DATA, read_row_group
from kumo_async.formats.parquet_schema import ParquetError
from kumo_async.formats.thrift import Struct, ThriftError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kumo_async.formats.parquet_footer import Footer

__all__ = ["CODECS", "ColumnMeta", "Sorting", "column_metas", "sorting_of"]

_SORTING_COLUMNS = 4
_ENCODINGS, _CODEC, _NUM_VALUES, _STATISTICS, _ENCODING_STATS = 2, 4, 5, 12, 13
_NULL_COUNT = 3

_BOUNDS = ((6, 5), (2, 1))
"""The fields of the smallest and the largest value, as statistics have them today and as they had them first."""

CODECS = ("NONE", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")
"""Names of the codecs by their numbers."""

_DICTIONARY_ENCODINGS = {2, 8}
_DATA_PAGE_V2 = 3
_MAX_LIST = 1000
_TRUE = 1


@dataclass(frozen=True, slots=True)
class ColumnMeta:
    """One column of one row group.

    Attributes:
        data: The footer's encoded bytes.
        fields: The fields of its ColumnMetaData.
    """

    data: bytes
    fields: Struct

    @property
    def codec(self) -> str:
        """The name of its codec; empty if there is no such number."""
        number = thrift.integer(self.data, self.fields, _CODEC)
        return CODECS[number] if 0 <= number < len(CODECS) else ""

    @property
    def has_dictionary(self) -> bool:
        """Whether pages of it are encoded with a dictionary."""
        return bool(_DICTIONARY_ENCODINGS & set(thrift.integers(self.data, self.fields, _ENCODINGS, _MAX_LIST)))

    @property
    def has_pages_v2(self) -> bool:
        """Whether it says that it has data pages of version 2."""
        stats = thrift.structs(self.data, self.fields, _ENCODING_STATS, _MAX_LIST)
        return any(thrift.integer(self.data, entry, 1, 0) == _DATA_PAGE_V2 for entry in stats)

    def proves_within(self, most: int) -> bool:
        """Say whether its statistics prove that no value of this column of uint64 is larger than `most`."""
        return self._proves(_BOUNDS, lambda low, high: _bounded_unsigned(low, high, most))

    def proves_digits(self, digits: int, width: int | None) -> bool:
        """Say whether its statistics prove that no decimal of `width` bytes has more than so many digits.

        Bounds of another width may be cut off, and what the older fields say of decimals was often compared as text.
        """
        return self._proves(_BOUNDS[:1], lambda low, high: _bounded_signed(low, high, 10**digits, width))

    def _proves(self, bounds: Iterable[tuple[int, int]], test: Callable[[bytes, bytes], bool]) -> bool:
        if self.fields.get(_STATISTICS, (0,))[0] != thrift.STRUCT:
            return False
        try:
            found, _ = thrift.scan(self.data, self.fields[_STATISTICS][2])
            nulls = thrift.integer(self.data, found, _NULL_COUNT, -1)
            only_nulls = nulls == thrift.integer(self.data, self.fields, _NUM_VALUES)
            return only_nulls or any(test(*(thrift.binary(self.data, found, i) or b"" for i in ids)) for ids in bounds)
        except ThriftError:
            return False


def _bounded_unsigned(low: bytes, high: bytes, most: int) -> bool:
    if len(low) != 8 or len(high) != 8:
        return False
    # A writer that compared them as signed numbers has a smallest one that looks larger than the largest.
    return int.from_bytes(low, "little") <= int.from_bytes(high, "little") <= most


def _bounded_signed(low: bytes, high: bytes, limit: int, width: int | None) -> bool:
    if not width or len(low) != width or len(high) != width:
        return False
    # A writer that compared them as unsigned numbers has a smallest one that looks larger than the largest.
    smallest, largest = (int.from_bytes(bound, "big", signed=True) for bound in (low, high))
    return -limit < smallest <= largest < limit


def column_metas(footer: Footer, group: int) -> list[ColumnMeta]:
    """Read what the footer says of all columns of a row group.

    Raises:
        ParquetError: The encoding is broken.
    """
    data = footer.data
    try:
        columns = read_row_group(data, footer.row_groups[group].described_at).columns
        # Where a column is of the usual form, not all fields of its metadata were looked for.
        return [ColumnMeta(data, thrift.scan(data, column[META_DATA][2])[0]) for column in columns]
    except ThriftError as error:
        raise ParquetError(f"The footer is damaged: {error}") from error


@dataclass(frozen=True, slots=True)
class Sorting:
    """One column by which the rows of a row group are sorted: its position among the leaves, and how."""

    column: int
    descending: bool
    nulls_first: bool


def sorting_of(footer: Footer, group: int) -> list[Sorting]:
    """Read by which columns a row group says that it is sorted.

    Raises:
        ThriftError: The encoding is broken.
    """
    data = footer.data
    fields = read_row_group(data, footer.row_groups[group].described_at).fields
    entries = thrift.structs(data, fields, _SORTING_COLUMNS, _MAX_LIST)
    return [Sorting(thrift.integer(data, e, 1), _is_true(e, 2), _is_true(e, 3)) for e in entries]


def _is_true(entry: Struct, field: int) -> bool:
    return field in entry and entry[field][0] == _TRUE
