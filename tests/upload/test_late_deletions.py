"""Deletions of the old table whose answer is lost, and which take effect when the new one is already there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import pyarrow as pa
import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Exchange, Fault, Garbage, LateEffect, LocalDataPlane, Status

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=100_000, max_attempts=2)


@pytest.fixture
def path(numbers: pa.Table, write_parquet: Callable[..., Path]) -> Path:
    return write_parquet(numbers, row_group_size=5_000)


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
@pytest.mark.usefixtures("one_at_a_time")
async def test_a_deletion_that_takes_effect_late_does_not_pass_for_an_upload(
    tmp_path: Path, path: Path, partitioned: bool
) -> None:
    options = MANY if partitioned else kumo_async.UploadOptions()
    late = Late()
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        old = await connector.upload_async("numbers", path, options=options)
        names = [partition.name for partition in old.partitions]
        plane.inject(Fault(call="delete", name=names[0], answer=late))
        plane.inject(Fault(call="complete", name=names[-1], answer=ThenLate(late)))
        with pytest.raises(kumo_async.UploadError, match=r"took effect late.*look with has_table"):
            await connector.upload_async("numbers", path, options=options)
        assert plane.object_names("parquet") == []
        report = await connector.upload_async("numbers", path, options=options)
        assert plane.object_names("parquet") == [partition.name for partition in report.partitions]


@pytest.fixture
def long_window(monkeypatch: pytest.MonkeyPatch, short_window: None) -> None:
    """Wait for deletions until they have taken effect."""
    monkeypatch.setattr("kumo_async.upload.deletions._WINDOW", 600.0)


@asynccontextmanager
async def asked_before(plane: LocalDataPlane, effect: anyio.Event, times: int = 3) -> AsyncIterator[None]:
    """Let deletions take effect once something was asked so often after the first one of them was answered."""

    async def let() -> None:
        while [call.call for call in plane.calls][-times:] != ["validate"] * times or not _deleted(plane):
            await anyio.lowlevel.checkpoint()
        effect.set()

    async with anyio.create_task_group() as group:
        group.start_soon(let)
        yield
        group.cancel_scope.cancel()


def _deleted(plane: LocalDataPlane) -> list[str | None]:
    return [call.name for call in plane.calls if call.call == "delete"]


@pytest.mark.parametrize("status", [504, 500, 502, 408])
@pytest.mark.parametrize("partitioned", [True, False], ids=["partitions", "one object"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by partition"])
@pytest.mark.usefixtures("long_window")
async def test_a_deletion_that_may_still_take_effect_is_waited_for_and_not_made_again(
    tmp_path: Path, path: Path, status: int, partitioned: bool, whole: bool
) -> None:
    options, effect = MANY if partitioned else kumo_async.UploadOptions(), anyio.Event()
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=whole) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        old = await connector.upload_async("numbers", path, options=options)
        names = [partition.name for partition in old.partitions]
        hit = names[1] if partitioned and not whole else "numbers"
        plane.inject(Fault(call="delete", name=hit, answer=LateEffect(effect, status)))
        async with asked_before(plane, effect):
            report = await connector.upload_async("numbers", path, options=options)
        assert _deleted(plane).count(hit) == 1
        assert report.warnings == old.warnings
        assert plane.object_names("parquet") == names


async def test_what_may_take_effect_after_the_upload_is_in_its_report(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    effect = anyio.Event()
    old = await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=LateEffect(effect)))
    report = await parquet.upload_async("numbers", path)
    assert old.warnings == ()
    [warning] = report.warnings
    assert "may still do so, on the new table" in warning
    assert "Look with has_table() in a while" in warning
    assert await parquet.has_table_async("numbers")
    effect.set()
    while plane.object_names("parquet"):
        await anyio.lowlevel.checkpoint()


async def test_a_table_whose_deletion_may_still_take_effect_is_not_simply_said_to_be_there(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    effect = anyio.Event()
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=LateEffect(effect), times=3))
    with pytest.raises(kumo_async.ServiceError, match=r"still there, but a deletion .* may still take effect: .*504"):
        await parquet.upload_async("numbers", path)
    assert plane.object_names("parquet") == ["numbers"]
    effect.set()
    while plane.object_names("parquet"):
        await anyio.lowlevel.checkpoint()


async def test_deleting_a_table_says_that_a_deletion_may_come_late(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    effect = anyio.Event()
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=LateEffect(effect)))
    await parquet.delete_async("numbers")
    assert "Table 'numbers' is deleted, but a deletion whose answer was lost may still take effect" in caplog.text
    effect.set()


@pytest.mark.usefixtures("one_at_a_time", "long_window")
async def test_what_is_taken_back_waits_for_late_deletions_too(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    effect = anyio.Event()
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(400)))
    plane.inject(Fault(call="delete", name="*part_0001*", answer=LateEffect(effect)))
    async with asked_before(plane, effect):
        with pytest.raises(kumo_async.UploadError, match="No table of that name is there now"):
            await parquet.upload_async("numbers", path, options=MANY)
    assert plane.object_names("parquet") == []


@pytest.mark.parametrize("partitioned", [True, False], ids=["partitions", "one object"])
@pytest.mark.usefixtures("long_window")
async def test_a_deletion_that_shows_may_be_the_one_before_it(tmp_path: Path, path: Path, partitioned: bool) -> None:
    """The first one is carried out and answered with a page of a proxy; the second one, made for that, comes late."""
    options, effect = MANY if partitioned else kumo_async.UploadOptions(), anyio.Event()
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        old = await connector.upload_async("numbers", path, options=options)
        hit = old.partitions[0].name
        plane.inject(Fault(call="delete", name=hit, answer=Garbage(after_effect=True)))
        plane.inject(Fault(call="delete", name=hit, answer=LateEffect(effect)))
        report = await connector.upload_async("numbers", path, options=options)
        assert plane.object_names("parquet") == [partition.name for partition in report.partitions]
        assert "may still do so, on the new table" in report.warnings[-1]
        effect.set()
        while hit in plane.object_names("parquet"):
            await anyio.lowlevel.checkpoint()


async def test_a_deletion_that_a_page_answered_may_come_after_the_one_that_was_made_again(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=Garbage()))
    report = await parquet.upload_async("numbers", path)
    assert "may still do so, on the new table" in report.warnings[-1]


async def test_a_deletion_that_a_page_answered_and_that_was_done_is_at_its_end(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    old = await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=Garbage(after_effect=True)))
    assert (await parquet.upload_async("numbers", path)).warnings == old.warnings
