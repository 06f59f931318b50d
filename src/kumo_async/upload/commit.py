"""Phase two: the table becomes visible, in one short burst, or it does not."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio

from ..errors import KumoError, ServiceError, UploadError, no_groups
from ..events import CommitStarted
from ..service.messages import CompleteUpload
from .replace import remove_table
from .transfer import Receipt, Transfer

__all__ = ["commit"]

logger = logging.getLogger("kumo_async")

#: How many completes are under way at once.
_BURST = 16

#: Seconds that taking back an unfinished commit may last, also after a cancellation.
_TAKE_BACK_SECONDS = 60.0


async def commit(transfer: Transfer, file_type: str, receipts: Sequence[Receipt]) -> None:
    """Replace the table by the stored partitions.

    The old table is deleted and every object completed. What cannot be completed is taken back as a whole: half a table
    that is read as a whole one is worse than none.

    Raises:
        UploadError: If it could not be finished; says what is visible now.
        ServiceError: If the old table could not be deleted; nothing of the new one is visible.
    """
    transfer.notify(CommitStarted(table=transfer.table, partitions=len(receipts)))
    await remove_table(transfer.session.control, transfer.connector, transfer.table, file_type)
    try:
        await _complete_all(transfer, receipts)
    except KumoError as error:
        raise _failure(transfer, error, await _take_back(transfer, receipts)) from error
    except BaseException:
        await _take_back(transfer, receipts)
        raise


async def _complete_all(transfer: Transfer, receipts: Sequence[Receipt]) -> None:
    burst = anyio.CapacityLimiter(_BURST)

    async def one(receipt: Receipt) -> None:
        async with burst:
            await _complete(transfer, receipt)

    with no_groups():
        async with anyio.create_task_group() as group:
            for receipt in receipts:
                group.start_soon(one, receipt)


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
    left = [receipt.name for receipt in receipts]
    with anyio.move_on_after(_TAKE_BACK_SECONDS, shield=True):
        for receipt in receipts:
            try:
                await transfer.session.control.delete_object(transfer.connector, receipt.name)
            except ServiceError as error:
                logger.warning("Object %s could not be taken back: %s", receipt.name, error)
            else:
                left.remove(receipt.name)
    return left


def _failure(transfer: Transfer, error: KumoError, left: list[str]) -> UploadError:
    if left:
        state = f"These objects may be visible and must be deleted: {', '.join(left)}."
    else:
        state = "No table of that name is there now; upload it again."
    return UploadError(
        f"Table {transfer.table!r} could not be committed: {error} {state}",
        table=transfer.table,
        status=error.status,
        code=error.code,
        attempts=error.attempts,
    )
