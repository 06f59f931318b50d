"""What is there, on services that answer oddly about what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane
from kumo_async.service.answers import Seen
from kumo_async.service.existence import can_mean_missing, is_alike, is_there, stranger_of
from one_of_two import check_upload, write

MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=30_000, max_attempts=2)
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
def connect(plane: LocalDataPlane) -> Callable[[str], kumo_async.FileUploadConnector]:
    """Connectors to the plane."""
    client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
    return lambda file_type: kumo_async.FileUploadConnector(file_type, client=client)


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("calls", [("delete",), ("validate",), ("delete", "validate")], ids="+".join)
async def test_a_partitioned_table_is_uploaded_and_replaced(
    plane: LocalDataPlane,
    connect: Callable[[str], kumo_async.FileUploadConnector],
    tmp_path: Path,
    odd: Missing,
    calls: tuple[str, ...],
) -> None:
    for call in calls:
        plane.inject(Fault(call=call, answer=odd, times=None))  # type: ignore[arg-type]
    connector = connect("csv")
    for number, (options, numbers) in enumerate([(MANY, OLD), (MANY, NEW), (None, OLD), (MANY, NEW)]):
        path = write(tmp_path / f"{number}.csv", numbers)
        assert await check_upload(plane, connector, path, options or kumo_async.UploadOptions(), numbers) is None
    assert await connector.has_table_async("t")
    assert not await connector.has_table_async("nobody")
    await connector.delete_async("t")
    assert not await connector.has_table_async("t")
    assert plane.object_names("csv") == []


@dataclass(frozen=True)
class Refusing:
    """Refuse all, in the same words."""

    status: int = 400

    async def give(self, exchange: Exchange) -> web.Response:
        return web.json_response({"detail": f"No, not {exchange.call.name}."}, status=self.status)


@pytest.mark.parametrize("status", [400, 403, 405, 409, 422])
async def test_a_refusal_to_delete_what_is_there_stays_one(
    plane: LocalDataPlane, connect: Callable[[str], kumo_async.FileUploadConnector], tmp_path: Path, status: int
) -> None:
    connector = connect("csv")
    await connector.upload_async("t", write(tmp_path / "a.csv", OLD))
    plane.inject(Fault(call="delete", answer=Refusing(status), times=None))
    error = await check_upload(plane, connector, write(tmp_path / "b.csv", NEW), MANY, NEW)
    assert isinstance(error, kumo_async.ServiceError)
    assert error.status == status
    assert plane.object_names("csv") == ["t"]


async def test_a_refusal_of_one_name_alone_is_not_that_it_is_missing(
    plane: LocalDataPlane, connect: Callable[[str], kumo_async.FileUploadConnector], tmp_path: Path
) -> None:
    connector = connect("csv")
    await connector.upload_async("t", write(tmp_path / "a.csv", OLD), options=MANY)
    before = plane.object_names("csv")
    plane.inject(Fault(call="delete", name="t", answer=Refusing(), times=None))
    error = await check_upload(plane, connector, write(tmp_path / "b.csv", NEW), MANY, NEW)
    assert "is still there" in str(error)
    assert plane.object_names("csv") == before


async def test_a_refusal_that_cannot_be_looked_into_is_given_as_it_is(
    plane: LocalDataPlane, connect: Callable[[str], kumo_async.FileUploadConnector]
) -> None:
    connector = connect("csv")
    plane.inject(Fault(call="delete", name="t", answer=Refusing(), times=None))
    plane.inject(Fault(call="delete", answer=Refusing(403), times=None))
    async with connector.client.connected() as connection:
        with pytest.raises(kumo_async.ServiceError, match="not t") as caught:
            await connection.session.control.delete_object(connector.name, "t")
    assert caught.value.status == 400


async def test_nothing_more_is_asked_where_the_answers_are_plain(
    plane: LocalDataPlane, connect: Callable[[str], kumo_async.FileUploadConnector], tmp_path: Path
) -> None:
    connector = connect("csv")
    async with connector.client.connected() as connection:
        control = connection.session.control
        assert not await control.has_table(connector.name, "t")
        assert not await control.delete_object(connector.name, "t")
    assert [call.call for call in plane.calls] == ["validate", "delete"]


#: Frozen. A refused validate_table, and what a list of tables makes of it.
ANSWERS: list[tuple[bool | None, Seen, str, list[str]]] = [
    (False, Seen(status=404), "t", []),
    (False, Seen(status=400), "t", ["tt", "t.parquet/part_0001.parquet"]),
    (False, Seen(status=404, own=False), "t", ["other"]),
    (None, Seen(status=400), "t", ["t"]),
    (None, Seen(status=404), "t", ["t"]),
    (None, Seen(status=404), "t", ["t.csv/part_0001.csv"]),
    (False, Seen(status=404), "t.csv/part_0002.csv", ["t"]),
    (None, Seen(status=404, own=False), "t.csv/part_0002.csv", ["t"]),
    (None, Seen(status=400), "t.csv/part_0002.csv", ["t"]),
    (None, Seen(status=400), "t.csv/part_0002.csv", ["t.csv/part_0002.csv"]),
    (False, Seen(status=400), "t.csv/part_0002.csv", ["other"]),
]


@pytest.mark.parametrize(("there", "seen", "name", "listed"), ANSWERS)
def test_what_a_list_makes_of_a_refusal(there: bool | None, seen: Seen, name: str, listed: list[str]) -> None:
    assert is_there(seen, name, "csv", listed) is there


@pytest.mark.parametrize("status", [401, 403, 405, 407, 408, 409, 421, 423, 425, 429, 500, 503, 307])
def test_what_says_nothing_about_the_thing(status: int) -> None:
    assert not can_mean_missing(Seen(status=status))


@pytest.mark.parametrize(
    ("alike", "one", "other"),
    [
        (True, Seen(status=400, message="No t."), Seen(status=400, message="No STRANGER.")),
        (True, Seen(status=400, message="No (id 7a, 12)"), Seen(status=400, message="No (id 9b, 13)")),
        (True, Seen(status=404, own=False, message="<p>x"), Seen(status=404, own=False, message="<p>x")),
        (False, Seen(status=400, message="t is in use"), Seen(status=400, message="No STRANGER.")),
        (False, Seen(status=400, message="No."), Seen(status=404, message="No.")),
        (False, Seen(status=404, message="No."), Seen(status=404, own=False, message="No.")),
    ],
)
def test_what_is_refused_in_the_same_way(alike: bool, one: Seen, other: Seen) -> None:
    assert is_alike(one, "t", other, "STRANGER") is alike


def test_a_stranger_is_new_each_time_and_of_the_same_form() -> None:
    assert stranger_of("t", "csv") != stranger_of("t", "csv")
    assert "/" not in stranger_of("t", "csv")
    assert stranger_of("t.csv/part_0003.csv", "csv").endswith(".csv/part_0003.csv")
