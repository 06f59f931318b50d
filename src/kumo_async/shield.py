"""Work that must not stop halfway, whatever becomes of the task that asked for it.

A task can be cancelled in three ways: by a cancel scope of anyio, by asyncio itself (`task.cancel()`,
`asyncio.timeout`), and by a loop that cancels *all* tasks, as `asyncio.run` does at its end. Against the last one it is
of no use to put the work into a task of its own, since that one is cancelled as well. So what must reach its end is no
task of that loop: blocking work runs in a thread (`in_thread`), async work on a loop of our own (`loop`), and the task
that asked for it waits for a future, again and again, until it is done (`outlast`).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import anyio

from .checks import event_loop
from .errors import no_groups
from .threads import THREADS

__all__ = ["clean_up", "imported", "in_thread", "obtain", "outlast", "to_the_end"]

T = TypeVar("T")

_imported: set[str] = set()


async def outlast(future: Future[T], on_cancel: Callable[[], None] | None = None) -> T:
    """Wait for what another thread does, and return its result; a cancellation meanwhile takes effect after that.

    However often the waiting task is cancelled, and in whatever way, it goes on waiting.

    Args:
        future: What is waited for. It is never cancelled.
        on_cancel: Called once, at the first cancellation, so that the work may hurry.

    Raises:
        CancelledError: If there was a cancellation; its cause is the error of the future, or else the one that was on
            its way when this was called, if any, which would be lost otherwise.
        BaseException: The error of the future.

    Example:
        >>> done: Future[int] = Future()
        >>> done.set_result(7)
        >>> anyio.run(outlast, done)
        7
    """
    on_its_way = sys.exception()
    ended = _ended(future)
    cancelled: BaseException | None = None
    while not ended.done():
        try:
            # anyio repeats its cancellation for as long as it is not shielded from, asyncio does not.
            with anyio.CancelScope(shield=cancelled is not None):
                await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            if cancelled is None and on_cancel is not None:
                on_cancel()
            cancelled = error
    if cancelled is None:
        return future.result()
    cancelled.__cause__ = _failure(future.exception()) or _failure(on_its_way)
    raise cancelled


def _ended(future: Future[Any]) -> asyncio.Future[None]:
    """Return a future of the running loop that is done when a thread's future is."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def wake(_: Future[Any]) -> None:
        # On a loop that was closed meanwhile, nothing waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, ended)

    future.add_done_callback(wake)
    return ended


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


async def to_the_end(work: Callable[[], Awaitable[T]], on_cancel: Callable[[], None] | None = None) -> T:
    """Run `work` to its end and return its result; a cancellation meanwhile takes effect after that.

    anyio's shield keeps anyio's own cancellation away, but asyncio's (`task.cancel()`, `asyncio.timeout`) goes into the
    task itself. So the work has a task of its own. Where a loop cancels all its tasks, that does not help: what must
    not stop halfway even then runs on a loop of our own, see `loop`.

    Args:
        work: What is to be done.
        on_cancel: Called at once when there is a cancellation, so that the work may hurry.

    Raises:
        CancelledError: If there was a cancellation; its cause is the error that the work raised, or else the one that
            was on its way when this was called, if any, which would be lost otherwise.
        BaseException: Whatever the work raises.

    Example:
        >>> async def work() -> int:
        ...     return 7
        >>> anyio.run(to_the_end, work)
        7
    """
    results: list[T] = []
    on_its_way = sys.exception()
    failures: list[BaseException] = []
    ended = anyio.Event()

    async def shielded() -> None:
        try:
            with anyio.CancelScope(shield=True):
                results.append(await work())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
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
        cancelled.__cause__ = _failure(failures[0]) if failures else _failure(on_its_way)
        raise
    if failures:
        raise failures[0]
    return results[0]


def _failure(error: BaseException | None) -> BaseException | None:
    """Return what failed: an error itself, and of a cancellation its cause."""
    return error if error is None or isinstance(error, Exception) else error.__cause__


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Do blocking work in a thread of our own, and wait for its end even if there is a cancellation meanwhile.

    `anyio.to_thread.run_sync` leaves the thread to itself where asyncio cancels the task. But a clean-up must
    not close what a thread still reads from or writes to.

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
    return await outlast(THREADS.submit(copy_context().run, work, *arguments))


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


async def imported(*names: str) -> None:
    """Import modules in a thread, so that the loop goes on meanwhile: what is heavy takes tenths of a second.

    Raises:
        ConfigurationError: If no event loop of asyncio is running here.

    Example:
        >>> anyio.run(imported, "json")
    """
    event_loop()
    # anyio itself imports the first of these when it is first used. Until then, only asyncio may be.
    for name in ("anyio._backends._asyncio", *names):
        if name not in _imported:
            await asyncio.wrap_future(THREADS.submit(import_module, name))
            # Only now: a statement would wait for an import that is still going on in a thread, and hold the loop.
            _imported.add(name)
