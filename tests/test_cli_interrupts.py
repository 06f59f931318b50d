"""Ctrl-C and SIGTERM on the command line: real processes and signals, and a data plane that holds a call meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
import typer
from aiohttp import web
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

import kumo_async
from dying_command import dying_upload
from gate import Gate
from kumo_async.cli.interrupts import UploadWatch
from kumo_async.local import Exchange, Fault, LocalDataPlane, Stall, Status
from kumo_async.local.calls import CallName
from kumo_async.service.messages import connector_id
from kumo_async.upload.journal import table_key
from kumo_async.upload.journaling import Journals

NOTHING_CHANGED = "Interrupted. This upload has changed nothing in Kumo; "
FINISHING = (
    "Finishing the commit, which must not stop halfway. A second Ctrl-C leaves at once; `kumo-async recover`, or the "
    "same command, then finishes it.\n"
)


@dataclass(frozen=True)
class StallThenRefuse:
    """Holds a call, and then refuses it."""

    gate: Gate
    status: int = 400

    async def give(self, exchange: Exchange) -> web.Response:
        await self.gate.wait()
        return await Status(self.status).give(exchange)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.go.set()


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text("id,amount\n1,9.50\n2,12.25\n")
    return path


def environment(plane: LocalDataPlane) -> dict[str, str]:
    return {**os.environ, "KUMO_API_ENDPOINT": plane.endpoint, "KUMO_API_KEY": plane.api_key}


@asynccontextmanager
async def running(plane: LocalDataPlane, *args: str) -> AsyncIterator[Process]:
    """Run the program, with all of its output in one pipe."""
    command = [sys.executable, "-m", "kumo_async", *args]
    async with await anyio.open_process(command, stderr=subprocess.STDOUT, env=environment(plane)) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def rest(process: Process) -> tuple[int, str]:
    """Wait until the process has ended; return its exit code and what it still said."""
    assert process.stdout is not None
    said = "".join([text async for text in TextReceiveStream(process.stdout)])
    return await process.wait(), said


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    line = ""
    while not line.endswith("\n"):
        line += (await process.stdout.receive(1)).decode()
    return line


@asynccontextmanager
async def interrupted_in_its_commit(plane: LocalDataPlane, gate: Gate, path: Path) -> AsyncIterator[Process]:
    """Run an upload that gets its first Ctrl-C while the gate holds a call of its commit."""
    async with running(plane, "upload", str(path)) as process:
        await gate.came.wait()
        process.send_signal(signal.SIGINT)
        assert await next_line(process) == FINISHING
        yield process


def client_of(plane: LocalDataPlane) -> kumo_async.KumoClient:
    return kumo_async.KumoClient(plane.endpoint, plane.api_key)


async def has_orders(plane: LocalDataPlane) -> bool:
    async with client_of(plane) as client:
        return await kumo_async.FileUploadConnector("csv", client=client).has_table_async("orders")


@pytest.mark.parametrize("call", ["start", "put_part"])
async def test_before_anything_is_stored_it_starts_again(
    plane: LocalDataPlane, gate: Gate, orders: Path, call: CallName
) -> None:
    plane.inject(Fault(call=call, answer=Stall(gate)))
    async with running(plane, "upload", str(orders)) as process:
        await gate.came.wait()
        process.send_signal(signal.SIGINT)
        assert await rest(process) == (130, NOTHING_CHANGED + "the same command starts it again.\n")
    assert not await has_orders(plane)


@pytest.mark.parametrize("call", ["start", "put_part"])
async def test_sigterm_cleans_up_and_says_what_remains(
    plane: LocalDataPlane, gate: Gate, orders: Path, call: CallName
) -> None:
    plane.inject(Fault(call=call, answer=Stall(gate)))
    async with running(plane, "upload", str(orders)) as process:
        await gate.came.wait()
        process.terminate()
        assert await rest(process) == (143, NOTHING_CHANGED + "the same command starts it again.\n")
    assert not await has_orders(plane)
    assert await kumo_async.unfinished_uploads_async() == []


async def test_sigterm_finishes_a_commit_and_a_second_one_leaves_it(
    plane: LocalDataPlane, gate: Gate, orders: Path
) -> None:
    held = Gate()
    plane.inject(Fault(call="complete", answer=Stall(gate)))
    async with running(plane, "upload", str(orders)) as process:
        await gate.came.wait()
        process.terminate()
        assert await next_line(process) == FINISHING
        gate.go.set()
        code, said = await rest(process)
    assert (code, "was finished: table 'orders' is there" in said) == (143, True)
    plane.inject(Fault(call="complete", answer=Stall(held)))
    async with running(plane, "upload", str(orders)) as process:
        await held.came.wait()
        process.terminate()
        assert await next_line(process) == FINISHING
        process.terminate()
        assert await rest(process) == (143, "")
    held.go.set()
    async with running(plane, "recover") as process:
        assert (await rest(process))[0] == 0
    assert await has_orders(plane)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_question_is_ended_by_either(plane: LocalDataPlane, gate: Gate, number: signal.Signals) -> None:
    plane.inject(Fault(call="list", answer=Stall(gate)))
    async with running(plane, "ls") as process:
        await gate.came.wait()
        process.send_signal(number)
        code, said = await rest(process)
    assert (code, said) in ((130, ""), (-signal.SIGTERM, ""))


async def die_with_all_stored(plane: LocalDataPlane, orders: Path) -> None:
    command = dying_upload(orders, after=2)
    await anyio.run_process(command, env=environment(plane), check=False)


async def test_what_is_stored_is_kept_and_said(plane: LocalDataPlane, gate: Gate, orders: Path) -> None:
    await die_with_all_stored(plane, orders)
    journals = await Journals.open(None)
    key = table_key(client_of(plane).credentials.scoped_endpoint, connector_id("csv"), "orders")
    async with journals.table(key), running(plane, "upload", str(orders), "-v") as process:
        # It has nothing to send, and waits for the table's lock.
        while "was stored before" not in await next_line(process):
            pass
        process.send_signal(signal.SIGINT)
        code, said = await rest(process)
    assert code == 130
    assert said.endswith(NOTHING_CHANGED + "the same command goes on where it stopped (partitions stored: 1).\n")
    async with running(plane, "upload", str(orders)) as process:
        assert "resumed: 1 of 1" in (await rest(process))[1]


async def test_words_after_no_resume(plane: LocalDataPlane, orders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await die_with_all_stored(plane, orders)
    watch = UploadWatch("orders", "csv", None, resumes=False)
    watch.on_event(kumo_async.PartitionStored(table="orders", partition="orders", size=1, rows=1))
    with pytest.raises(typer.Exit), watch.until_interrupted():
        raise KeyboardInterrupt
    assert "the same command without --no-resume goes on where it stopped" in capsys.readouterr().err


async def test_nothing_is_promised_without_a_journal(capsys: pytest.CaptureFixture[str]) -> None:
    watch = UploadWatch("orders", "csv", None, resumes=True)
    watch.on_event(kumo_async.PartitionStored(table="orders", partition="orders", size=1, rows=1))
    with pytest.raises(typer.Exit), watch.until_interrupted():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == NOTHING_CHANGED + "the same command starts it again.\n"


async def test_a_commit_is_finished(plane: LocalDataPlane, gate: Gate, orders: Path) -> None:
    plane.inject(Fault(call="complete", answer=Stall(gate)))
    async with interrupted_in_its_commit(plane, gate, orders) as process:
        gate.go.set()
        assert await rest(process) == (
            130,
            "Interrupted. The commit had begun and was finished: table 'orders' is there.\n",
        )
    assert await has_orders(plane)


async def test_a_commit_that_fails_after_the_first_is_an_error(plane: LocalDataPlane, gate: Gate, orders: Path) -> None:
    plane.inject(Fault(call="complete", answer=StallThenRefuse(gate)))
    async with interrupted_in_its_commit(plane, gate, orders) as process:
        gate.go.set()
        code, said = await rest(process)
    assert code == 6
    assert said.startswith("error: Table 'orders' could not be committed: ")
    assert not await has_orders(plane)


async def test_a_table_that_must_be_sent_again_is_not(plane: LocalDataPlane, gate: Gate, orders: Path) -> None:
    plane.inject(Fault(call="complete", answer=StallThenRefuse(gate, status=404)))
    async with interrupted_in_its_commit(plane, gate, orders) as process:
        gate.go.set()
        code, said = await rest(process)
    assert code == 6
    assert said.startswith("error: No table 'orders' is there now. ")
    assert not await has_orders(plane)


@pytest.mark.parametrize("finish", [["recover"], ["upload", "orders.csv"]])
async def test_the_second_leaves_a_commit_at_once(
    plane: LocalDataPlane, gate: Gate, orders: Path, finish: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(orders.parent)
    plane.inject(Fault(call="complete", answer=Stall(gate)))
    async with interrupted_in_its_commit(plane, gate, Path("orders.csv")) as process:
        process.send_signal(signal.SIGINT)
        assert await rest(process) == (130, "")
    [left] = await kumo_async.unfinished_uploads_async()
    assert left.state == "committing"
    async with running(plane, *finish) as process:
        assert (await rest(process))[0] == 0
    assert await has_orders(plane)
    assert await kumo_async.unfinished_uploads_async() == []


async def test_recovering_and_deleting_are_left_by_the_second_too(
    plane: LocalDataPlane, gate: Gate, orders: Path
) -> None:
    plane.inject(Fault(call="complete", answer=Stall(gate)))
    async with running(plane, "upload", str(orders)) as process:
        await gate.came.wait()
        process.kill()
    for call, args in (("complete", ["recover"]), ("delete", ["delete", "orders", "--yes"])):
        held = Gate()
        plane.inject(Fault(call=call, answer=Stall(held)))  # type: ignore[arg-type]
        async with running(plane, *args) as process:
            await held.came.wait()
            process.send_signal(signal.SIGINT)
            assert "A second Ctrl-C leaves at once" in await next_line(process)
            process.send_signal(signal.SIGINT)
            assert await rest(process) == (130, "")
        held.go.set()
        async with running(plane, "recover") as process:
            assert (await rest(process))[0] == 0


async def test_on_a_terminal_the_cursor_is_there_again(plane: LocalDataPlane, gate: Gate, orders: Path) -> None:
    plane.inject(Fault(call="complete", answer=Stall(gate)))
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "kumo_async", "upload", str(orders)]
    env = environment(plane) | {"TERM": "xterm-256color"}
    async with await anyio.open_process(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        await gate.came.wait()
        process.send_signal(signal.SIGINT)
        shown = b""
        while b"leaves at once" not in shown:
            shown += await anyio.to_thread.run_sync(os.read, ours, 65536)
        assert b"\x1b[?25l" in shown
        process.send_signal(signal.SIGINT)
        while b"\x1b[?25h" not in shown:
            shown += await anyio.to_thread.run_sync(os.read, ours, 65536)
        assert await process.wait() == 130
    os.close(ours)


async def test_a_process_that_ignores_ctrl_c_goes_on(plane: LocalDataPlane, gate: Gate, orders: Path) -> None:
    plane.inject(Fault(call="put_part", answer=Stall(gate)))
    ignoring = "import signal, sys; signal.signal(2, signal.SIG_IGN); from kumo_async.cli import main; main()"
    command = [sys.executable, "-c", ignoring, "upload", str(orders)]
    async with await anyio.open_process(command, env=environment(plane)) as process:
        await gate.came.wait()
        process.send_signal(signal.SIGINT)
        gate.go.set()
        assert (await rest(process))[0] == 0
    assert await has_orders(plane)
