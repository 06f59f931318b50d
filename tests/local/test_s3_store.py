"""The plane over a real S3 server: every call, and what the server itself then holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from local_client import CONFIG, CSV, LIST, MIB, VALIDATE, Client, running
from local_files import parquet

from kumo_async.errors import ConfigurationError
from kumo_async.local import LocalDataPlane, S3Options
from rclone_server import Rclone, rclone_on, sign_long_ago


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    with rclone_on(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@asynccontextmanager
async def over(rclone: Rclone) -> AsyncIterator[tuple[Client, Path]]:
    """Run a plane over a bucket of its own; gives the directory that the server keeps the plane's objects in."""
    bucket = rclone.bucket()
    async with running(store=f"s3://{bucket}/some/prefix", s3=rclone.options) as client:
        yield client, rclone.root / bucket / "some" / "prefix"


async def test_parts_go_straight_to_the_server_and_make_one_object(rclone: Rclone) -> None:
    async with over(rclone) as (client, directory):
        started = await client.start("users.csv/part_0001.csv", 2, CSV)
        assert all(url.startswith(rclone.options.endpoint or "") for url in started.urls)
        # The second one first, as it happens with parts in parallel.
        await client.put(started, 2, b"b" * 10)
        await client.put(started, 1, b"a" * 5 * MIB)
        assert client.plane.object_names("csv") == []
        assert (await client.complete(started)).status == 200
        assert (directory / "csv/users.csv/part_0001.csv").read_bytes() == b"a" * 5 * MIB + b"b" * 10
        assert client.plane.object_names("csv") == ["users.csv/part_0001.csv"]
        assert client.plane.table_names("csv") == ["users"]
        assert not [call for call in client.plane.calls if call.call == "put_part"]


async def test_a_table_is_listed_described_and_deleted(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        for number in (10_000, 2, 1):
            body = parquet({"id": [number], "text": [f"row {number}"]})
            assert (await client.upload(f"users.parquet/part_{number:04d}.parquet", body)).status == 200
        await client.upload("users_2", parquet({"id": [1]}))
        assert (await client.ask(LIST)).json == {"table_names": ["users", "users_2"]}
        assert (await client.ask(VALIDATE, table_name="users")).json["is_valid"]
        assert not (await client.ask(VALIDATE, table_name="user")).json["is_valid"]
        assert (await client.ask(CONFIG, table_name="users")).status == 200
        (table,) = (await client.data("users", rows=3)).json
        rows = json.loads(table["sample_rows"])["data"]
        assert [row["id"] for row in rows] == [1, 2, 10_000]
        assert (await client.delete("users")).status == 200
        assert client.plane.object_names("parquet") == ["users_2"]
        assert (await client.delete("users")).status == 404
        assert (await client.data("users", rows=1)).status == 404


async def test_a_csv_table_is_described(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        for number in (1, 2):
            await client.upload(f"t.csv/part_000{number}.csv", b"id,zip\n%d,00501\n" % number, connector=CSV)
        (table,) = (await client.data("t", connector=CSV, rows=2)).json
        assert json.loads(table["sample_rows"])["data"] == [{"id": 1, "zip": "00501"}, {"id": 2, "zip": "00501"}]
        (empty,) = (await client.data("t", connector=CSV)).json
        assert [column["name"] for column in empty["cols"]] == ["id", "zip"]


async def test_a_large_file_is_described_by_its_ends(rclone: Rclone) -> None:
    async with over(rclone) as (client, directory):
        body = parquet({"blob": [bytes([i]) * MIB for i in range(8)]}, compression="none", row_group_size=1)
        await client.upload("blobs", body)
        (table,) = (await client.data("blobs", rows=1)).json
        assert [column["name"] for column in table["cols"]] == ["blob"]
        assert (directory / "parquet" / "blobs").stat().st_size == len(body)


async def test_only_one_object_is_deleted_where_a_plane_does_so(rclone: Rclone) -> None:
    bucket = rclone.bucket()
    async with running(store=f"s3://{bucket}", s3=rclone.options, delete_removes_partitions=False) as client:
        for name in ("t", "t.csv/part_0001.csv"):
            await client.upload(name, b"a\n1\n", connector=CSV)
        assert (await client.delete("t", CSV)).status == 200
        assert client.plane.object_names("csv") == ["t.csv/part_0001.csv"]


async def test_a_wrong_etag_makes_no_object_and_leaves_the_old_one(rclone: Rclone) -> None:
    async with over(rclone) as (client, directory):
        await client.upload("users", b"old", connector=CSV)
        started = await client.start("users", 1, CSV)
        await client.put(started, 1, b"new")
        wrong = [{"part_number": 1, "etag": '"' + "0" * 32 + '"'}]
        answer = await client.complete(started, parts_metadata=wrong)
        assert (answer.status, answer.code) == (400, "InvalidPart")
        assert (directory / "csv" / "users").read_bytes() == b"old"


async def test_an_expired_url_takes_nothing(rclone: Rclone, monkeypatch: pytest.MonkeyPatch) -> None:
    async with over(rclone) as (client, directory):
        sign_long_ago(monkeypatch)
        started = await client.start("users", 1, CSV)
        answer = await client.put(started, 1, b"late")
        assert (answer.status, answer.code) == (400, "AccessDenied")  # Amazon answers 403 "Request has expired"
        assert not (directory / "csv" / "users").exists()


async def test_a_url_is_good_for_its_own_part_only(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        started = await client.start("users", 2, CSV)
        moved = started.urls[0].replace("partNumber=1", "partNumber=2")
        assert (await client.send("PUT", moved, data=b"x")).code == "SignatureDoesNotMatch"


async def test_validated_data_is_read_and_removed_when_it_is_bad(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        assert (await client.upload("good", parquet({"id": [1]}), validate_data=True)).status == 200
        assert (await client.upload("bad", b"not parquet", validate_data=True)).status == 400
        assert client.plane.object_names("parquet") == ["good"]


async def test_an_upload_of_another_name_is_not_completed(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        started = await client.start("users", 1, CSV)
        await client.put(started, 1, b"x")
        assert (await client.complete(started, source_table_name="other")).code == "InvalidArgument"
        assert client.plane.object_names("csv") == []


@pytest.mark.parametrize("name", ["../users", "a//b", "a/./b", "/a", "a/"])
async def test_names_that_mean_another_directory_are_refused(rclone: Rclone, name: str) -> None:
    async with over(rclone) as (client, _):
        with pytest.raises(AssertionError, match="segments"):
            await client.start(name, 1, CSV)


async def test_a_server_that_is_away_is_an_internal_error(tmp_path: Path) -> None:
    with rclone_on(tmp_path) as server:
        async with over(server) as (client, _):
            server.kill()
            answer = await client.ask(LIST)
            assert (answer.status, answer.code) == (500, "InternalError")
            assert "://" not in answer.text
            server.start()
            assert (await client.ask(LIST)).json == {"table_names": []}


async def test_uploads_that_the_server_forgot_are_gone(tmp_path: Path) -> None:
    with rclone_on(tmp_path) as server:
        async with over(server) as (client, _):
            started = await client.start("users", 1, CSV)
            await client.put(started, 1, b"x")
            server.kill()
            server.start()
            assert (await client.put(started, 1, b"x")).code == "NoSuchUpload"
            assert (await client.complete(started)).code == "NoSuchUpload"


async def test_two_planes_work_on_one_bucket(rclone: Rclone) -> None:
    bucket = rclone.bucket()
    async with (
        running(store=f"s3://{bucket}", s3=rclone.options) as first,
        running(store=f"s3://{bucket}/", s3=rclone.options) as second,
    ):
        started = await first.start("users", 1, CSV)
        await first.put(started, 1, b"x")
        assert (await second.complete(started)).status == 200
        assert first.plane.table_names("csv") == ["users"]


async def test_the_plane_itself_takes_no_parts(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        origin = client.plane.endpoint.removesuffix("/api")
        assert (await client.send("PUT", f"{origin}/kumo-local/uploads/x", data=b"x")).code == "AccessDenied"


async def test_what_there_is_of_files_is_said(rclone: Rclone) -> None:
    async with over(rclone) as (client, _):
        assert client.plane.place.startswith("s3://bucket-")
        with pytest.raises(ConfigurationError, match="s3://bucket-"):
            client.plane.table_files("users", "csv")
        with pytest.raises(ConfigurationError, match="s3://bucket-"):
            _ = client.plane.root


async def test_keys_and_endpoint_come_from_the_usual_variables(rclone: Rclone, monkeypatch: pytest.MonkeyPatch) -> None:
    options = rclone.options
    monkeypatch.setenv("AWS_ENDPOINT_URL", options.endpoint or "")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options.access_key_id or "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options.secret_access_key or "")
    async with running(store=f"s3://{rclone.bucket()}") as client:
        assert (await client.upload("users", b"x", connector=CSV)).status == 200


async def test_a_bucket_that_cannot_be_used_is_said_at_once(rclone: Rclone) -> None:
    for plane in (
        LocalDataPlane(store="s3://nobody-has-this", s3=rclone.options),
        LocalDataPlane(
            store="s3://bucket", s3=S3Options(endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key="b")
        ),
    ):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            await plane.start()


@pytest.mark.parametrize("store", ["bucket", "http://bucket/x", "s3://", "s3://key:secret@bucket", "s3://bucket?x=1"])
def test_a_place_that_is_none_is_refused(store: str) -> None:
    with pytest.raises(ConfigurationError, match="s3://bucket/prefix"):
        LocalDataPlane(store=store)


def test_a_plane_keeps_its_tables_in_one_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="either root or store"):
        LocalDataPlane(tmp_path, store="s3://bucket")


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(S3Options(access_key_id="me-secret", secret_access_key="secret"))
