"""Work that must not stop halfway, whatever becomes of the task that asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from .errors import no_groups

__all__ = ["to_the_end"]

T = TypeVar("T")


async def to_the_end(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` to its end and return its result; a cancellation meanwhile takes effect after that.

    anyio's shield keeps anyio's own cancellation away, but asyncio's (`task.cancel()`, `asyncio.timeout`) goes into the
    task itself. So the work has a task of its own.

    Raises:
        BaseException: Whatever the work raises.

    Example:
        >>> async def work() -> int:
        ...     return 7
        >>> anyio.run(to_the_end, work)
        7
    """
    results: list[T] = []

    async def shielded() -> None:
        with anyio.CancelScope(shield=True):
            results.append(await work())

    with no_groups():
        async with anyio.create_task_group() as group:
            group.start_soon(shielded)
    return results[0]
