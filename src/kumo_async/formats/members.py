"""Where members of compressed files seem to begin, and the data cut into pieces there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from .xz_streams import STREAM_HEADERS

__all__ = ["MOST_PIECE", "Find", "Pieces", "find_bgzf", "find_bzip2", "find_xz", "steps"]

#: Finds the first place from an offset on where a member seems to begin, if any; the data begins with a member.
Find = Callable[[bytearray, int], int | None]

#: From which size on a piece may end, in bytes.
PIECE: Final = 256 * 1024

#: How large a piece may be, in bytes; where no other begins for so long, the rest is read in a row. A block of
#: `xz -T0` takes some 6 MiB.
MOST_PIECE: Final = 12 * 1024 * 1024

#: In what steps data that was kept is read, in bytes.
_STEP: Final = 128 * 1024

# https://en.wikipedia.org/wiki/Bzip2#File_format: the header of a stream, and that of its first block.
_BZIP2: Final = re.compile(rb"BZh[1-9]1AY&SY")

_XZ: Final = re.compile(b"|".join(map(re.escape, STREAM_HEADERS)))

# https://samtools.github.io/hts-specs/SAMv1.pdf, 4.1: a member with one extra field, BC, its size less one.
_BGZF: Final = re.compile(rb"\x1f\x8b\x08\x04.{6}\x06\0BC\x02\0(..)", re.DOTALL)

#: No pattern is longer, in bytes.
_LONGEST: Final = 18


def find_bzip2(data: bytearray, least: int) -> int | None:
    """Find where a stream of bzip2 seems to begin, as pbzip2 writes many."""
    return _search(b"BZh", _BZIP2, data, least)


def find_xz(data: bytearray, least: int) -> int | None:
    """Find where a stream of xz seems to begin."""
    return _search(b"\xfd7zXZ", _XZ, data, least)


def find_bgzf(data: bytearray, least: int) -> int | None:
    """Find where a member of gzip begins, by the sizes that bgzip writes into each."""
    at = 0
    while at < least:
        found = _BGZF.match(data, at)
        if found is None:
            return None
        at += int.from_bytes(found[1], "little") + 1
    return at if at < len(data) else None


def _search(magic: bytes, pattern: re.Pattern[bytes], data: bytearray, least: int) -> int | None:
    at = data.find(magic, least)  # many times as fast as the pattern
    while at >= 0 and not pattern.match(data, at):
        at = data.find(magic, at + 1)
    return at if at >= 0 else None


class Pieces(Iterator[bytes]):
    """Compressed data cut into pieces where members seem to begin, until no such place is found.

    Args:
        blocks: The data.
        find: Where members begin.

    Attributes:
        taken: How much was cut off, in bytes.
    """

    def __init__(self, blocks: Iterator[bytes], find: Find) -> None:
        self._blocks = blocks
        self._find = find
        self._kept = bytearray()
        self.taken = 0

    def __next__(self) -> bytes:
        """Return the next piece; the data behind the last one is the `rest`."""
        sought = PIECE
        while True:
            if end := self._find(self._kept, sought) if len(self._kept) > sought else None:
                break
            sought = max(PIECE, len(self._kept) - _LONGEST)
            block = next(self._blocks, None) if len(self._kept) <= MOST_PIECE else b""
            if not block:
                end = len(self._kept)
                break
            self._kept += block
        if not 0 < end <= MOST_PIECE:
            raise StopIteration
        return self._taken(end)

    def rest(self) -> Iterator[bytes]:
        """Return all that was not cut off, in blocks."""
        kept, self._kept = bytes(self._kept), bytearray()
        return chain(steps(kept), self._blocks)

    def _taken(self, size: int) -> bytes:
        with memoryview(self._kept) as kept:
            piece = bytes(kept[:size])
        del self._kept[:size]
        self.taken += size
        return piece


def steps(data: bytes) -> Iterator[bytes]:
    """Return data in the steps in which it is decoded."""
    return (data[at : at + _STEP] for at in range(0, len(data), _STEP))
