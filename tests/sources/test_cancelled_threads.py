"""asyncio cancels a task, and not the thread that it waits for: nothing is cleaned up that a thread still works on."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from gate import ThreadGate
from kumo_async import CsvOptions, SourceError, UploadOptions
from kumo_async.sources import open_source
from kumo_async.sources.files import SourceFile
from kumo_async.sources.workers import Workers

TEXT = b"id,name\n" + b"".join(b"%d,somebody\n" % number for number in range(200_000))
PARTITION = 512 * 1024


@pytest.fixture
def gate() -> Iterator[ThreadGate]:
    gate = ThreadGate()
    yield gate
    gate.open()


@pytest.fixture
def gate_before_reads(gate: ThreadGate, monkeypatch: pytest.MonkeyPatch) -> ThreadGate:
    """A gate before every read of the source in a thread."""
    read = SourceFile.read_blocking

    def held(file: SourceFile, offset: int, length: int) -> bytes:
        gate.passed()
        return read(file, offset, length)

    monkeypatch.setattr(SourceFile, "read_blocking", held)
    return gate


async def partitions(path: Path, file_type: str, options: UploadOptions, ready: Callable[[], None]) -> None:
    async with open_source(path, file_type, options) as source:
        ready()
        async for _ in source.partitions(PARTITION):
            pass


@pytest.mark.parametrize("while_it_is_opened", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("t.csv", {"csv": CsvOptions(encoding="latin-1")}),
        ("t.csv.gz", {}),
        ("t.csv.gz", {"convert": "parquet"}),
    ],
)
async def test_a_cancellation_waits_for_the_thread_that_makes_text(
    tmp_path: Path,
    gate_before_reads: ThreadGate,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: dict[str, Any],
    *,
    while_it_is_opened: bool,
) -> None:
    # With several, all of so small a file is read at once.
    monkeypatch.setattr("kumo_async.sources.csv_content.processors", lambda: 1)
    gate, path = gate_before_reads, tmp_path / name
    path.write_bytes(gzip.compress(TEXT, 0) if name.endswith(".gz") else TEXT)
    if while_it_is_opened:
        gate.close()
    uploading = partitions(
        path, options.get("convert", "csv"), UploadOptions(partition_threshold=0, **options), gate.close
    )
    await gate.check_outlasts(asyncio.create_task(uploading))


async def test_a_cancellation_waits_for_workers_that_are_already_told_to_end(gate: ThreadGate) -> None:
    gate.close()
    ending = anyio.Event()

    async def fail() -> None:
        async with Workers(1) as workers:
            workers.submit(gate.passed)
            await gate.reached()
            ending.set()
            raise SourceError("No.")

    task = asyncio.create_task(fail())
    await ending.wait()
    await gate.check_outlasts(task)
