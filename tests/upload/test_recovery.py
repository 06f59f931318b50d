"""Commits that are taken back, replaced, deleted or waited for: never half a table, and never two that are mixed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from deaths import dying_after

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane, Status
from kumo_async.upload.journal import table_key
from kumo_async.upload.journal_files import LockedFile, journal_folder, lock

WritesParquet = Callable[..., Path]

THREE = kumo_async.UploadOptions(
    partition_threshold=0, partition_size=400_000, max_concurrent_partitions=1, max_attempts=1
)
ONE = kumo_async.UploadOptions()
FIRST, SECOND, THIRD = (f"numbers.parquet/part_{n:04d}.parquet" for n in (1, 2, 3))


@pytest.fixture
def path(numbers: pa.Table, write_parquet: WritesParquet) -> Path:
    return write_parquet(numbers, row_group_size=20_000)


def content(plane: LocalDataPlane, name: str = "numbers") -> pa.Table:
    return pa.concat_tables(pq.read_table(file) for file in plane.table_files(name, "parquet"))


@pytest.mark.parametrize("finish", ["same call", "recover", "discard"])
@pytest.mark.parametrize("record", [8, 9], ids=["undoing", "undone"])
@pytest.mark.usefixtures("one_at_a_time")
async def test_a_death_while_a_commit_is_taken_back(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    journals: Path,
    record: int,
    finish: str,
) -> None:
    # The third is refused once the others are visible, which is after seven records.
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(400)))
    with dying_after(record):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == ([FIRST, SECOND] if record == 8 else [])
    if finish != "same call":
        [found] = await kumo_async.recover_uploads_async(client=parquet.client, discard=finish == "discard")
        done = "taken back" if record == 8 else None
        assert found.outcome == ("discarded" if finish == "discard" else done)
        assert plane.object_names("parquet") == []
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == [FIRST, SECOND, THIRD]
    assert content(plane).equals(numbers)
    assert report.rows == numbers.num_rows
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("status", [400, 404, 409])
@pytest.mark.usefixtures("one_at_a_time")
async def test_a_refusal_to_complete_twice_does_not_take_a_whole_table_back(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    journals: Path,
    status: int,
) -> None:
    with dying_after(8):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == [FIRST, SECOND, THIRD]
    # As if it had died just before it could note the last one.
    [journal] = journals.glob("*.journal")
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(status)))
    [found] = await kumo_async.recover_uploads_async(client=parquet.client)
    assert found.outcome == "finished"
    assert [call.status for call in plane.calls if call.call == "complete"][3:] == [status]
    assert content(plane).equals(numbers)
    assert list(journals.iterdir()) == []


async def test_an_upload_of_another_group_is_another_one(
    plane: LocalDataPlane, path: Path, numbers: pa.Table, journals: Path
) -> None:
    sales, risk = (kumo_async.KumoClient(plane.endpoint, plane.api_key, group=group) for group in ("Sales", "Risk"))
    # All partitions are stored, the commit is begun, and no object is visible.
    with dying_after(5):
        await kumo_async.FileUploadConnector("parquet", client=sales).upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == []
    assert await kumo_async.recover_uploads_async(client=risk) == []
    # Nor does an upload of the same table in the other group, which fails before its commit, finish it.
    plane.inject(Fault(call="put_part", answer=Status(403)))
    with pytest.raises(kumo_async.UploadError):
        await kumo_async.FileUploadConnector("parquet", client=risk).upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == []
    [found] = await kumo_async.recover_uploads_async(client=sales)
    assert (found.endpoint, found.outcome) == (f"{plane.endpoint}?group=Sales", "finished")
    assert content(plane) == numbers


@pytest.mark.parametrize("record", range(2, 10))
async def test_what_is_discarded_leaves_nothing_visible_and_no_old_table_in_part(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    record: int,
) -> None:
    await parquet.upload_async("numbers", path)
    with dying_after(record):
        await parquet.upload_async("numbers", path, options=THREE)
    [found] = await kumo_async.recover_uploads_async(client=parquet.client, discard=True)
    if record == 5:
        assert found.outcome == "failed"
        assert "delete the table" in (found.problem or "")
        return
    assert found.outcome == "discarded"
    assert plane.object_names("parquet") == (["numbers"] if record < 5 else [])
    assert list(journals.iterdir()) == []


async def test_what_could_not_be_taken_back_is_by_recover(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path, numbers: pa.Table
) -> None:
    plane.inject(Fault(call="complete", name=THIRD, answer=Status(400)))
    plane.inject(Fault(call="delete", name=FIRST, answer=Status(400), times=4))
    with pytest.raises(kumo_async.UploadError, match="kumo-async recover"):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == [FIRST]
    [failed] = await kumo_async.recover_uploads_async(client=parquet.client)
    assert (failed.state, failed.outcome) == ("committing", "failed")
    [found] = await kumo_async.recover_uploads_async(client=parquet.client)
    assert found.outcome == "taken back"
    assert plane.object_names("parquet") == []
    # What had been completed, and was refused, is sent again; nothing of it is visible before all is.
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert report.resumed_partitions == 0
    assert content(plane).equals(numbers)
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("finish", ["recover", "discard", "same call", "another upload"])
async def test_a_table_that_others_have_replaced_since_is_not_mixed(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    journals: Path,
    tmp_path: Path,
    write_parquet: WritesParquet,
    finish: str,
) -> None:
    with dying_after(7):
        await parquet.upload_async("numbers", path, options=THREE)
    other = write_parquet(numbers.slice(5), "other.parquet")
    # Another machine knows nothing of this one's journals.
    await parquet.upload_async("numbers", other, options=kumo_async.UploadOptions(journal_dir=tmp_path / "elsewhere"))
    if finish == "recover":
        # That one object has come in the place of three looks as if the service told of no partition.
        [found] = await kumo_async.recover_uploads_async(client=parquet.client)
        assert (found.outcome, found.state) == ("failed", "committing")
        assert content(plane).equals(numbers.slice(5))
        return
    if finish == "discard":
        [found] = await kumo_async.recover_uploads_async(client=parquet.client, discard=True)
        assert found.outcome == "discarded"
        assert content(plane).equals(numbers.slice(5))
    elif finish == "same call":
        await parquet.upload_async("numbers", path, options=THREE)
        assert content(plane).equals(numbers)
        assert plane.object_names("parquet") == [FIRST, SECOND, THIRD]
    else:
        await parquet.upload_async("numbers", other)
        assert content(plane).equals(numbers.slice(5))
        assert plane.object_names("parquet") == ["numbers"]
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("finish", ["recover", "discard", "same call"])
@pytest.mark.parametrize(
    ("single", "record"),
    [(False, 5), (False, 7), (False, 8), (True, 3)],
    ids=["cleared", "completed", "undoing", "one object"],
)
@pytest.mark.usefixtures("one_at_a_time")
async def test_a_larger_table_that_others_have_written_since_stays_whole(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    tmp_path: Path,
    write_parquet: WritesParquet,
    finish: str,
    single: bool,
    record: int,
) -> None:
    if record == 8:
        plane.inject(Fault(call="complete", name=THIRD, answer=Status(400)))
    options = replace(THREE, partition_threshold=10**9) if single else THREE
    with dying_after(record):
        await parquet.upload_async("numbers", path, options=options)
    other = write_parquet(numbers.slice(5), "other.parquet", row_group_size=5_000)
    elsewhere = replace(THREE, partition_size=100_000, journal_dir=tmp_path / "elsewhere")
    await parquet.upload_async("numbers", other, options=elsewhere)
    if finish == "same call":
        await parquet.upload_async("numbers", path, options=options)
        assert content(plane).equals(numbers)
        return
    [found] = await kumo_async.recover_uploads_async(client=parquet.client, discard=finish == "discard")
    assert found.outcome == "superseded"
    assert content(plane).equals(numbers.slice(5))


@dataclass(frozen=True)
class Unknown:
    """Say that there is nothing of that name, as a service does that knows tables and not their partitions."""

    async def give(self, exchange: Exchange) -> web.Response:
        await exchange.effect()
        return web.json_response({"is_valid": False, "msg": "unknown"})


@pytest.mark.parametrize("finish", ["recover", "discard", "same call", "delete"])
@pytest.mark.usefixtures("one_at_a_time")
async def test_half_a_table_is_not_taken_for_anothers_by_a_service_that_knows_no_partitions(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    journals: Path,
    finish: str,
) -> None:
    plane.inject(Fault(call="validate", name="*part_*", answer=Unknown(), times=None))
    with dying_after(7):
        await parquet.upload_async("numbers", path, options=THREE)
    assert plane.object_names("parquet") == [FIRST, SECOND]
    if finish == "recover":
        [found] = await kumo_async.recover_uploads_async(client=parquet.client)
        assert (found.outcome, found.state) == ("failed", "committing")
        assert "Upload it again" in (found.problem or "")
        finish = "same call"
    if finish == "same call":
        await parquet.upload_async("numbers", path, options=THREE)
        assert content(plane).equals(numbers)
    elif finish == "discard":
        [found] = await kumo_async.recover_uploads_async(client=parquet.client, discard=True)
        assert found.outcome == "discarded"
        assert plane.object_names("parquet") == []
    else:
        await parquet.delete_async("numbers")
        assert plane.object_names("parquet") == []
    assert list(journals.iterdir()) == []


@pytest.mark.parametrize("later", [ONE, THREE], ids=["one object", "the same shape"])
@pytest.mark.parametrize("again", [False, True], ids=["recover", "same call"])
@pytest.mark.usefixtures("one_at_a_time")
async def test_of_two_commits_that_died_the_later_counts(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    journals: Path,
    write_parquet: WritesParquet,
    later: kumo_async.UploadOptions,
    again: bool,
) -> None:
    other = write_parquet(numbers.slice(5), "other.parquet", row_group_size=20_000)
    with dying_after(7):
        await parquet.upload_async("numbers", path, options=THREE)
    # The later one cannot finish the earlier one, so that it replaces it; it dies before it has removed its journal.
    plane.inject(Fault(call="validate", answer=Status(403)))
    with dying_after(3 if later is ONE else 5):
        await parquet.upload_async("numbers", other, options=later)
    assert len(list(journals.glob("*.journal"))) == 2
    if again:
        await parquet.upload_async("numbers", other, options=later)
    else:
        found = await kumo_async.recover_uploads_async(client=parquet.client)
        assert sorted(str(each.outcome) for each in found) == ["finished", "superseded"]
    assert content(plane).equals(numbers.slice(5))
    assert plane.object_names("parquet") == (["numbers"] if later is ONE else [FIRST, SECOND, THIRD])
    assert list(journals.iterdir()) == []


async def test_a_table_that_was_deleted_does_not_come_back(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, journals: Path
) -> None:
    with dying_after(7):
        await parquet.upload_async("numbers", path, options=THREE)
    await parquet.delete_async("numbers")
    assert await kumo_async.recover_uploads_async(client=parquet.client) == []
    assert plane.object_names("parquet") == []
    assert list(journals.iterdir()) == []


async def test_an_old_table_that_cannot_be_deleted_is_left_and_not_tried_again_unasked(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, numbers: pa.Table
) -> None:
    await parquet.upload_async("numbers", path)
    plane.inject(Fault(call="delete", answer=Status(403)))
    with pytest.raises(kumo_async.ServiceError):
        await parquet.upload_async("numbers", path, options=THREE)
    assert [each.state for each in await kumo_async.unfinished_uploads_async()] == ["sending"]
    assert plane.object_names("parquet") == ["numbers"]
    report = await parquet.upload_async("numbers", path, options=THREE)
    assert report.resumed_partitions == 3
    assert content(plane).equals(numbers)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same journals", "other journals"])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_commit_waits_for_that_of_another_process(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    path: Path,
    numbers: pa.Table,
    journals: Path,
    cancelled: bool,
    elsewhere: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, waits = anyio.Event(), list[bool]()
    held = lock(journal_folder(journals), table_key(plane.endpoint, "parquet_upload_connector", "numbers"))
    assert held is not None
    loop = asyncio.get_running_loop()

    def asking(folder: Path, key: str) -> LockedFile | None:
        file = lock(folder, key)
        waits.append(file is None)
        loop.call_soon_threadsafe(asked.set)
        return file

    monkeypatch.setattr("kumo_async.upload.journaling.lock", asking)
    # Wherever its own journals are, so that two commits of one table are never under way on one machine.
    options = replace(THREE, journal_dir=tmp_path / "elsewhere" if elsewhere else None)
    task = asyncio.create_task(parquet.upload_async("numbers", path, options=options))
    await asked.wait()
    assert waits[0]
    assert not {"complete", "delete"} & {call.call for call in plane.calls}
    if cancelled:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.remove()
        assert plane.object_names("parquet") == []
        return
    held.remove()
    await task
    assert content(plane).equals(numbers)
