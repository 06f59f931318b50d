"""How much is under way at once, over all uploads that share a client."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

__all__ = ["Limit", "Limits"]


class Limit:
    """Counts what is under way. Whoever enters brings the number that may be under way beside it.

    Those who wait are let in in the order of their arrival, except that nobody waits behind one whose own number is
    smaller.

    Example:
        >>> async def main() -> int:
        ...     parts = Limit()
        ...     async with parts.hold(2), parts.hold(2):
        ...         return parts.held
        >>> anyio.run(main)
        2
    """

    def __init__(self) -> None:
        self.held = 0
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    @asynccontextmanager
    async def hold(self, most: int) -> AsyncIterator[None]:
        """Wait until fewer than `most` are under way, and be under way until the block is left."""
        await self.acquire(most)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, most: int) -> None:
        """Wait until fewer than `most` are under way, and count as one of them."""
        if self.held < most and not any(self.held < limit for limit, _ in self._waiting):
            self.held += 1
            await self._pause()
            return
        ticket = (most, anyio.Event())
        self._waiting.append(ticket)
        try:
            await ticket[1].wait()
        except BaseException:
            self._withdraw(ticket)
            raise

    def release(self) -> None:
        """Be under way no longer, and let in the next who may."""
        self.held -= 1
        for ticket in self._waiting:
            if self.held < ticket[0]:
                self._waiting.remove(ticket)
                self.held += 1
                ticket[1].set()
                return

    async def _pause(self) -> None:
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException:
            self.release()
            raise

    def _withdraw(self, ticket: tuple[int, anyio.Event]) -> None:
        if ticket[1].is_set():
            self.release()
        else:
            self._waiting.remove(ticket)


class Limits:
    """What the uploads of a client on one event loop must share.

    Attributes:
        partitions: The partitions under way.
        parts: The parts under way.
    """

    def __init__(self) -> None:
        self.partitions = Limit()
        self.parts = Limit()
        self._tables: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    def table(self, connector: str, table: str) -> anyio.Lock:
        """Return the lock that whoever changes a table holds."""
        return self._tables.setdefault((connector, table), anyio.Lock())
