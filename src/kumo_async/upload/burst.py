"""Calls that must not stop halfway, and must not go on for ever either."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from ..errors import KumoError
from ..service.patience import Patience
from ..service.session import Session
from ..shield import to_the_end

__all__ = ["in_a_burst"]

logger = logging.getLogger("kumo_async")

T = TypeVar("T")

#: Seconds without any progress that are given when somebody waits for the end: enough for one slow complete.
_HURRIED = 30.0


async def in_a_burst(session: Session, table: str, seconds: float, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do what changes a table to its end, with a session whose calls are given up when none gets any further.

    Args:
        session: The session.
        table: The table that is changed.
        seconds: How long nothing may get any further; half a minute at the most from a cancellation on.
        work: What is to be done with the session that it is given.

    Raises:
        CancelledError: If it was cancelled meanwhile. Its cause is what the work raised, which is logged, too.
    """
    patience = Patience(seconds)

    async def done() -> T:
        try:
            return await work(session.within(patience))
        except KumoError as error:
            if patience.hurried:
                # Whoever has cancelled it may well not look at what the cancellation brings.
                logger.warning("Table %r was being changed when that was cancelled: %s", table, error)
            raise

    return await to_the_end(done, partial(patience.hurry, _HURRIED))
