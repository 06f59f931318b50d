"""The calls that are being answered, so that a plane can end them all before it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InFlight"]


class InFlight:
    """The tasks of the calls that are being answered."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def track(self) -> Iterator[None]:
        """Count the current task as one that answers a call."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def end(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for the calls to end, then break them off.

        The server would cancel them as well, but not wait until they have cleaned up.
        """
        late = set(self._tasks)
        if late:
            _, late = await asyncio.wait(late, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
