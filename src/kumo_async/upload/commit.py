"""Phase two: the table becomes visible, in one short burst, or it does not."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio

from ..errors import KumoError, ServiceError, UploadError
from ..events import CommitStarted
from ..service.messages import CompleteUpload
from ..shield import to_the_end
from .replace import remove_table
from .transfer import Receipt, Transfer

__all__ = ["commit"]

logger = logging.getLogger("kumo_async")

#: How many completes are under way at once.
_BURST = 16


async def commit(transfer: Transfer, file_type: str, receipts: Sequence[Receipt]) -> None:
    """Replace the table by the stored partitions.

    The old table is deleted and every object completed. What cannot be completed is taken back as a whole: half a table
    that is read as a whole one is worse than none. Once begun, a commit is not cancelled: it takes a moment, and a
    request that the service has already got cannot be called back. Uploads of one client commit one table one after the
    other, so that the last one wins whole.

    Raises:
        UploadError: If it could not be finished; says what is visible now.
        ServiceError: If the old table could not be deleted; nothing of the new one is visible.
    """
    async with transfer.limits.table(transfer.connector, transfer.table):
        transfer.notify(CommitStarted(table=transfer.table, partitions=len(receipts)))
        await to_the_end(lambda: _commit(transfer, file_type, receipts))


async def _commit(transfer: Transfer, file_type: str, receipts: Sequence[Receipt]) -> None:
    await remove_table(transfer.session.control, transfer.connector, transfer.table, file_type)
    failures = await _complete_all(transfer, receipts)
    if failures:
        raise _failure(transfer, failures, await _take_back(transfer, receipts)) from failures[0]


async def _complete_all(transfer: Transfer, receipts: Sequence[Receipt]) -> list[KumoError]:
    """Complete every object; after a failure no more are begun. Return the failures."""
    burst = anyio.CapacityLimiter(_BURST)
    failures: list[KumoError] = []

    async def one(receipt: Receipt) -> None:
        async with burst:
            if failures:
                return
            try:
                await _complete(transfer, receipt)
            except KumoError as error:
                # Not raised: that would cancel requests which the service may carry out all the same.
                failures.append(error)

    async with anyio.create_task_group() as group:
        for receipt in receipts:
            group.start_soon(one, receipt)
    return failures


async def _complete(transfer: Transfer, receipt: Receipt) -> None:
    request = CompleteUpload(
        source_table_name=receipt.name,
        connector_id=transfer.connector,
        temp_upload_path=receipt.temp_upload_path,
        upload_id=receipt.upload_id,
        parts_metadata=receipt.parts,
    )
    control = transfer.session.control
    try:
        await control.complete_upload(
            request, transfer.options.max_attempts, transfer.retries("complete", receipt.name)
        )
    except ServiceError as error:
        # A lost answer, or "not found" after one, says nothing about the object: only asking does. The old object was
        # deleted before, so one that is there now is the new one.
        ambiguous = error.status in (None, 404, 408) or error.status >= 500
        if not ambiguous or not await control.has_table(transfer.connector, receipt.name):
            raise


async def _take_back(transfer: Transfer, receipts: Sequence[Receipt]) -> list[str]:
    """Delete whatever of the new table is visible; return the names of the objects that may still be."""
    left = []
    for receipt in receipts:
        try:
            await transfer.session.control.delete_object(transfer.connector, receipt.name)
        except ServiceError as error:
            logger.warning("Object %s could not be taken back: %s", receipt.name, error)
            left.append(receipt.name)
    return left


def _failure(transfer: Transfer, failures: Sequence[KumoError], left: list[str]) -> UploadError:
    error = failures[0]
    if left:
        state = f"These objects may be visible and must be deleted: {', '.join(left)}."
    elif any(failure.status is None for failure in failures):
        state = (
            "What had become visible was deleted again, but a request whose answer was lost may still take effect: "
            "look with has_table() before you upload it again."
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
