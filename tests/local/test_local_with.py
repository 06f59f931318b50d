"""A plane in a thread of its own, for code that is not async; and blocking calls that none could answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

import kumo_async
from kumo_async.errors import ConfigurationError
from kumo_async.local import Fault, LocalDataPlane, Status
from one_of_two import ids, write


def connector_of(plane: LocalDataPlane, endpoint: str | None = None) -> kumo_async.FileUploadConnector:
    return kumo_async.FileUploadConnector(
        "csv", client=kumo_async.KumoClient(endpoint or plane.endpoint, plane.api_key)
    )


def test_a_plane_for_code_that_is_not_async(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", range(9))
    with LocalDataPlane() as plane:
        csv, root = connector_of(plane), plane.root
        csv.upload("t", path)
        assert ids(plane, "t", "csv") == list(range(9))
        plane.inject(Fault(call="validate", answer=Status(403)))
        with pytest.raises(kumo_async.ServiceError):
            csv.has_table("t")
        assert {call.call for call in plane.calls} >= {"start", "put_part", "complete", "validate"}
        csv.delete("t")
        assert plane.table_names("csv") == []
    assert not root.exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kumo-local")]
    with pytest.raises(ConfigurationError, match="not running"):
        plane.table_names("csv")


def test_it_can_be_used_again_and_not_twice_at_once(tmp_path: Path) -> None:
    plane = LocalDataPlane(tmp_path / "plane")
    for _ in range(2):
        with plane:
            with pytest.raises(ConfigurationError, match="already"), plane:
                raise AssertionError("it was started twice")
            assert plane.table_names("csv") == []


def test_what_its_start_raises_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite3").mkdir()
    with pytest.raises(ConfigurationError, match="cannot keep"), LocalDataPlane(tmp_path):
        raise AssertionError("it was started")


async def test_async_code_can_use_it_too(tmp_path: Path) -> None:
    with LocalDataPlane() as plane:
        await connector_of(plane).upload_async("t", write(tmp_path / "t.csv", range(9)))
        connector_of(plane).upload("u", tmp_path / "t.csv")
        assert plane.table_names("csv") == ["t", "u"]


@pytest.mark.timeout(60)
def test_a_blocking_call_while_the_loop_of_its_plane_does_not_run(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.csv", range(9))
    for call in (
        lambda: csv.upload("t", path),
        lambda: csv.has_table("t"),
        lambda: csv.table_names(),
        lambda: csv.delete("t"),
        lambda: connector_of(plane, f"http://localhost:{plane.port}/api").upload("t", path),
    ):
        with pytest.raises(ConfigurationError, match="with LocalDataPlane"):
            call()
    assert plane.calls == []
    # What asks no service needs no plane.
    assert kumo_async.unfinished_uploads() == []
    assert csv.plan("t", path).table == "t"


@pytest.mark.timeout(60)
async def test_a_blocking_call_on_the_loop_of_its_plane(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.csv", range(9))
    with pytest.raises(ConfigurationError, match="upload_async"):
        csv.upload("t", path)
    assert plane.calls == []
    await to_thread.run_sync(csv.upload, "t", path)
    assert await csv.has_table_async("t")


async def test_the_connection_that_others_have_open_answers_no_more_than_a_new_one(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector
) -> None:
    asked = anyio.Event()
    loop = asyncio.get_running_loop()

    def keep_open() -> None:
        csv.has_table("t")
        loop.call_soon_threadsafe(asked.set)

    async with anyio.create_task_group() as group:
        group.start_soon(to_thread.run_sync, keep_open)
        with pytest.raises(ConfigurationError, match="with LocalDataPlane"):
            csv.has_table("t")
        await asked.wait()


@pytest.fixture
def other() -> Iterator[LocalDataPlane]:
    with LocalDataPlane() as plane:
        yield plane


async def test_a_blocking_call_to_another_plane_is_answered(plane: LocalDataPlane, other: LocalDataPlane) -> None:
    assert not connector_of(other).has_table("t")
    with pytest.raises(ConfigurationError, match=plane.endpoint):
        connector_of(plane).has_table("t")


async def test_the_address_that_a_plane_is_reached_under_counts_too() -> None:
    async with LocalDataPlane(public_url="http://127.0.0.1:9") as plane:
        with pytest.raises(ConfigurationError, match="with LocalDataPlane"):
            connector_of(plane).has_table("t")
        with pytest.raises(ConfigurationError, match="with LocalDataPlane"):
            connector_of(plane, f"http://127.0.0.1:{plane.port}/api").has_table("t")


async def test_a_port_is_free_for_others_after_the_end(other: LocalDataPlane) -> None:
    async with LocalDataPlane() as plane:
        port = plane.port
    with LocalDataPlane(port=port) as again:
        assert not connector_of(again).has_table("t")
