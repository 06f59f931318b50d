"""Streams of xz with several blocks, as `xz -T` writes them, turned into streams of one block each.

Such streams stand on their own and can be decoded side by side. Blocks are only copied and never decoded here: where
one ends is told by the headers within it. What they say is checked by liblzma, which reads each stream in the end, and
the index of the whole is checked here. https://tukaani.org/xz/xz-file-format.txt says what a stream consists of.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Final

__all__ = ["STREAM_HEADERS", "one_block_streams"]


def _header(check: int) -> bytes:
    flags = bytes([0, check])
    return b"\xfd7zXZ\0" + flags + struct.pack("<I", zlib.crc32(flags))


#: The headers that a stream can begin with, for the sizes of the check behind each block in bytes: of none, CRC32,
#: CRC64 and SHA-256, which are all that liblzma verifies.
STREAM_HEADERS: Final = {_header(0): 0, _header(1): 4, _header(4): 8, _header(10): 32}

#: How much is copied at a time, in bytes.
_STEP: Final = 64 * 1024


def one_block_streams(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Turn each stream into as many as it has blocks; what cannot be told apart is passed on from there as it is.

    Args:
        blocks: The compressed data, in blocks of any size.

    Yields:
        What liblzma makes the same of as of the data: the same bytes, and the same errors. It takes 36 bytes more for
        each block.

    Example:
        >>> import lzma
        >>> lzma.decompress(b"".join(one_block_streams(iter([lzma.compress(b"id,x"), lzma.compress(b"1,2")]))))
        b'id,x1,2'
    """
    data = _Data(blocks)
    whole = True
    while whole and (begin := data.skip_zeros()):
        header = begin + data.read(12 - len(begin))
        if header in STREAM_HEADERS:
            whole = yield from _stream(header, data)
        else:
            yield header
            whole = False
    yield from data.rest()


def _stream(header: bytes, data: _Data) -> Generator[bytes, None, bool]:
    """Turn one stream; return whether it is whole as far as can be told here, so that another may follow."""
    index = _Index(header)
    # A block begins with the size of its header, and the index with a zero.
    while (begin := data.read(1)) != b"\0":
        yield header
        sizes = yield from _block(begin, STREAM_HEADERS[header], data)
        if sizes is None:
            return False
        yield index.add(*sizes)
    fault = index.fault(data)
    if fault is not None:
        yield header + fault
    return fault is None


def _block(begin: bytes, check: int, data: _Data) -> Generator[bytes, None, tuple[int, int] | None]:
    """Pass one block on; return its size without padding and the size of its text, if its end is found."""
    header = begin + (data.read(begin[0] * 4 + 3) if begin else b"")
    yield header
    packed, size = 1, 0
    while (control := data.read(1)) != b"\0":
        # The last filter is always LZMA2: https://en.wikipedia.org/wiki/LZMA#LZMA2_format
        if control in (b"\x01", b"\x02"):
            head = data.read(2)
            length = held = int.from_bytes(head, "big") + 1
        elif control >= b"\x80":
            head = data.read(4)
            length = int.from_bytes(head[2:], "big") + 1 + (control >= b"\xc0")
            held = ((control[0] & 0x1F) << 16 | int.from_bytes(head[:2], "big")) + 1
        else:
            yield control
            return None
        yield control + head + data.read(length)
        packed, size = packed + 1 + len(head) + length, size + held
    rest = -packed % 4 + check
    end = data.read(rest)
    yield control + end
    return (len(header) + packed + check, size) if len(end) == rest else None


class _Index:
    """The index that a stream must have by its blocks; of the records only a digest is kept, as they may be many."""

    def __init__(self, header: bytes) -> None:
        self._header = header
        self._count = self._size = 0
        self._digest = hashlib.sha256()

    def add(self, size: int, held: int) -> bytes:
        """Add a block, and return the index and the footer of a stream that has only this one."""
        record = _variable(size) + _variable(held)
        self._count += 1
        self._size += len(record)
        self._digest.update(record)
        index = b"\0\x01" + record
        return index + self._end(len(index), zlib.crc32(index))

    def fault(self, data: _Data) -> bytes | None:
        """Read the index, behind its first byte, and the footer; return what of them makes liblzma fail alike."""
        begin = b"\0" + _variable(self._count)
        found = b"\0" + data.read(len(begin) - 1)
        left, crc, digest = self._size, zlib.crc32(found), hashlib.sha256()
        while left and (records := data.read(min(left, _STEP))):
            left, crc = left - len(records), zlib.crc32(records, crc)
            digest.update(records)
        end = self._end(len(begin) + self._size, crc)
        rest = data.read(len(end))
        same = left or digest.digest() == self._digest.digest()
        if not (begin.startswith(found) and same and end.startswith(rest)):
            return b"\0\x01"  # a record where there is no block
        return None if rest == end else b""

    def _end(self, size: int, crc: int) -> bytes:
        """Return what follows the records of an index, of which there are so many bytes, and the footer."""
        padding = bytes(-size % 4)
        index = padding + struct.pack("<I", zlib.crc32(padding, crc))
        footer = struct.pack("<I", (size + len(index)) // 4 - 1) + self._header[6:8]
        return index + struct.pack("<I", zlib.crc32(footer)) + footer + b"YZ"


def _variable(number: int) -> bytes:
    """Write a number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


class _Data:
    """Reads data that comes in blocks."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block, self._at = b"", 0

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        found = self._block[self._at : self._at + size]
        self._at += len(found)
        while len(found) < size and (block := next(self._blocks, None)) is not None:
            self._block, self._at = block, min(size - len(found), len(block))
            found += block[: self._at]
        return found

    def skip_zeros(self) -> bytes:
        """Return the first byte that is not zero, none at the end."""
        while (byte := self.read(1)) == b"\0":
            kept = self._block[self._at :].lstrip(b"\0")
            self._at = len(self._block) - len(kept)
        return byte

    def rest(self) -> Iterator[bytes]:
        """Return all that was not read."""
        return chain([self._block[self._at :]], self._blocks)
