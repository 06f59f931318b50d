"""Services that say in their own ways that there is no such thing: a table is uploaded, and replaced, all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane, Status

WritesParquet = Callable[..., Path]

ONE = kumo_async.UploadOptions(max_attempts=2)
THREE = replace(ONE, partition_threshold=0, partition_size=400_000)
FIVE = replace(ONE, partition_threshold=0, partition_size=250_000)


@dataclass(frozen=True)
class SaysMissing:
    """What is not there is answered for with a status, and with a page or with the service's own words."""

    status: int
    page: bool = False

    async def give(self, exchange: Exchange) -> web.Response:
        response = await exchange.effect()
        assert isinstance(response, web.Response)
        said = json.loads(response.text or "null") or {}
        if response.status == 200 and said.get("is_valid", True):
            return response
        if self.page:
            return web.Response(status=self.status, text="<html>No such thing.</html>", content_type="text/html")
        return web.json_response({"detail": "There is no such table."}, status=self.status)


@dataclass(frozen=True)
class NotByName:
    """Deleting the name of a table that has partitions is refused: there is no object of just that name."""

    status: int

    async def give(self, exchange: Exchange) -> web.Response:
        del exchange
        return web.json_response({"detail": "There is no such object."}, status=self.status)


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=5_000)


def rows(plane: LocalDataPlane) -> int:
    return sum(pq.read_metadata(file).num_rows for file in plane.table_files("numbers", "parquet"))


MISSING = [SaysMissing(404), SaysMissing(404, page=True), SaysMissing(400), SaysMissing(422), SaysMissing(410)]


@pytest.mark.parametrize("missing", MISSING, ids=lambda value: f"{value.status}{' page' * value.page}")
@pytest.mark.parametrize(("old", "new"), [(None, THREE), (ONE, THREE), (FIVE, THREE), (FIVE, ONE)])
async def test_a_table_is_replaced_where_missing_things_are_refused(
    tmp_path: Path,
    path: Path,
    numbers: pa.Table,
    missing: SaysMissing,
    old: kumo_async.UploadOptions | None,
    new: kumo_async.UploadOptions,
) -> None:
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        connector = kumo_async.FileUploadConnector(
            "parquet", client=kumo_async.KumoClient(plane.endpoint, plane.api_key)
        )
        plane.inject(Fault(call="validate", answer=missing, times=None))
        plane.inject(Fault(call="delete", answer=missing, times=None))
        assert await connector.has_table_async("numbers") is False
        if old is not None:
            await connector.upload_async("numbers", path, options=old)
        report = await connector.upload_async("numbers", path, options=new)
        assert plane.object_names("parquet") == [partition.name for partition in report.partitions]
        assert rows(plane) == numbers.num_rows
        assert await connector.has_table_async("numbers") is True
        await connector.delete_async("numbers")
        assert plane.object_names("parquet") == []


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_partitions_are_deleted_where_the_name_alone_cannot_be(
    tmp_path: Path, path: Path, numbers: pa.Table, status: int
) -> None:
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=False) as plane:
        connector = kumo_async.FileUploadConnector(
            "parquet", client=kumo_async.KumoClient(plane.endpoint, plane.api_key)
        )
        await connector.upload_async("numbers", path, options=FIVE)
        plane.inject(Fault(call="delete", name="numbers", answer=NotByName(status), times=None))
        await connector.upload_async("numbers", path, options=THREE)
        assert rows(plane) == numbers.num_rows


async def test_a_refusal_for_what_is_there_is_one(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=Status(409), times=None))
    with pytest.raises(kumo_async.ServiceError, match="is still there"):
        await parquet.upload_async("numbers", path, options=ONE)
    assert plane.object_names("parquet") == ["numbers"]


async def test_what_no_question_about_a_table_can_tell_is_an_error(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector
) -> None:
    page = SaysMissing(404, page=True)
    plane.inject(Fault(call="validate", answer=page))
    plane.inject(Fault(call="list", answer=Status(404)))
    with pytest.raises(kumo_async.ServiceError):
        await parquet.has_table_async("numbers")


async def test_a_refused_deletion_is_not_believed_where_partitions_are_not_known_by_name(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.upload.commit._BURST", 1)
    plane.inject(Fault(call="validate", name="*part_*", answer=NotByName(404), times=None))
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(400)))
    plane.inject(Fault(call="delete", name="*part_0001*", answer=Status(400), times=None))
    with pytest.raises(kumo_async.UploadError, match=r"must be deleted: numbers\.parquet/part_0001\.parquet"):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == ["numbers.parquet/part_0001.parquet"]
