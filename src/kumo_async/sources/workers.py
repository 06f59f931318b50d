"""Threads of one source's own, for work that keeps a processor busy for long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from ..shield import clean_up
from ..threads import Threads

__all__ = ["Workers", "processors"]

T = TypeVar("T")


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system tells
        return os.cpu_count() or 1


class Workers:
    """Some threads that live as long as the block; what they have not begun when it ends is never done.

    The threads that the event loop lends are for short reads. Work that takes seconds would keep those waiting.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.stopped = False
        self._pool = Threads(count, "kumo_async-encode")

    def submit(self, call: Callable[..., T], *arguments: Any) -> Future[T]:
        """Have something done by one of the threads, in the order of submission."""
        return self._pool.submit(call, *arguments)

    async def result(self, future: Future[T]) -> T:
        """Wait for what was submitted."""
        return await asyncio.wrap_future(future)

    async def __aenter__(self) -> Workers:
        return self

    async def __aexit__(self, *_: object) -> None:
        # What a thread is at cannot be broken off, and it must not outlive the file that it reads.
        self.stopped = True
        await clean_up(partial(self._pool.shutdown, wait=True, cancel_futures=True))
