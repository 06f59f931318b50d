"""A commit ends within a bounded time, whatever the service does and whoever cancels it, and says what is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pyarrow as pa
import pytest
from aiohttp import web

import kumo_async
from gate import Gate
from kumo_async.local import Exchange, Fault, LocalDataPlane, Stall, Status
from kumo_async.service.patience import Patience

WritesParquet = Callable[..., Path]
Upload = Callable[[], Coroutine[object, object, None]]

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=100_000, max_attempts=2)
THIRD = "*part_0003*"


class Ending(Patience):
    """Patience that ends when it is told to, so that no test has to wait, and none is too slow."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._loop = asyncio.get_running_loop()
        self._was_hurried = anyio.Event()

    def hurry(self, seconds: float) -> None:
        super().hurry(seconds)
        self._was_hurried.set()

    async def end(self, calls: int, *, hurried: bool) -> None:
        """Do what `end_beside` does on the loop that has the calls."""
        ending = asyncio.run_coroutine_threadsafe(self.end_beside(calls, hurried=hurried), self._loop)
        await asyncio.wrap_future(ending)

    async def end_beside(self, calls: int, *, hurried: bool) -> None:
        """End once no more than so many calls are under way: those that nobody answers."""
        if hurried:
            await self._was_hurried.wait()
        while len(self._scopes) != calls:
            await anyio.lowlevel.checkpoint()
        self._since = anyio.current_time() - self.seconds
        self._move_deadlines()


@pytest.fixture
def bursts(monkeypatch: pytest.MonkeyPatch) -> list[Ending]:
    """The patience of each burst."""
    made = list[Ending]()

    def make(seconds: float) -> Ending:
        made.append(Ending(seconds))
        return made[-1]

    monkeypatch.setattr("kumo_async.upload.burst.Patience", make)
    return made


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=5_000)


@asynccontextmanager
async def ending(
    bursts: list[Ending], reached: anyio.Event, calls: Callable[[], int] = lambda: 1, *, hurried: bool = False
) -> AsyncIterator[None]:
    """End the patience of the last burst when something was reached, and only so many calls are under way."""

    async def end() -> None:
        await reached.wait()
        await bursts[-1].end(calls(), hurried=hurried)

    async with anyio.create_task_group() as group:
        group.start_soon(end)
        yield


async def test_a_complete_that_is_never_answered_is_given_up_and_the_rest_taken_back(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, bursts: list[Ending]
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Stall(gate), times=None))

    async with ending(bursts, gate.came):
        with pytest.raises(kumo_async.UploadError, match=r"for 300 s.*may still take effect"):
            await parquet.upload_async("numbers", path, options=MANY)
    assert plane.object_names("parquet") == []
    assert await parquet.has_table_async("numbers") is False


async def test_a_complete_that_has_taken_effect_and_is_never_answered_is_asked_about(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, bursts: list[Ending]
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Stall(gate, after_effect=True)))
    async with ending(bursts, gate.came):
        report = await parquet.upload_async("numbers", path, options=MANY)
    assert plane.object_names("parquet") == [partition.name for partition in report.partitions]


async def test_a_long_wait_that_the_service_asks_for_is_not_kept_in_a_commit(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, bursts: list[Ending]
) -> None:
    busy = Status(503, headers={"Retry-After": "300"})
    plane.inject(Fault(call="complete", name=THIRD, answer=busy, times=None))
    waits = anyio.Event()

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.RetryScheduled):
                waits.set()

    async with ending(bursts, waits):
        with pytest.raises(kumo_async.UploadError, match="given up"):
            await parquet.upload_async("numbers", path, options=MANY, observer=Watch())
    assert plane.object_names("parquet") == []


async def test_deletions_that_are_never_answered_are_given_up_and_what_is_left_is_named(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, bursts: list[Ending]
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(400), times=None))
    plane.inject(Fault(call="delete", answer=Stall(gate), times=None))

    async with ending(bursts, gate.came, calls=lambda: sum(call.call == "start" for call in plane.calls)):
        with pytest.raises(kumo_async.UploadError, match=r"must be deleted: numbers\.parquet/part_0001\.parquet, "):
            await parquet.upload_async("numbers", path, options=MANY)


async def test_an_old_table_whose_deletion_is_never_answered_stays(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, bursts: list[Ending]
) -> None:
    await parquet.upload_async("numbers", path)
    before = plane.object_names("parquet")
    gate = Gate()
    plane.inject(Fault(call="delete", answer=Stall(gate), times=None))

    async with ending(bursts, gate.came):
        with pytest.raises(kumo_async.ServiceError, match="could not be deleted, and is still there"):
            await parquet.upload_async("numbers", path, options=MANY)
    assert plane.object_names("parquet") == before


class Clock:
    """That of all event loops, which can be set forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed, time = 0.0, asyncio.BaseEventLoop.time
        monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda loop: time(loop) + self.passed)
        # A loop of uvloop keeps its own.
        monkeypatch.setattr("kumo_async.loop.uvloop_if_there", dict)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@dataclass(frozen=True)
class Passing:
    """What takes some seconds, at once."""

    clock: Clock
    seconds: float

    async def wait(self) -> None:
        self.clock.passed += self.seconds


@dataclass(frozen=True)
class Refused:
    """A refusal that takes its time."""

    passing: Passing

    async def give(self, exchange: Exchange) -> web.Response:
        await self.passing.wait()
        return await Status(400).give(exchange)


@pytest.mark.usefixtures("one_at_a_time")
async def test_a_burst_may_take_longer_than_its_bound_while_it_moves(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    clock: Clock,
) -> None:
    plane.inject(Fault(call="complete", answer=Stall(Passing(clock, 10)), times=None))
    report = await parquet.upload_async("numbers", path, options=replace(MANY, commit_timeout=60))
    assert clock.passed > 60
    assert plane.object_names("parquet") == [partition.name for partition in report.partitions]


@pytest.mark.usefixtures("one_at_a_time")
async def test_taking_back_has_time_of_its_own(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    clock: Clock,
) -> None:
    plane.inject(Fault(call="complete", name=THIRD, answer=Refused(Passing(clock, 40))))
    plane.inject(Fault(call="delete", answer=Stall(Passing(clock, 40))))
    with pytest.raises(kumo_async.UploadError, match="No table of that name is there now"):
        await parquet.upload_async("numbers", path, options=replace(MANY, commit_timeout=60))
    assert plane.object_names("parquet") == []


@pytest.mark.parametrize("way", ["task", "timeout", "scope"])
async def test_a_commit_that_is_cancelled_and_does_not_move_ends_soon_and_takes_back(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    way: str,
    bursts: list[Ending],
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Stall(gate), times=None))
    failed: list[kumo_async.UploadFailed] = []

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.UploadFailed):
                failed.append(event)

    async def upload() -> None:
        await parquet.upload_async("numbers", path, options=MANY, observer=Watch())

    async with ending(bursts, gate.came, hurried=True):
        await CANCELLED[way](upload, gate)
    [event] = failed
    assert isinstance(event.error, asyncio.CancelledError)
    cause = event.error.__cause__
    assert isinstance(cause, kumo_async.UploadError)
    assert "for 30 s" in str(cause)
    assert str(cause) in caplog.text
    assert plane.object_names("parquet") == []


async def _by_task(upload: Upload, gate: Gate) -> None:
    task = asyncio.create_task(upload())
    await gate.came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, kumo_async.UploadError)


async def _by_timeout(upload: Upload, gate: Gate) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(None) as scope:
            watch = asyncio.create_task(_expire(scope, gate))
            try:
                await upload()
            finally:
                await watch

    with pytest.raises(TimeoutError) as caught:
        await in_time()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert isinstance(caught.value.__cause__.__cause__, kumo_async.UploadError)


async def _expire(scope: asyncio.Timeout, gate: Gate) -> None:
    await gate.came.wait()
    scope.reschedule(0)


async def _by_scope(upload: Upload, gate: Gate) -> None:
    async with anyio.create_task_group() as group:

        async def cancel() -> None:
            await gate.came.wait()
            group.cancel_scope.cancel()

        group.start_soon(cancel)
        await upload()
    assert group.cancel_scope.cancel_called


CANCELLED = {"task": _by_task, "timeout": _by_timeout, "scope": _by_scope}


async def test_a_cancellation_is_not_lost_where_the_service_has_forgotten_what_was_stored(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Stall(gate)))
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(404), times=None))
    task = asyncio.create_task(parquet.upload_async("numbers", path, options=MANY))
    await gate.came.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    gate.go.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "No table 'numbers' is there now" in str(caught.value.__cause__)
    assert "No table 'numbers' is there now" in caplog.text
    assert plane.object_names("parquet") == []
    started = [call.name for call in plane.calls if call.call == "start"]
    assert len(started) == len(set(started))


async def test_a_cancellation_while_all_is_sent_again_says_that_no_table_is_there(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(404)))
    task = asyncio.create_task(
        parquet.upload_async("numbers", path, options=replace(MANY, max_concurrent_partitions=1))
    )
    while not [call for call in plane.calls if call.call == "complete" and call.status == 404]:
        await anyio.lowlevel.checkpoint()
    plane.inject(Fault(call="put_part", answer=Stall(gate)))
    await gate.came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, kumo_async.UploadError)
    assert "No table 'numbers' is there now" in str(caught.value.__cause__)
    assert "sending them again was cancelled" in caplog.text
    assert logging.getLogger("kumo_async").name in {record.name for record in caplog.records}


async def test_a_commit_that_is_finished_in_spite_of_a_cancellation_after_all_was_sent_again_is_no_failure(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(404)))
    plane.inject(Fault(call="complete", name=THIRD, answer=Stall(gate)))
    task = asyncio.create_task(parquet.upload_async("numbers", path, options=MANY))
    await gate.came.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    gate.go.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.__cause__ is None
    assert "the change was finished first" in caplog.text
    assert "No table" not in caplog.text
    assert await parquet.has_table_async("numbers")


async def test_what_a_commit_leaves_visible_after_all_was_sent_again_is_not_denied(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(404)))
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(400)))
    plane.inject(Fault(call="delete", name="*part_0002*", answer=Status(403), skip=1, times=None))
    with pytest.raises(kumo_async.UploadError, match=r"These objects may be visible.*part_0002") as caught:
        await parquet.upload_async("numbers", path, options=MANY)
    assert "No table" not in str(caught.value)
