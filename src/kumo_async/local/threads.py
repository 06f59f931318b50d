"""Worker threads that belong to one plane, so that nothing is left when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kumo_async.threads import Threads as OwnThreads

__all__ = ["Threads"]

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """Run blocking work beside the event loop.

    Args:
        count: How many threads there may be. More than the processors, since many of them wait for the disk.
    """

    def __init__(self, count: int = 8) -> None:
        self._pool = OwnThreads(count, "kumo-local")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``work`` in a thread and give back what it returns or raises.

        A cancelled caller still waits for the thread, because whoever cleans up next must find nobody writing.
        """
        future = asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            future.cancelled() or future.exception()  # what the work raised is of no use to anybody now
            raise cancelled
        return future.result()

    def close(self) -> None:
        """End the threads. All work must be over, so this does not block."""
        self._pool.shutdown(wait=True, cancel_futures=True)
