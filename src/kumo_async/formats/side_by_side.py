"""Compressed files of several members: cut where one seems to begin, and decoded side by side, in order.

A cut is only a guess, and needs no more: a piece that decodes to its very end, member by member, is what reading all
in a row would have come to. From the first piece that does not, the rest is read in a row, and fails as that fails.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from threading import Event
from typing import Final, NamedTuple

__all__ = ["Decode", "Find", "Pieces", "find_bgzf", "find_bzip2", "side_by_side", "told"]

#: Decodes all that it is given, in blocks; raises `ValueError` for what it cannot decode or what does not end.
Decode = Callable[[Iterator[bytes]], Iterator[bytes]]

#: Finds the first place from an offset on where a member seems to begin, if any; the data begins with a member.
Find = Callable[[bytes, int], int | None]

#: From which size on a piece may end, and the size at which looking for its end is given up, in bytes.
_PIECE: Final = 256 * 1024
_MOST_PIECE: Final = 4 * 1024 * 1024

#: What a piece may come to while it is kept in memory, in bytes. A larger one is read in a row, with all behind it.
_MOST_DECODED: Final = 32 * 1024 * 1024

#: In what steps data that was kept is read in a row, in bytes.
_STEP: Final = 128 * 1024

# https://en.wikipedia.org/wiki/Bzip2#File_format: the header of a stream, and that of its first block.
_BZIP2: Final = re.compile(rb"BZh[1-9]1AY&SY")

# https://samtools.github.io/hts-specs/SAMv1.pdf, 4.1: a member with one extra field, BC, its size less one.
_BGZF: Final = re.compile(rb"\x1f\x8b\x08\x04.{6}\x06\0BC\x02\0(..)", re.DOTALL)


def find_bzip2(data: bytes, least: int) -> int | None:
    """Find where a stream of bzip2 seems to begin, as pbzip2 writes many."""
    found = _BZIP2.search(data, least)
    return found.start() if found else None


def find_bgzf(data: bytes, least: int) -> int | None:
    """Find where a member of gzip begins, by the sizes that bgzip writes into each."""
    at = 0
    while at < least:
        found = _BGZF.match(data, at)
        if found is None:
            return None
        at += int.from_bytes(found[1], "little") + 1
    return at if at < len(data) else None


class Pieces(Iterator[bytes]):
    """Compressed data cut into pieces where members seem to begin, until no such place is found."""

    def __init__(self, blocks: Iterator[bytes], find: Find) -> None:
        self._blocks = blocks
        self._find = find
        self._kept = b""

    def __next__(self) -> bytes:
        """Return the next piece; the data behind the last one is the `rest`."""
        while len(self._kept) < _MOST_PIECE:
            if len(self._kept) > _PIECE and (end := self._find(self._kept, _PIECE)):
                piece, self._kept = self._kept[:end], self._kept[end:]
                return piece
            block = next(self._blocks, None)
            if block is None:
                break
            self._kept += block
        raise StopIteration

    def rest(self) -> Iterator[bytes]:
        """Return all that was not cut off, in blocks."""
        kept, self._kept = self._kept, b""
        return chain(_steps(kept), self._blocks)


class _Decoded(NamedTuple):
    blocks: list[bytes]
    whole: bool


def side_by_side(
    blocks: Iterator[bytes], find: Find, decode: Decode, threads: int, used: Callable[[int], None]
) -> Iterator[bytes]:
    """Decode pieces in threads of its own, which end with the iterator, or when it is closed.

    Arguments:
        blocks: The compressed data; read by the calling thread only.
        find: Where members begin.
        decode: What decodes members in a row.
        threads: How many pieces are decoded at a time; one more is held.
        used: Told of the size of compressed data, in bytes, before what it came to is handed out.

    Yields:
        What `decode` makes of all the data.

    Raises:
        ValueError: What `decode` raises, after the same blocks.
    """
    pieces, pending, stop = Pieces(blocks, find), deque[tuple[bytes, "Future[_Decoded]"]](), Event()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="kumo_async-decompress")
    failed: bytes = b""
    try:
        while True:
            for piece in islice(pieces, threads + 1 - len(pending)):
                pending.append((piece, pool.submit(_decoded, piece, decode, stop)))
            if not pending:
                break
            piece, future = pending.popleft()
            decoded = future.result()
            if not decoded.whole:
                failed = piece
                break
            used(len(piece))
            yield from decoded.blocks
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    held = [failed, *(piece for piece, _ in pending)]
    pending.clear()
    yield from decode(told(chain(chain.from_iterable(map(_steps, held)), pieces.rest()), used))


def _decoded(piece: bytes, decode: Decode, stop: Event) -> _Decoded:
    blocks, size = [], 0
    try:
        for block in decode(_steps(piece)):
            size += len(block)
            if size > _MOST_DECODED or stop.is_set():
                return _Decoded([], whole=False)
            blocks.append(block)
    except ValueError:
        return _Decoded([], whole=False)
    return _Decoded(blocks, whole=True)


def _steps(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _STEP] for at in range(0, len(data), _STEP))


def told(blocks: Iterator[bytes], used: Callable[[int], None]) -> Iterator[bytes]:
    """Pass blocks on, and tell of the size of each before."""
    for block in blocks:
        used(len(block))
        yield block
