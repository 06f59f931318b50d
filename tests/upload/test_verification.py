"""What arrives is what was sent, or it is sent again; and the report says what could not be known."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane, WrongETag
from kumo_async.service import http, storage
from kumo_async.service.integrity import PartDigest

WritesParquet = Callable[..., Path]


@dataclass(frozen=True)
class Encrypted:
    """Store the part as S3 does with a key of KMS, whose ETags look like MD5s and are none."""

    async def give(self, exchange: Exchange) -> web.Response:
        response = await exchange.effect()
        response.headers["x-amz-server-side-encryption"] = "aws:kms"
        return response


async def test_every_part_is_verified(
    parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    report = await parquet.upload_async("numbers", write_parquet(numbers))
    assert (report.parts, report.unverified_parts) == (1, 0)
    assert "MD5" not in str(report)


async def test_a_part_that_arrived_otherwise_is_sent_again(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    plane.inject(Fault(call="put_part", answer=WrongETag()))
    report = await parquet.upload_async("numbers", write_parquet(numbers))
    assert len([call for call in plane.calls if call.call == "put_part"]) == 2
    assert report.unverified_parts == 0
    assert plane.table_names("parquet") == ["numbers"]


async def test_parts_that_never_arrive_as_they_are_make_no_table(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    plane.inject(Fault(call="put_part", answer=WrongETag(), times=None))
    options = kumo_async.UploadOptions(max_attempts=3)
    with pytest.raises(kumo_async.UploadError, match="3 attempts: the storage's ETag is not the MD5") as caught:
        await parquet.upload_async("numbers", write_parquet(numbers), options=options)
    assert (caught.value.part, caught.value.attempts) == (1, 3)
    assert plane.table_names("parquet") == []


async def test_a_file_that_changed_is_said_to_have_where_parts_do_not_arrive(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    path = write_parquet(numbers)
    plane.inject(Fault(call="put_part", answer=WrongETag(), times=None))

    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStarted):
                path.touch()

    options = kumo_async.UploadOptions(max_attempts=2)
    with pytest.raises(kumo_async.SourceChangedError):
        await parquet.upload_async("numbers", path, options=options, observer=Meddler())


@pytest.mark.parametrize("why", ["encrypted", "switched off"])
async def test_what_cannot_be_verified_is_said(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    why: str,
) -> None:
    if why == "encrypted":
        plane.inject(Fault(call="put_part", answer=Encrypted()))
    options = kumo_async.UploadOptions(verify_parts=why != "switched off")
    report = await parquet.upload_async("numbers", write_parquet(numbers), options=options)
    assert report.unverified_parts == report.to_dict()["unverified_parts"] == 1
    assert "not verifiable by MD5: 1 of 1 parts" in str(report)


async def test_nothing_is_hashed_in_vain_and_every_etag_that_tells_is_compared(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests: list[PartDigest] = []

    class Noted(PartDigest):
        def __init__(self) -> None:
            super().__init__()
            digests.append(self)

    monkeypatch.setattr(storage, "PartDigest", Noted)
    plane.inject(Fault(call="put_part", answer=Encrypted(), times=2))
    path = write_parquet(numbers)
    async with parquet.client:
        reports = [await parquet.upload_async("numbers", path) for _ in range(3)]
    assert [report.unverified_parts for report in reports] == [1, 1, 0]
    assert len(digests) == 1


@pytest.mark.parametrize("before", [None, "an MD5", "no MD5"], ids=str)
async def test_an_etag_of_other_bytes_is_noticed_whatever_the_last_one_was(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    before: str | None,
) -> None:
    path = write_parquet(numbers)
    async with parquet.client:
        if before is not None:
            if before == "no MD5":
                plane.inject(Fault(call="put_part", answer=Encrypted()))
            await parquet.upload_async("other", path)
        plane.inject(Fault(call="put_part", answer=WrongETag()))
        report = await parquet.upload_async("numbers", path)
    assert report.unverified_parts == 0
    assert [call.call for call in plane.calls].count("put_part") == (2 if before is None else 3)


async def test_a_part_that_cannot_be_read_again_to_be_compared_is_an_error(
    parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    path = write_parquet(numbers)

    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.BytesSent):
                os.truncate(path, 100)

    with pytest.raises(kumo_async.SourceChangedError):
        await parquet.upload_async("numbers", path, observer=Meddler())
    assert await parquet.table_names_async() == []


async def test_an_answer_that_is_faster_than_the_hash_waits_for_it(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    class Slow(PartDigest):
        def update(self, block: bytes | memoryview) -> asyncio.Future[Any] | None:
            copy = bytes(block)

            def work() -> None:
                if len(copy) < 512 * 1024:  # the last block: no other is smaller
                    answered.wait()
                self._md5.update(copy)

            return asyncio.get_running_loop().run_in_executor(None, work)

    async def read_text(response: aiohttp.ClientResponse, most: int) -> str:
        text = await http.read_text(response, most)
        asyncio.get_running_loop().call_soon(answered.set)
        return text

    sent: list[int] = []

    class Meter:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.BytesSent):
                sent.append(event.count)

    async with parquet.client:
        # Only once an ETag was an MD5, parts are hashed on their way.
        await parquet.upload_async("first", write_parquet(numbers))
        monkeypatch.setattr(storage, "PartDigest", Slow)
        monkeypatch.setattr(storage, "read_text", read_text)
        report = await parquet.upload_async("numbers", write_parquet(numbers), observer=Meter())
    assert report.unverified_parts == 0
    assert sum(sent) == report.bytes
    assert [call.call for call in plane.calls].count("put_part") == 2
