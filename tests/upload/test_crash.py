"""`kill -9` after every record of the journal, whole or torn: what comes next makes the table whole, once.

A record here is what is written at once: where there is no old table, the begin of the commit and that it is gone.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anyio import to_thread

import kumo_async
from kumo_async.local import LocalDataPlane

WritesParquet = Callable[..., Path]

#: Three row groups of 320 KB each become three partitions.
THREE = {"partition_threshold": 0, "partition_size": 400_000}
FIVE = {"partition_threshold": 0, "partition_size": 300_000}
ONE: dict[str, int] = {}


@dataclass(frozen=True)
class Shape:
    """A table that is uploaded, and what was there before; and how many records its journal gets."""

    new: dict[str, int]
    old: dict[str, int] | None
    records: int


SHAPES = {
    "one object": Shape(ONE, None, 3),
    "one object over five": Shape(ONE, FIVE, 4),
    "three": Shape(THREE, None, 8),
    "three over five": Shape(THREE, FIVE, 9),
    "three over one": Shape(THREE, ONE, 9),
}
EVERY_RECORD = [
    pytest.param(shape, record, id=f"{name}, record {record}")
    for name, shape in SHAPES.items()
    for record in range(1, shape.records + 1)
]

WHOLE_AND_TORN = [
    pytest.param(shape, record, torn, id=f"{name}, record {record}{' torn' if torn else ''}")
    for name, shape in SHAPES.items()
    for record in range(1, shape.records + 1)
    # A torn record is as good as none, whatever the table's shape.
    for torn in ([False, True] if shape.old is FIVE else [False])
]


class Uploads:
    """Uploads in other processes; see dying_uploads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, plane: LocalDataPlane, path: Path, options: object, *, records: int = 0, torn: bool = False) -> int:
        """Upload a file as table `numbers`, and return the process's exit code; a signal counts below 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "endpoint": plane.endpoint,
            "api_key": plane.api_key,
            "file_type": "parquet",
            "table": "numbers",
            "path": str(path),
            "options": options,
            "records": records,
            "torn": torn,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploads]:
    command = [sys.executable, str(Path(__file__).with_name("dying_uploads.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Uploads(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[LocalDataPlane]:
    async with LocalDataPlane(tmp_path / "plane", delete_removes_partitions=False) as plane:
        yield plane


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=20_000)


@pytest.fixture
def older(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers.slice(7), "older.parquet", row_group_size=12_000)


def options(shape: dict[str, int], journals: Path) -> kumo_async.UploadOptions:
    return kumo_async.UploadOptions(**shape, journal_dir=journals)  # type: ignore[arg-type]


def content(plane: LocalDataPlane) -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in plane.table_files("numbers", "parquet"))


def expected_names(shape: dict[str, int]) -> list[str]:
    return [f"numbers.parquet/part_{n:04d}.parquet" for n in (1, 2, 3)] if shape is THREE else ["numbers"]


class Case:
    """An upload that dies."""

    def __init__(self, plane: LocalDataPlane, uploads: Uploads, path: Path, journals: Path) -> None:
        self.plane, self.uploads, self.path, self.journals = plane, uploads, path, journals

    async def die(self, shape: Shape, record: int, *, torn: bool = False) -> None:
        code = await to_thread.run_sync(
            lambda: self.uploads.run(
                self.plane,
                self.path,
                {**shape.new, "journal_dir": str(self.journals)},
                records=record,
                torn=torn,
            )
        )
        assert code == -signal.SIGKILL

    def starts(self) -> int:
        return len([call for call in self.plane.calls if call.call == "start"])


@pytest.fixture
def case(plane: LocalDataPlane, uploads: Uploads, path: Path, journals: Path) -> Case:
    return Case(plane, uploads, path, journals)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_there_are_no_other_records_than_those_that_are_tried(
    case: Case, shape: Shape, parquet: kumo_async.FileUploadConnector, older: Path
) -> None:
    if shape.old is not None:
        await parquet.upload_async("numbers", older, options=options(shape.old, case.journals))
    keep = {**shape.new, "journal_dir": str(case.journals)}
    assert await to_thread.run_sync(case.uploads.run, case.plane, case.path, keep) == shape.records
    assert list(case.journals.iterdir()) == []


@pytest.mark.parametrize(("shape", "record", "torn"), WHOLE_AND_TORN)
async def test_the_same_call_makes_the_table_whole(
    case: Case,
    shape: Shape,
    record: int,
    torn: bool,
    parquet: kumo_async.FileUploadConnector,
    older: Path,
    numbers: pa.Table,
) -> None:
    if shape.old is not None:
        await parquet.upload_async("numbers", older, options=options(shape.old, case.journals))
    await case.die(shape, record, torn=torn)
    before = case.starts()
    report = await parquet.upload_async("numbers", case.path, options=options(shape.new, case.journals))
    assert content(case.plane).equals(numbers)
    assert case.plane.object_names("parquet") == expected_names(shape.new) == [p.name for p in report.partitions]
    assert report.rows == numbers.num_rows
    # What is in the journal is never sent again: the head is its first record, and then come the partitions.
    known = min(record - 1 - torn, len(report.partitions))
    assert report.resumed_partitions == max(known, 0)
    assert case.starts() - before == len(report.partitions) - report.resumed_partitions
    assert list(case.journals.iterdir()) == []


@pytest.mark.parametrize(("shape", "record"), EVERY_RECORD)
async def test_recover_finishes_what_has_begun_and_leaves_the_rest_as_it_was(
    case: Case, shape: Shape, record: int, parquet: kumo_async.FileUploadConnector, older: Path, numbers: pa.Table
) -> None:
    if shape.old is not None:
        await parquet.upload_async("numbers", older, options=options(shape.old, case.journals))
    old = case.plane.object_names("parquet")
    await case.die(shape, record)
    away = case.path.rename(case.path.with_suffix(".away"))
    [found] = await kumo_async.recover_uploads_async(client=parquet.client, journal_dir=case.journals)
    has_begun = record >= 2 + len(expected_names(shape.new))
    assert (found.table, found.path, found.file_type) == ("numbers", str(case.path), "parquet")
    assert (found.state, found.outcome) == (("committing", "finished") if has_begun else ("sending", None))
    if has_begun:
        assert case.plane.object_names("parquet") == expected_names(shape.new)
        assert content(case.plane).equals(numbers)
        assert list(case.journals.iterdir()) == []
        return
    assert case.plane.object_names("parquet") == old
    away.rename(case.path)
    report = await parquet.upload_async("numbers", case.path, options=options(shape.new, case.journals))
    assert content(case.plane).equals(numbers)
    assert report.rows == numbers.num_rows


@pytest.mark.parametrize("record", range(1, SHAPES["three"].records + 1))
async def test_another_upload_of_the_table_is_whole_too(
    case: Case, record: int, parquet: kumo_async.FileUploadConnector, older: Path
) -> None:
    shape = SHAPES["three"]
    await case.die(shape, record)
    await parquet.upload_async("numbers", older, options=options(ONE, case.journals))
    assert case.plane.object_names("parquet") == ["numbers"]
    assert content(case.plane).equals(pq.read_table(older))
    # What died before its commit can still be resumed, and is nobody else's business.
    left = await kumo_async.unfinished_uploads_async(journal_dir=case.journals)
    assert [each.state for each in left] == ([] if record >= 5 else ["sending"])
    await kumo_async.recover_uploads_async(client=parquet.client, discard=True, journal_dir=case.journals)
    assert case.plane.object_names("parquet") == ["numbers"]
    assert list(case.journals.iterdir()) == []
