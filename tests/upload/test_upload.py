"""Whole uploads through the public API, over real HTTP: what arrives, in which order, and what is left."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kumo_async
from kumo_async.local import Call, Fault, LocalDataPlane, NoETag, Stall, Status

WritesParquet = Callable[..., Path]


def stored(plane: LocalDataPlane, name: str) -> pa.Table:
    files = plane.table_files(name, "parquet")
    return pa.concat_tables([pq.read_table(file) for file in files])


def calls(plane: LocalDataPlane, *names: str) -> list[Call]:
    return [call for call in plane.calls if call.call in names]


async def test_a_small_file_is_one_object_byte_for_byte(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
) -> None:
    path = write_parquet(numbers)
    report = await parquet.upload_async("numbers", path)
    (file,) = plane.table_files("numbers", "parquet")
    assert file.read_bytes() == path.read_bytes()
    assert report.rows == numbers.num_rows
    assert report.partitions == (
        kumo_async.PartitionReport(name="numbers", size=path.stat().st_size, rows=numbers.num_rows),
    )


async def test_a_large_file_is_partitioned_without_losing_a_row(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    cut_small: kumo_async.UploadOptions,
) -> None:
    path = write_parquet(numbers, row_group_size=5_000)
    report = await parquet.upload_async("numbers", path, options=cut_small)
    assert len(report.partitions) > 3
    assert plane.object_names("parquet") == [partition.name for partition in report.partitions]
    assert report.partitions[0].name == "numbers.parquet/part_0001.parquet"
    assert [file.stat().st_size for file in plane.table_files("numbers", "parquet")] == [
        partition.size for partition in report.partitions
    ]
    assert all(partition.size <= 256 * 1024 for partition in report.partitions)
    assert stored(plane, "numbers").equals(numbers)
    assert await parquet.table_names_async() == ["numbers"]


async def test_every_complete_comes_after_the_last_part(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    cut_small: kumo_async.UploadOptions,
) -> None:
    await parquet.upload_async("numbers", write_parquet(numbers, row_group_size=5_000), options=cut_small)
    last_part = max(call.finished or 0 for call in calls(plane, "put_part"))
    assert all((call.finished or 0) > last_part for call in calls(plane, "complete"))
    assert not [call for call in calls(plane, "delete") if (call.finished or 0) < last_part]


async def test_each_object_starts_just_before_its_first_part(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    cut_small: kumo_async.UploadOptions,
) -> None:
    one_by_one = kumo_async.UploadOptions(
        partition_threshold=0, partition_size=cut_small.partition_size, max_concurrent_parts=1
    )
    await parquet.upload_async("numbers", write_parquet(numbers, row_group_size=5_000), options=one_by_one)
    order = [call.call for call in calls(plane, "start", "put_part")]
    assert order == ["start", "put_part"] * (len(order) // 2)


async def test_parts_are_sent_side_by_side_within_the_limit(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, tmp_path: Path, write_parquet: WritesParquet
) -> None:
    blob = pa.table({"blob": [bytes(7 * 1024 * 1024) for _ in range(5)], "id": range(5)})
    path = write_parquet(blob, compression="none", use_dictionary=False)
    go = anyio.Event()
    plane.inject(Fault(call="put_part", answer=Stall(go), times=None))
    options = kumo_async.UploadOptions(part_size=5 * 1024 * 1024, max_concurrent_parts=3)

    async with anyio.create_task_group() as group:

        async def upload() -> None:
            await parquet.upload_async("blob", path, options=options)

        group.start_soon(upload)
        with anyio.fail_after(20):
            while len(calls(plane, "put_part")) < 3:
                await anyio.lowlevel.checkpoint()
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert len(calls(plane, "put_part")) == 3
        go.set()
    assert sorted(call.part or 0 for call in calls(plane, "put_part")) == list(range(1, 9))
    assert stored(plane, "blob").equals(blob)


@pytest.mark.parametrize("delete_removes_partitions", [True, False])
@pytest.mark.parametrize("first", ["many", "few", "whole"])
@pytest.mark.parametrize("second", ["many", "few", "whole"])
async def test_a_table_is_replaced_whatever_its_shape(
    tmp_path: Path,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    first: str,
    second: str,
    delete_removes_partitions: bool,
) -> None:
    shapes = {
        "many": kumo_async.UploadOptions(partition_threshold=0, partition_size=100_000),
        "few": kumo_async.UploadOptions(partition_threshold=0, partition_size=400_000),
        "whole": kumo_async.UploadOptions(),
    }
    path = write_parquet(numbers, row_group_size=5_000)
    new = write_parquet(numbers.slice(20_000), "new.parquet", row_group_size=5_000)
    async with LocalDataPlane(tmp_path / "other", delete_removes_partitions=delete_removes_partitions) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        async with client:
            await connector.upload_async("numbers", path, options=shapes[first])
            report = await connector.upload_async("numbers", new, options=shapes[second])
        assert stored(plane, "numbers").equals(numbers.slice(20_000))
        assert plane.object_names("parquet") == [partition.name for partition in report.partitions]


NOW = {"Retry-After": "0"}


@pytest.mark.parametrize("call", ["start", "put_part", "complete", "validate"])
@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_failure_that_passes_is_ridden_out(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    call: str,
    status: int,
) -> None:
    plane.inject(Fault(call=call, answer=Status(status, headers=NOW), times=2))  # type: ignore[arg-type]
    events: list[kumo_async.Event] = []

    class Notes:
        def on_event(self, event: kumo_async.Event) -> None:
            events.append(event)

    report = await parquet.upload_async("numbers", write_parquet(numbers), observer=Notes())
    assert stored(plane, "numbers").equals(numbers)
    retries = [event for event in events if isinstance(event, kumo_async.RetryScheduled)]
    assert len(retries) == (0 if call == "validate" else 2)
    assert sum(event.count for event in events if isinstance(event, kumo_async.BytesSent)) == report.bytes


async def test_a_lost_upload_is_started_again(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    plane.inject(Fault(call="put_part", answer=Status(403, "AccessDenied", "Request has expired")))
    await parquet.upload_async("numbers", write_parquet(numbers))
    assert len(calls(plane, "start")) == 2
    assert stored(plane, "numbers").equals(numbers)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(call="put_part", answer=Status(403, "AccessDenied"), times=None), "AccessDenied"),
        (Fault(call="put_part", answer=Status(500, headers=NOW), times=None), "10 attempts"),
        (Fault(call="put_part", answer=NoETag(), times=None), "ETag"),
        (Fault(call="put_part", answer=Status(404, "NoSuchUpload"), times=None), "started 3 times"),
        (Fault(call="start", answer=Status(422), times=None), "422"),
        (Fault(call="start", answer=Status(401), times=None), "API key"),
        (Fault(call="put_part", answer=Status(307, headers={"Location": "http://example.com"}), times=None), "307"),
    ],
)
async def test_a_failure_before_the_commit_leaves_the_old_table(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    cut_small: kumo_async.UploadOptions,
    fault: Fault,
    words: str,
) -> None:
    await parquet.upload_async("numbers", write_parquet(numbers))
    plane.inject(fault)
    new = write_parquet(numbers.slice(9), "new.parquet", row_group_size=5_000)
    with pytest.raises(kumo_async.KumoError, match=words) as caught:
        await parquet.upload_async("numbers", new, options=cut_small)
    assert not isinstance(caught.value, ValueError)
    assert stored(plane, "numbers").equals(numbers)
    assert plane.object_names("parquet") == ["numbers"]


@pytest.mark.parametrize("failing", [1, 3])
async def test_a_commit_that_cannot_be_finished_is_taken_back(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    cut_small: kumo_async.UploadOptions,
    failing: int,
) -> None:
    plane.inject(Fault(call="complete", name=f"*part_000{failing}.parquet", answer=Status(400), times=None))
    with pytest.raises(kumo_async.UploadError, match="No table of that name is there"):
        await parquet.upload_async("numbers", write_parquet(numbers, row_group_size=5_000), options=cut_small)
    assert plane.object_names("parquet") == []
    assert not await parquet.has_table_async("numbers")


async def test_an_old_table_that_cannot_be_deleted_stays(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    await parquet.upload_async("numbers", write_parquet(numbers))
    plane.inject(Fault(call="delete", answer=Status(400), times=None))
    with pytest.raises(kumo_async.ServiceError):
        await parquet.upload_async("numbers", write_parquet(numbers.slice(9), "new.parquet"))
    assert stored(plane, "numbers").equals(numbers)


async def test_a_complete_whose_answer_was_lost_counts(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    plane.inject(Fault(call="complete", answer=Status(500, headers=NOW, after_effect=True)))
    report = await parquet.upload_async("numbers", write_parquet(numbers))
    assert report.rows == numbers.num_rows
    assert stored(plane, "numbers").equals(numbers)


async def test_a_file_that_changes_while_it_is_sent_makes_no_table(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    path = write_parquet(numbers)

    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStored):
                path.touch()

    with pytest.raises(kumo_async.SourceChangedError, match="written to or replaced"):
        await parquet.upload_async("numbers", path, observer=Meddler())
    assert plane.object_names("parquet") == []


def _write_and_hide_it(path: Path) -> None:
    was = path.stat()
    with path.open("r+b") as file:
        file.write(path.read_bytes()[:1])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("meddle", [_write_and_hide_it, lambda path: path.with_suffix(".link").hardlink_to(path)])
async def test_a_file_whose_ctime_alone_changes_is_warned_about(
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    meddle: Callable[[Path], object],
) -> None:
    path = write_parquet(numbers)

    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStored):
                meddle(path)

    report = await parquet.upload_async("numbers", path, observer=Meddler())
    assert "sets the modification time back" in "".join(report.warnings)
    assert (await parquet.upload_async("numbers", path)).warnings == ()


async def test_a_file_that_is_cut_off_while_it_is_sent_makes_no_table(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    path = write_parquet(numbers)

    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStarted):
                with path.open("r+b") as file:
                    file.truncate(100)

    with pytest.raises(kumo_async.SourceChangedError, match="shorter"):
        await parquet.upload_async("numbers", path, observer=Meddler())
    assert plane.object_names("parquet") == []


async def test_a_cancelled_upload_makes_no_table(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    plane.inject(Fault(call="put_part", answer=Stall(anyio.Event()), times=None))
    with anyio.CancelScope() as scope:

        class Canceller:
            def on_event(self, event: kumo_async.Event) -> None:
                if isinstance(event, kumo_async.PartitionStarted):
                    scope.cancel()

        await parquet.upload_async("numbers", write_parquet(numbers), observer=Canceller())
    assert scope.cancelled_caught
    assert plane.object_names("parquet") == []


async def test_what_an_observer_raises_does_not_disturb_the_upload(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def on_event(self, event: kumo_async.Event) -> None:
            raise RuntimeError("no")

    await parquet.upload_async("numbers", write_parquet(numbers), observer=Broken())
    assert stored(plane, "numbers").equals(numbers)
    assert [record.message for record in caplog.records if record.exc_info] == [
        "An observer raised on UploadStarted; the upload goes on."
    ]


class _Awaited:
    async def on_event(self, event: kumo_async.Event) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": None}, "path must be text .* NoneType"),
        ({"path": 5}, "path must be text .* int"),
        ({"auto_partition": "no"}, "auto_partition must be True or False"),
        ({"observer": print}, "observer must have a method on_event"),
        ({"observer": _Awaited()}, "on_event must be a plain method"),
        ({"options": {}}, "options must be an UploadOptions"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_an_argument_of_a_wrong_type_is_one_clear_error_and_nothing_is_sent(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    given: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(kumo_async.KumoError, match=words) as caught:
        await parquet.upload_async(**{"name": "numbers", "path": write_parquet(numbers), **given})
    assert isinstance(caught.value, ValueError)
    assert plane.calls == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: kumo_async.KumoClient(url=5),  # type: ignore[arg-type]
        lambda: kumo_async.KumoClient("https://acme.example/api", 5),  # type: ignore[arg-type]
        lambda: kumo_async.KumoClient("https://acme.example/api", "k", group=5),  # type: ignore[arg-type]
        lambda: kumo_async.FileUploadConnector("csv", client="x"),  # type: ignore[arg-type]
        lambda: kumo_async.KumoClient("https://acme.example/api", "k", ca_file=5),  # type: ignore[arg-type]
        lambda: kumo_async.KumoClient("https://acme.example/api", "k", proxy=5),  # type: ignore[arg-type]
        lambda: kumo_async.UploadOptions(spool_dir=5),  # type: ignore[arg-type]
        lambda: kumo_async.UploadOptions(part_size=16.0 * 1024**2),  # type: ignore[arg-type]
        lambda: kumo_async.UploadOptions(max_attempts=True),
        lambda: kumo_async.UploadOptions(stall_timeout=True),
        lambda: kumo_async.UploadOptions(stall_timeout=math.inf),
        lambda: kumo_async.UploadOptions(commit_timeout=math.nan),
        lambda: kumo_async.UploadOptions(verify_parts="no"),  # type: ignore[arg-type]
        lambda: kumo_async.recover_uploads(5),  # type: ignore[arg-type]
        lambda: kumo_async.recover_uploads(discard="no"),  # type: ignore[arg-type]
        lambda: kumo_async.recover_uploads(client="x"),  # type: ignore[arg-type]
    ],
)
def test_so_is_one_of_what_is_made_before(make: Callable[[], object]) -> None:
    with pytest.raises(kumo_async.ConfigurationError, match=r"must be .*; got"):
        make()


async def test_uploads_of_one_client_share_its_limits(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    path = write_parquet(numbers)
    go = anyio.Event()
    plane.inject(Fault(call="put_part", answer=Stall(go), times=None))

    async def upload(name: str) -> None:
        await parquet.upload_async(name, path, options=kumo_async.UploadOptions(max_concurrent_parts=2))

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(upload, f"t{number}")
        with anyio.fail_after(20):
            while len(calls(plane, "put_part")) < 2:
                await anyio.lowlevel.checkpoint()
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert len(calls(plane, "put_part")) == 2
        go.set()
    assert plane.table_names("parquet") == [f"t{number}" for number in range(5)]
