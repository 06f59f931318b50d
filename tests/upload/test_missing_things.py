"""Services that say in their own ways that there is no such thing: a table is uploaded, and replaced, all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Answer, Exchange, Fault, Garbage, HalfAnswer, LocalDataPlane, Status
from kumo_async.service.control import DEFAULT_ATTEMPTS
from kumo_async.upload.deletions import is_lost
from one_of_two import check_upload, ids, write

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=30_000, max_attempts=2)
FEWER = replace(MANY, partition_size=60_000)
OLD, NEW = range(6_000), range(100_000, 103_000)


@dataclass(frozen=True)
class Missing:
    """Do what is asked, and say of what is not there that it is not in another way than the protocol does."""

    status: int
    text: str = '{"detail": "nope"}'
    form: str = "application/json"

    async def give(self, exchange: Exchange) -> web.Response:
        answer = await exchange.effect()
        if answer.status == 404 or (answer.text and '"is_valid":false' in answer.text.replace(" ", "")):
            text = self.text.replace("{name}", exchange.call.name or "")
            return web.Response(status=self.status, text=text, content_type=self.form)
        return answer


PAGE = Missing(404, "<html>Not Found</html>", "text/html")
ODD = [
    Missing(404),
    Missing(400),
    Missing(400, '{"detail": "{name} does not exist (request 7f3a1)"}'),
    Missing(422, '{"detail": [{"loc": ["body"], "msg": "no such thing"}]}'),
    Missing(410, ""),
    PAGE,
]


@pytest.fixture(params=[True, False], ids=["whole", "by partition"])
async def plane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalDataPlane]:
    """A plane whose deletion of a table's name covers its partitions, or does not."""
    async with LocalDataPlane(tmp_path / "plane", delete_removes_partitions=request.param) as plane:
        yield plane


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path / "old.csv", OLD)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write(tmp_path / "new.csv", NEW)


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("calls", [("delete",), ("validate",), ("delete", "validate")], ids="+".join)
async def test_a_partitioned_table_is_uploaded_and_replaced(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, odd: Missing, calls: tuple[str, ...]
) -> None:
    for call in calls:
        plane.inject(Fault(call=call, answer=odd, times=None))  # type: ignore[arg-type]
    for number, (options, numbers) in enumerate([(MANY, OLD), (MANY, NEW), (None, OLD), (MANY, NEW)]):
        path = write(tmp_path / f"{number}.csv", numbers)
        assert await check_upload(plane, csv, path, options or kumo_async.UploadOptions(), numbers) is None
    assert await csv.has_table_async("t")
    assert not await csv.has_table_async("nobody")
    await csv.delete_async("t")
    assert not await csv.has_table_async("t")
    assert plane.object_names("csv") == []


@dataclass(frozen=True)
class Refusing:
    """Refuse all, in the same words."""

    status: int = 400

    async def give(self, exchange: Exchange) -> web.Response:
        return web.json_response({"detail": f"No, not {exchange.call.name}."}, status=self.status)


@pytest.mark.parametrize("status", [400, 403, 405, 409, 422])
async def test_a_refusal_to_delete_what_is_there_stays_one(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, status: int
) -> None:
    await csv.upload_async("t", old)
    plane.inject(Fault(call="delete", answer=Refusing(status), times=None))
    error = await check_upload(plane, csv, new, MANY, NEW)
    assert isinstance(error, kumo_async.ServiceError)
    assert error.status == status
    assert plane.object_names("csv") == ["t"]


@pytest.mark.parametrize("odd", [Missing(400), Missing(409)], ids=repr)
@pytest.mark.parametrize("left", [2, 40], ids="from {}".format)
async def test_what_is_left_of_a_table_whose_first_partitions_are_gone_is_replaced(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, odd: Missing, left: int
) -> None:
    """As after a deletion that ended halfway, where the service refuses to delete what it does not know."""
    path = write(tmp_path / "old.csv", range(200))
    await csv.upload_async("t", path, options=kumo_async.UploadOptions(partition_threshold=0, partition_size=40))
    async with csv.client.connected() as connection:
        for number in range(1, left):
            assert await connection.session.control.delete_object(csv.name, f"t.csv/part_{number:04d}.csv")
    plane.inject(Fault(call="delete", answer=odd, times=None))
    assert await check_upload(plane, csv, write(tmp_path / "new.csv", NEW), MANY, NEW) is None


async def test_nothing_more_is_asked_where_the_answers_are_plain(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector
) -> None:
    async with csv.client.connected() as connection:
        control = connection.session.control
        assert not await control.has_table(csv.name, "t")
        assert not await control.delete_object(csv.name, "t")
    assert [call.call for call in plane.calls] == ["validate", "delete"]


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_partitions_are_deleted_where_the_name_alone_cannot_be(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, status: int
) -> None:
    await csv.upload_async("t", old, options=MANY)
    plane.inject(Fault(call="delete", name="t", answer=Refusing(status), times=None))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None
    assert ids(plane, "t", "csv") == list(NEW)


async def test_what_no_question_about_a_table_can_tell_is_an_error(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector
) -> None:
    plane.inject(Fault(call="validate", answer=PAGE))
    plane.inject(Fault(call="list", answer=Status(404)))
    with pytest.raises(kumo_async.ServiceError):
        await csv.has_table_async("nobody")


@pytest.mark.usefixtures("one_at_a_time")
async def test_a_refused_deletion_is_not_believed_where_partitions_are_not_known_by_name(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path
) -> None:
    plane.inject(Fault(call="validate", name="*part_*", answer=Refusing(404), times=None))
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(400)))
    plane.inject(Fault(call="delete", name="*part_0001*", answer=Status(400), times=None))
    with pytest.raises(kumo_async.UploadError, match=r"must be deleted: t\.csv/part_0001\.csv"):
        await csv.upload_async("t", old, options=MANY)
    assert plane.object_names("csv") == ["t.csv/part_0001.csv"]


@dataclass(frozen=True)
class Objects:
    """List objects in place of tables."""

    plane: LocalDataPlane

    async def give(self, exchange: Exchange) -> web.Response:
        del exchange
        return web.json_response({"table_names": self.plane.object_names("csv")})


async def test_partitions_that_are_listed_and_refused_as_tables_are_there(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    plane.inject(Fault(call="list", answer=Objects(plane), times=None))
    plane.inject(Fault(call="validate", name="*part_*", answer=Refusing(404), times=None))
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(502, after_effect=True)))
    await csv.upload_async("t", old, options=replace(MANY, max_attempts=1))
    plane.inject(Fault(call="delete", name="t", answer=Refusing(422), times=None))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


async def test_partitions_that_are_listed_are_the_table_where_that_is_not_known_itself(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    await csv.upload_async("t", old, options=MANY)
    plane.inject(Fault(call="list", answer=Objects(plane), times=None))
    plane.inject(Fault(call="validate", answer=Refusing(404), times=None))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


async def test_partitions_behind_a_gap_are_found_where_they_are_listed(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    await csv.upload_async("t", old, options=MANY)
    async with csv.client.connected() as connection:
        assert await connection.session.control.delete_object(csv.name, "t.csv/part_0001.csv")
    plane.inject(Fault(call="list", answer=Objects(plane), times=None))
    plane.inject(Fault(call="delete", name="t", answer=Refusing(422), times=None))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


async def test_one_deletion_whose_answer_was_lost_does_not_leave_half_of_the_old_table(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    report = await csv.upload_async("t", old, options=MANY)
    lost = Status(502, headers={"Retry-After": "0"}, after_effect=True)
    plane.inject(Fault(call="delete", name="t", answer=Status(404)))
    plane.inject(Fault(call="delete", name="*part_0001*", answer=lost, times=DEFAULT_ATTEMPTS))
    for partition in report.partitions[1:]:
        plane.inject(Fault(call="delete", name=partition.name, answer=Status(403)))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


async def test_a_commit_that_has_removed_half_of_the_old_table_stays_begun(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    await csv.upload_async("t", old, options=MANY)
    plane.inject(Fault(call="delete", name="t", answer=Status(404)))
    plane.inject(Fault(call="delete", name="*part_0002*", answer=Status(403), times=2))
    assert "some of its partitions may be gone" in str(await check_upload(plane, csv, new, FEWER, NEW))
    assert [found.state for found in await kumo_async.unfinished_uploads_async()] == ["committing"]
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


@pytest.mark.parametrize("status", [None, 400, 403, 404, 408, 409, 429, 500, 503])
def test_which_answers_leave_open_what_was_done(status: int | None) -> None:
    assert is_lost(kumo_async.ServiceError("No.", status=status)) is (status in (None, 408, 500, 503))


async def test_partitions_that_are_denied_for_a_moment_are_deleted_in_the_end(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.upload.replace._LAST_PARTITION", 100)
    await csv.upload_async("t", old, options=MANY)
    plane.inject(Fault(call="delete", answer=Status(404), times=2))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


async def test_partitions_that_are_all_refused_are_all_still_there(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    await csv.upload_async("t", old, options=MANY)
    before = plane.object_names("csv")
    plane.inject(Fault(call="delete", answer=Refusing(), times=None))
    error = await check_upload(plane, csv, new, FEWER, NEW)
    assert "is still there" in str(error)
    assert plane.object_names("csv") == before
    assert [found.state for found in await kumo_async.unfinished_uploads_async()] == ["sending"]


@pytest.mark.parametrize("status", [403, 409])
async def test_one_refusal_does_not_leave_half_of_the_old_table(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, status: int
) -> None:
    await csv.upload_async("t", old, options=MANY)
    plane.inject(Fault(call="delete", name="t", answer=Status(404)))
    plane.inject(Fault(call="delete", name="*part_0002*", answer=Status(status)))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


@pytest.mark.usefixtures("one_at_a_time")
async def test_one_refusal_does_not_leave_half_of_the_new_table(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path
) -> None:
    plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(400)))
    plane.inject(Fault(call="delete", name="*part_0001*", answer=Status(403)))
    with pytest.raises(kumo_async.UploadError, match="No table of that name is there now"):
        await csv.upload_async("t", old, options=MANY)
    assert plane.object_names("csv") == []


async def test_a_table_that_is_gone_is_never_said_to_be_there(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path
) -> None:
    await csv.upload_async("t", old)
    plane.inject(Fault(call="delete", answer=Status(502, after_effect=True)))
    plane.inject(Fault(call="delete", answer=PAGE))
    # That it is gone is seen once, and then no more.
    plane.inject(Fault(call="validate", answer=Status(403), skip=2))
    with pytest.raises(kumo_async.ServiceError, match="No table of that name is there now"):
        await csv.upload_async("t", new)
    assert plane.object_names("csv") == []
    assert await check_upload(plane, csv, new, kumo_async.UploadOptions(), NEW) is None


#: What is no list of tables.
NO_LISTS = [Garbage(), Garbage(b""), HalfAnswer(), Garbage(b'{"table_names": null}')]


@pytest.mark.parametrize("answer", NO_LISTS, ids=repr)
async def test_a_list_that_is_none_right_after_the_old_table_was_deleted_is_asked_for_again(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, answer: Answer
) -> None:
    await csv.upload_async("t", old)
    plane.inject(Fault(call="list", answer=answer, times=2))
    assert await check_upload(plane, csv, new, kumo_async.UploadOptions(), NEW) is None
    assert [call.call for call in plane.calls].count("delete") == 1


@pytest.mark.parametrize("answer", NO_LISTS, ids=repr)
async def test_where_the_list_is_none_for_ever_the_old_table_is_said_to_be_gone(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, answer: Answer
) -> None:
    await csv.upload_async("t", old)
    plane.inject(Fault(call="list", answer=answer, times=4))
    error = await check_upload(plane, csv, new, kumo_async.UploadOptions(), NEW)
    assert "No table of that name is there now; upload it again" in str(error)
    assert "could not be deleted" not in str(error)
    assert plane.object_names("csv") == []
    assert await check_upload(plane, csv, new, kumo_async.UploadOptions(), NEW) is None


@dataclass(frozen=True)
class Nothing:
    """Say that it was done, and do nothing."""

    async def give(self, exchange: Exchange) -> web.Response:
        del exchange
        return web.Response()


@pytest.mark.parametrize("options", [kumo_async.UploadOptions(), MANY], ids=["one object", "partitions"])
async def test_a_deletion_that_is_answered_and_not_done_is_made_once_more(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    old: Path,
    new: Path,
    options: kumo_async.UploadOptions,
) -> None:
    report = await csv.upload_async("t", old, options=options)
    plane.inject(Fault(call="delete", name="t", answer=Nothing()))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None
    deleted = [call.name for call in plane.calls if call.call == "delete"]
    assert len(deleted) <= 2 + (len(report.partitions) if options is MANY else 0)


@pytest.mark.parametrize("options", [kumo_async.UploadOptions(), MANY], ids=["one object", "partitions"])
@pytest.mark.parametrize("answer", [Nothing(), Refusing(404)], ids=repr)
async def test_deletions_that_are_never_done_are_not_made_thousands_of_times(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    old: Path,
    new: Path,
    options: kumo_async.UploadOptions,
    answer: Answer,
) -> None:
    await csv.upload_async("t", old, options=options)
    before = plane.object_names("csv")
    plane.inject(Fault(call="delete", answer=answer, times=None))
    error = await check_upload(plane, csv, new, FEWER, NEW)
    assert "still" in str(error)
    assert plane.object_names("csv") == before
    assert [call.call for call in plane.calls].count("delete") <= 200


@dataclass(frozen=True)
class Hidden:
    """Know tables, and no partition by its name."""

    plane: LocalDataPlane

    async def give(self, exchange: Exchange) -> web.Response:
        if "/" in (exchange.call.name or ""):
            return web.json_response({"is_valid": False, "msg": "No such table."})
        return await exchange.effect()


@dataclass(frozen=True)
class Yes:
    """Say of every deletion that it was done, also of what is not there."""

    async def give(self, exchange: Exchange) -> web.Response:
        await exchange.effect()
        return web.Response()


@pytest.mark.parametrize("says_yes", [False, True])
async def test_partitions_that_no_question_shows_are_deleted(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, says_yes: bool
) -> None:
    old_names = (await csv.upload_async("t", old, options=replace(MANY, partition_size=3_000))).partitions
    assert len(old_names) > 16
    plane.inject(Fault(call="validate", answer=Hidden(plane), times=None))
    if says_yes:
        plane.inject(Fault(call="delete", answer=Yes(), times=None))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None


async def test_more_unseen_partitions_than_any_are_looked_for_only_while_the_service_tells_which_there_were(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.upload.replace._FAR", 16)
    await csv.upload_async("t", old, options=replace(MANY, partition_size=1_500))
    assert len(plane.object_names("csv")) > 40
    plane.inject(Fault(call="validate", answer=Hidden(plane), times=None))
    assert await check_upload(plane, csv, new, FEWER, NEW) is None
