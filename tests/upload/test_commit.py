"""The commit under slow, refused and cancelled calls: the table is there whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import kumo_async
from gate import Gate
from kumo_async.local import Disconnect, Exchange, Fault, Garbage, LocalDataPlane, Stall, Status

WritesParquet = Callable[..., Path]

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=100_000, max_attempts=2)


@pytest.fixture(params=[True, False], ids=["delete removes partitions", "delete removes one object"])
async def plane(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[LocalDataPlane]:
    async with LocalDataPlane(tmp_path / "plane", delete_removes_partitions=request.param) as plane:
        yield plane


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=5_000)


def rows(plane: LocalDataPlane, name: str = "numbers") -> int:
    return sum(pq.read_metadata(file).num_rows for file in plane.table_files(name, "parquet"))


async def test_requests_under_way_when_one_is_refused_are_waited_for_and_taken_back(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    slow = Gate()
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Stall(slow)))
    plane.inject(Fault(call="complete", name="*part_0001*", answer=Status(400), times=None))
    async with anyio.create_task_group() as group:

        async def release() -> None:
            await slow.came.wait()
            await anyio.wait_all_tasks_blocked()
            slow.go.set()

        group.start_soon(release)
        with pytest.raises(kumo_async.UploadError, match="No table of that name is there"):
            await parquet.upload_async("numbers", path, options=MANY)
    assert plane.object_names("parquet") == []


@pytest.mark.parametrize("call", ["validate", "delete", "complete"])
async def test_a_commit_that_is_cancelled_is_finished_first(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table, call: str
) -> None:
    await parquet.upload_async("numbers", path, options=MANY)
    slow = Gate()
    # The first validate of a commit asks whether there is an old table; the second one comes after its deletion.
    plane.inject(Fault(call=call, answer=Stall(slow), skip=1 if call == "validate" else 0))  # type: ignore[arg-type]
    task = asyncio.create_task(parquet.upload_async("numbers", path, options=MANY))
    await slow.came.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows(plane) == numbers.num_rows


async def test_taking_back_is_not_cancelled(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    slow = Gate()
    plane.inject(Fault(call="complete", name="*part_0003*", answer=Status(400), times=None))
    plane.inject(Fault(call="delete", answer=Stall(slow)))
    task = asyncio.create_task(parquet.upload_async("numbers", path, options=MANY))
    await slow.came.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    slow.go.set()
    with pytest.raises((kumo_async.UploadError, asyncio.CancelledError)):
        await task
    assert plane.object_names("parquet") == []


async def test_a_deletion_that_is_cancelled_is_finished_first(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    await parquet.upload_async("numbers", path, options=MANY)
    slow = Gate()
    plane.inject(Fault(call="delete", answer=Stall(slow)))
    task = asyncio.create_task(parquet.delete_async("numbers"))
    await slow.came.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert plane.object_names("parquet") == []


@pytest.mark.usefixtures("one_at_a_time")
async def test_after_a_refusal_no_more_objects_are_made_visible(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
) -> None:
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(400)))
    with pytest.raises(kumo_async.UploadError):
        await parquet.upload_async("numbers", path, options=MANY)
    assert [call.status for call in plane.calls if call.call == "complete"] == [200, 400]


async def test_commits_of_one_client_wait_for_each_other_where_no_lock_can_be_written(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    slow, seen = Gate(), list[type[kumo_async.Event]]()

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            seen.append(type(event))

    plane.inject(Fault(call="complete", answer=Stall(slow)))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(parquet.upload_async("numbers", path, options=MANY))
        await slow.came.wait()
        group.create_task(parquet.upload_async("numbers", path, options=MANY, observer=Watch()))
        started = sum(call.call == "start" for call in plane.calls)
        while seen.count(kumo_async.PartitionStored) < started:
            await anyio.lowlevel.checkpoint()
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
        assert kumo_async.CommitStarted not in seen
        slow.go.set()
    assert plane.object_names("parquet") == [partition.name for partition in first.result().partitions]


async def test_uploads_of_one_table_at_once_never_mix(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    write_parquet: WritesParquet,
) -> None:
    other = write_parquet(numbers.slice(20_000), "other.parquet", row_group_size=5_000)
    async with asyncio.TaskGroup() as group:
        reports = [
            group.create_task(parquet.upload_async("numbers", source, options=MANY))
            for source in (path, other, path, other)
        ]
    found = rows(plane)
    assert found in {report.result().rows for report in reports}
    assert plane.object_names("parquet") in [[p.name for p in report.result().partitions] for report in reports]


async def test_a_service_that_always_says_deleted_does_not_hold_us_for_ever(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kumo_async.upload.replace._LAST_PARTITION", 100)
    await parquet.upload_async("numbers", path, options=MANY)
    plane.inject(Fault(call="delete", answer=Garbage(b""), times=None))
    with pytest.raises(kumo_async.ServiceError, match="still shows"):
        await parquet.delete_async("numbers")
    assert len([call for call in plane.calls if call.call == "delete"]) < 150


async def test_a_gap_in_the_partitions_does_not_hide_those_behind_it(
    parquet: kumo_async.FileUploadConnector, plane: LocalDataPlane, path: Path, numbers: pa.Table
) -> None:
    tiny = kumo_async.UploadOptions(partition_threshold=0, partition_size=1)
    await parquet.upload_async("numbers", path, options=tiny)
    control = "parquet_upload_connector"
    async with parquet.client.connected() as connection:
        for number in range(1, 10):
            await connection.session.control.delete_object(control, f"numbers.parquet/part_{number:04d}.parquet")
    report = await parquet.upload_async("numbers", path)
    assert plane.object_names("parquet") == [partition.name for partition in report.partitions]
    assert rows(plane) == numbers.num_rows


async def test_an_old_table_that_is_deleted_in_part_is_said_to_be(tmp_path: Path, path: Path) -> None:
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        await connector.upload_async("numbers", path, options=MANY)
        plane.inject(Fault(call="delete", name="*part_0003*", answer=Status(400), times=None))
        with pytest.raises(kumo_async.ServiceError, match="could not be deleted whole") as caught:
            await connector.upload_async("numbers", path)
        assert plane.object_names("parquet") == ["numbers.parquet/part_0003.parquet"]
        assert "These may still be there: numbers.parquet/part_0003.parquet, and any after" in str(caught.value)


async def test_no_deletion_of_an_old_partition_is_left_behind_by_an_error(tmp_path: Path, path: Path) -> None:
    """One that the service carries out after the error could hit the table that comes next."""
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        await connector.upload_async("numbers", path, options=MANY)
        slow = Gate()
        plane.inject(Fault(call="delete", name="*part_0002*", answer=Stall(slow)))
        plane.inject(Fault(call="delete", name="*part_0003*", answer=Status(400), times=None))
        task = asyncio.create_task(connector.delete_async("numbers"))
        await slow.came.wait()
        while not [call for call in plane.calls if call.call == "delete" and call.status == 400]:
            await anyio.lowlevel.checkpoint()
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        assert not task.done()
        slow.go.set()
        with pytest.raises(kumo_async.ServiceError, match="could not be deleted whole"):
            await task
        assert plane.object_names("parquet") == ["numbers.parquet/part_0003.parquet"]


async def test_what_cannot_be_taken_back_is_named(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    plane.inject(Fault(call="complete", name="*part_0003*", answer=Status(400), times=None))
    plane.inject(Fault(call="delete", name="*part_0002*", answer=Status(400), times=None))
    with pytest.raises(kumo_async.UploadError, match=r"must be deleted: numbers\.parquet/part_0002\.parquet"):
        await parquet.upload_async("numbers", path, options=MANY)


async def test_a_lost_answer_is_said_to_be_open(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    plane.inject(Fault(call="complete", name="*part_0001*", answer=Disconnect(), times=None))
    with pytest.raises(kumo_async.UploadError, match="may still take effect"):
        await parquet.upload_async("numbers", path, options=MANY)
    assert plane.object_names("parquet") == []


@dataclass(frozen=True)
class Invalid:
    """Say that there is no such table, as a service might that knows its partitions alone, or is late."""

    async def give(self, exchange: Exchange) -> web.Response:
        await exchange.effect()
        return web.json_response({"is_valid": False, "msg": "unknown"})


async def test_an_old_table_that_is_only_listed_is_replaced_too(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table
) -> None:
    await parquet.upload_async("numbers", path, options=MANY)
    assert len(plane.table_files("numbers", "parquet")) > 1
    plane.inject(Fault(call="validate", name="numbers", answer=Invalid(), times=None))
    pq.write_table(numbers.slice(0, 10_000), path, row_group_size=5_000)
    report = await parquet.upload_async("numbers", path, options=MANY)
    assert rows(plane) == report.rows == 10_000


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_deletion_that_took_effect_and_is_then_refused_is_no_refusal(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table, status: int
) -> None:
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", name="numbers", answer=Disconnect(after_effect=True)))
    plane.inject(Fault(call="delete", name="numbers", answer=Status(status)))
    report = await parquet.upload_async("numbers", path, options=kumo_async.UploadOptions(resume=False))
    assert rows(plane) == report.rows == numbers.num_rows
