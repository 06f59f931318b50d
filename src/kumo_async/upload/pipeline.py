"""One upload from its source to its report: how much is under way at once, and in which order."""

from __future__ import annotations

import os
import time
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from ..errors import SourceError, UploadError, no_groups
from ..events import Notify, UploadCommitted, UploadFailed, UploadStarted
from ..options import UploadOptions
from ..report import PartitionReport, UploadPlan, UploadReport
from ..service.messages import connector_id
from ..service.session import Session
from ..sources import Source, open_source
from ..sources.files import Partition
from .commit import commit
from .limits import Limits
from .plan import partition_name, partition_size, size_warnings
from .transfer import Receipt, Transfer

__all__ = ["UploadRequest", "upload"]


@dataclass(frozen=True, kw_only=True)
class UploadRequest:
    """What the user asked for, checked as far as it can be without looking at the file."""

    table: str
    path: str | os.PathLike[str]
    file_type: str
    auto_partition: bool
    partition_size_mb: int
    options: UploadOptions


async def upload(session: Session, limits: Limits, request: UploadRequest, notify: Notify) -> UploadReport:
    """Upload one file as one table and report what was done.

    Raises:
        KumoError: See `FileUploadConnector.upload`.
    """
    begin = time.monotonic()
    try:
        async with limits.joined() as user, open_source(request.path, request.file_type, request.options) as source:
            report = await _upload(session, limits, user, request, source, notify, begin)
    except BaseException as error:
        notify(UploadFailed(table=request.table, error=error))
        raise
    notify(UploadCommitted(table=request.table, report=report))
    return report


async def _upload(
    session: Session, limits: Limits, user: object, request: UploadRequest, source: Source, notify: Notify, begin: float
) -> UploadReport:
    plan = plan_upload(request, source)
    notify(UploadStarted(table=request.table, plan=plan))
    connector = connector_id(request.file_type)
    transfer = Transfer(session, limits, request.options, notify, request.table, connector, user)
    try:
        receipts = await _send_all(transfer, request.file_type, source, plan.partition_size)
    except UploadError:
        # Bytes that do not arrive as they were sent may be bytes that somebody is writing.
        await source.file.check_unchanged()
        raise
    await source.file.check_unchanged()
    await commit(transfer, request.file_type, receipts)
    # What a compressed file holds is known only now.
    sent = sum(receipt.size for receipt in receipts)
    return UploadReport(
        table=request.table,
        file_type=request.file_type,
        partitions=tuple(PartitionReport(name=r.name, size=r.size, rows=r.rows) for r in receipts),
        seconds=time.monotonic() - begin,
        parts=sum(len(receipt.parts) for receipt in receipts),
        unverified_parts=sum(receipt.unverified for receipt in receipts),
        dialect=plan.dialect,
        renamed_columns=plan.renamed_columns,
        warnings=(*source.warnings, *size_warnings(sent, request.file_type, plan.partition_size)),
    )


def plan_upload(request: UploadRequest, source: Source) -> UploadPlan:
    """Return what will be sent.

    Raises:
        SourceError: If the source is over the threshold and must not be partitioned.
    """
    size = source.size
    target = partition_size(
        size,
        request.file_type,
        auto_partition=request.auto_partition,
        partition_size_mb=request.partition_size_mb,
        options=request.options,
    )
    return UploadPlan(
        table=request.table,
        file_type=request.file_type,
        path=source.file.path,
        size=source.file.size,
        columns=source.columns,
        partition_size=target,
        rows=source.rows,
        dialect=source.dialect,
        renamed_columns=source.renamed,
        warnings=(*source.warnings, *size_warnings(size, request.file_type, target)),
    )


async def _send_all(transfer: Transfer, file_type: str, source: Source, size: int | None) -> list[Receipt]:
    """Store all partitions; the next one is planned while those before it are being sent."""
    receipts: dict[int, Receipt] = {}

    async def send(number: int, partition: Partition) -> None:
        try:
            name = partition_name(transfer.table, file_type, None if size is None else number)
            receipts[number] = await transfer.send(name, partition)
        finally:
            transfer.limits.partitions.release(transfer.user)

    with no_groups():
        async with aclosing(source.partitions(size)) as partitions, anyio.create_task_group() as group:
            number = 0
            async for partition in partitions:
                number += 1
                await transfer.limits.partitions.acquire(transfer.partitions_at_once(partition), transfer.user)
                group.start_soon(send, number, partition)
    if not receipts:
        raise SourceError(f"{source.file.path} has no rows; a table needs at least one.", path=source.file.path)
    return [receipts[number] for number in sorted(receipts)]
