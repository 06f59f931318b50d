"""Phase two: the table becomes visible, in one short burst, or it does not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.lowlevel

from ..errors import ServiceError, UploadError
from ..events import CommitStarted
from ..service.control import MAY_MEAN_NOT_THERE
from ..service.messages import CompleteUpload, file_type_of
from .burst import in_time
from .changing import changing, in_one_burst, transfer_apart
from .deletions import Deletions, is_lost
from .journal import Cleared, Completed, Phase, Undoing, Undone
from .journaling import Journal, Journals
from .replace import HalfRemovedError, remove_known_table
from .transfer import Receipt, Transfer

__all__ = ["ForgottenError", "commit", "make_visible", "undo"]

logger = logging.getLogger("kumo_async")

T = TypeVar("T")

#: How many completes, or deletes, are under way at once.
_BURST = 16

_HIT_LATE = "a deletion of the old table, whose answer was lost, took effect late and hit it."
_UNCERTAIN = (
    "The answer to a deletion of the old table was lost, and it was not seen to take effect: it may still do so, on "
    "the new table. Look with has_table() in a while, and upload the table again if it is gone."
)
_DELETED = "it was deleted after the process that died had completed it."


class ForgottenError(Exception):
    """The service no longer knows uploads that were stored. Nothing is visible, and they must be sent again."""


@dataclass(frozen=True)
class _Failure:
    """An object that was not completed.

    Attributes:
        name: Its name.
        error: Why.
        forgotten: Whether that is because the service no longer knows its upload.
        open: Whether it may still become visible, since an answer was lost.
    """

    name: str
    error: ServiceError
    forgotten: bool = False
    open: bool = False


async def commit(transfer: Transfer, journals: Journals, journal: Journal, partitions: int) -> None:
    """Replace the table by the stored partitions.

    It is noted in the journal, the old table is deleted and every object completed. What cannot be completed is rolled
    back as a whole: half a table that is read as a whole one is worse than none. Once begun, a commit is not cancelled:
    it takes a moment, and a request that the service has already got cannot be called back. What bounds it is the time
    without progress, `UploadOptions.commit_timeout`, and half a minute of it once it is cancelled; the same bounds hold
    for rolling back. Before that, while it waits for its turn or asks for the old table, a cancellation takes effect
    at once. On one machine, tables are committed one after the other, so that the last one wins whole.

    Raises:
        UploadError: If it could not be finished; says what is visible now.
        ServiceError: If the old table could not be deleted; nothing of the new one is visible.
        ForgottenError: If some partitions have to be sent again.
        CancelledError: If it was cancelled meanwhile. Its cause is what would have been raised else, which is logged.
    """
    endpoint = journal.state.head.endpoint

    async def work(there: Transfer) -> None:
        async with changing(there.limits, journals, endpoint, there.connector, there.table):
            control = in_time(there.session, there.options.commit_timeout).control
            old = await control.shows_table(there.connector, there.table)
            await anyio.lowlevel.checkpoint_if_cancelled()
            there.notify(CommitStarted(table=there.table, partitions=partitions))
            await in_one_burst(there, lambda bounded: _commit(bounded, journal, partitions, old=old))

    try:
        await transfer_apart(transfer, work)
    except OSError as error:
        raise _without_system(transfer.table, journal, error) from error


def _without_system(table: str, journal: Journal, error: OSError) -> UploadError:
    """Return the error for a commit that the system gives no file or socket for."""
    unchanged = journal.state.phase is Phase.SENDING
    state = "The table is as it was before." if unchanged else "Look with has_table() whether it is there."
    return UploadError(
        f"Table {table!r} could not be committed: {error.strerror or error}. {state} Upload it again when the system "
        f"has what is missing (ulimit -n is the limit of open files).",
        table=table,
    )


async def _commit(transfer: Transfer, journal: Journal, partitions: int, *, old: bool) -> None:
    control, connector = transfer.session.control, transfer.connector
    transfer.tally.committing = True
    await journal.begin(partitions, clear=not old)
    doubtful = False
    if old:
        try:
            doubtful = await remove_known_table(control, connector, transfer.table, file_type_of(connector))
        except HalfRemovedError:
            # Only finishing the commit mends that, so it stays begun.
            raise
        except ServiceError:
            await journal.note(Undone())
            raise
        await journal.note(Cleared(), sync=True)
    await make_visible(transfer, journal, doubtful=doubtful)


async def make_visible(transfer: Transfer, journal: Journal, *, doubtful: bool, taken_over: bool = False) -> None:
    """Complete every object that is not yet, or take all back.

    Args:
        transfer: The table's, bounded as by `in_one_burst`.
        journal: What was done so far.
        doubtful: Whether a deletion of the old table may take effect late.
        taken_over: Whether a process that died may have completed objects, and not have lived to note it.

    Raises:
        UploadError: If it could not be finished; says what is visible now.
        ForgottenError: If some partitions have to be sent again.
    """
    state = journal.state
    pending = [receipt for receipt in state.receipts if receipt.name not in state.completed]
    # What was stored long ago may be gone, so it is tried first, while little or nothing is visible.
    failures = await _complete_all(transfer, journal, [r for r in pending if r.name in journal.resumed])
    if not failures:
        failures = await _complete_all(transfer, journal, [r for r in pending if r.name not in journal.resumed])
    if (doubtful or taken_over) and not failures:
        failures = await _hit(transfer, journal, taken_over)
    if not failures:
        if doubtful:
            transfer.tally.warnings.append(_UNCERTAIN)
        await journal.finish()
        return
    # A single object that was completed is no failure, so that none is missing here.
    tried = state.names if taken_over else [*state.completed, *(failure.name for failure in failures)]
    try:
        await journal.note(_undoing(tried), sync=True)
    except UploadError as error:
        raise UploadError(f"{failures[0].error} {error}", table=transfer.table) from failures[0].error
    left = await _take_back(transfer, journal)
    if left or not all(failure.forgotten for failure in failures):
        raise _failure(transfer, journal, failures, left) from failures[0].error
    raise ForgottenError(f"{failures[0].name}: {failures[0].error}")


def _undoing(tried: Iterable[str]) -> Undoing:
    """Return the record that a commit is taken back: what may have been completed must be sent anew.

    Its object is about to be deleted, and S3 answers a second completion as if that of the first were still there:
    https://github.com/minio/minio/issues/13318
    """
    return Undoing(void=tuple(sorted(set(tried))))


async def _hit(transfer: Transfer, journal: Journal, taken_over: bool) -> list[_Failure]:
    """Return what is already gone again of what was made visible; nothing where the service does not tell."""
    control, connector = transfer.session.control, transfer.connector
    why = _DELETED if taken_over else _HIT_LATE
    try:
        there = {name: await control.has_table(connector, name) for name in journal.state.names}
        if any(there.values()) or not await control.has_table(connector, transfer.table):
            gone = [name for name, shown in there.items() if not shown]
            return [_Failure(name, ServiceError(why), forgotten=taken_over) for name in gone]
    except ServiceError as error:
        logger.warning("Table %r: whether a deletion has hit it is not known: %s", transfer.table, error)
    return []


async def _complete_all(transfer: Transfer, journal: Journal, receipts: Sequence[Receipt]) -> list[_Failure]:
    """Complete every object. After a failure no more are begun, unless it is that an upload is forgotten."""
    burst = anyio.CapacityLimiter(_BURST)
    failures: list[_Failure] = []

    async def one(receipt: Receipt) -> None:
        async with burst:
            if not all(failure.forgotten for failure in failures):
                return
            # Not raised: that would cancel requests which the service may carry out all the same.
            if (failure := await _complete(transfer, receipt, receipt.name in journal.resumed)) is not None:
                failures.append(failure)
            elif journal.state.partitions > 1:
                await journal.note(Completed(name=receipt.name))

    async with anyio.create_task_group() as group:
        for receipt in receipts:
            group.start_soon(one, receipt)
    return failures


async def _complete(transfer: Transfer, receipt: Receipt, resumed: bool) -> _Failure | None:
    request = CompleteUpload(
        source_table_name=receipt.name,
        connector_id=transfer.connector,
        temp_upload_path=receipt.temp_upload_path,
        upload_id=receipt.upload_id,
        parts_metadata=receipt.parts,
    )
    retries = transfer.retries("complete", receipt.name)
    try:
        await transfer.session.control.complete_upload(request, transfer.options.max_attempts, retries)
    except ServiceError as error:
        return await _asked(transfer, receipt.name, error, resumed)
    return None


async def _asked(transfer: Transfer, name: str, error: ServiceError, resumed: bool) -> _Failure | None:
    """Return what the failure of a complete means.

    A lost answer, or "not found", which is what comes after one, says nothing about the object: only asking does. Nor
    does a refusal of what an earlier run has stored and may have completed: it can be of a second completion. The old
    object was deleted before, so one that is there now is the new one.
    """
    forgotten = error.status == 404 or "NoSuchUpload" in f"{error.code} {error}"
    forgotten |= resumed and error.status in MAY_MEAN_NOT_THERE
    lost = is_lost(error)
    if not forgotten and not lost:
        return _Failure(name, error)
    # Where the answer was waited for until patience was at its end, asking needs some of its own.
    transfer.session.control.patience.renew()
    try:
        there = await transfer.session.control.has_table(transfer.connector, name)
    except ServiceError:
        return _Failure(name, error, open=True)
    return None if there else _Failure(name, error, forgotten, open=lost and not forgotten)


async def undo(transfer: Transfer, journal: Journal) -> None:
    """Delete what an interrupted commit has made visible.

    Raises:
        UploadError: If some of it may still be visible.
    """
    if journal.state.phase is Phase.CLEARED:
        await journal.note(_undoing(journal.state.names), sync=True)
    if left := await _take_back(transfer, journal):
        raise UploadError(f"Table {transfer.table!r} is there in part. {_left(journal, left)}", table=transfer.table)


async def _take_back(transfer: Transfer, journal: Journal) -> list[str]:
    """Delete whatever of the new table is visible; return the names of the objects that may still be."""
    transfer.session.control.patience.renew()
    left, doubted = await _delete_all(transfer, journal.state.names)
    if left:
        left, again = await _delete_all(transfer, left)
        doubted += again
    if doubted and await _still_shows(transfer):
        # The service knows tables and not their partitions, so that it could not tell whether these are there.
        left += doubted
    if not left:
        await journal.note(Undone())
    return sorted(left)


async def _delete_all(transfer: Transfer, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Delete objects; return those that could not be deleted, and those that are refused and not known either."""
    burst = anyio.CapacityLimiter(_BURST)
    deletions = Deletions(transfer.session.control, transfer.connector)
    left: list[str] = []
    doubted: list[str] = []

    async def one(name: str) -> None:
        async with burst:
            try:
                if not await deletions.delete_if_there(name):
                    doubted.append(name)
            except ServiceError as error:
                logger.warning("Object %s could not be taken back: %s", name, error)
                left.append(name)

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(one, name)
    return left, doubted


async def _still_shows(transfer: Transfer) -> bool:
    try:
        return await transfer.session.control.shows_table(transfer.connector, transfer.table)
    except ServiceError:
        return True


def _failure(transfer: Transfer, journal: Journal, failures: Sequence[_Failure], left: list[str]) -> UploadError:
    error = failures[0].error
    if left:
        state = _left(journal, left)
    elif any(_may_come(failure) for failure in failures):
        state = (
            "No table of that name is there now, since what had become visible was deleted again; but a request whose "
            "answer was lost may still take effect: look with has_table() before you upload it again."
        )
    else:
        state = "No table of that name is there now; upload it again."
    return UploadError(
        f"Table {transfer.table!r} could not be committed: {error} {state}",
        table=transfer.table,
        status=error.status,
        code=error.code,
        attempts=error.attempts,
    )


def _may_come(failure: _Failure) -> bool:
    """Return whether a request may still take effect. 503 says that it was not taken on."""
    status = failure.error.status
    return status is None or (failure.open and status != 503)


def _left(journal: Journal, names: Sequence[str]) -> str:
    recover = ", and `kumo-async recover`" if journal.problem is None else ""
    return (
        f"These objects may be visible and must be deleted: {', '.join(names)}. Another upload of the table from this "
        f"machine does that{recover}."
    )
