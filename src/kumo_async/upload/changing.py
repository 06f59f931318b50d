"""Where and how a table is changed: by one at a time, on the loop of our own, and to the end once it has begun."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from ..events import handed_over
from ..service.session import Session
from .burst import apart, in_a_burst
from .journal import table_key
from .journaling import Journals
from .limits import Limits
from .transfer import Transfer

__all__ = ["changing", "in_one_burst", "transfer_apart"]

T = TypeVar("T")


@asynccontextmanager
async def changing(
    limits: Limits, journals: Journals, endpoint: str, connector: str, table: str
) -> AsyncIterator[None]:
    """Be the only one who changes a table: in this client, and among this user's processes on this machine.

    It is entered on the loop of our own (`apart`), so that a loop that is held, or has ended, holds no table.
    """
    async with limits.table(connector, table), journals.table(table_key(endpoint, connector, table)):
        yield


async def transfer_apart(transfer: Transfer, work: Callable[[Transfer], Awaitable[T]]) -> T:
    """Do what may change the table where no cancellation but ours reaches it; see `apart`."""
    notify = handed_over(transfer.notify)

    async def there(session: Session) -> T:
        return await work(
            transfer if session is transfer.session else replace(transfer, session=session, notify=notify)
        )

    return await apart(transfer.session, transfer.table, there)


async def in_one_burst(transfer: Transfer, work: Callable[[Transfer], Awaitable[T]]) -> T:
    """Do what changes the table to its end, within `UploadOptions.commit_timeout`; see `in_a_burst`."""

    async def bounded(session: Session) -> T:
        return await work(replace(transfer, session=session))

    return await in_a_burst(transfer.session, transfer.table, transfer.options.commit_timeout, bounded)
