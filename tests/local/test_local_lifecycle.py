"""A plane starts and ends without leaving anything, keeps what it was told to keep, and keeps its key to itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import stat
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from local_client import CSV, MIB, broken, running, until

from kumo_async import FileUploadConnector, KumoClient, KumoError, UploadOptions
from kumo_async.errors import ConfigurationError
from kumo_async.local import Fault, LocalDataPlane, Status


def descriptors() -> set[str]:
    folder = Path("/proc/self/fd")
    return {str(entry.readlink()) for entry in folder.iterdir() if entry.is_symlink()}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
async def test_nothing_is_left_after_the_end() -> None:
    async with running() as client:  # what is loaded once for good is loaded now
        await client.upload("users", b"a\n1\n", connector="csv_upload_connector", validate_data=True)
    gc.collect()
    before = (descriptors(), set(threading.enumerate()), asyncio.all_tasks())
    async with running() as client:
        root = client.plane.root
        await client.upload("users", b"a" * 5 * MIB, b"b")
        assert root.is_dir()
    gc.collect()
    assert (descriptors(), set(threading.enumerate()), asyncio.all_tasks()) == before
    assert not root.exists()


async def test_a_part_that_is_under_way_does_not_hold_the_end() -> None:
    async def endless() -> object:
        yield b"x" * MIB
        await asyncio.Event().wait()

    async with running() as client:
        started = await client.start("users")
        headers = {"Content-Length": str(10 * MIB)}
        async with asyncio.TaskGroup() as group:
            put = client.send("PUT", started.urls[0], data=endless(), headers=headers)
            sending = group.create_task(broken(put))
            await until(lambda: len(client.plane.calls) == 2)
            await client.plane.stop()
        assert sending.result()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kumo-local")]


async def test_start_and_stop_work_without_the_context_manager() -> None:
    plane = LocalDataPlane()
    with pytest.raises(ConfigurationError, match="not running"):
        _ = plane.endpoint
    await plane.start()
    with pytest.raises(ConfigurationError, match="already"):
        await plane.start()
    assert plane.endpoint.startswith("http://127.0.0.1:")
    await plane.stop()
    await plane.stop()
    with pytest.raises(ConfigurationError, match="not running"):
        plane.table_names("parquet")


async def test_a_port_that_is_taken_is_an_os_error_and_leaves_nothing(tmp_path: Path) -> None:
    async with LocalDataPlane() as plane:
        port = int(plane.endpoint.rpartition(":")[2].partition("/")[0])
        with pytest.raises(OSError, match="in use"):
            await LocalDataPlane(tmp_path, port=port).start()
    async with LocalDataPlane(tmp_path, port=port) as plane:
        assert plane.endpoint == f"http://127.0.0.1:{port}/api"


async def test_tables_uploads_and_urls_survive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        await client.upload("users", b"whole")
        port = int(client.plane.endpoint.rpartition(":")[2].partition("/")[0])
        started = await client.start("orders", 2)
        await client.put(started, 1, b"a" * 5 * MIB)
    async with running(tmp_path, port=port) as client:
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"whole"
        assert (await client.put(started, 2, b"b")).status == 200
        assert (await client.complete(started)).status == 200
        assert client.plane.table_names("parquet") == ["orders", "users"]


@pytest.mark.parametrize("given", [True, False])
async def test_journals_of_failed_uploads_stay_where_the_guide_puts_them(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "fixture"))
    (tmp_path / "orders.csv").write_text("id,amount\n1,9.50\n")
    fault = Fault(call="validate", answer=Status(403))
    options = UploadOptions(journal_dir=tmp_path / "given") if given else UploadOptions()
    async with LocalDataPlane(faults=[fault]) as plane:
        connector = FileUploadConnector("csv", client=KumoClient(plane.endpoint, plane.api_key))
        with pytest.raises(KumoError):
            await connector.upload_async("orders", tmp_path / "orders.csv", options=options)
    journals = list(tmp_path.rglob("*.journal"))
    assert [path.relative_to(tmp_path).parts[0] for path in journals] == ["given" if given else "fixture"]


async def test_the_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    async with running(tmp_path / "new"):
        assert stat.S_IMODE((tmp_path / "new" / "secret").stat().st_mode) == 0o600


async def test_names_never_become_paths(tmp_path: Path) -> None:
    names = ["../../escape", "/etc/passwd", "a/b/c", "..", "nul\0", "x" * 1024, "'; DROP TABLE objects; --"]
    async with running(tmp_path / "root") as client:
        for name in names:
            assert (await client.upload(name, b"x")).status == 200
        assert client.plane.object_names("parquet") == sorted(names)
        files = {path.name for path in (tmp_path / "root" / "files").iterdir()}
        assert len(files) == len(names)
        assert all(len(file) == len("0" * 32 + ".parquet") for file in files)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


async def test_the_key_is_random_and_in_no_repr_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running() as client:
        key = client.plane.api_key
        assert key.startswith("local:")
        assert len(key) > 30
        assert key != LocalDataPlane().api_key
        await client.upload("users", b"x")
        await client.get("/config", headers={"X-API-Key": "wrong"})
        texts = [repr(client.plane), repr(client.plane.calls), caplog.text]
        assert not [text for text in texts if key.removeprefix("local:") in text or "X-Amz" in text]


async def test_memory_stays_flat_however_large_a_part_is() -> None:
    async def zeros(count: int) -> object:
        for _ in range(count):
            yield bytes(MIB)

    async with running() as client:
        started = await client.start("users")
        peaks = []
        for count in (16, 16, 160):
            tracemalloc.start()
            headers = {"Content-Length": str(count * MIB)}
            answer = await client.send("PUT", started.urls[0], data=zeros(count), headers=headers)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert answer.status == 200
        assert peaks[2] < peaks[1] + 4 * MIB
        assert max(peaks) < 16 * MIB


def test_the_import_is_light() -> None:
    program = "import sys, kumo_async.local; print(*sorted({'pandas', 'pyarrow', 'kumoapi'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.split() == []


@pytest.mark.parametrize("name", ["my table", "größe", "-y", ".z", "x.", "🙂", "x" * 300])
async def test_a_table_of_another_client_is_deleted_under_any_name(name: str) -> None:
    async with running() as client:
        await client.upload(name, b"a,b\n1,2\n", connector=CSV)
        await client.upload("orders", b"a,b\n1,2\n", connector=CSV)
        csv = FileUploadConnector("csv", client=KumoClient(client.plane.endpoint, client.plane.api_key))
        await csv.delete_async(name)
        assert await csv.table_names_async() == ["orders"]


@pytest.mark.parametrize("name", ["orders.csv/part_0001.csv", "orders.csv", "orders.CSV", "my orders.csv", ""])
async def test_a_name_that_could_mean_a_part_of_another_table_is_not_deleted(name: str) -> None:
    async with running() as client:
        for number in (1, 2):
            await client.upload(f"orders.csv/part_{number:04d}.csv", b"a,b\n1,2\n", connector=CSV)
        csv = FileUploadConnector("csv", client=KumoClient(client.plane.endpoint, client.plane.api_key))
        with pytest.raises(ConfigurationError, match="name"):
            await csv.delete_async(name)
        assert len(client.plane.object_names("csv")) == 2
