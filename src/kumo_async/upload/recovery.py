"""What is done about uploads whose process died."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from ..errors import KumoError, UploadError
from ..events import Notify
from ..options import UploadOptions
from ..report import UnfinishedUpload
from ..service.messages import file_type_of
from ..service.session import Session
from .burst import apart
from .changing import changing, transfer_apart
from .journal import Head, Phase, table_key
from .journal_files import Unfinished, is_expired
from .journaling import Journal, Journals
from .limits import Limits
from .replace import remove_table
from .rolling import Outcome, is_superseded, roll_forward, take_back
from .transfer import Transfer

__all__ = ["delete_table", "describe", "finish_interrupted", "recover"]

logger = logging.getLogger("kumo_async")

#: The last day that has a date in every time zone, 9999-12-30. A journal may be dated later, and counts all the same.
_LATEST = 253_402_128_000

_CHANGED = "its source has changed or is gone, so it cannot be resumed; discard it"


async def finish_interrupted(transfer: Transfer, journals: Journals, head: Head) -> Journal | None:
    """Finish, before an upload, the commits of its table that were interrupted.

    Old ones are left: the upload replaces what they have made visible. So are those that cannot be finished.

    Returns:
        The journal of the same upload, if its commit was finished: then all is done.
    """
    return await transfer_apart(transfer, lambda there: _finish_interrupted(there, journals, head))


async def _finish_interrupted(transfer: Transfer, journals: Journals, head: Head) -> Journal | None:
    same: Journal | None = None
    async with changing(transfer.limits, journals, head.endpoint, head.connector, head.table):
        for found in await journals.interrupted(head.table_key):
            if is_expired(found.state):
                continue
            try:
                journal = await journals.take(found.path)
                if journal is None:
                    continue
                with closing(journal):
                    outcome = await roll_forward(transfer, journal)
            except KumoError as error:
                logger.warning("Table %r: an interrupted commit could not be finished: %s", head.table, error)
                continue
            logger.info("Table %r: an interrupted commit was %s", head.table, outcome.value)
            if outcome is Outcome.FINISHED and journal.state.head == head:
                same = journal
    return same


def describe(found: Unfinished) -> UnfinishedUpload:
    """Return an unfinished upload as users see it."""
    head, stored = found.state.head, found.state.stored.values()
    state = _state_of(found)
    return UnfinishedUpload(
        table=head.table,
        file_type=file_type_of(head.connector),
        endpoint=head.endpoint,
        path=head.path,
        started=datetime.fromtimestamp(min(max(head.created, 0), _LATEST), UTC),
        state=state,
        partitions=len(stored),
        bytes=sum(each.receipt.size for each in stored),
        problem=None if state != "sending" or found.same_source else _CHANGED,
    )


def _state_of(found: Unfinished) -> Literal["sending", "committing", "running"]:
    if found.running:
        return "running"
    return "sending" if found.state.phase is Phase.SENDING else "committing"


async def recover(
    session: Session, limits: Limits, journals: Journals, found: Unfinished, notify: Notify, *, discard: bool
) -> UnfinishedUpload:
    """Finish the commit of an upload whose process died, or discard the upload, and say what became of it.

    One that runs is left alone, and without `discard` also one whose commit has not begun: the same call resumes it.
    """
    seen, head = describe(found), found.state.head
    if seen.state == "running" or (seen.state == "sending" and not discard):
        return seen
    transfer = Transfer(session, limits, UploadOptions(), notify, head.table, head.connector)

    async def work(there: Transfer) -> UnfinishedUpload:
        async with changing(limits, journals, head.endpoint, head.connector, head.table):
            journal = await _take(journals, found)
            if journal is None:
                return replace(seen, outcome="superseded")
            with closing(journal):
                if discard:
                    return replace(seen, outcome=await _discard(there, journal))
                return replace(seen, outcome=(await roll_forward(there, journal)).value)

    try:
        return await transfer_apart(transfer, work)
    except KumoError as error:
        return replace(seen, outcome="failed", problem=str(error))


async def _take(journals: Journals, found: Unfinished) -> Journal | None:
    """Lock a journal, unless another commit has replaced it or a call has taken it meanwhile."""
    journal = await journals.take(found.path)
    if journal is None or journal.state.phase is Phase.SENDING:
        return journal
    head = found.state.head
    if any(each.state.head.id == head.id for each in await journals.interrupted(head.table_key)):
        return journal
    await journal.finish()
    return None


async def _discard(transfer: Transfer, journal: Journal) -> Literal["discarded", "superseded"]:
    table = transfer.table
    if await is_superseded(transfer, journal):
        await journal.finish()
        return "superseded"
    if journal.state.phase is Phase.BEGUN:
        raise UploadError(
            f"The upload of table {table!r} died while it deleted the old table, some of which may still be there. "
            f"Finish it, which means to run this without discarding; or delete the table, or upload it again.",
            table=table,
        )
    if journal.state.phase is not Phase.SENDING:
        await take_back(transfer, journal)
    await journal.finish()
    return "discarded"


async def delete_table(session: Session, limits: Limits, endpoint: str, connector: str, table: str) -> bool:
    """Delete a table, and forget commits of it that were interrupted; return whether there was one.

    They are forgotten first, or else the next upload would finish them after all. A service that cannot be asked leaves
    them as they are.

    Raises:
        ServiceError: If the service refuses, or the table is still there afterwards.
        UploadError: If such a commit cannot be forgotten; the table is as it was.
    """

    async def work(session: Session) -> bool:
        journals = await Journals.open(None)
        key = table_key(endpoint, connector, table)
        async with changing(limits, journals, endpoint, connector, table):
            if await journals.interrupted(key):
                await session.control.shows_table(connector, table)
                await journals.forget(key, table)
            return await remove_table(session, connector, table, file_type_of(connector))

    return await apart(session, table, work)
