"""One part on its way, until the storage has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from ..events import BytesSent
from ..service.answers import AnswerError
from ..service.messages import PartUrl
from ..service.retry import retrying
from ..service.storage import StoredPart
from ..sources.files import Partition
from .context import Context
from .limits import Place
from .plan import PartRange

__all__ = ["PartUpload"]


class PartUpload:
    """Sends one part to its URL, as often as it takes.

    Args:
        context: The upload.
        name: The partition's name.
        partition: The partition.
        part: Which of its bytes.
        place: The place among all parts under way, which is held while it is sent.
    """

    def __init__(self, context: Context, name: str, partition: Partition, part: PartRange, place: Place) -> None:
        self._context = context
        self._name = name
        self._partition = partition
        self._part = part
        self._place = place
        self._attempts = 0
        self._sent = 0
        self._furthest = 0

    async def send(self, url: PartUrl) -> StoredPart:
        """Send it.

        Raises:
            AnswerError: If the storage did not take it in all attempts.
            SourceChangedError: If the source no longer has the bytes that were planned.
        """
        context = self._context
        return await retrying(
            lambda: self._attempt(url),
            context.options.max_attempts,
            context.retries("put_part", self._name, self._part.number),
            context.session.control.budget,
        )

    async def _attempt(self, url: PartUrl) -> StoredPart:
        options = self._context.options
        self._attempts += 1
        if self._attempts > 1:
            await self._place.renew()
        with self._paced(), self._measured():
            return await self._context.session.storage.put_part(
                url,
                self._part.length,
                self._read,
                self._on_sent,
                stall_seconds=options.stall_timeout,
                verify=options.verify_parts,
            )

    def _read(self) -> AsyncGenerator[bytes | memoryview, None]:
        return self._partition.read(self._part.offset, self._part.length)

    def _on_sent(self, count: int) -> None:
        context = self._context
        self._sent += count
        context.limits.meter.moved(count)
        # Only what got further than any attempt before it is progress.
        if self._sent > self._furthest:
            self._furthest = self._sent
            context.session.control.budget.moved()
        context.notify(BytesSent(table=context.table, partition=self._name, part=self._part.number, count=count))

    @contextmanager
    def _measured(self) -> Iterator[None]:
        meter = self._context.limits.meter
        meter.begin()
        try:
            yield
        finally:
            meter.end()

    @contextmanager
    def _paced(self) -> Iterator[None]:
        """Let the client send less at once where the storage asks for it, and more again as parts are stored."""
        limit = self._context.limits.parts
        era = limit.pace.era
        try:
            yield
        except AnswerError as error:
            self._context.slow_down(error, era)
            raise
        limit.pace.succeeded()
        limit.admit()
