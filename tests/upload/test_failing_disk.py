"""The journal's disk fails at any step of an upload: no journal is left that tells less than was done.

Whatever the disk does, the upload ends as it says. Once the disk works again, neither `recover` nor the next upload
spoils what is there.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from deaths import dying_after
from failing_disk import ADDS, REMOVES, FailingDisk, on_a_disk
from switched import Switch

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane, Status
from kumo_async.upload.journal import Begun, Cleared, JournalState, Phase
from kumo_async.upload.journal_files import survey
from kumo_async.upload.journal_lines import encode
from one_of_two import check_upload, ids, write

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=30_000, max_attempts=1)
ONE = kumo_async.UploadOptions()
OLD, NEW, OTHER = range(7), range(5_000), range(2_000)

#: The steps of a replacement by three partitions: the head and three partitions are written, the commit is begun and
#: synced, with the directory; that the old table is gone is, too; each of three objects is visible; the end.
STEPS = [*["write"] * 4, "write", "fsync", "fsync", "write", "fsync", *["write"] * 3, "unlink"]
EVERY_STEP = range(1, len(STEPS) + 1)

#: A full disk takes no more, and still removes; a broken one does neither.
WAYS = {
    "full": FailingDisk(code=errno.ENOSPC),
    "full and torn": FailingDisk(code=errno.ENOSPC, torn=True),
    "over quota, once": FailingDisk(code=errno.EDQUOT, times=1),
    "broken once": FailingDisk(code=errno.EIO, steps=ADDS + REMOVES, times=1),
    "read-only": FailingDisk(code=errno.EROFS, steps=ADDS + REMOVES),
    "broken and torn": FailingDisk(code=errno.EIO, steps=ADDS + REMOVES, torn=True),
}


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[LocalDataPlane]:
    """As S3 does, it lets a deleted object be completed once more, without an error and without an object."""
    async with LocalDataPlane(tmp_path / "plane", second_complete_succeeds=True) as plane:
        yield plane


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "t.csv", NEW)


async def put_old(csv: kumo_async.FileUploadConnector, tmp_path: Path) -> None:
    await csv.upload_async("t", write(tmp_path / "old.csv", OLD))


def disk_of(way: str, first: int) -> FailingDisk:
    return replace(WAYS[way], first=first, seen=[])


async def check_afterwards(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    error: kumo_async.KumoError | None,
) -> None:
    """See that what finds the journals later spoils nothing, and that the same call makes the table whole."""
    before = ids(plane, "t", "csv")
    await kumo_async.recover_uploads_async(client=csv.client)
    after = ids(plane, "t", "csv")
    if error is None:
        assert after == before == list(NEW)
    else:
        assert after in ([], list(OLD), list(NEW))
        assert after or not before or before not in (list(OLD), list(NEW)), "a whole table has gone"
    await csv.upload_async("t", path, options=MANY)
    assert ids(plane, "t", "csv") == list(NEW)
    assert survey(journals) == []


async def test_there_are_no_other_steps_than_those_that_are_tried(
    csv: kumo_async.FileUploadConnector, path: Path, tmp_path: Path
) -> None:
    await put_old(csv, tmp_path)
    with on_a_disk(FailingDisk()) as disk:
        await csv.upload_async("t", path, options=MANY)
    assert disk.seen == STEPS


@dataclass(frozen=True)
class Noting:
    """Note what the journals say when a call arrives, and answer as usual."""

    journals: Path
    seen: list[tuple[str, list[Phase]]]

    async def give(self, exchange: Exchange) -> web.Response:
        states: list[JournalState] = [each.state for each in survey(self.journals)]
        self.seen.append((exchange.call.call, [each.phase for each in states]))
        return await exchange.effect()


#: What a journal must have said, if there is one, when a call comes that changes what is visible.
TRUE_AT = {"delete": {Phase.BEGUN, Phase.UNDOING}, "complete": {Phase.CLEARED}}


def watch(plane: LocalDataPlane, journals: Path) -> list[tuple[str, list[Phase]]]:
    """Return what will be seen of the journals by each call that changes what is visible."""
    seen: list[tuple[str, list[Phase]]] = []
    for call in ("delete", "complete"):
        plane.inject(Fault(call=call, answer=Noting(journals, seen), times=None))
    return seen


@pytest.mark.parametrize("first", EVERY_STEP)
@pytest.mark.parametrize("way", WAYS)
async def test_a_replacement(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    journals: Path,
    way: str,
    first: int,
) -> None:
    await put_old(csv, tmp_path)
    seen = watch(plane, journals)
    with on_a_disk(disk_of(way, first)):
        error = await check_upload(plane, csv, path, MANY, NEW)
    assert not [(call, phases) for call, phases in seen if not TRUE_AT[call].issuperset(phases)]
    # A disk that takes no more keeps no upload from its end, as long as it lets go of what it has.
    if "full" in way or "once" in way:
        assert error is None
    await check_afterwards(plane, csv, path, journals, error)


@pytest.mark.parametrize("first", EVERY_STEP)
@pytest.mark.parametrize("way", ["full", "read-only"])
async def test_a_replacement_that_another_one_follows(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    way: str,
    first: int,
) -> None:
    await put_old(csv, tmp_path)
    with on_a_disk(disk_of(way, first)):
        await check_upload(plane, csv, path, MANY, NEW)
    await csv.upload_async("t", write(tmp_path / "other.csv", OTHER))
    await kumo_async.recover_uploads_async(client=csv.client)
    assert ids(plane, "t", "csv") == list(OTHER)


@pytest.mark.parametrize("first", range(1, 17))
@pytest.mark.parametrize("way", ["full", "broken once", "read-only"])
@pytest.mark.usefixtures("one_at_a_time")
async def test_a_commit_that_is_taken_back(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    journals: Path,
    way: str,
    first: int,
) -> None:
    await put_old(csv, tmp_path)
    refusal = Switch()
    plane.inject(refusal.fault(Fault(call="complete", name="*part_0003*", answer=Status(400), times=None)))
    with on_a_disk(disk_of(way, first)):
        error = await check_upload(plane, csv, path, MANY, NEW)
    assert error is not None
    refusal.on = False
    await check_afterwards(plane, csv, path, journals, error)


@pytest.mark.parametrize("first", range(1, 10))
@pytest.mark.parametrize("way", ["full", "broken once", "read-only"])
async def test_an_old_table_that_cannot_be_deleted(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    journals: Path,
    way: str,
    first: int,
) -> None:
    await put_old(csv, tmp_path)
    refusal = Switch()
    plane.inject(refusal.fault(Fault(call="delete", answer=Status(403), times=None)))
    with on_a_disk(disk_of(way, first)):
        error = await check_upload(plane, csv, path, MANY, NEW)
    assert error is not None
    refusal.on = False
    assert ids(plane, "t", "csv") == list(OLD)
    await check_afterwards(plane, csv, path, journals, error)


@pytest.mark.parametrize("first", range(1, 6))
@pytest.mark.parametrize("way", WAYS)
async def test_one_new_object(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    way: str,
    first: int,
) -> None:
    with on_a_disk(disk_of(way, first)):
        error = await check_upload(plane, csv, path, ONE, NEW)
    assert error is None or way in ("read-only", "broken and torn")
    await check_afterwards(plane, csv, path, journals, error)


@pytest.mark.parametrize("way", WAYS)
async def test_an_interrupted_commit_whose_journal_stays_is_not_replaced(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    journals: Path,
    way: str,
) -> None:
    """The journal of a commit that died would undo the upload that came after it, if it outlived that."""
    await put_old(csv, tmp_path)
    with dying_after(7):
        await csv.upload_async("t", path, options=MANY)
    other = write(tmp_path / "other.csv", OTHER)
    # It cannot be finished either, so that it is to be replaced.
    plane.inject(Fault(call="validate", answer=Status(403)))
    with on_a_disk(disk_of(way, 1)):
        error = await check_upload(plane, csv, other, ONE, OTHER)
    if error is None:
        await kumo_async.recover_uploads_async(client=csv.client)
        assert ids(plane, "t", "csv") == list(OTHER)
    else:
        assert way in ("read-only", "broken and torn")
        await check_afterwards(plane, csv, path, journals, error)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS])
async def test_a_table_is_not_deleted_while_a_journal_would_bring_it_back(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, path: Path, tmp_path: Path, code: int
) -> None:
    await put_old(csv, tmp_path)
    with dying_after(5):
        await csv.upload_async("t", path, options=MANY)
    with (
        on_a_disk(FailingDisk(1, code, ADDS + REMOVES)) as disk,
        pytest.raises(kumo_async.KumoError, match="journal"),
    ):
        await csv.delete_async("t")
    assert ids(plane, "t", "csv") == list(OLD)
    disk.heal()
    await csv.delete_async("t")
    assert await kumo_async.recover_uploads_async(client=csv.client) == []
    assert ids(plane, "t", "csv") == []


async def test_the_report_says_why_there_was_no_journal(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, path: Path, tmp_path: Path, journals: Path
) -> None:
    await put_old(csv, tmp_path)
    with on_a_disk(FailingDisk(8)):
        report = await csv.upload_async("t", path, options=MANY)
    assert "No space left on device" in report.warnings[-1]
    assert list(journals.iterdir()) == []


async def test_the_error_says_which_journal_stays_and_what_is_visible(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, path: Path, tmp_path: Path, journals: Path
) -> None:
    await put_old(csv, tmp_path)
    with (
        on_a_disk(FailingDisk(5, errno.EROFS, ADDS + REMOVES)),
        pytest.raises(kumo_async.UploadError, match="Read-only file system") as raised,
    ):
        await csv.upload_async("t", path, options=MANY)
    [journal] = journals.glob("*.journal")
    assert str(journal) in str(raised.value)
    assert "as it was" in str(raised.value)
    assert raised.value.table == "t"


#: The lines that a commit adds: that it begins, that the old table is gone, and that an object is visible.
BEGUN, CLEARED = (len(encode(record)) for record in (Begun(partitions=3), Cleared()))


@pytest.mark.parametrize("room", [0, 1, BEGUN - 1, BEGUN, BEGUN + CLEARED - 1, BEGUN + CLEARED, BEGUN + CLEARED + 30])
async def test_files_that_the_kernel_lets_grow_no_more(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    path: Path,
    tmp_path: Path,
    journals: Path,
    room: int,
) -> None:
    await put_old(csv, tmp_path)
    program = str(Path(__file__).with_name("limited_uploads.py"))
    arguments = [plane.endpoint, plane.api_key, str(path), str(journals), str(room)]
    ended = await anyio.run_process([sys.executable, program, *arguments], check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"File too large" in ended.stdout
    assert ids(plane, "t", "csv") == list(NEW)
    await check_afterwards(plane, csv, path, journals, None)
