"""Calls go wrong as they are told to, and everything is recorded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

import anyio
import pytest
from aiohttp import web
from local_client import LIST, MIB, PARQUET, START, Answer, Client, broken, running, until

from kumo_async.errors import ConfigurationError
from kumo_async.local import (
    Call,
    CallName,
    Disconnect,
    Exchange,
    Fault,
    Garbage,
    NoETag,
    Stall,
    Status,
    WrongETag,
)
from kumo_async.local.calls import CallLog
from kumo_async.local.control import PATHS

SLOW_DOWN = Status(503, code="SlowDown", headers={"Retry-After": "0"})


async def test_a_part_gets_a_status_a_number_of_times_and_then_goes_well() -> None:
    async with running(faults=[Fault(call="put_part", part=1, times=2, answer=SLOW_DOWN)]) as client:
        started = await client.start("users", 2)
        for _ in range(2):
            answer = await client.put(started, 1, b"a" * 5 * MIB)
            assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "SlowDown", "0")
            assert "Please reduce your request rate." in answer.text
        assert (await client.put(started, 2, b"b")).status == 200
        assert (await client.put(started, 1, b"a" * 5 * MIB)).status == 200
        assert (await client.complete(started)).status == 200


async def test_skip_times_and_name_choose_the_calls() -> None:
    fault = Fault(call="start", name="users.parquet/part_*", skip=1, times=None, answer=Status(500))
    async with running(faults=[fault]) as client:
        names = ["users", "users.parquet/part_0001.parquet", "users.parquet/part_0002.parquet", "orders"]
        bodies = [{"source_table_name": name, "connector_id": PARQUET} for name in names]
        statuses = [(await client.post(START, body)).status for body in bodies * 2]
        assert statuses == [200, 200, 500, 200, 200, 500, 500, 200]


async def test_the_first_fault_that_is_due_wins_and_the_next_takes_over() -> None:
    faults = [Fault(call="list", answer=Status(500)), Fault(call="list", answer=Status(502, message="bad gateway"))]
    async with running(faults=faults) as client:
        answers = [await client.ask(LIST) for _ in range(3)]
        assert [answer.status for answer in answers] == [500, 502, 200]
        assert [answer.json for answer in answers[:2]] == [
            {"detail": "Internal Server Error"},
            {"detail": "bad gateway"},
        ]


@pytest.mark.parametrize(
    ("call", "ask"),
    [
        ("config", lambda client: client.get("/config")),
        ("connectors", lambda client: client.get("/v1/connectors")),
        ("start", lambda client: client.post(START, {"source_table_name": "a", "connector_id": PARQUET})),
        ("list", lambda client: client.ask(LIST)),
        ("delete", lambda client: client.delete("a")),
        ("table_data", lambda client: client.data("a")),
    ],
)
async def test_every_call_can_go_wrong(call: str, ask: Callable[[Client], Awaitable[Answer]]) -> None:
    async with running() as client:
        client.plane.inject(Fault(call=call, answer=Status(504)))  # type: ignore[arg-type]
        assert (await ask(client)).status == 504


@pytest.mark.parametrize("status", [420, 520, 529])
async def test_a_status_need_not_be_one_that_python_knows(status: int) -> None:
    async with running(faults=[Fault(call=call, answer=Status(status)) for call in ("list", "put_part")]) as client:
        assert (await client.ask(LIST)).status == status
        answer = await client.put(await client.start("users"), 1, b"x")
        assert (answer.status, answer.code) == (status, f"Status{status}")


def test_a_call_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no call 'put_prat'") as raised:
        Fault(call="put_prat", answer=Status(503))  # type: ignore[arg-type]
    assert all(f"'{name}'" in str(raised.value) for name in get_args(CallName))


def test_the_guide_lists_every_call_and_where_it_goes() -> None:
    section = (Path(__file__).parents[2] / "docs/guide.md").read_text().partition("## Testing your own code")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE))
    assert list(rows) == list(get_args(CallName))
    assert {call: rows[call] for call in PATHS} == {call: f"`POST /v1{path}`" for call, path in PATHS.items()}


async def test_a_status_after_the_effect_is_ambiguous() -> None:
    async with running() as client:
        started = await client.start("users")
        await client.put(started, 1, b"x")
        client.plane.inject(Fault(call="complete", answer=Status(504, after_effect=True)))
        assert (await client.complete(started)).status == 504
        assert client.plane.table_names("parquet") == ["users"]
        assert (await client.complete(started)).code == "NoSuchUpload"


async def test_a_status_before_the_effect_changes_nothing() -> None:
    async with running(faults=[Fault(call="complete", answer=Status(504))]) as client:
        assert (await client.upload("users", b"x")).status == 504
        assert client.plane.table_names("parquet") == []


@pytest.mark.parametrize("after_bytes", [0, 100, 3 * MIB])
async def test_the_connection_breaks_while_a_part_is_sent(after_bytes: int) -> None:
    # Twice, since aiohttp repeats a PUT once of its own accord, also on a new connection.
    fault = Fault(call="put_part", times=2, answer=Disconnect(after_bytes=after_bytes))
    async with running(faults=[fault]) as client:
        started = await client.start("users")
        assert await broken(client.put(started, 1, b"x" * 4 * MIB))
        assert (await client.put(started, 1, b"x")).status == 200
        assert [call.status for call in client.plane.calls] == [200, None, None, 200]
        assert (await client.complete(started)).status == 200


async def test_the_connection_breaks_after_the_effect() -> None:
    async with running(faults=[Fault(call="complete", answer=Disconnect(after_effect=True))]) as client:
        assert await broken(client.upload("users", b"x"))
        assert client.plane.table_names("parquet") == ["users"]


@pytest.mark.parametrize("after_effect", [False, True])
async def test_an_answer_is_held_until_it_may_go(after_effect: bool) -> None:
    gate = anyio.Event()
    async with running(faults=[Fault(call="complete", answer=Stall(gate, after_effect=after_effect))]) as client:
        started = await client.start("users")
        await client.put(started, 1, b"x")
        async with asyncio.TaskGroup() as group:
            held = group.create_task(client.complete(started))
            await until(lambda: seen(client, after_effect))
            assert not held.done()
            gate.set()
        assert held.result().status == 200
        complete = next(call for call in client.plane.calls if call.call == "complete")
        assert (complete.status, complete.finished) == (200, 3)


def seen(client: Client, after_effect: bool) -> bool:
    """Say whether the call that is held has got as far as it should."""
    arrived = any(call.call == "complete" for call in client.plane.calls)
    return arrived and bool(client.plane.table_names("parquet")) == after_effect


async def test_receipts_can_be_missing_or_wrong() -> None:
    faults = [Fault(call="put_part", answer=NoETag()), Fault(call="put_part", answer=WrongETag())]
    async with running(faults=faults) as client:
        started = await client.start("users")
        first, second, third = [await client.put(started, 1, b"x") for _ in range(3)]
        assert [answer.status for answer in (first, second, third)] == [200, 200, 200]
        assert "ETag" not in first.headers
        assert second.headers["ETag"] == '"' + "0" * 32 + '"'
        assert third.headers["ETag"] != second.headers["ETag"]


async def test_garbage_is_a_200_that_means_nothing() -> None:
    async with running(faults=[Fault(call="list", answer=Garbage(body=b"<html>"))]) as client:
        answer = await client.ask(LIST)
        assert (answer.status, answer.text) == (200, "<html>")


async def test_an_answer_can_be_ones_own() -> None:
    class Teapot:
        async def give(self, exchange: Exchange) -> web.Response:
            return web.Response(status=418, text=exchange.call.name or "")

    async with running(faults=[Fault(call="delete", answer=Teapot())]) as client:
        answer = await client.delete("users")
        assert (answer.status, answer.text) == (418, "users")


async def test_calls_are_recorded_in_order_of_arrival() -> None:
    gate = anyio.Event()
    async with running(faults=[Fault(call="put_part", part=1, answer=Stall(gate))]) as client:
        started = await client.start("users", 2)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.put(started, 1, b"a" * 5 * MIB))
            await until(lambda: len(client.plane.calls) == 2)
            await client.put(started, 2, b"b")
            assert client.plane.calls[1].finished is None
            gate.set()
        assert client.plane.calls == [
            Call(1, "start", PARQUET, "users", None, 200, 1),
            Call(2, "put_part", PARQUET, "users", 1, 200, 3),
            Call(3, "put_part", PARQUET, "users", 2, 200, 2),
        ]


async def test_a_call_that_is_still_held_does_not_hold_the_end() -> None:
    async with running(faults=[Fault(call="config", answer=Stall(anyio.Event()))]) as client:
        async with asyncio.TaskGroup() as group:
            held = group.create_task(broken(client.get("/config")))
            await until(lambda: client.plane.calls)
            await client.plane.stop()
        assert held.result()
        assert [(call.status, call.finished) for call in client.plane.calls] == [(None, 1)]


async def test_a_disk_that_fails_is_an_internal_error() -> None:
    async with running() as client:
        started = await client.start("users")
        (client.plane.root / "files").rename(client.plane.root / "elsewhere")
        answer = await client.put(started, 1, b"x")
        assert (answer.status, answer.code) == (500, "InternalError")
        assert str(client.plane.root) not in answer.text
        (client.plane.root / "elsewhere").rename(client.plane.root / "files")
        assert (await client.put(started, 1, b"x")).status == 200


def test_only_the_last_calls_are_kept() -> None:
    log = CallLog(limit=3)
    for _ in range(5):
        with log.arrive("config") as entry:
            entry.answered(200)
    assert [call.sequence for call in log] == [3, 4, 5]
    assert {call.status for call in log} == {200}
