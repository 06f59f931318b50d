"""What the disk itself has of a journal whenever a call arrives that changes what is visible.

A loss of power cannot be had in a test. What it would leave is: what was written before the last fsync of the file, if
the directory was synced, too. All else may be gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from deaths import dying_after

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane, Status
from kumo_async.upload.journal import JournalState, Phase
from kumo_async.upload.journal_lines import decode
from one_of_two import ids, write

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=30_000, max_attempts=1)
NUMBERS = range(6_000)


class Disk:
    """What survives a loss of power.

    Attributes:
        files: The files whose contents were synced, as they were then.
        folders: The directories that were synced, with the names that were in them.
    """

    def __init__(self, fsync: Callable[[int], None]) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: dict[str, set[str]] = {}
        self._fsync = fsync

    def fsync(self, descriptor: int) -> None:
        """Do what `os.fsync` does, and note what it keeps."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_dir():
            self.folders[str(path)] = {entry.name for entry in path.iterdir()}
        else:
            self.files[str(path)] = path.read_bytes()
        self._fsync(descriptor)

    def journals(self) -> list[JournalState]:
        """Return the journals that would be found."""
        there = [Path(folder, name) for folder, names in self.folders.items() for name in names]
        return [decode(self.files[str(path)])[0] for path in there if str(path) in self.files]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(os.fsync)
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@dataclass(frozen=True)
class Noting:
    """Note what the disk has when a call arrives, and answer as usual, or with a refusal."""

    disk: Disk
    seen: list[tuple[str, str, list[Phase], list[int]]]
    refusal: Status | None = None

    async def give(self, exchange: Exchange) -> web.Response:
        journals = self.disk.journals()
        phases, receipts = [each.phase for each in journals], [len(each.receipts) for each in journals]
        self.seen.append((exchange.call.call, exchange.call.name or "", phases, receipts))
        return await (exchange.effect() if self.refusal is None else self.refusal.give(exchange))


def watch(plane: LocalDataPlane, disk: Disk) -> Noting:
    noting = Noting(disk, [])
    for call in ("delete", "complete"):
        plane.inject(Fault(call=call, answer=noting, times=None))
    return noting


async def test_a_replacement_is_on_disk_before_each_of_its_steps(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, disk: Disk
) -> None:
    await csv.upload_async("t", write(tmp_path / "old.csv", range(9)))
    noting = watch(plane, disk)
    report = await csv.upload_async("t", write(tmp_path / "t.csv", NUMBERS), options=MANY)
    count = len(report.partitions)
    assert count > 2
    steps = [(call, phases, receipts) for call, _, phases, receipts in noting.seen]
    assert steps[0] == ("delete", [Phase.BEGUN], [count])
    assert steps[1:] == [("complete", [Phase.CLEARED], [count])] * count


async def test_a_new_table_of_several_objects_is_on_disk_before_the_first_is_visible(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, disk: Disk
) -> None:
    noting = watch(plane, disk)
    report = await csv.upload_async("t", write(tmp_path / "t.csv", NUMBERS), options=MANY)
    count = len(report.partitions)
    assert [step[2:] for step in noting.seen] == [([Phase.CLEARED], [count])] * count


async def test_taking_back_is_on_disk_before_anything_is_deleted(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, disk: Disk
) -> None:
    seen: list[tuple[str, str, list[Phase], list[int]]] = []
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Noting(disk, seen, Status(400)), times=None))
    plane.inject(Fault(call="delete", answer=Noting(disk, seen), times=None))
    with pytest.raises(kumo_async.UploadError, match="No table of that name"):
        await csv.upload_async("t", write(tmp_path / "t.csv", NUMBERS), options=MANY)
    assert seen[0][:3] == ("complete", "t.csv/part_0002.csv", [Phase.CLEARED])
    assert len(seen) > 2
    assert {(call, *phases) for call, _, phases, _ in seen[1:]} == {("delete", Phase.UNDOING)}


async def test_rolling_forward_is_on_disk_before_each_of_its_steps(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, disk: Disk
) -> None:
    await csv.upload_async("t", write(tmp_path / "old.csv", range(9)))
    path = write(tmp_path / "t.csv", range(3_000))
    # Head, two partitions or more, and the beginning of the commit.
    records = 2 + len((await csv.upload_async("other", path, options=MANY)).partitions)
    with dying_after(records):
        await csv.upload_async("t", path, options=MANY)
    assert ids(plane, "t", "csv") == list(range(9))
    noting = watch(plane, disk)
    await csv.upload_async("t", path, options=MANY)
    assert noting.seen[0][:3] == ("delete", "t", [Phase.BEGUN])
    assert {(call, *phases) for call, _, phases, _ in noting.seen[1:]} == {("complete", Phase.CLEARED)}
    assert ids(plane, "t", "csv") == list(range(3_000))


async def test_one_new_object_does_not_wait_for_the_disk(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, disk: Disk
) -> None:
    """It is visible or not, whatever a journal says."""
    await csv.upload_async("t", write(tmp_path / "t.csv", NUMBERS))
    assert not disk.files
