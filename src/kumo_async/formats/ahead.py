"""Pieces of compressed data, decoded in threads ahead of their turn, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Final, NamedTuple

from .members import steps

__all__ = ["MOST_AHEAD", "Ahead", "Decode", "Decoded", "Piece", "told"]

#: Decodes all that it is given, in blocks; raises `ValueError` for what it cannot decode or what does not end.
Decode = Callable[[Iterator[bytes]], Iterator[bytes]]

#: How much decoded text waits for its turn, over all pieces, in bytes. Two threads never wait where it is at least half
#: of what a piece holds, and a block of `xz -T0` holds 24 MiB.
MOST_AHEAD: Final = 16 * 1024 * 1024


class Decoded(NamedTuple):
    """A block of text, and where in the compressed data decoding had come to, in bytes."""

    place: int
    block: bytes


@dataclass(eq=False)
class Piece:
    """A piece of compressed data and what was decoded of it so far.

    Attributes:
        data: The piece, kept until all of it is decoded.
        start: Where it begins in the compressed data, in bytes.
        waiting: The text that nobody has taken.
        ended: Whether there will be no more.
        whole: Whether it was decoded to its very end.
    """

    data: bytes
    start: int
    waiting: deque[Decoded] = field(default_factory=deque)
    ended: bool = False
    whole: bool = False


class Ahead:
    """Threads that decode pieces; the first piece never waits for the others.

    They are begun as pieces come, wait where the text has no more room, and end with `close`. They are daemons: the
    interpreter ends without waiting for those that nobody closed.

    Args:
        decode: What decodes a piece, in blocks.
        threads: How many pieces are decoded at a time.
    """

    def __init__(self, decode: Decode, threads: int) -> None:
        self.pieces: deque[Piece] = deque()
        self._decode = decode
        self._most = threads
        self._threads: list[Thread] = []
        self._queue: SimpleQueue[Piece | None] = SimpleQueue()
        self._changed = Condition()
        self._held = 0
        self._closed = False

    def add(self, piece: Piece) -> None:
        """Have a piece decoded, behind all others."""
        with self._changed:
            self.pieces.append(piece)
        self._queue.put(piece)
        if len(self._threads) < self._most:
            self._threads.append(Thread(target=self._run, name="kumo_async-decompress", daemon=True))
            self._threads[-1].start()

    def first(self) -> Iterator[Decoded]:
        """Wait for the text of the first piece, and take it block by block."""
        piece = self.pieces[0]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: piece.waiting or piece.ended)
                if not piece.waiting:
                    return
                decoded = piece.waiting.popleft()
                self._held -= len(decoded.block)
                self._changed.notify_all()
            yield decoded

    def drop_first(self) -> None:
        """Forget the first piece: the next one takes its turn."""
        with self._changed:
            self.pieces.popleft()
            self._changed.notify_all()

    def close(self) -> None:
        """End the threads and wait for them: each is through with its block soon."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (piece := self._queue.get()) is not None:
            try:
                self._decode_piece(piece)
            finally:
                with self._changed:
                    piece.ended = True
                    self._changed.notify_all()

    def _decode_piece(self, piece: Piece) -> None:
        place = piece.start

        def reach(at: int) -> None:
            nonlocal place
            place = at

        # Whoever decodes it again in a row is told what is wrong with it.
        with suppress(ValueError):
            for block in self._decode(told(steps(piece.data), reach, piece.start)):
                if not self._kept(piece, Decoded(place, block)):
                    return
            piece.whole = True

    def _kept(self, piece: Piece, decoded: Decoded) -> bool:
        """Wait for room and keep a block; return whether it is wanted still."""
        size = len(decoded.block)

        def room() -> bool:
            first = piece is self.pieces[0] and not piece.waiting
            return self._closed or first or self._held + size <= MOST_AHEAD

        with self._changed:
            self._changed.wait_for(room)
            if not self._closed:
                piece.waiting.append(decoded)
                self._held += size
                self._changed.notify_all()
            return not self._closed


def told(blocks: Iterator[bytes], reach: Callable[[int], None], start: int = 0) -> Generator[bytes, None, None]:
    """Pass blocks on, and tell before each one where it ends, in bytes from the beginning."""
    for block in blocks:
        start += len(block)
        reach(start)
        yield block
