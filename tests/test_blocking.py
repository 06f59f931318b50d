"""The bridge from blocking code: scripts, running loops, threads, forks and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import anyio
import anyio.to_thread
import pyarrow as pa
import pytest

import kumo_async
from kumo_async import blocking


@pytest.fixture
def connector(tmp_path: Path) -> kumo_async.FileUploadConnector:
    client = kumo_async.KumoClient(f"local:{tmp_path / 'plane'}")
    return kumo_async.FileUploadConnector("parquet", client=client)


@pytest.fixture
def path(numbers: pa.Table, write_parquet: Callable[..., Path]) -> Path:
    return write_parquet(numbers)


def test_a_script_can_call_it(connector: kumo_async.FileUploadConnector, path: Path) -> None:
    assert connector.upload("numbers", path).rows == 60_000
    assert connector.has_table("numbers")
    assert "numbers" in connector
    assert [column.name for column in connector["numbers"].columns] == ["id", "value"]
    assert list(connector.table("numbers").column_dict) == ["id", "value"]
    assert connector["numbers"].head(2).to_dict("list")["id"] == [0, 1]
    connector.delete("numbers")
    assert connector.table_names() == []


async def test_it_works_beside_a_running_loop(connector: kumo_async.FileUploadConnector, path: Path) -> None:
    assert connector.upload("numbers", path).rows == 60_000


def test_threads_share_one_loop(connector: kumo_async.FileUploadConnector, path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda number: connector.upload(f"t{number}", path), range(8)))
    assert [report.table for report in reports] == [f"t{number}" for number in range(8)]
    assert connector.table_names() == sorted(report.table for report in reports)


def test_errors_come_out_as_they_are(connector: kumo_async.FileUploadConnector) -> None:
    with pytest.raises(kumo_async.SourceError, match="does not exist") as caught:
        connector.upload("numbers", "/nowhere/numbers.parquet")
    assert caught.value.path == "/nowhere/numbers.parquet"


def test_the_result_is_returned() -> None:
    async def add(a: int, *, b: int) -> int:
        return a + b

    assert blocking.run(add, 1, b=2) == 3


def test_a_call_from_its_own_loop_is_refused_and_does_not_hang() -> None:
    async def nested() -> None:
        blocking.run(anyio.sleep, 0)

    with pytest.raises(RuntimeError, match="event loop thread"):
        blocking.run(nested)


def test_it_works_after_a_fork_in_the_middle_of_a_call(tmp_path: Path) -> None:
    # In a process of its own: pytest's has threads, which forking warns about.
    run_script(
        tmp_path,
        """
        import os, threading, anyio, kumo_async
        from kumo_async import blocking

        connector = kumo_async.FileUploadConnector("csv")
        started, go = threading.Event(), threading.Event()

        async def wait():
            started.set()
            await anyio.to_thread.run_sync(go.wait)

        thread = threading.Thread(target=blocking.run, args=(wait,))
        thread.start()
        started.wait()
        child = os.fork()
        if child == 0:
            code = 0 if connector.upload("orders", "orders.csv").rows == 3 else 1
            os._exit(code)
        go.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0
        assert connector.table_names() == ["orders"]
        """,
    )


#: The end of a script in which Ctrl-C comes while `wait` runs.
EXPECT_CTRL_C = """
try:
    blocking.run(wait)
except KeyboardInterrupt:
    assert cleaned == [True]
    assert [t.name for t in threading.enumerate()] == ["MainThread"]
else:
    raise SystemExit("not interrupted")
"""


def test_ctrl_c_cancels_cleans_up_and_raises(tmp_path: Path) -> None:
    run_script(
        tmp_path,
        """
        import os, signal, threading, anyio
        from kumo_async import blocking

        cleaned = []

        async def wait():
            try:
                threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.05)
                cleaned.append(True)
        """,
        EXPECT_CTRL_C,
    )


def test_ctrl_c_that_comes_before_the_waiting_begins_cancels_too(tmp_path: Path) -> None:
    run_script(
        tmp_path,
        """
        import os, signal, threading, anyio
        from kumo_async import blocking

        start, interrupted, cleaned = blocking.start, threading.Event(), []

        def start_and_be_interrupted(function):
            call = start(function)
            interrupted.wait()
            return call

        blocking.start = start_and_be_interrupted

        async def wait():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                interrupted.set()
                await anyio.sleep_forever()
            finally:
                cleaned.append(True)
        """,
        EXPECT_CTRL_C,
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["begin", "take", "start"])
def test_a_signal_that_another_thread_is_given_at_the_very_beginning_leaves_no_thread(
    tmp_path: Path, moment: str, name: str
) -> None:
    run_script(
        tmp_path,
        f"""
        import signal, sys, threading, anyio
        from kumo_async import blocking, loop

        signal.signal(signal.{name}, signal.default_int_handler)
        given, ended, started = threading.Event(), threading.Event(), []

        def take_signals():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.{name}}})
            given.wait()
            signal.pthread_kill(threading.get_ident(), signal.{name})
            ended.set()

        def interrupted(function):
            def wrapped(*args, **kwargs):
                result = function(*args, **kwargs)
                given.set()
                ended.wait()
                return result
            return wrapped

        if {moment!r} == "begin":
            loop.Call.__init__ = interrupted(loop.Call.__init__)
        elif {moment!r} == "take":
            loop._Host.take = interrupted(loop._Host.take)
        else:
            loop._Host.start = interrupted(loop._Host.start)

        other = threading.Thread(target=take_signals)
        other.start()
        try:
            blocking.run(anyio.sleep_forever)
        except KeyboardInterrupt:
            other.join()
            assert [t.name for t in threading.enumerate()] == ["MainThread"]
        else:
            raise SystemExit("not interrupted")
        assert signal.getsignal(signal.{name}) is signal.default_int_handler
        assert signal.{name} not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        assert blocking.run(anyio.sleep, 0) is None
        """,
    )


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("event", [kumo_async.UploadStarted, kumo_async.BytesSent, kumo_async.UploadCommitted])
def test_an_observer_that_ends_its_own_call_ends_no_other(
    connector: kumo_async.FileUploadConnector,
    path: Path,
    stop: type[BaseException],
    event: type[kumo_async.Event],
) -> None:
    met = threading.Barrier(2)

    class Stops:
        def on_event(self, seen: kumo_async.Event) -> None:
            if isinstance(seen, event):
                raise stop("enough")

    def upload_while_the_other_stops() -> kumo_async.UploadReport:
        async def both() -> kumo_async.UploadReport:
            # Not before the other has begun on the loop that both share.
            await anyio.to_thread.run_sync(met.wait)
            report = await connector.upload_async("whole", path)
            await anyio.to_thread.run_sync(met.wait)
            return report

        return blocking.run(both)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(upload_while_the_other_stops)
        met.wait()
        with pytest.raises(stop, match="enough"):
            connector.upload("stopped", path, observer=Stops())
        met.wait()
        assert other.result().rows == 60_000
    assert connector.has_table("whole")


async def test_a_blocking_call_on_the_loop_whose_upload_is_committing_does_not_wait_for_that_loop(
    connector: kumo_async.FileUploadConnector, path: Path
) -> None:
    committing = anyio.Event()

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.CommitStarted):
                committing.set()

    task = asyncio.create_task(connector.upload_async("numbers", path, observer=Watch()))
    await committing.wait()
    connector.delete("numbers")
    assert connector.upload("numbers", path).rows == 60_000
    assert (await task).rows == 60_000
    assert await connector.has_table_async("numbers")


def test_ctrl_c_counts_although_it_does_not_wake_the_waiting(tmp_path: Path) -> None:
    """So it is with one that comes right before the main thread goes to sleep, and one that another thread gets."""
    run_script(
        tmp_path,
        """
        import os, signal, sys, threading, anyio
        from kumo_async import blocking

        main, pressed = threading.main_thread().ident, []

        def press(*_):
            pressed.append(True)
            if len(pressed) == 2:
                os._exit(0)
            raise KeyboardInterrupt

        def be_interrupted():
            while sys._current_frames()[main].f_code.co_name != "wait":
                pass
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

        async def wait():
            try:
                threading.Thread(target=be_interrupted).start()
                await anyio.sleep_forever()
            finally:
                threading.Thread(target=be_interrupted).start()
                with anyio.CancelScope(shield=True):
                    await anyio.sleep_forever()

        signal.signal(signal.SIGINT, press)
        blocking.run(wait)
        """,
    )


def test_ctrl_c_can_only_go_to_the_thread_that_acts_on_it() -> None:
    async def masks() -> list[set[int]]:
        return [_blocked_signals(), await anyio.to_thread.run_sync(_blocked_signals)]

    assert all(signal.SIGINT in mask for mask in blocking.run(masks))
    assert signal.SIGINT not in _blocked_signals()


def _blocked_signals() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))


def test_ctrl_c_during_an_upload_leaves_no_table(tmp_path: Path) -> None:
    run_script(
        tmp_path,
        """
        import os, signal, threading, anyio, kumo_async
        from kumo_async import blocking
        from kumo_async.local import Fault, LocalDataPlane, Stall

        class Never:
            async def wait(self):
                os.kill(os.getpid(), signal.SIGINT)
                await anyio.sleep_forever()

        async def serve():
            global plane, client
            async with LocalDataPlane(faults=[Fault(call="put_part", answer=Stall(Never()))]) as plane:
                client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
                started.set()
                await anyio.to_thread.run_sync(ended.wait)

        started, ended = threading.Event(), threading.Event()
        server = threading.Thread(target=blocking.run, args=(serve,))
        server.start()
        started.wait()
        connector = kumo_async.FileUploadConnector("csv", client=client)
        try:
            connector.upload("orders", "orders.csv")
        except KeyboardInterrupt:
            assert not connector.has_table("orders")
            assert connector.upload("orders", "orders.csv").rows == 3
        else:
            raise SystemExit("not interrupted")
        finally:
            ended.set()
            server.join()
        """,
    )


def run_script(tmp_path: Path, *scripts: str, says: tuple[str, ...] = ("",)) -> None:
    """Run scripts one after the other, as one, in a process of their own; its output begins with what it `says`."""
    (tmp_path / "orders.csv").write_text("id,amount\n1,9.50\n2,12.25\n3,7.00\n")
    environment = {**os.environ, "KUMO_API_ENDPOINT": f"local:{tmp_path / 'plane'}", "PYTHONWARNINGS": "error"}
    # Python 3.12 and later warn about any fork beside threads, which is what is tried here.
    environment["PYTHONWARNINGS"] += ",default::DeprecationWarning"
    code = "\n".join(textwrap.dedent(script) for script in scripts)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(says), result.stdout + result.stderr


def test_uvloop_is_used_where_it_is_installed() -> None:
    async def module() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert blocking.run(module).startswith("uvloop" if find_spec("uvloop") else "asyncio")
