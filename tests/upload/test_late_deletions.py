"""Deletions of the old table whose answer is lost, and which take effect when the new one is already there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pyarrow as pa
import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane

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
