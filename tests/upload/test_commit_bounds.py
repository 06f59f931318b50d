"""A commit ends within a bounded time, whatever the service does and whoever cancels it, and says what is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pyarrow as pa
import pytest
from aiohttp import web

import kumo_async
from gate import Gate
from kumo_async.local import Exchange, Fault, LocalDataPlane, Stall, Status

WritesParquet = Callable[..., Path]
Upload = Callable[[], Coroutine[object, object, None]]

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=100_000, max_attempts=2)
SHORT = replace(MANY, commit_timeout=1.0)
THIRD = "*part_0003*"


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=5_000)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_async.upload.burst._HURRIED", 1.0)


async def test_a_complete_that_is_never_answered_is_given_up_and_the_rest_taken_back(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    gate = Gate()
    plane.inject(Fault(call="complete", name=THIRD, answer=Stall(gate), times=None))
    with pytest.raises(kumo_async.UploadError, match=r"for 1 s.*may still take effect"):
        await parquet.upload_async("numbers", path, options=SHORT)
    assert plane.object_names("parquet") == []
    assert await parquet.has_table_async("numbers") is False


async def test_a_long_wait_that_the_service_asks_for_is_not_kept_in_a_commit(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    busy = Status(503, headers={"Retry-After": "300"})
    plane.inject(Fault(call="complete", name=THIRD, answer=busy, times=None))
    with pytest.raises(kumo_async.UploadError, match="given up"):
        await parquet.upload_async("numbers", path, options=SHORT)
    assert plane.object_names("parquet") == []


async def test_deletions_that_are_never_answered_are_given_up_and_what_is_left_is_named(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(400), times=None))
    plane.inject(Fault(call="delete", answer=Stall(Gate()), times=None))
    with pytest.raises(kumo_async.UploadError, match=r"must be deleted: numbers\.parquet/part_0001\.parquet, "):
        await parquet.upload_async("numbers", path, options=SHORT)


async def test_an_old_table_whose_deletion_is_never_answered_stays(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table
) -> None:
    await parquet.upload_async("numbers", path)
    before = plane.object_names("parquet")
    plane.inject(Fault(call="delete", answer=Stall(Gate()), times=None))
    with pytest.raises(kumo_async.ServiceError, match="could not be deleted, and is still there"):
        await parquet.upload_async("numbers", path, options=SHORT)
    assert plane.object_names("parquet") == before


async def test_a_burst_may_take_longer_than_its_bound_while_it_moves(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.upload.commit._BURST", 1)

    class Slow:
        async def wait(self) -> None:
            await anyio.sleep(0.2)

    plane.inject(Fault(call="complete", answer=Stall(Slow()), times=None))
    report = await parquet.upload_async("numbers", path, options=SHORT)
    assert len(report.partitions) > 6
    assert plane.object_names("parquet") == [partition.name for partition in report.partitions]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("way", ["task", "timeout", "scope"])
async def test_a_commit_that_is_cancelled_and_does_not_move_ends_soon_and_takes_back(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    way: str,
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

    with anyio.fail_after(30):
        await CANCELLED[way](upload, gate)
    [event] = failed
    assert isinstance(event.error, asyncio.CancelledError)
    cause = event.error.__cause__
    assert isinstance(cause, kumo_async.UploadError)
    assert "for 1 s" in str(cause)
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


@dataclass
class Late:
    """A deletion whose answer is lost, and which takes effect only when the last object has been made visible."""

    visible: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)

    async def give(self, exchange: Exchange) -> web.Response:
        assert exchange.request.transport is not None
        exchange.request.transport.abort()
        await self.visible.wait()
        response = await exchange.effect()
        self.done.set()
        return response


@dataclass
class ThenLate:
    """A completion that a late deletion follows at once."""

    late: Late

    async def give(self, exchange: Exchange) -> web.Response:
        response = await exchange.effect()
        self.late.visible.set()
        await self.late.done.wait()
        return response


@pytest.mark.parametrize("partitioned", [True, False], ids=["partitions", "one object"])
async def test_a_deletion_that_takes_effect_late_does_not_pass_for_an_upload(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, partitioned: bool
) -> None:
    monkeypatch.setattr("kumo_async.upload.commit._BURST", 1)
    options = MANY if partitioned else kumo_async.UploadOptions()
    late = Late()
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        old = await connector.upload_async("numbers", path, options=options)
        names = [partition.name for partition in old.partitions]
        plane.inject(Fault(call="delete", name=names[0], answer=late))
        plane.inject(Fault(call="complete", name=names[-1], answer=ThenLate(late)))
        with pytest.raises(kumo_async.UploadError, match=r"took effect late.*No table|took effect late.*has_table"):
            await connector.upload_async("numbers", path, options=options)
        assert plane.object_names("parquet") == []
        report = await connector.upload_async("numbers", path, options=options)
        assert plane.object_names("parquet") == [partition.name for partition in report.partitions]
