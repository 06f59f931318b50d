"""What an upload skips because an earlier run has stored it, and what it does not."""

from __future__ import annotations

import gzip
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deaths import dying_after, only_journal

import kumo_async
from kumo_async.local import Fault, LocalDataPlane, Stall, Status
from kumo_async.upload.journal import Head, Record
from kumo_async.upload.journal_files import EXPIRY_SECONDS, LockedFile
from kumo_async.upload.journal_lines import decode, encode

WritesParquet = Callable[..., Path]

#: Three row groups of 320 KB each become three partitions, sent one after the other.
THREE = kumo_async.UploadOptions(
    partition_threshold=0, partition_size=400_000, max_concurrent_partitions=1, max_attempts=2
)


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=20_000)


def starts(plane: LocalDataPlane) -> list[str]:
    return [str(call.name)[-12:-8] for call in plane.calls if call.call == "start"]


def content(plane: LocalDataPlane, name: str = "numbers") -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in plane.table_files(name, "parquet"))


async def test_what_is_stored_is_not_sent_again(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table, journals: Path
) -> None:
    plane.inject(Fault(call="put_part", name="*part_0003*", answer=Status(403)))
    with pytest.raises(kumo_async.UploadError):
        await parquet.upload_async("numbers", path, options=THREE)
    seen: list[kumo_async.Event] = []

    class Observer:
        def on_event(self, event: kumo_async.Event) -> None:
            seen.append(event)

    report = await parquet.upload_async("numbers", path, options=THREE, observer=Observer())
    assert starts(plane) == ["0001", "0002", "0003", "0003"]
    assert [partition.resumed for partition in report.partitions] == [True, True, False]
    assert (report.resumed_partitions, report.resumed_bytes) == (2, sum(p.size for p in report.partitions[:2]))
    assert report.to_dict()["resumed_partitions"] == 2
    assert "resumed: 2 of 3" in str(report)
    resumed = [event for event in seen if isinstance(event, kumo_async.PartitionResumed)]
    assert [(e.partition, e.size, e.rows) for e in resumed] == [(p.name, p.size, 20_000) for p in report.partitions[:2]]
    assert content(plane).equals(numbers)
    assert list(journals.iterdir()) == []


async def test_an_upload_that_stored_nothing_leaves_no_journal(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path
) -> None:
    plane.inject(Fault(call="put_part", answer=Status(403), times=None))
    with pytest.raises(kumo_async.UploadError):
        await parquet.upload_async("numbers", path, options=THREE)
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("change", ["touched", "removed"])
async def test_what_is_stored_of_a_file_that_has_changed_is_forgotten(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path, change: str
) -> None:
    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStored):
                path.touch() if change == "touched" else path.unlink(missing_ok=True)

    with pytest.raises(kumo_async.SourceChangedError):
        await parquet.upload_async("numbers", path, options=THREE, observer=Meddler())
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("change", ["touched", "removed", None])
async def test_it_is_said_of_what_cannot_be_resumed(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path, change: str | None
) -> None:
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    if change is not None:
        path.touch() if change == "touched" else path.unlink()
    [found] = await kumo_async.unfinished_uploads_async()
    assert found.state == "sending"
    assert (found.problem or "").startswith("its source has changed or is gone" if change else "")
    assert (found.problem is None) == (change is None)


@pytest.mark.parametrize("change", ["touched", "replaced", "other size", "other arguments", "told not to"])
async def test_all_is_sent_again_where_it_is_not_the_same(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path, change: str
) -> None:
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    options = THREE
    if change == "touched":
        os.utime(path, ns=(0, 0))
    elif change == "replaced":
        status = path.stat()
        copy = path.with_suffix(".copy")
        copy.write_bytes(path.read_bytes())
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        copy.replace(path)
    elif change == "other size":
        options = replace(THREE, partition_size=390_000)
    elif change == "other arguments":
        options = replace(THREE, on_unsupported="error")
    else:
        options = replace(THREE, resume=False)
    report = await parquet.upload_async("numbers", path, options=options)
    assert report.resumed_partitions == 0
    assert list(journals.iterdir()) == []


async def test_a_journal_of_another_file_stays_for_it(
    parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    other = write_parquet(numbers, "other.parquet")
    assert (await parquet.upload_async("numbers", other)).resumed_partitions == 0
    assert (await parquet.upload_async("numbers", path, options=THREE)).resumed_partitions == 2


async def test_encoded_partitions_are_compared_by_their_bytes(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    small = numbers.append_column("n", pa.array(range(60_000), pa.uint32()))
    path = write_parquet(small, row_group_size=20_000)
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert report.resumed_partitions == 2
    assert content(plane)["n"].to_pylist() == list(range(60_000))


async def test_a_partition_that_comes_out_otherwise_is_sent_again(
    parquet: kumo_async.FileUploadConnector, path: Path, journals: Path
) -> None:
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    journal = only_journal(journals)
    state, _ = decode(journal.read_bytes())
    first, second = state.stored.values()
    lines: list[Record] = [state.head, replace(first, content="of something else"), second]
    journal.write_bytes(b"".join(map(encode, lines)))
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert [partition.resumed for partition in report.partitions] == [False, True, False]


async def test_compressed_csv_is_resumed(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    text = b"id,amount\n" + b"".join(b"%d,%d.50\n" % (n, n * 7) for n in range(100_000))
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress(text))
    with dying_after(4):
        await csv.upload_async("orders", path, options=THREE)
    report = await csv.upload_async("orders", path, options=THREE)
    assert report.resumed_partitions == 3 < len(report.partitions)
    header, *_ = [file.read_bytes().split(b"\n", 1)[0] for file in plane.table_files("orders", "csv")]
    joined = b"".join(file.read_bytes().split(b"\n", 1)[1] for file in plane.table_files("orders", "csv"))
    assert header + b"\n" + joined == text


def forget_uploads(plane: LocalDataPlane) -> None:
    """Do what the lifecycle rule of a bucket does."""
    with closing(sqlite3.connect(plane.root / "index.sqlite3")) as index:
        index.execute("DELETE FROM uploads")
        index.commit()


async def test_what_the_service_has_forgotten_is_sent_again_in_the_same_call(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table, journals: Path
) -> None:
    await parquet.upload_async("numbers", path)
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    forget_uploads(plane)
    report = await parquet.upload_async("numbers", path, options=THREE)
    # The two of the first call, the third one, and the two again; the third was not even tried to be completed.
    assert starts(plane)[1:] == ["0001", "0002", "0003", "0001", "0002"]
    assert content(plane).equals(numbers)
    assert plane.object_names("parquet") == [partition.name for partition in report.partitions]
    assert list(journals.iterdir()) == []


async def test_nothing_is_visible_while_what_was_forgotten_is_sent_again(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table
) -> None:
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(404)))
    visible: list[list[str]] = []

    class Looking:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStored):
                visible.append(plane.object_names("parquet"))

    await parquet.upload_async("numbers", path, options=THREE, observer=Looking())
    assert visible == [[]] * len(visible)
    assert len(visible) > 3
    assert content(plane).equals(numbers)


async def test_a_service_that_forgets_everything_is_given_up(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    plane.inject(Fault(call="complete", answer=Status(404), times=None))
    with pytest.raises(kumo_async.UploadError, match=r"No table 'numbers' is there now.*3 rounds"):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == []


async def test_an_error_while_sending_again_says_that_the_table_is_gone(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path
) -> None:
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(404)))
    plane.inject(Fault(call="put_part", name="*part_0002*", answer=Status(403), skip=1, times=None))
    with pytest.raises(kumo_async.UploadError, match="No table 'numbers' is there now"):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == []


async def test_after_a_commit_that_was_taken_back_only_what_is_missing_is_sent(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kumo_async.upload.commit._BURST", 1)
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(503, headers={"Retry-After": "0"}), times=2))
    with pytest.raises(kumo_async.UploadError, match="No table of that name is there"):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == []
    before = len(starts(plane))
    report = await parquet.upload_async("numbers", path, options=THREE)
    # No completion of the third was ever begun, so it is still stored.
    assert starts(plane)[before:] == ["0001", "0002"]
    assert report.partitions[2].resumed
    assert content(plane).equals(numbers)


async def test_the_journal_of_an_upload_that_runs_is_not_taken(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table, journals: Path
) -> None:
    reached, go = anyio.Event(), anyio.Event()

    class Held:
        async def wait(self) -> None:
            reached.set()
            await go.wait()

    plane.inject(Fault(call="put_part", name="*part_0003*", answer=Stall(Held())))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: parquet.upload_async("numbers", path, options=THREE))
        await reached.wait()
        [running] = await kumo_async.unfinished_uploads_async()
        assert (running.state, running.partitions) == ("running", 2)
        [left] = await kumo_async.recover_uploads_async(client=parquet.client, discard=True)
        assert left.outcome is None
        beside = replace(THREE, max_concurrent_partitions=2)
        report = await parquet.upload_async("numbers", path, options=beside)
        assert report.resumed_partitions == 0
        go.set()
    assert content(plane).equals(numbers)
    assert list(journals.iterdir()) == []


def age(journal: Path) -> None:
    """Make a journal as old as one that has expired."""
    state, _ = decode(journal.read_bytes())
    rest = journal.read_bytes().partition(b"\n")[2]
    created = int(time.time()) - EXPIRY_SECONDS - 60
    journal.write_bytes(encode(replace(state.head, created=created)) + rest)


async def test_journals_expire(
    parquet: kumo_async.FileUploadConnector, path: Path, journals: Path, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    with dying_after(3):
        await parquet.upload_async("numbers", path, options=THREE)
    age(only_journal(journals))
    other = write_parquet(numbers, "other.parquet")
    await parquet.upload_async("numbers", other)
    assert list(journals.iterdir()) == []


async def test_an_old_commit_is_replaced_and_not_finished(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path, numbers: pa.Table
) -> None:
    with dying_after(7):
        await parquet.upload_async("numbers", path, options=THREE)
    age(only_journal(journals))
    before = len(starts(plane))
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert report.resumed_partitions == 0
    assert len(starts(plane)) - before == 3
    assert content(plane).equals(numbers)
    assert list(journals.iterdir()) == []


async def test_a_journal_holds_neither_the_key_nor_a_url_and_is_private(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path
) -> None:
    with dying_after(6):
        await parquet.upload_async("numbers", path, options=THREE)
    journal = only_journal(journals)
    text = journal.read_text().replace(plane.endpoint, "")
    assert plane.api_key not in text
    assert plane.api_key.partition(":")[2] not in text
    assert "://" not in text
    assert "X-Amz" not in text
    assert journal.stat().st_mode & 0o777 == 0o600
    assert journals.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", ["a file in its place", "others may write"])
async def test_without_a_journal_an_upload_works_and_says_so(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    what: str,
    numbers: pa.Table,
) -> None:
    folder = tmp_path / "place"
    if what == "others may write":
        folder.mkdir()
        folder.chmod(0o777)
    else:
        folder.write_text("")
    options = replace(THREE, journal_dir=folder)
    report = await parquet.upload_async("numbers", path, options=options)
    assert any("could not have been resumed" in warning for warning in report.warnings)
    assert content(plane).equals(numbers)
    assert (await parquet.upload_async("numbers", path, options=THREE)).warnings == ()


@pytest.mark.parametrize("record", range(1, 10))
async def test_a_disk_that_is_full_keeps_no_upload_from_its_end(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    record: int,
    numbers: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await parquet.upload_async("numbers", path)
    append, count = LockedFile.append, 0

    def failing(file: LockedFile, line: bytes, *, sync: bool) -> None:
        nonlocal count
        count += 1
        if count >= record:
            raise OSError(28, "No space left on device")
        append(file, line, sync=sync)

    monkeypatch.setattr(LockedFile, "append", failing)
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert content(plane).equals(numbers)
    assert ["No space left" in warning for warning in report.warnings] == [True]
    monkeypatch.undo()
    again = await parquet.upload_async("numbers", path, options=replace(THREE, journal_dir=journals))
    assert content(plane).equals(numbers)
    assert again.rows == numbers.num_rows


async def test_a_path_that_is_a_url_with_a_query_is_not_written_down(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kumo_async.service.control import ControlPlane
    from kumo_async.service.messages import StartedUpload

    start = ControlPlane.start_upload

    async def with_url(*args: object) -> StartedUpload:
        return replace(await start(*args), temp_upload_path="https://bucket/key?Signature=canary")  # type: ignore[arg-type]

    monkeypatch.setattr(ControlPlane, "start_upload", with_url)
    written: list[bytes] = []
    append = LockedFile.append

    def written_down(file: LockedFile, line: bytes, *, sync: bool) -> None:
        written.append(line)
        append(file, line, sync=sync)

    monkeypatch.setattr(LockedFile, "append", written_down)
    with pytest.raises(kumo_async.UploadError):
        await parquet.upload_async("numbers", path, options=THREE)
    assert b"canary" not in b"".join(written)
    assert isinstance(decode(written[0])[0].head, Head)
    assert list(journals.iterdir()) == []
