"""The promise that every upload keeps, as an assertion.

After any upload exactly one of two things holds: the table is there, whole, once, and the report says so; or there is
an error that says why, no partial table is visible, and the table that was there before is still there. Only inside
the commit the old one may be gone; what a commit that fails made visible it removes, or the error names it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio.lowlevel
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

import kumo_async
from kumo_async.local import LocalDataPlane

__all__ = ["FORMATS", "check_cancelled", "check_upload", "ids", "write"]

#: What an error says of an old table that could not be deleted whole.
HALF_REMOVED = "some of its partitions may be gone"

#: What it says of those that are left, unless asking for the table is what failed.
KEPT = "These may still be there"

#: What it says where the old table has gone: that none is there, what may be there, or that this is not known.
GONE = (
    "No table of that name is there now",
    "No table 't' is there now",
    "These objects may be visible and must be deleted",
    "whether it is still there is not known",
)

FORMATS = ("parquet", "csv")


def write(path: Path, numbers: range) -> Path:
    """Write a table of about 16 bytes a row, whose ids are a range, in the format of the path's suffix."""
    table = pa.table({"id": list(numbers), "other": [number * 1_000_003 for number in numbers]})
    if path.suffix == ".csv":
        pacsv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=1_000, compression="none", use_dictionary=False)
    return path


def ids(plane: LocalDataPlane, name: str, file_type: str) -> list[int]:
    """Give the ids of a table as its stored files have them, in order; none when it is not there."""
    read = pq.read_table if file_type == "parquet" else pacsv.read_csv
    return [number for file in plane.table_files(name, file_type) for number in read(file)["id"].to_pylist()]


class _Watch:
    def __init__(self) -> None:
        self.commits = 0

    def on_event(self, event: kumo_async.Event) -> None:
        self.commits += isinstance(event, kumo_async.CommitStarted)


async def check_upload(
    plane: LocalDataPlane,
    connector: kumo_async.FileUploadConnector,
    path: Path,
    options: kumo_async.UploadOptions,
    numbers: range,
) -> kumo_async.KumoError | None:
    """Upload a file that has the ids ``numbers`` as table ``t``, check the promise, and give the error if any."""
    file_type = path.suffix[1:]
    before = _seen(plane, file_type)
    watch = _Watch()
    try:
        report = await connector.upload_async("t", path, options=options, observer=watch)
    except kumo_async.KumoError as error:
        _check_failure(plane, file_type, before, error, committing=bool(watch.commits))
        return error
    assert ids(plane, "t", file_type) == list(numbers)
    assert report.rows == len(numbers)
    assert plane.object_names(file_type) == [partition.name for partition in report.partitions]
    return None


async def check_cancelled(
    plane: LocalDataPlane,
    connector: kumo_async.FileUploadConnector,
    path: Path,
    options: kumo_async.UploadOptions,
    numbers: range,
    *,
    calls: int,
    steps: int,
) -> str:
    """Upload a file, cancel that some steps of the loop after so many calls, check the promise, and say what came."""
    file_type, watch, begin = path.suffix[1:], _Watch(), len(plane.calls)
    before = _seen(plane, file_type)
    task = asyncio.create_task(connector.upload_async("t", path, options=options, observer=watch))
    while len(plane.calls) < begin + calls and not task.done():
        await anyio.lowlevel.checkpoint()
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as cancelled:
        # Cancelled before its end, or at it; or its commit has failed, of which the cause tells.
        cause = cancelled.__cause__
    except kumo_async.KumoError as error:
        cause = error
    else:
        cause = None
    if ids(plane, "t", file_type) == list(numbers):
        return "whole"
    if _seen(plane, file_type) == before:
        return "as before"
    assert isinstance(cause, kumo_async.KumoError), f"the old table has gone without a word: {cause!r}"
    _check_failure(plane, file_type, before, cause, committing=bool(watch.commits))
    return "gone, and said"


def _seen(plane: LocalDataPlane, file_type: str) -> tuple[list[int], list[str]]:
    return ids(plane, "t", file_type), plane.object_names(file_type)


def _check_failure(
    plane: LocalDataPlane,
    file_type: str,
    before: tuple[list[int], list[str]],
    error: kumo_async.KumoError,
    *,
    committing: bool,
) -> None:
    words = str(error)
    assert len(words) > 20
    assert "X-Amz" not in words
    now = _seen(plane, file_type)
    if now == before:
        return
    assert committing, f"the old table has gone before the commit: {error}"
    assert "t" in (error.table or ""), error
    visible = now[1]
    if HALF_REMOVED in words:
        assert set(visible) <= set(before[1]), f"beside what is left of an old table: {visible}; {error}"
        named = KEPT not in words or all(name in words for name in visible)
        assert named, f"{visible} are left of an old table, and the error does not say so: {error}"
    elif visible:
        assert all(name in words for name in visible), f"{visible} are visible, and the error does not say so: {error}"
    else:
        assert any(said in words for said in GONE), f"the old table has gone, and the error does not say so: {error}"
