"""Fixtures for all tests: a data plane over real HTTP, a client of it, and a watch over what a test leaves behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

import kumo_async
import kumo_async.client
from gate import ThreadGate
from kumo_async.local import LocalDataPlane

# By default an example that takes over 200 ms is a failure, which it must not be on a machine that is busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_finish() -> None:
    """Keep the thousands of collected tests out of what the garbage collector looks at, again and again."""
    gc.collect()
    gc.freeze()


def _open_files() -> set[str]:
    return {f"{link.name} -> {link.readlink()}" for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def _left(threads: set[threading.Thread], files: set[str]) -> set[str]:
    """Return what there is of threads, and of open sockets and files of the tests' own, that was not there before."""
    new = {entry for entry in _open_files() - files if "socket" in entry or "/pytest-" in entry}
    return new | {thread.name for thread in set(threading.enumerate()) - threads}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a thread, a socket or a file of its own open.

    Worker threads that have no more work, and those of AnyIO and Arrow that were told to end, may still be on their way
    out when a test ends, and nothing tells when they are; so what is left is looked at again for a while. Garbage is
    collected only where that does not help: it takes longer than most tests do.
    """
    threads = set(threading.enumerate())
    files = _open_files()
    yield
    begin = time.monotonic()
    while (left := _left(threads, files)) and time.monotonic() < begin + 10:
        if time.monotonic() > begin + 0.2:
            gc.collect()
        time.sleep(0.005)
    assert left == set()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment's credentials, and those that other tests set, away."""
    monkeypatch.delenv("KUMO_API_ENDPOINT", raising=False)
    monkeypatch.delenv("KUMO_API_KEY", raising=False)
    monkeypatch.setattr(kumo_async.client, "_default", None)
    monkeypatch.setattr(kumo_async.client, "_from_environment", None)


@pytest.fixture(autouse=True)
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of the test alone, as for child processes; return where the journals are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "kumo-async" / "uploads"


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect a deletion whose answer was lost to take effect within a moment."""
    monkeypatch.setattr("kumo_async.upload.deletions._WINDOW", 0.2)


@pytest.fixture
def closed_gate() -> Iterator[ThreadGate]:
    """A gate that holds every thread, until the test's end at the latest."""
    gate = ThreadGate()
    gate.close()
    yield gate
    gate.open()


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[LocalDataPlane]:
    """A data plane of its own for each test."""
    async with LocalDataPlane(root=tmp_path / "plane") as plane:
        yield plane


@pytest.fixture
def client(plane: LocalDataPlane) -> kumo_async.KumoClient:
    return kumo_async.KumoClient(plane.endpoint, plane.api_key)


@pytest.fixture
def parquet(client: kumo_async.KumoClient) -> kumo_async.FileUploadConnector:
    return kumo_async.FileUploadConnector("parquet", client=client)


@pytest.fixture
def csv(client: kumo_async.KumoClient) -> kumo_async.FileUploadConnector:
    return kumo_async.FileUploadConnector("csv", client=client)


@pytest.fixture
def numbers() -> pa.Table:
    """A table of 60,000 rows that barely compresses."""
    random = np.random.default_rng(1)
    return pa.table({"id": np.arange(60_000), "value": random.random(60_000)})


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a table to `name` in the test's own directory."""

    def write(table: pa.Table, name: str = "table.parquet", **options: object) -> Path:
        path = tmp_path / name
        pq.write_table(table, path, **options)
        return path

    return write


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commits complete and delete objects in their order."""
    monkeypatch.setattr("kumo_async.upload.commit._BURST", 1)


@pytest.fixture
def cut_small() -> kumo_async.UploadOptions:
    """Options that cut every file into partitions of 256 KiB."""
    return kumo_async.UploadOptions(partition_threshold=0, partition_size=256 * 1024)
