"""One upload from its source to its report: how much is under way at once, and in which order."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio

from ..checks import check_bool
from ..errors import ConfigurationError, KumoError, SourceChangedError, UploadError, hide_foreign, no_groups
from ..events import Notify, PartitionResumed, RetryScheduled, UploadCommitted, UploadFailed, UploadStarted
from ..formats.names import check_table_name
from ..options import UploadOptions, check_partition_size_mb
from ..report import PartitionReport, UploadPlan, UploadReport
from ..service.messages import connector_id
from ..service.session import Session
from ..shield import to_the_end
from ..sources import Source, open_source
from ..sources.files import Partition
from .commit import ForgottenError, commit
from .journal import Stored
from .journal_head import fingerprint, head_of
from .journaling import Journal, Journals
from .limits import Limits
from .plan import partition_name, partition_size, size_warnings
from .recovery import finish_interrupted
from .transfer import Transfer

__all__ = ["UploadRequest", "look", "upload"]

logger = logging.getLogger("kumo_async")

#: How often a table is sent and committed at the most, if the service forgets what it has stored.
MOST_ROUNDS = 3


@dataclass(frozen=True)
class UploadRequest:
    """What the user asked for, checked as far as it can be without looking at the file.

    Attributes:
        endpoint: The service that the table goes to; nothing where the file is only looked at.

    Raises:
        ConfigurationError: If the table's name, the size or the options cannot be used.
    """

    table: str
    path: str | os.PathLike[str]
    file_type: str
    auto_partition: bool
    partition_size_mb: int
    options: UploadOptions
    endpoint: str = ""

    def __post_init__(self) -> None:
        check_table_name(self.table)
        check_bool("auto_partition", self.auto_partition)
        check_partition_size_mb(self.partition_size_mb)
        if not isinstance(self.options, UploadOptions):
            given = type(self.options).__name__
            raise ConfigurationError(f"options must be an UploadOptions; got {given}.", table=self.table)


async def upload(session: Session, limits: Limits, request: UploadRequest, notify: Notify) -> UploadReport:
    """Upload one file as one table and report what was done.

    Raises:
        KumoError: See `FileUploadConnector.upload`.
    """
    connector, outside = connector_id(request.file_type), sys.exception()
    try:
        async with limits.joined() as user:
            transfer = Transfer(session, limits, request.options, notify, request.table, connector, user)
            report = await _rounds(transfer, request, time.monotonic())
    except BaseException as error:
        hide_foreign(error, outside)
        notify(UploadFailed(table=request.table, error=error))
        raise
    notify(UploadCommitted(table=request.table, report=report))
    return report


async def look(request: UploadRequest) -> UploadPlan:
    """Look at one file, and return what would be sent, with a sample of it.

    Raises:
        KumoError: See `FileUploadConnector.plan`.
    """
    async with open_source(request.path, request.file_type, request.options) as source:
        return replace(plan_upload(request, source), sample=source.sample)


async def _rounds(transfer: Transfer, request: UploadRequest, begin: float) -> UploadReport:
    """Upload the table; once more where the service turns out, in the commit, to have forgotten what was stored."""
    for number in range(1, MOST_ROUNDS + 1):
        transfer.tally.committing = False
        try:
            return await _round(transfer, request, begin, again=number > 1)
        except ForgottenError as forgotten:
            last = forgotten
            transfer.notify(RetryScheduled(table=request.table, call="commit", attempt=number, reason=str(last)))
        except KumoError as error:
            if number == 1 or transfer.tally.committing:
                raise
            raise _unfinished(request.table, f"sending them again failed: {error}") from error
        except anyio.get_cancelled_exc_class() as cancelled:
            sending = number > 1 and not transfer.tally.committing and cancelled.__cause__ is None
            if sending or isinstance(cancelled.__cause__, ForgottenError):
                cancelled.__cause__ = _unfinished(request.table, "sending them again was cancelled.")
                logger.warning("%s", cancelled.__cause__)
            raise
    raise _unfinished(request.table, f"so it was in each of {MOST_ROUNDS} rounds: {last}")


def _unfinished(table: str, reason: str) -> UploadError:
    return UploadError(
        f"No table {table!r} is there now. In the commit the service no longer knew uploads that had been stored, and "
        f"{reason} Upload it again.",
        table=table,
    )


async def _round(transfer: Transfer, request: UploadRequest, begin: float, *, again: bool) -> UploadReport:
    async with open_source(request.path, request.file_type, request.options) as source:
        plan = plan_upload(request, source)
        if not again:
            transfer.notify(UploadStarted(table=request.table, plan=plan))
        journals = await Journals.open(request.options.journal_dir)
        head = head_of(request.endpoint, plan, source.file, request.options)
        resume = again or request.options.resume
        journal = await journals.claim_unless_interrupted(head, resume=resume)
        if journal is None:
            done = await finish_interrupted(transfer, journals, head)
            if done is not None and resume:
                return _report(source, plan, done, time.monotonic() - begin, transfer.tally.warnings)
            journal = await journals.claim(head, resume=resume)
        try:
            await _send_and_commit(transfer, journals, journal, source, plan)
        except SourceChangedError:
            # What was stored of a file that is no longer the same is of use to nobody.
            await to_the_end(journal.finish)
            raise
        finally:
            await journal.leave()
        return _report(source, plan, journal, time.monotonic() - begin, transfer.tally.warnings)


async def _send_and_commit(
    transfer: Transfer, journals: Journals, journal: Journal, source: Source, plan: UploadPlan
) -> None:
    try:
        partitions = await _send_all(transfer, journal, source, plan)
    except UploadError:
        # Bytes that do not arrive as they were sent may be bytes that somebody is writing.
        await source.file.check_unchanged()
        raise
    await source.file.check_unchanged()
    await commit(transfer, journals, journal, partitions)


def _report(
    source: Source, plan: UploadPlan, journal: Journal, seconds: float, of_commit: Sequence[str]
) -> UploadReport:
    receipts, resumed = journal.state.receipts, journal.resumed
    # What a compressed file holds is known only now.
    sent = sum(receipt.size for receipt in receipts)
    warnings = [*source.warnings, *size_warnings(sent, plan.file_type, plan.partition_size, len(receipts))]
    if source.file.restated:
        warnings.append(
            f"While {source.file.path} was being uploaded, its permissions, links or attributes changed, or something "
            f"wrote to it that sets the modification time back. If the latter can be, upload it again."
        )
    if journal.problem is not None:
        warnings.append(
            f"No journal of this upload could be kept, so that it could not have been resumed: {journal.problem}. "
            f"UploadOptions.journal_dir names another directory."
        )
    return UploadReport(
        table=plan.table,
        file_type=plan.file_type,
        partitions=tuple(
            PartitionReport(name=r.name, size=r.size, rows=r.rows, resumed=r.name in resumed) for r in receipts
        ),
        seconds=seconds,
        parts=sum(len(receipt.parts) for receipt in receipts),
        unverified_parts=sum(receipt.unverified for receipt in receipts),
        dialect=plan.dialect,
        renamed_columns=plan.renamed_columns,
        column_types=plan.column_types,
        type_reasons=plan.type_reasons,
        warnings=(*warnings, *of_commit),
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
        column_types=dict(source.types),
        type_reasons=dict(source.type_reasons),
        warnings=(*source.warnings, *size_warnings(size, request.file_type, target)),
    )


async def _send_all(transfer: Transfer, journal: Journal, source: Source, plan: UploadPlan) -> int:
    """Store all partitions and return their number; the next one is planned while those before it are being sent."""
    size = plan.partition_size

    async def send(number: int, partition: Partition) -> None:
        try:
            name = partition_name(plan.table, plan.file_type, None if size is None else number)
            await _store(transfer, journal, source, name, partition)
        finally:
            transfer.limits.partitions.release(transfer.user)

    number = 0
    with no_groups():
        async with aclosing(source.partitions(size)) as partitions, anyio.create_task_group() as group:
            async for partition in partitions:
                number += 1
                await transfer.limits.partitions.acquire(transfer.partitions_at_once(partition), transfer.user)
                group.start_soon(send, number, partition)
    if not number:
        raise source.file.without_rows()
    return number


async def _store(transfer: Transfer, journal: Journal, source: Source, name: str, partition: Partition) -> None:
    """Have a partition stored, and noted: by sending it, unless an earlier run has sent just the same."""
    known = journal.state.stored.get(name)
    if known is not None and known.receipt.size == partition.size:
        same = known.content == await fingerprint(partition, source.file)
        if same and known.receipt.rows == await partition.row_count():
            transfer.notify(
                PartitionResumed(table=transfer.table, partition=name, size=partition.size, rows=known.receipt.rows)
            )
            return
    receipt = await transfer.send(name, partition)
    await journal.note(Stored(receipt=receipt, content=await fingerprint(partition, source.file)))
