"""The pages of a Parquet column by their headers: how large they are, and how many rows and values they have.

A header says how much memory its page takes before any of it is decompressed. What a reader allocates has to be bounded
by that, since a few bytes of levels, of indices into a dictionary or of a compressed page can stand for gigabytes.
Format: https://github.com/apache/parquet-format/blob/master/README.md#data-pages, and the field numbers are from
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

from itertools import accumulate
from struct import Struct
from typing import NamedTuple

from kumo_async.formats import thrift
from kumo_async.formats.thrift import ThriftError
from kumo_async.formats.thrift_skip import varint

__all__ = [
    "DELTA_BYTE_ARRAY",
    "DELTA_LENGTH_BYTE_ARRAY",
    "DICTIONARY_ENCODINGS",
    "MAX_HEADER_BYTES",
    "PageHeader",
    "count_zeros",
    "delta_sum",
    "longest_text",
    "read_page_header",
]

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""The longest page header, with the statistics in it. Arrow's reader refuses longer ones, too."""

DICTIONARY_ENCODINGS = (2, 8)
DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY = 6, 7

_KIND, _DECODED, _STORED = 1, 2, 3
_DICTIONARY_PAGE, _DATA_PAGE_V2 = 2, 3
_HEADS = {0: 5, 2: 7, 3: 8}
_VALUES, _ENCODING, _REPETITION_ENCODING = 1, 2, 4
_RLE = 3
_V2_ENCODING, _V2_DEFINITION, _V2_REPETITION, _V2_COMPRESSED = 4, 5, 6, 7
_FALSE = 2

_MOST_PER_MINIBLOCK = 1024

_read_length = Struct("<I").unpack_from


class PageHeader(NamedTuple):
    """What the header of a page says.

    Attributes:
        stored: Bytes of the page as it lies in the file, after the header.
        decoded: The same decompressed.
        values: Its values with nulls, or those of the dictionary.
        encoding: The number of their encoding.
        is_dictionary: Whether it is a dictionary.
        is_data: Whether it has values of rows.
        plain_levels: Bytes of repetition and of definition levels that lie before the values, not compressed, in a page
            of version 2; None in one of version 1, whose levels are compressed with the values.
        compressed: Whether the values are compressed, if the column is.
        odd_levels: Whether its levels have an encoding that no writer uses any more.
    """

    stored: int
    decoded: int
    values: int
    encoding: int
    is_dictionary: bool
    is_data: bool
    plain_levels: tuple[int, int] | None
    compressed: bool
    odd_levels: bool


def read_page_header(data: bytes, pos: int) -> tuple[PageHeader, int]:
    """Read the page header at `pos`, and give the position after it.

    Raises:
        ThriftError: The bytes end within it, or it says what cannot be.

    Example:
        >>> read_page_header(bytes.fromhex("150015141510" "2c150a150015061506" "0000"), 0)[0].values
        5
    """
    fields, end = thrift.scan(data, pos)
    kind = thrift.integer(data, fields, _KIND)
    head: thrift.Struct = {}
    if field := _HEADS.get(kind):
        if fields.get(field, (0,))[0] != thrift.STRUCT:
            raise ThriftError(f"The page at byte {pos} is of kind {kind} and does not say what that kind has to.")
        head, _ = thrift.scan(data, fields[field][2])
    is_v2 = kind == _DATA_PAGE_V2
    header = PageHeader(
        stored=thrift.integer(data, fields, _STORED),
        decoded=thrift.integer(data, fields, _DECODED),
        values=thrift.integer(data, head, _VALUES, 0),
        encoding=thrift.integer(data, head, _V2_ENCODING if is_v2 else _ENCODING, 0),
        is_dictionary=kind == _DICTIONARY_PAGE,
        is_data=kind in (0, _DATA_PAGE_V2),
        plain_levels=_plain_levels(data, head) if is_v2 else None,
        odd_levels=not kind and thrift.integer(data, head, _REPETITION_ENCODING, _RLE) != _RLE,
        compressed=not is_v2 or head.get(_V2_COMPRESSED, (0,))[0] != _FALSE,
    )
    if min(header.stored, header.decoded, header.values) < 0:
        raise ThriftError(f"The page at byte {pos} has a negative size or a negative number of values.")
    return header, end


def _plain_levels(data: bytes, head: thrift.Struct) -> tuple[int, int]:
    repetition, definition = (thrift.integer(data, head, field, 0) for field in (_V2_REPETITION, _V2_DEFINITION))
    if repetition < 0 or definition < 0:
        raise ThriftError("The levels of a page have a negative size.")
    return repetition, definition


def count_zeros(levels: bytes, width: int, count: int) -> int:
    """Count the zeros among levels, which are the rows that begin in a page where they are repetition levels.

    Args:
        levels: Runs of equal levels and of packed ones, in the hybrid encoding of the format.
        width: Bits of a level.
        count: How many levels there are.

    Raises:
        ThriftError: The levels end too early.

    Example:
        >>> count_zeros(bytes([6 << 1, 1, 1 << 1 | 1, 0b11111010]), 1, 14)
        2
    """
    pos = zeros = 0
    try:
        while count > 0:
            head, pos = varint(levels, pos)
            if head & 1:
                size = min((head >> 1) * width, len(levels) - pos)
                packed = min(size * 8 // width, count)
                zeros += packed - _count_others(levels[pos : pos + size], width, packed)
                pos += size
            else:
                packed = head >> 1
                zeros += 0 if any(levels[pos : pos + (width + 7) // 8]) else min(packed, count)
                pos += (width + 7) // 8
            if not packed:
                raise ThriftError("A run of levels is empty.")
            count -= packed
    except IndexError:
        raise ThriftError("The levels of a page end too early.") from None
    return zeros


def _count_others(packed: bytes, width: int, count: int) -> int:
    """Count the packed levels that are not zero, all of them at a time as one large number."""
    number = int.from_bytes(packed, "little") & ((1 << count * width) - 1)
    if width == 1:
        return number.bit_count()
    first_bits = ((1 << count * width) - 1) // ((1 << width) - 1)
    folded = 0
    for bit in range(width):
        folded |= number >> bit
    return (folded & first_bits).bit_count()


def longest_text(dictionary: bytes) -> int:
    """Return the length of the longest text in a dictionary, in bytes.

    Example:
        >>> longest_text(bytes([1, 0, 0, 0, 97, 2, 0, 0, 0, 97, 97]))
        2
    """
    pos = longest = 0
    last = len(dictionary) - 4
    while pos <= last:
        (size,) = _read_length(dictionary, pos)
        pos += 4 + size
        if size > longest:
            longest = size
    return min(longest, len(dictionary))


def delta_sum(data: bytes, most: int) -> int:
    """Add up the numbers of a block that is encoded as differences, such as the lengths of texts.

    Args:
        data: The block, and whatever follows it: DELTA_BINARY_PACKED in the format.
        most: The most numbers that there can be.

    Raises:
        ThriftError: It is broken, or has more numbers.

    Example:
        >>> delta_sum(bytes.fromhex("8001" "04" "03" "0a" "02" "00000000"), 10)  # 5, 6 and 7
        18
    """
    try:
        return _delta_sum(data, most)
    except IndexError:
        raise ThriftError("The lengths in a page end too early.") from None


def _delta_sum(data: bytes, most: int) -> int:
    block, pos = varint(data, 0)
    miniblocks, pos = varint(data, pos)
    count, pos = varint(data, pos)
    number, pos = _signed(data, pos)
    each = block // max(1, miniblocks)
    if not 0 < each <= _MOST_PER_MINIBLOCK or each % 8 or count > most:
        raise ThriftError("The lengths in a page have no usable head.")
    if number < 0:
        raise ThriftError("A length in a page is negative.")
    total = number
    left = count - 1
    while left > 0:
        least, pos = _signed(data, pos)
        start = pos + miniblocks
        for width in data[pos:start]:
            end = start + each * width // 8
            number, added = _add_miniblock(data[start:end], width, min(each, left), number, least)
            total += added
            left, start = max(0, left - each), end
        pos = start
        _ = data[pos - 1]  # all of it is there
    return total


def _add_miniblock(packed: bytes, width: int, count: int, number: int, least: int) -> tuple[int, int]:
    """Give the last number of a miniblock, and the sum of all of them."""
    if not count:
        return number, 0
    if not width:
        last, total = number + count * least, count * number + least * count * (count + 1) // 2
        smallest = min(number + least, last)
    else:
        whole, mask = int.from_bytes(packed, "little"), (1 << width) - 1
        numbers = list(accumulate((whole >> at * width & mask for at in range(count)), lambda a, b: a + b + least))
        numbers = [number + least + each for each in numbers]
        last, total, smallest = numbers[-1], sum(numbers), min(numbers)
    if smallest < 0:
        raise ThriftError("A length in a page is negative.")
    return last, total


def _signed(data: bytes, pos: int) -> tuple[int, int]:
    number, pos = varint(data, pos)
    return (number >> 1) ^ -(number & 1), pos
