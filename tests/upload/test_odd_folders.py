"""State directories in which no journal can be kept, and journals that are odd: uploads work as ever, and say so."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from deaths import dying_after
from failing_disk import FailingDisk, on_a_disk
from test_journal import HEAD, stored
from test_journal import write as write_journal
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli import app
from kumo_async.local import LocalDataPlane
from kumo_async.upload import journaling
from kumo_async.upload.journal import Head
from kumo_async.upload.journal_files import journal_folder, lock
from kumo_async.upload.journal_lines import encode
from one_of_two import ids, write

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=30_000)
NUMBERS = range(3_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "t.csv", NUMBERS)


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Have no earlier test's warning stand for one of this test."""
    journaling._warned.clear()
    yield
    journaling._warned.clear()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("without_locks", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL], indirect=True)
@pytest.mark.usefixtures("without_locks")
async def test_a_file_system_without_locks(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(3):
        report = await csv.upload_async("t", path, options=MANY)
        assert ids(plane, "t", "csv") == list(NUMBERS)
        assert len(report.warnings) == 1, number
        assert "could not have been resumed" in report.warnings[0]
        assert list(journals.iterdir()) == []
    await csv.delete_async("t")
    assert list(journals.iterdir()) == []
    # Each report has told of the journal; that other processes are not kept away is said once, for all of them.
    assert [record.levelno for record in caplog.records if record.name == "kumo_async"] == [logging.WARNING]
    assert "locks cannot be used" in caplog.text


async def test_what_another_process_has_made_stays_where_locking_fails(
    journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = lock(journal_folder(journals), "key")
    assert held is not None

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(OSError, match="locks"):
            lock(journals, "key")
    assert held.path.exists()
    held.remove()


@pytest.mark.parametrize("how", ["deleted", "moved", "a link", "a file", "a journal deleted"])
async def test_a_folder_that_goes_while_an_upload_runs(
    how: str,
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    journals: Path,
) -> None:
    await csv.upload_async("t", write(tmp_path / "old.csv", range(7)))
    moved = tmp_path / "moved"

    class Goes:
        def on_event(self, event: kumo_async.Event) -> None:
            if not isinstance(event, kumo_async.CommitStarted):
                return
            if how == "a journal deleted":
                [journal] = journals.glob("*.journal")
                journal.unlink()
                return
            journals.rename(moved)
            if how == "deleted":
                shutil.rmtree(moved)
            elif how == "a link":
                (tmp_path / "other").mkdir(mode=0o700)
                journals.symlink_to(tmp_path / "other")
            elif how == "a file":
                journals.write_text("")

    await csv.upload_async("t", path, options=MANY, observer=Goes())
    assert ids(plane, "t", "csv") == list(NUMBERS)
    if how == "a file":
        journals.unlink()
    # Where its journals have gone to, they tell of nothing that could be done once more.
    for folder in [each for each in (moved, journals) if each.exists()]:
        assert await kumo_async.unfinished_uploads_async(journal_dir=folder) == []
        assert await kumo_async.recover_uploads_async(client=csv.client, journal_dir=folder) == []
    assert ids(plane, "t", "csv") == list(NUMBERS)


def dated(created: int, folder: Path) -> Head:
    head = replace(HEAD, created=created, id="f" * 16)
    write_journal(folder, encode(head), encode(stored(1)), head=head)
    return head


@pytest.mark.parametrize("created", [253_402_300_799, 253_402_300_800, 10**18, 10**30, -1, -(10**12), -(10**30)])
def test_a_journal_is_listed_whatever_its_date(created: int, journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dated(created, journal_folder(journals))
    [found] = kumo_async.unfinished_uploads()
    assert (found.table, found.state, found.partitions) == ("orders", "sending", 1)
    for hours in (-23, 0, 23):
        found.started.astimezone(timezone(timedelta(hours=hours)))
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        monkeypatch.setenv("TZ", zone)
        shown = CliRunner().invoke(app, ["recover", "--list"])
        assert shown.exit_code == 0, shown.output
    assert json.loads(CliRunner().invoke(app, ["recover", "--list", "--json"]).output)[0]["table"] == "orders"


def test_a_date_that_a_clock_can_show_is_shown_as_it_is(journals: Path) -> None:
    dated(1_700_000_000, journal_folder(journals))
    [found] = kumo_async.unfinished_uploads()
    assert found.started == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize("created", [253_402_300_800, 0])
@pytest.mark.parametrize("records", [3, 5])
async def test_an_upload_goes_on_whatever_the_date_of_its_journal(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    created: int,
    records: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the clock had been wrong: the commit that has begun is finished or replaced, and the rest sent or not."""
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: created)
        with dying_after(records):
            await csv.upload_async("t", path, options=MANY)
    assert len(await kumo_async.unfinished_uploads_async()) == 1
    if records > 3:
        [found] = await kumo_async.recover_uploads_async(client=csv.client)
        assert found.outcome == "finished"
    else:
        await csv.upload_async("t", path, options=MANY)
    assert ids(plane, "t", "csv") == list(NUMBERS)
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("source", ["nul\0", "\ud800", "x" * 10_000])
def test_a_journal_is_listed_whatever_its_source_is_called(source: str, journals: Path) -> None:
    head = replace(HEAD, path=source)
    write_journal(journal_folder(journals), encode(head), encode(stored(1)), head=head)
    [found] = kumo_async.unfinished_uploads()
    assert found.problem is not None
    assert CliRunner().invoke(app, ["recover", "--list"]).exit_code == 0


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, journals: Path) -> Iterator[FailingDisk]:
    """A file system of the journals that is read-only, until it is healed."""
    disk = FailingDisk(1, errno.EROFS, ("write", "fsync", "unlink", "ftruncate", "truncate"))
    open_file = os.open

    def open_for_reading(path: Path, flags: int, mode: int = 0o777, **more: int) -> int:
        if disk.first and flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT) and journals in Path(path).parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_file(path, flags, mode, **more)

    with on_a_disk(disk):
        monkeypatch.setattr(os, "open", open_for_reading)
        yield disk


async def test_a_read_only_folder_without_journals(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    read_only: FailingDisk,
) -> None:
    journal_folder(journals)
    for _ in range(2):
        report = await csv.upload_async("t", path, options=MANY)
        assert ["Read-only file system" in warning for warning in report.warnings] == [True]
    await csv.delete_async("t")
    assert plane.object_names("csv") == []


async def test_a_read_only_folder_with_a_commit_that_died(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    read_only: FailingDisk,
) -> None:
    """Nothing is done that would make it untrue, and nothing is said of it that is not so."""
    read_only.first = 0
    await csv.upload_async("t", path)
    with dying_after(4):
        await csv.upload_async("t", path, options=MANY)
    read_only.first = 1
    assert [each.state for each in await kumo_async.unfinished_uploads_async()] == ["committing"]
    [found] = await kumo_async.recover_uploads_async(client=csv.client)
    assert found.outcome == "failed"
    assert "Read-only file system" in (found.problem or "")
    for doing in (csv.upload_async("t", path), csv.delete_async("t")):
        with pytest.raises(kumo_async.UploadError, match="Read-only file system"):
            await doing
    assert plane.object_names("csv") == ["t"]
    read_only.heal()
    [found] = await kumo_async.recover_uploads_async(client=csv.client)
    assert found.outcome == "finished"
    assert ids(plane, "t", "csv") == list(NUMBERS)
