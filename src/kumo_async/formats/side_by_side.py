"""Compressed files of several members: cut where one seems to begin, and decoded side by side, in order.

A cut is only a guess, and needs no more: a piece that decodes to its very end, member by member, is what reading all
in a row would have come to. From the first piece that does not, the rest is read in a row, and fails as that fails.

The memory that this takes does not depend on the file: `MOST_AHEAD` and a block of text, three times `MOST_PIECE` of
compressed data, and what each thread needs to decode one piece, which is its window or dictionary and some blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Final

from .ahead import Ahead, Decode, Piece, told
from .members import MOST_PIECE, Find, Pieces, steps

__all__ = ["MOST_THREADS", "side_by_side"]

#: How many pieces are decoded at a time at the most. More of them would wait for room, and for the one reader.
MOST_THREADS: Final = 8

#: How much compressed data is cut off before that many threads need it, in bytes, where pieces are small.
_ENOUGH: Final = 3 * 1024 * 1024


def side_by_side(
    blocks: Iterator[bytes], find: Find, decode: Decode, threads: int, reach: Callable[[int], None]
) -> Generator[bytes, None, None]:
    """Decode pieces in threads of its own, which end with the iterator, or when it is closed.

    Args:
        blocks: The compressed data; read by the calling thread only.
        find: Where members begin.
        decode: What decodes members in a row, in blocks.
        threads: How many pieces are decoded at a time, up to `MOST_THREADS`.
        reach: Told how much of the compressed data was decoded, in bytes, before what it came to is handed out.

    Yields:
        What `decode` makes of all the data.

    Raises:
        ValueError: What `decode` raises, behind the same text.
    """
    pieces, ahead = Pieces(blocks, find), Ahead(decode, min(threads, MOST_THREADS))
    handed = 0
    try:
        while _filled(ahead, pieces, threads):
            for place, block in ahead.first():
                reach(place)
                handed += len(block)
                yield block
            if not ahead.pieces[0].whole:
                break
            ahead.drop_first()
            handed = 0
    finally:
        ahead.close()
    yield from _beyond(handed, decode(_undone(ahead, pieces, reach)))


def _filled(ahead: Ahead, pieces: Pieces, threads: int) -> bool:
    """Have pieces decoded as far ahead as is of use; return whether there is one."""
    while (held := sum(len(piece.data) for piece in ahead.pieces)) < MOST_PIECE:
        if len(ahead.pieces) > threads and held > _ENOUGH:
            break
        start = pieces.taken
        data = next(pieces, None)
        if data is None:
            break
        ahead.add(Piece(data, start))
    return bool(ahead.pieces)


def _undone(ahead: Ahead, pieces: Pieces, reach: Callable[[int], None]) -> Iterator[bytes]:
    """Return the compressed data from the first piece that is not done, and free what was decoded of it."""
    held = [piece.data for piece in ahead.pieces]
    start = pieces.taken - sum(map(len, held))
    ahead.pieces.clear()
    return told(chain(chain.from_iterable(map(steps, held)), pieces.rest()), reach, start)


def _beyond(size: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop so many bytes, which were handed out before."""
    for block in blocks:
        if size < len(block):
            yield block[size:]
        size = max(0, size - len(block))
