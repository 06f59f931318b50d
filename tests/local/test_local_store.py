"""What is on the disk: order, deletion, cleaning, and several processes on one root."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import aiohttp
import duckdb
import pytest
from local_client import CSV, LIST, MIB, PARQUET, Client, running
from local_files import parquet

from kumo_async.local.completion import Completion
from kumo_async.local.store import DiskStore


async def test_a_partitioned_table_is_listed_once_and_its_files_are_in_order() -> None:
    async with running() as client:
        names = [f"users.parquet/part_{number:04d}.parquet" for number in (2, 10_000, 1, 9_999)]
        for position, name in enumerate(
            [*names, "users.parquet/part_x.parquet", "accounts", "users.csv/part_0001.csv"]
        ):
            await client.upload(name, str(position).encode())
        plane = client.plane
        assert plane.table_names("parquet") == ["accounts", "users", "users.csv/part_0001.csv"]
        assert (await client.ask(LIST)).json == {"table_names": plane.table_names("parquet")}
        assert [path.read_text() for path in plane.table_files("users", "parquet")] == ["2", "0", "3", "1", "4"]
        assert {path.suffix for path in plane.table_files("users", "parquet")} == {".parquet"}
        assert plane.table_files("nobody", "parquet") == []
        assert len(plane.object_names("parquet")) == 7
        with pytest.raises(ValueError, match="file_type"):
            plane.table_names("json")


async def test_files_open_with_duckdb() -> None:
    async with running() as client:
        for number in (1, 2):
            await client.upload(f"users.parquet/part_{number:04d}.parquet", parquet({"a": [number]}))
        files = [str(path) for path in client.plane.table_files("users", "parquet")]
        with duckdb.connect() as database:
            rows = database.execute("SELECT a FROM read_parquet(?) ORDER BY a", [files]).fetchall()
        assert rows == [(1,), (2,)]


@pytest.mark.parametrize(("removes", "left"), [(True, ["users_2"]), (False, ["users", "users_2"])])
async def test_deleting_a_table_may_or_may_not_delete_its_partitions(removes: bool, left: list[str]) -> None:
    async with running(delete_removes_partitions=removes) as client:
        for name in ("users", "users.csv/part_0001.csv", "users.csv/part_0002.csv", "users_2"):
            await client.upload(name, b"x", connector=CSV)
        assert (await client.delete("users", CSV)).status == 200
        assert client.plane.table_names("csv") == left
        assert (await client.delete("users", CSV)).status == 404
        remaining = len(client.plane.object_names("csv"))
        assert len(list((client.plane.root / "files").iterdir())) == remaining == (1 if removes else 3)


async def test_one_partition_can_be_deleted() -> None:
    async with running() as client:
        for number in (1, 2):
            await client.upload(f"users.csv/part_000{number}.csv", b"x", connector=CSV)
        assert (await client.delete("users.csv/part_0001.csv", CSV)).status == 200
        assert client.plane.object_names("csv") == ["users.csv/part_0002.csv"]


async def test_the_two_connectors_do_not_see_each_other() -> None:
    async with running() as client:
        await client.upload("users", b"x", connector=CSV)
        assert (await client.delete("users", PARQUET)).status == 404
        assert client.plane.table_names("csv") == ["users"]


async def test_what_nobody_names_is_swept_when_it_is_old(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.upload("users", b"x")
        await client.put(await client.start("orders"), 1, b"y")
        old, fresh = tmp_path / "files" / "old.parquet", tmp_path / "files" / "fresh.parquet"
        for path in (*(tmp_path / "files").iterdir(), old, fresh):
            path.touch()
            if path != fresh:
                os.utime(path, (1, 1))
    async with running(tmp_path) as client:
        assert (old.exists(), fresh.exists()) == (False, True)
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"x"
        assert len(list((tmp_path / "files").iterdir())) == 3


async def test_an_upload_of_more_than_a_week_is_given_up(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        started = await client.start("users")
        await client.put(started, 1, b"x")
    with closing(sqlite3.connect(tmp_path / "index.sqlite3")) as index, index:
        index.execute("UPDATE uploads SET started = started - 8 * 24 * 3600")
    async with running(tmp_path) as client:
        assert (await client.complete(started)).code == "NoSuchUpload"


def test_a_store_that_was_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    """A killed process leaves a claim that nobody gives back. The part is sent again, and the object is whole."""
    first = DiskStore(tmp_path)
    upload = first.start("csv", "users", 2)
    dead = first.claim(upload.upload_id, 1, 5 * MIB)
    first.path(dead.file).write_bytes(b"half")
    # No close: the process is gone.
    store = DiskStore(tmp_path)
    for number, body in ((2, b"b"), (1, b"a" * 5 * MIB)):
        place = store.claim(upload.upload_id, number, len(body))
        with store.path(place.file).open("r+b" if store.path(place.file).exists() else "wb") as file:
            file.seek(place.offset)
            file.write(body)
        store.keep(place, len(body), "etag")
    store.complete(Completion(upload.upload_id, upload.temp_path, "csv", "users", [(1, "etag"), (2, "etag")]))
    # Even if the old process was only slow: its file is not the object's.
    first.path(dead.file).write_bytes(b"late")
    assert store.files("csv", "users")[0].read_bytes() == b"a" * 5 * MIB + b"b"
    first.close()
    store.close()


PROGRAM = """
import asyncio, sys
from kumo_async.local import LocalDataPlane

async def main():
    async with LocalDataPlane(sys.argv[1], api_key="local:shared") as plane:
        print(plane.endpoint, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


class Process:
    """A plane in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, endpoint: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.endpoint = endpoint
        self.api_key = "local:shared"
        self.client = Client(self, session)  # type: ignore[arg-type]

    @classmethod
    async def start(cls, root: Path, session: aiohttp.ClientSession) -> Process:
        pipe = asyncio.subprocess.PIPE
        arguments = [sys.executable, "-c", PROGRAM, str(root)]
        process = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        return cls(process, (await process.stdout.readline()).decode().strip(), session)

    async def stop(self) -> None:
        await self.process.communicate(b"\n")
        assert self.process.returncode == 0


async def test_several_processes_share_one_root(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with asyncio.TaskGroup() as group:
            starting = [group.create_task(Process.start(tmp_path, session)) for _ in range(3)]
        processes = [task.result() for task in starting]
        async with asyncio.TaskGroup() as group:
            for number in range(1, 31):
                client = processes[number % 3].client
                group.create_task(client.upload(f"users.csv/part_{number:04d}.csv", b"%d" % number, connector=CSV))
        # An upload that one process started goes on with another: the URLs differ in the port only.
        first, second = processes[0].client, processes[1].client
        started = await first.start("orders", 2, CSV)
        await first.put(started, 1, b"a" * 5 * MIB)
        ports = [process.endpoint.split("/")[2] for process in processes]
        moved = started.urls[1].replace(ports[0], ports[1])
        started.etags[2] = (await second.send("PUT", moved, data=b"b")).headers["ETag"]
        assert (await processes[2].client.complete(started)).status == 200
        for process in processes:
            answer = await process.client.ask(LIST, CSV)
            assert answer.json == {"table_names": ["orders", "users"]}
        async with asyncio.TaskGroup() as group:
            for process in processes:
                group.create_task(process.stop())
    async with running(tmp_path) as client:
        assert [path.read_text() for path in client.plane.table_files("users", "csv")] == [str(n) for n in range(1, 31)]
        assert client.plane.table_files("orders", "csv")[0].read_bytes() == b"a" * 5 * MIB + b"b"


async def test_a_killed_process_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        process = await Process.start(tmp_path, session)
        await process.client.upload("users", b"whole")
        started = await process.client.start("orders", 2)
        await process.client.put(started, 1, b"a" * 5 * MIB)
        process.process.kill()
        await process.process.communicate()
        port = int(process.endpoint.split(":")[2].partition("/")[0])
    async with running(tmp_path, port=port) as client:
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"whole"
        assert (await client.put(started, 2, b"b")).status == 200
        assert (await client.complete(started)).status == 200
