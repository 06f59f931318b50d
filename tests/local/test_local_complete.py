"""Completing an upload: all or nothing, and only as it was started."""

from __future__ import annotations

import pytest
from local_client import CSV, DELETE, MIB, PARQUET, VALIDATE, Client, Started, running
from local_files import parquet


async def two_parts(client: Client, first: int = 5 * MIB) -> Started:
    started = await client.start("users", 2)
    await client.put(started, 1, b"a" * first)
    await client.put(started, 2, b"b")
    return started


async def test_nothing_is_visible_until_complete_and_then_all_is() -> None:
    async with running() as client:
        started = await two_parts(client)
        assert client.plane.object_names("parquet") == []
        assert (await client.ask(VALIDATE, table_name="users")).json["is_valid"] is False
        answer = await client.complete(started)
        assert (answer.status, answer.text) == (200, "")
        assert (await client.ask(VALIDATE, table_name="users")).json == {"is_valid": True, "msg": ""}
        assert client.plane.object_names("parquet") == ["users"]
        assert client.plane.object_names("csv") == []


async def test_a_second_complete_finds_no_upload() -> None:
    async with running() as client:
        started = await two_parts(client)
        await client.complete(started)
        answer = await client.complete(started)
        assert (answer.status, answer.code) == (404, "NoSuchUpload")


async def test_a_second_complete_can_be_answered_as_the_first_and_brings_nothing_back() -> None:
    async with running(second_complete_succeeds=True) as client:
        started = await two_parts(client)
        assert (await client.complete(started)).status == 200
        assert (await client.ask(DELETE, source_table_name="users")).status == 200
        assert (await client.complete(started)).status == 200
        assert client.plane.object_names("parquet") == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"upload_id": "other"}, 404, "NoSuchUpload"),
        ({"temp_upload_path": "other"}, 400, "InvalidArgument"),
        ({"source_table_name": "orders"}, 400, "InvalidArgument"),
        ({"connector_id": CSV}, 400, "InvalidArgument"),
        ({"parts_metadata": []}, 400, "InvalidPart"),
    ],
)
async def test_what_does_not_fit_the_upload_is_refused(change: dict[str, object], status: int, code: str) -> None:
    async with running() as client:
        started = await two_parts(client)
        answer = await client.complete(started, **change)
        assert (answer.status, answer.code) == (status, code)
        assert (await client.complete(started)).status == 200


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([1], "InvalidPart"),
        ([2, 1], "InvalidPartOrder"),
        ([1, 1], "InvalidPartOrder"),
        ([1, 1, 2], "InvalidPartOrder"),
        ([1, 2, 3], "InvalidPart"),
        ([0, 1, 2], "InvalidPart"),
    ],
)
async def test_the_parts_must_be_listed_as_they_were_started(numbers: list[int], code: str) -> None:
    async with running() as client:
        started = await two_parts(client)
        parts = [{"part_number": number, "etag": started.etags.get(number, "x")} for number in numbers]
        answer = await client.complete(started, parts_metadata=parts)
        assert (answer.status, answer.code) == (400, code)


async def test_a_part_that_was_not_sent_and_a_wrong_etag_are_refused() -> None:
    async with running() as client:
        started = await client.start("users", 2)
        await client.put(started, 1, b"a" * 5 * MIB)
        started.etags[2] = started.etags[1]
        assert (await client.complete(started)).code == "InvalidPart"
        await client.put(started, 2, b"b")
        started.etags[1], started.etags[2] = started.etags[2], started.etags[1]
        assert (await client.complete(started)).code == "InvalidPart"


async def test_an_etag_may_come_without_quotes() -> None:
    async with running() as client:
        started = await two_parts(client)
        started.etags.update({number: etag.strip('"') for number, etag in started.etags.items()})
        assert (await client.complete(started)).status == 200


async def test_a_part_below_5_mib_may_only_be_the_last() -> None:
    async with running() as client:
        started = await two_parts(client, 5 * MIB - 1)
        answer = await client.complete(started)
        assert (answer.status, answer.code) == (400, "EntityTooSmall")
        await client.put(started, 1, b"a" * 5 * MIB)
        assert (await client.complete(started)).status == 200
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"a" * 5 * MIB + b"b"


async def test_an_object_is_replaced_at_once() -> None:
    async with running() as client:
        await client.upload("users", b"old")
        before = client.plane.table_files("users", "parquet")
        started = await client.start("users")
        await client.put(started, 1, b"new")
        assert [path.read_bytes() for path in before] == [b"old"]
        await client.complete(started)
        assert [path.read_bytes() for path in client.plane.table_files("users", "parquet")] == [b"new"]
        assert [path.exists() for path in before] == [False]


async def test_two_uploads_of_one_name_do_not_touch_each_other() -> None:
    async with running() as client:
        first, second = await client.start("users"), await client.start("users")
        await client.put(first, 1, b"first")
        await client.put(second, 1, b"second")
        assert (await client.complete(second)).status == 200
        assert (await client.complete(first)).status == 200
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"first"


@pytest.mark.parametrize(
    ("connector", "body", "words"),
    [
        (PARQUET, b"not parquet", "cannot be read as parquet"),
        (PARQUET, parquet({"_a": [1], "b": [1]}), "'_a'"),
        (PARQUET, parquet({"a b": [1]}), "'a b'"),
        (PARQUET, parquet({"caf\u00e9": [1]}), "'caf\u00e9'"),
        (CSV, b"", "cannot be read as csv"),
        (CSV, b"a,a\n1,2\n", "'a'"),
        (CSV, b"a,\n1,2\n", "''"),
        (CSV, b"a,b\n1,2,3\n", "cannot be read as csv"),
        (CSV, b"\xff\n1\n", "cannot be read as csv"),
    ],
)
async def test_validate_data_refuses_files_that_kumo_cannot_read(connector: str, body: bytes, words: str) -> None:
    async with running() as client:
        answer = await client.upload("users", body, connector=connector, validate_data=True)
        assert answer.status == 400
        assert words in answer.json["detail"]
        assert client.plane.object_names("parquet") == client.plane.object_names("csv") == []
        assert (await client.upload("users", body, connector=connector, validate_data=False)).status == 200


@pytest.mark.parametrize(
    ("connector", "body"),
    [
        (PARQUET, parquet({"a": [1], "B_2": ["x"]})),
        (CSV, b"a,B_2\n1,x\n"),
        (CSV, b'\xef\xbb\xbf"a","b"\r\n1,"x\r\ny"\r\n'),
    ],
)
async def test_validate_data_takes_good_files(connector: str, body: bytes) -> None:
    async with running() as client:
        assert (await client.upload("users", body, connector=connector, validate_data=True)).status == 200
