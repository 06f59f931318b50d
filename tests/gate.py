"""Something to stall a call on, or a thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest
from anyio import to_thread

__all__ = ["Gate", "ThreadGate"]


class Gate:
    """Tells that a call has come, and holds it until it may go on."""

    def __init__(self) -> None:
        self.came, self.go = anyio.Event(), anyio.Event()

    async def wait(self) -> None:
        self.came.set()
        await self.go.wait()


class ThreadGate:
    """Holds whatever thread comes by, once it is closed."""

    def __init__(self) -> None:
        self._reached, self._open, self._closed = threading.Event(), threading.Event(), False

    def close(self) -> None:
        self._closed = True

    def open(self) -> None:
        self._open.set()

    def passed(self) -> None:
        if self._closed:
            self._reached.set()
            assert self._open.wait(30)

    async def reached(self) -> None:
        assert await to_thread.run_sync(self._reached.wait, 30)

    async def check_outlasts(self, task: asyncio.Task[Any]) -> asyncio.CancelledError:
        """Cancel a task whose thread is held, and see that it waits for the thread before it ends as cancelled."""
        await self.reached()
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        await anyio.wait_all_tasks_blocked()
        assert not task.done()
        self.open()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return caught.value
