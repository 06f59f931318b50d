"""Phase one: the parts of one partition go into the part storage, where nobody sees them yet."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import count

import anyio

from ..errors import no_groups
from ..events import BytesSent, Notify, PartitionStarted, PartitionStored, RetryScheduled
from ..options import UploadOptions
from ..service.answers import AnswerError
from ..service.messages import PartMetadata, PartUrl, StartedUpload, StartUpload
from ..service.retry import OnRetry, retrying
from ..service.session import Session
from ..sources.files import Partition
from .failures import GONE, given_up, most_starts, refused
from .limits import Limits
from .plan import PartRange, part_ranges

__all__ = ["Receipt", "Transfer"]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A partition whose parts are all stored: what its commit needs, small and picklable."""

    name: str
    size: int
    rows: int
    upload_id: str
    temp_upload_path: str
    parts: tuple[PartMetadata, ...]


@dataclass
class Tally:
    """What was stored so far, over all partitions of an upload."""

    parts: int = 0


class _GoneError(Exception):
    """The object's URLs, or its upload, are no longer there; it must be started anew."""

    def __init__(self, error: AnswerError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class Transfer:
    """Sends partitions of one table."""

    session: Session
    limits: Limits
    options: UploadOptions
    notify: Notify
    table: str
    connector: str
    tally: Tally = field(default_factory=Tally)

    async def send(self, name: str, partition: Partition) -> Receipt:
        """Store a partition under `name` and return the receipt. It becomes visible by its commit alone.

        Raises:
            UploadError: If the storage does not take a part, or the object's URLs are gone each time it is started.
            ServiceError: If the object cannot be started.
            SourceChangedError: If the source no longer has the bytes that were planned.
        """
        for start in count(1):
            try:
                receipt = await _Object(self, name, partition).send()
            except _GoneError as gone:
                last = gone.error
            else:
                self.notify(PartitionStored(table=self.table, partition=name, size=receipt.size, rows=receipt.rows))
                return receipt
            if start >= most_starts(last.verdict):
                raise given_up(last, table=self.table, partition=name, starts=start)
            self.notify(RetryScheduled(table=self.table, call="start", attempt=start, reason=str(last), partition=name))
        raise AssertionError("count does not end")

    def retries(self, call: str, name: str, part: int | None = None) -> OnRetry:
        """Return a function that turns a retry into an event."""

        def on_retry(attempt: int, error: AnswerError) -> None:
            reason = str(error)
            self.notify(
                RetryScheduled(table=self.table, call=call, attempt=attempt, reason=reason, partition=name, part=part)
            )

        return on_retry


class _Object:
    """One start of one object, and the parts that are sent to its URLs."""

    def __init__(self, transfer: Transfer, name: str, partition: Partition) -> None:
        self._transfer = transfer
        self._name = name
        self._partition = partition
        self._ranges = part_ranges(partition.size, transfer.options.part_size)
        self._etags: dict[int, str] = {}

    async def send(self) -> Receipt:
        with no_groups():
            # The URLs age from the start on, so the start waits until its first part may be sent.
            async with anyio.create_task_group() as group, self._turn():
                started = await self._start()
                for part, url in zip(self._ranges[1:], started.urls[1:], strict=True):
                    group.start_soon(self._send_in_turn, part, url)
                await self._send_part(self._ranges[0], started.urls[0])
        return self._receipt(started, await self._partition.row_count())

    def _turn(self) -> AbstractAsyncContextManager[None]:
        return self._transfer.limits.parts.hold(self._transfer.options.max_concurrent_parts)

    async def _start(self) -> StartedUpload:
        transfer = self._transfer
        request = StartUpload(
            source_table_name=self._name, connector_id=transfer.connector, num_parts=len(self._ranges)
        )
        started = await transfer.session.control.start_upload(
            request, transfer.options.max_attempts, transfer.retries("start", self._name)
        )
        transfer.notify(
            PartitionStarted(
                table=transfer.table, partition=self._name, size=self._partition.size, parts=len(self._ranges)
            )
        )
        return started

    async def _send_in_turn(self, part: PartRange, url: PartUrl) -> None:
        async with self._turn():
            await self._send_part(part, url)

    async def _send_part(self, part: PartRange, url: PartUrl) -> None:
        transfer = self._transfer

        def read() -> AsyncGenerator[bytes | memoryview, None]:
            return self._partition.read(part.offset, part.length)

        budget = transfer.session.control.budget
        sent = furthest = 0

        def on_sent(count: int) -> None:
            nonlocal sent, furthest
            sent += count
            if sent > furthest:
                furthest = sent
                budget.moved()
            transfer.notify(BytesSent(table=transfer.table, partition=self._name, part=part.number, count=count))

        async def put() -> str:
            stall = transfer.options.stall_timeout
            return await transfer.session.storage.put_part(url, part.length, read, on_sent, stall_seconds=stall)

        try:
            on_retry = transfer.retries("put_part", self._name, part.number)
            etag = await retrying(put, transfer.options.max_attempts, on_retry, budget)
        except AnswerError as error:
            failure = error
        else:
            self._etags[part.number] = etag
            transfer.tally.parts += 1
            return
        if failure.verdict in GONE:
            raise _GoneError(failure)
        raise refused(
            failure,
            table=transfer.table,
            partition=self._name,
            part=part.number,
            parts=len(self._ranges),
            first=transfer.tally.parts == 0,
        )

    def _receipt(self, started: StartedUpload, rows: int) -> Receipt:
        return Receipt(
            name=self._name,
            size=self._partition.size,
            rows=rows,
            upload_id=started.upload_id,
            temp_upload_path=started.temp_upload_path,
            parts=tuple(PartMetadata(part_number=part.number, etag=self._etags[part.number]) for part in self._ranges),
        )
