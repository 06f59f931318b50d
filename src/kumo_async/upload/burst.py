"""Calls that must not stop halfway, and must not go on for ever either."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import anyio

from ..errors import KumoError
from ..loop import is_ours, start
from ..service.patience import Patience
from ..service.session import Session
from ..shield import outlast, to_the_end

__all__ = ["apart", "in_a_burst", "in_time"]

logger = logging.getLogger("kumo_async")

T = TypeVar("T")

#: Seconds without any progress that are given when somebody waits for the end: enough for one slow complete.
_HURRIED = 30.0


async def apart(session: Session, table: str, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do work that changes a table on the loop of our own, with a session there, and wait for its end.

    The loop that asks for it may cancel all its tasks, stop, or be closed. Nothing of that reaches the work, which a
    thread of ours does whose end the interpreter waits for. A re-arming shield on the same loop would not do: the
    requests of aiohttp have tasks of their own, which are cancelled as well, and a loop that is closed ends everything.
    It costs a thread and a connection, unless the call is a blocking one: that runs there from its beginning.

    A cancellation of the waiting task cancels the work, which `in_a_burst` can put off.

    Args:
        session: The session on the loop that asks.
        table: The table that is changed.
        work: What is to be done with the session that it is given.

    Raises:
        CancelledError: If it was cancelled meanwhile. Its cause is what the work raised.
    """
    if is_ours():
        return await work(session)

    async def there() -> T:
        stack = AsyncExitStack()
        own = await stack.enter_async_context(session.reopen())
        try:
            return await work(own)
        finally:
            # Else a cancellation that is on its way, with its cause, would make place for one without.
            with anyio.CancelScope(shield=True):
                await stack.aclose()

    call = start(there)
    call.future.add_done_callback(partial(_log_if_unheard, asyncio.get_running_loop(), table))
    try:
        return await outlast(call.future, call.cancel)
    except asyncio.CancelledError:
        # Otherwise the cancellation came in time, and `in_a_burst` has logged what became of the work.
        error = call.future.exception()
        if error is None or isinstance(error, KumoError):
            _log_cancelled(table, error)
        raise


def _log_cancelled(table: str, error: KumoError | None) -> None:
    """Log what became of work that was cancelled: the caller may well not look at what the cancellation brings."""
    if error is None:
        logger.warning("Table %r was being changed when that was cancelled; the change was finished first.", table)
    else:
        logger.warning("Table %r was being changed when that was cancelled: %s", table, error)


def _log_if_unheard(loop: asyncio.AbstractEventLoop, table: str, future: Future[T]) -> None:
    if loop.is_closed():
        outcome = future.exception() or "it was done."
        logger.warning("Table %r was being changed when the event loop that waited was closed: %s", table, outcome)


def in_time(session: Session, seconds: float) -> Session:
    """Return the same session, whose calls are given up when none makes progress for so many seconds."""
    return session.within(Patience(seconds))


async def in_a_burst(session: Session, table: str, seconds: float, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do what changes a table to its end, with a session whose calls are given up when none gets any further.

    Use it in work that is done `apart`: on that loop a shield of anyio is enough.

    Args:
        session: The session.
        table: The table that is changed.
        seconds: How long nothing may get any further; half a minute at the most from a cancellation on.
        work: What is to be done with the session that it is given.

    Raises:
        CancelledError: If it was cancelled meanwhile. Its cause is what the work raised. The log has what became of it.
    """
    patience = Patience(seconds)

    async def done() -> T:
        try:
            result = await work(session.within(patience))
        except KumoError as error:
            if patience.hurried:
                _log_cancelled(table, error)
            raise
        if patience.hurried:
            _log_cancelled(table, None)
        return result

    return await to_the_end(done, partial(patience.hurry, _HURRIED))
