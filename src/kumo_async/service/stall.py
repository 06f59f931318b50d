"""Giving up what stands still, and nothing that moves: a slow line must be able to finish."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["StallTimer", "unsent"]

#: How often in the time allowed it is looked whether anything moved.
_LOOKS = 8


class StallTimer:
    """Break off the block with TimeoutError once `position` has stayed the same for so many seconds.

    Args:
        seconds: How long nothing may move.
        position: Tells how far things are: any value that changes when a byte moves.
    """

    def __init__(self, seconds: float, position: Callable[[], object]) -> None:
        self._seconds = seconds
        self._position = position
        self._seen = position()
        self._timeout = asyncio.timeout(seconds)

    @property
    def stalled(self) -> bool:
        """Whether the block was broken off."""
        return self._timeout.expired()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._seconds / _LOOKS, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        position = self._position()
        if self._timeout.expired():
            return
        if position != self._seen:
            self._seen = position
            self._timeout.reschedule(self._loop.time() + self._seconds)
        self._handle = self._loop.call_later(self._seconds / _LOOKS, self._look)


def unsent(transport: asyncio.WriteTransport | None) -> int:
    """Return how many bytes that were given to a connection the other side has not confirmed.

    The kernel holds megabytes of them, which take minutes on a slow line: that the program has nothing left to write
    does not mean that nothing moves. Linux tells what it holds (https://man7.org/linux/man-pages/man7/tcp.7.html,
    SIOCOUTQ); where a system does not, only what is left in the program counts.
    """
    if transport is None or transport.is_closing():
        return 0
    return transport.get_write_buffer_size() + _queued(transport.get_extra_info("socket"))


def _queued(socket: object) -> int:
    try:
        # SIOCOUTQ has the number of the terminals' TIOCOUTQ.
        answer = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return 0
    return int(struct.unpack("i", answer)[0])
