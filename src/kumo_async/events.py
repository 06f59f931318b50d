"""What happens during an upload, and who wants to know.

`Observer` says what holds for those who are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Protocol, runtime_checkable

import anyio

from .errors import ConfigurationError
from .report import UploadPlan, UploadReport

__all__ = [
    "BytesSent",
    "CommitStarted",
    "ConcurrencyReduced",
    "Event",
    "Observer",
    "PartitionResumed",
    "PartitionStarted",
    "PartitionStored",
    "RetryScheduled",
    "UploadCommitted",
    "UploadFailed",
    "UploadStarted",
]

logger = logging.getLogger("kumo_async")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        table: The table's name.
    """

    table: str


@dataclass(frozen=True, kw_only=True)
class UploadStarted(Event):
    """The source is acceptable and planned; sending begins.

    Attributes:
        plan: What will be sent.
    """

    plan: UploadPlan


@dataclass(frozen=True, kw_only=True)
class PartitionStarted(Event):
    """An object was started; its parts are about to be sent.

    Attributes:
        partition: The partition's name in Kumo.
        size: Its size in bytes.
        parts: The number of parts it is sent in.
    """

    partition: str
    size: int
    parts: int


@dataclass(frozen=True, kw_only=True)
class BytesSent(Event):
    """Some bytes of a part were handed to the network.

    Attributes:
        partition: The partition's name in Kumo.
        part: The part's number, from 1.
        count: How many bytes; negative when a part starts over and what it had sent no longer counts.
    """

    partition: str
    part: int
    count: int


@dataclass(frozen=True, kw_only=True)
class RetryScheduled(Event):
    """A request failed in a way that passes, and will be made again.

    Attributes:
        call: What is retried, such as ``"put_part"``.
        attempt: The number of the attempt that failed, from 1.
        reason: Why it failed.
        partition: The partition's name, where one is concerned.
        part: The part's number, where one is concerned.
    """

    call: str
    attempt: int
    reason: str
    partition: str | None = None
    part: int | None = None


@dataclass(frozen=True, kw_only=True)
class ConcurrencyReduced(Event):
    """The storage asked for patience, so that all uploads of the client send fewer parts at once for a while.

    Attributes:
        parts: How many parts may be under way at once now; it grows by one for so many parts that are stored.
    """

    parts: int


@dataclass(frozen=True, kw_only=True)
class PartitionStored(Event):
    """All parts of a partition are stored. It is not visible before the commit.

    Attributes:
        partition: The partition's name in Kumo.
        size: Its size in bytes.
        rows: Its number of rows.
    """

    partition: str
    size: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class PartitionResumed(Event):
    """A partition was stored by an earlier run of the same upload, and is not sent again.

    Attributes:
        partition: The partition's name in Kumo.
        size: Its size in bytes.
        rows: Its number of rows.
    """

    partition: str
    size: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class CommitStarted(Event):
    """Every part of every partition is stored and the source is unchanged; the table is now made visible.

    Attributes:
        partitions: The number of partitions to complete.
    """

    partitions: int


@dataclass(frozen=True, kw_only=True)
class UploadCommitted(Event):
    """The table is there, whole.

    Attributes:
        report: What was done.
    """

    report: UploadReport


@dataclass(frozen=True, kw_only=True)
class UploadFailed(Event):
    """The upload ended with an error, which the call raises as well.

    Attributes:
        error: What the call raises.
    """

    error: BaseException


@runtime_checkable
class Observer(Protocol):
    """Whoever wants to see an upload's events: any object with a method `on_event`.

    It is called on the event loop of the caller, for a blocking call in another thread than the caller's, with one
    event after the other, and should return at once. What it raises does not disturb the upload, and is logged the
    first time. SystemExit, KeyboardInterrupt and anything else that is not an Exception cancel the upload, whose call
    then raises it; other uploads go on.

    Example:
        >>> import kumo_async
        >>> class Printer:
        ...     def on_event(self, event: kumo_async.Event) -> None:
        ...         print(type(event).__name__)
        >>> isinstance(Printer(), kumo_async.Observer)
        True
    """

    def on_event(self, event: Event) -> None:
        """Take note of one event."""


Notify = Callable[[Event], None]


@contextmanager
def observed(observer: Observer | None) -> Iterator[Notify]:
    """Give the function that logs events and shows them to the observer, for a call that is made in the block.

    An observer may be called in any task, and a task that SystemExit or KeyboardInterrupt comes out of ends the whole
    event loop. So the block is cancelled in its place, and raises it when all is cleaned up.

    Raises:
        ConfigurationError: If it is not an observer.
        BaseException: What the observer raised, if it is no Exception. What the block failed with is its cause.
    """
    stops: list[BaseException] = []
    cause: BaseException | None = None

    def stop(error: BaseException) -> None:
        stops.append(error)
        scope.cancel()

    try:
        with anyio.CancelScope() as scope:
            try:
                yield notifier(observer, stop)
            except asyncio.CancelledError as cancelled:
                cause = cancelled.__cause__
                raise
    except Exception as error:
        if not stops:
            raise
        cause = error
    if stops:
        raise stops[0] from cause


def handed_over(notify: Notify) -> Notify:
    """Return a function that shows events from any thread on the loop that runs now, in their order.

    Once that loop is closed, they are only logged.
    """
    loop = asyncio.get_running_loop()

    def hand_over(event: Event) -> None:
        try:
            loop.call_soon_threadsafe(notify, event)
        except RuntimeError:
            _log(event)

    return hand_over


def notifier(observer: Observer | None, stop: Callable[[BaseException], None] | None = None) -> Notify:
    """Return a function that logs an event and shows it to the observer, whatever the observer does with it.

    Args:
        observer: Who is shown it.
        stop: Called with what the observer raises that is no Exception; default: it is raised.

    Raises:
        ConfigurationError: If it is none.
    """
    if observer is not None:
        _check(observer)
    failed = False

    def notify(event: Event) -> None:
        nonlocal failed
        _log(event)
        if observer is None:
            return
        try:
            observer.on_event(event)
        except Exception:
            # Once: it would most likely be the same at each of thousands of events.
            if not failed:
                logger.exception("An observer raised on %s; the upload goes on.", type(event).__name__)
            failed = True
        except BaseException as error:
            if stop is None:
                raise
            stop(error)

    return notify


def _check(observer: object) -> None:
    method = getattr(observer, "on_event", None)
    if not callable(method):
        raise ConfigurationError(f"observer must have a method on_event(event); {type(observer).__name__} has none.")
    if iscoroutinefunction(method):
        raise ConfigurationError("observer.on_event must be a plain method, which is called and not awaited.")


def _log(event: Event) -> None:
    match event:
        case UploadStarted(plan=plan):
            logger.info("Uploading %s", _one_line(plan))
            for warning in plan.warnings:
                logger.warning("Table %r: %s", plan.table, _one_line(warning))
        case RetryScheduled():
            logger.info("Table %r: %s failed and is tried again: %s", event.table, event.call, event.reason)
        case ConcurrencyReduced(parts=parts):
            logger.info("The storage asks for patience: %d parts at once for now", parts)
        case PartitionStored():
            logger.debug("Table %r: partition %s is stored", event.table, event.partition)
        case PartitionResumed():
            logger.info("Table %r: partition %s was stored before, and is not sent again", event.table, event.partition)
        case UploadCommitted(report=report):
            logger.info("Committed: %s", _one_line(report))
        case UploadFailed(error=error):
            # A cancellation has no words of its own.
            logger.info("Table %r: upload failed: %s", event.table, _one_line(error) or type(error).__name__)


def _one_line(value: object) -> str:
    """Return words that may be several lines as one, so that each log record is one line."""
    return "; ".join(line.strip() for line in str(value).splitlines())
