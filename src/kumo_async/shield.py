"""Work that must not stop halfway, whatever becomes of the task that asked for it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from .errors import no_groups

__all__ = ["clean_up", "in_thread", "obtain", "to_the_end"]

T = TypeVar("T")


async def to_the_end(work: Callable[[], Awaitable[T]], on_cancel: Callable[[], None] | None = None) -> T:
    """Run `work` to its end and return its result; a cancellation meanwhile takes effect after that.

    anyio's shield keeps anyio's own cancellation away, but asyncio's (`task.cancel()`, `asyncio.timeout`) goes into the
    task itself. So the work has a task of its own.

    Args:
        work: What is to be done.
        on_cancel: Called at once when there is a cancellation, so that the work may hurry.

    Raises:
        CancelledError: If there was a cancellation; its cause is the error that the work raised, or else the one that
            was on its way when this was called, if any: nobody else will hear of it.
        BaseException: Whatever the work raises.

    Example:
        >>> async def work() -> int:
        ...     return 7
        >>> anyio.run(to_the_end, work)
        7
    """
    results: list[T] = []
    on_its_way = sys.exception()
    failures: list[Exception] = []
    ended = anyio.Event()

    async def shielded() -> None:
        try:
            with anyio.CancelScope(shield=True):
                results.append(await work())
        except Exception as error:  # noqa: BLE001
            # Not raised here: it would take the place of a cancellation, which whoever asked for it waits for.
            failures.append(error)
        finally:
            ended.set()

    async def watch() -> None:
        try:
            await ended.wait()
        except anyio.get_cancelled_exc_class():
            if on_cancel is not None and not ended.is_set():
                on_cancel()
            raise

    try:
        with no_groups():
            async with anyio.create_task_group() as group:
                group.start_soon(shielded)
                group.start_soon(watch)
    except anyio.get_cancelled_exc_class() as cancelled:
        cancelled.__cause__ = failures[0] if failures else _failure(on_its_way)
        raise
    if failures:
        raise failures[0]
    return results[0]


def _failure(error: BaseException | None) -> BaseException | None:
    """Return what failed: an error itself, and of a cancellation its cause."""
    return error if error is None or isinstance(error, Exception) else error.__cause__


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do blocking work in a worker thread, and wait for its end even if there is a cancellation meanwhile.

    `anyio.to_thread.run_sync` leaves the thread to itself where asyncio cancels the task. So this is for work with what
    is closed afterwards: whoever cleans up must find nobody reading from it, or writing to it.

    Args:
        work: The function.
        arguments: What it is called with.

    Raises:
        CancelledError: If there was a cancellation.
        BaseException: Whatever the work raises.

    Example:
        >>> anyio.run(in_thread, max, 3, 7)
        7
    """
    return await to_the_end(partial(to_thread.run_sync, work, *arguments))


async def obtain(work: Callable[[], T], give_back: Callable[[T], object]) -> T:
    """Return what a worker thread obtains; if there is a cancellation meanwhile, it is given back in a thread as well.

    Args:
        work: Obtains it.
        give_back: Called with it where it cannot be returned any more.

    Raises:
        CancelledError: If there was a cancellation.
        BaseException: Whatever the work raises.

    Example:
        >>> anyio.run(obtain, dict, dict.clear)
        {}
    """
    obtained: list[T] = []
    try:
        await in_thread(lambda: obtained.append(work()))
    except anyio.get_cancelled_exc_class():
        for each in obtained:
            await clean_up(partial(give_back, each))
        raise
    return obtained[0]


async def clean_up(work: Callable[[], object]) -> None:
    """Do blocking work in a worker thread that has to be done before a block is left, whatever is raised in the block.

    A cancellation that is on its way then stays the one that it is, with its cause; `in_thread` would raise another.

    Raises:
        CancelledError: If asyncio cancels meanwhile; after the work all the same.
        BaseException: Whatever the work raises.

    Example:
        >>> anyio.run(clean_up, [7].clear)
    """
    with anyio.CancelScope(shield=True):
        await in_thread(work)
