"""Storages that answer the second completion of an upload as the first, also when its object was deleted meanwhile.

S3 does: https://github.com/minio/minio/issues/13318, https://github.com/adobe/S3Mock/issues/2586
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from deaths import dying_unnoted

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane
from one_of_two import FORMATS, check_upload, ids, write

NEW = range(3_000)
MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=10_000, max_attempts=2)


@dataclass
class Repeated:
    """Complete an upload once; later say that it was, also once the object is deleted. Some answers are lost."""

    lost: bool = True
    done: set[str] = field(default_factory=set)

    async def give(self, exchange: Exchange) -> web.Response:
        upload = (await exchange.request.json())["upload_id"]
        if upload not in self.done:
            answer = await exchange.effect()
            if answer.status >= 300:
                return answer
            self.done.add(upload)
        return web.Response(status=504) if self.lost else web.json_response(None)


@dataclass
class Unknown:
    """Tell nobody what is there, while the answers to completions are lost."""

    completes: Repeated

    async def give(self, exchange: Exchange) -> web.Response:
        if self.completes.lost and self.completes.done:
            return web.Response(status=500)
        return await exchange.effect()


@pytest.mark.parametrize("options", [MANY, kumo_async.UploadOptions(max_attempts=2)], ids=["many", "one"])
@pytest.mark.parametrize("file_type", FORMATS)
async def test_what_was_taken_back_is_sent_anew(
    tmp_path: Path, file_type: str, options: kumo_async.UploadOptions
) -> None:
    path = write(tmp_path / f"t.{file_type}", NEW)
    completes = Repeated()
    async with LocalDataPlane(tmp_path / "plane") as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector(file_type, client=client)
        plane.inject(Fault(call="complete", answer=completes, times=None))
        plane.inject(Fault(call="validate", answer=Unknown(completes), times=None))
        error = await check_upload(plane, connector, path, options, NEW)
        assert isinstance(error, kumo_async.UploadError)
        assert plane.object_names(file_type) == []

        completes.lost = False
        assert await check_upload(plane, connector, path, options, NEW) is None
        assert ids(plane, "t", file_type) == list(NEW)


@pytest.mark.parametrize("options", [MANY, kumo_async.UploadOptions()], ids=["many", "one"])
@pytest.mark.parametrize("file_type", FORMATS)
async def test_what_was_deleted_after_a_death_is_sent_anew(
    tmp_path: Path, journals: Path, file_type: str, options: kumo_async.UploadOptions
) -> None:
    path = write(tmp_path / f"t.{file_type}", NEW)
    async with LocalDataPlane(tmp_path / "plane") as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector(file_type, client=client)
        plane.inject(Fault(call="complete", answer=Repeated(lost=False), times=None))
        with dying_unnoted(journals):
            await connector.upload_async("t", path, options=options)
        assert ids(plane, "t", file_type) == list(NEW)
        async with client.connected() as connection:
            for name in plane.object_names(file_type):
                await connection.session.control.delete_object(connector.name, name)
        assert await check_upload(plane, connector, path, options, NEW) is None
        assert list(journals.iterdir()) == []
