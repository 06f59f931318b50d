"""Phase one: the parts of one partition go into the part storage, where nobody sees them yet."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import count

import anyio

from ..errors import no_groups
from ..events import PartitionStarted, PartitionStored, RetryScheduled
from ..service.answers import AnswerError
from ..service.clocks import url_life
from ..service.messages import PartMetadata, PartUrl, StartedUpload, StartUpload
from ..service.storage import StoredPart
from ..sources.files import Partition
from .context import Context
from .failures import GONE, expiry_advice, given_up, most_starts, refused
from .limits import Place
from .part import PartUpload
from .plan import PartRange, fitted_part_size, part_ranges, partitions_at_once

__all__ = ["Receipt", "Transfer"]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A partition whose parts are all stored: what its commit needs, small and picklable.

    Attributes:
        unverified: How many of the parts the storage did not confirm by an ETag that is their MD5.
    """

    name: str
    size: int
    rows: int
    upload_id: str
    temp_upload_path: str
    parts: tuple[PartMetadata, ...]
    unverified: int = 0


class _GoneError(Exception):
    """The object's URLs, or its upload, are no longer there; it must be started anew."""

    def __init__(self, error: AnswerError) -> None:
        super().__init__(str(error))
        self.error = error


class Transfer(Context):
    """Sends partitions of one table."""

    async def send(self, name: str, partition: Partition) -> Receipt:
        """Store a partition under `name` and return the receipt. It becomes visible by its commit alone.

        Raises:
            UploadError: If the storage does not take a part, or the object's URLs are gone each time it is started.
            ServiceError: If the object cannot be started.
            SourceChangedError: If the source no longer has the bytes that were planned.
        """
        # Parts of the object that was begun first go first, so that its URLs need not live longer than it takes.
        order = next(self.tally.orders)
        for start in count(1):
            sent = _Object(self, name, partition, order)
            try:
                receipt = await sent.send()
            except _GoneError as gone:
                last = gone.error
            else:
                self.notify(PartitionStored(table=self.table, partition=name, size=receipt.size, rows=receipt.rows))
                return receipt
            if start >= most_starts(last.verdict):
                raise given_up(last, table=self.table, partition=name, starts=start, advice=sent.advice())
            self.notify(RetryScheduled(table=self.table, call="start", attempt=start, reason=str(last), partition=name))
        raise AssertionError("count does not end")

    def partitions_at_once(self, partition: Partition) -> int:
        """Return how many partitions may be under way when this one is begun."""
        limits = self.limits
        most = self.options.max_concurrent_partitions
        return partitions_at_once(partition.size, limits.meter.rate, limits.url_seconds, most)


class _Object:
    """One start of one object, and the parts that are sent to its URLs."""

    def __init__(self, transfer: Transfer, name: str, partition: Partition, order: int) -> None:
        self._transfer = transfer
        self._name = name
        self._partition = partition
        self._order = order
        options = transfer.options
        part_size = fitted_part_size(options.part_size, transfer.limits.meter.rate, options.max_concurrent_parts)
        self._ranges = part_ranges(partition.size, part_size)
        self._started = 0.0
        self._stored: dict[int, StoredPart] = {}

    async def send(self) -> Receipt:
        with no_groups():
            # The URLs age from the start on, so the start waits until its first part may be sent.
            async with anyio.create_task_group() as group, self._turn(self._ranges[0]) as place:
                started = await self._start()
                for part, url in zip(self._ranges[1:], started.urls[1:], strict=True):
                    group.start_soon(self._send_in_turn, part, url)
                await self._send_part(self._ranges[0], started.urls[0], place)
        return self._receipt(started, await self._partition.row_count())

    def advice(self) -> str:
        """Return what would let it be stored before its URLs run out."""
        limits = self._transfer.limits
        done = sum(part.length for part in self._ranges if part.number in self._stored)
        seconds = time.monotonic() - self._started
        return expiry_advice(self._partition.size, done / seconds if done else limits.meter.rate, limits.url_seconds)

    def _turn(self, part: PartRange) -> AbstractAsyncContextManager[Place]:
        transfer = self._transfer
        rank = (self._order, part.number)
        return transfer.limits.parts.hold(transfer.options.max_concurrent_parts, transfer.user, rank)

    async def _start(self) -> StartedUpload:
        transfer = self._transfer
        request = StartUpload(
            source_table_name=self._name, connector_id=transfer.connector, num_parts=len(self._ranges)
        )
        started = await transfer.session.control.start_upload(
            request, transfer.options.max_attempts, transfer.retries("start", self._name)
        )
        self._started = time.monotonic()
        life = url_life(started.urls[0].reveal())
        if life is not None and life.seconds is not None:
            transfer.limits.url_seconds = life.seconds
        transfer.notify(
            PartitionStarted(
                table=transfer.table, partition=self._name, size=self._partition.size, parts=len(self._ranges)
            )
        )
        return started

    async def _send_in_turn(self, part: PartRange, url: PartUrl) -> None:
        async with self._turn(part) as place:
            await self._send_part(part, url, place)

    async def _send_part(self, part: PartRange, url: PartUrl, place: Place) -> None:
        transfer = self._transfer
        try:
            stored = await PartUpload(transfer, self._name, self._partition, part, place).send(url)
        except AnswerError as error:
            failure = error
        else:
            self._stored[part.number] = stored
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
        parts = sorted(self._stored.items())
        return Receipt(
            name=self._name,
            size=self._partition.size,
            rows=rows,
            upload_id=started.upload_id,
            temp_upload_path=started.temp_upload_path,
            parts=tuple(PartMetadata(part_number=number, etag=stored.etag) for number, stored in parts),
            unverified=sum(not stored.verified for _, stored in parts),
        )
