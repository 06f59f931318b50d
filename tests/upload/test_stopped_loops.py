"""Every point of a commit, and every way to stop the loop that asked for it: the table ends whole, and the log says so.

The data plane runs on a loop of its own, so that what stops the uploader's does not stop the service as well.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.from_thread import start_blocking_portal

import kumo_async
from kumo_async.local import Fault, LocalDataPlane, Stall, Status
from kumo_async.loop import Call
from kumo_async.upload import journaling
from kumo_async.upload.journal_files import LockedFile
from one_of_two import ids, write

OLD, NEW = range(500), range(1_000, 3_000)
OPTIONS = kumo_async.UploadOptions(partition_threshold=0, partition_size=20_000, max_attempts=2)


class Hold:
    """Holds a call of the service, or a thread that is at a journal, until it may go on."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    async def wait(self) -> None:
        await to_thread.run_sync(self.pass_by)

    def pass_by(self) -> None:
        self.reached.set()
        assert self.go.wait(30)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[LocalDataPlane]:
    """A data plane on a loop of its own."""
    plane = LocalDataPlane(root=tmp_path / "plane")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(plane):
        yield plane


@pytest.fixture
def hold() -> Iterator[Hold]:
    hold = Hold()
    yield hold
    hold.go.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_async.service.retry.wait_before", lambda attempt, error: 0.0)


@dataclass
class Case:
    """An upload of a new table over an old one."""

    connector: kumo_async.FileUploadConnector
    new: Path
    hold: Hold
    observer: Any = None

    async def upload(self) -> None:
        await self.connector.upload_async("t", self.new, options=OPTIONS, observer=self.observer)

    async def reached(self) -> None:
        assert await to_thread.run_sync(self.hold.reached.wait, 30)

    def go_when(self, happened: Callable[[], bool]) -> None:
        """Let the commit go on once something has happened, at which the loop looks in each of its turns."""
        if happened():
            self.hold.go.set()
        else:
            asyncio.get_running_loop().call_soon(self.go_when, happened)


@pytest.fixture
def case(apart: LocalDataPlane, tmp_path: Path, hold: Hold) -> Case:
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(apart.endpoint, apart.api_key))
    connector.upload("t", write(tmp_path / "old.csv", OLD))
    return Case(connector, write(tmp_path / "new.csv", NEW), hold)


Hook = Callable[[LocalDataPlane, Hold, pytest.MonkeyPatch], None]


def at_call(call: Any, *, skip: int = 0, after: bool, name: str | None = None) -> Hook:
    """Hold a call of the service before it has its effect, or after it, before its answer."""

    def hook(plane: LocalDataPlane, hold: Hold, _: pytest.MonkeyPatch) -> None:
        plane.inject(Fault(call=call, name=name, skip=skip, answer=Stall(hold, after_effect=after)))

    return hook


def at_record(kind: str, *, after: bool) -> Hook:
    """Hold the thread that writes a record of the journal, before or after that."""

    def hook(_: LocalDataPlane, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
        append = LockedFile.append

        def held(file: LockedFile, lines: bytes, *, sync: bool) -> None:
            found = f'["{kind}"'.encode() in lines and not hold.reached.is_set()
            if found and not after:
                hold.pass_by()
            append(file, lines, sync=sync)
            if found and after:
                hold.pass_by()

        monkeypatch.setattr(LockedFile, "append", held)

    return hook


def at_the_end(_: LocalDataPlane, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the thread that removes the journal."""
    remove = journaling._remove_locked

    def held(file: LockedFile) -> None:
        if file.path.suffix == ".journal":
            hold.pass_by()
        remove(file)

    monkeypatch.setattr(journaling, "_remove_locked", held)


def rolled_back(hook: Hook) -> Hook:
    """Refuse a partition, so that the commit is rolled back, and hold that."""

    def both(plane: LocalDataPlane, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
        plane.inject(Fault(call="complete", name="*part_0002*", answer=Status(400)))
        hook(plane, hold, monkeypatch)

    return both


PART = "*part_0001*"
FIRST_QUESTION = {f"question-{when}": at_call("validate", after=when == "after") for when in ("before", "after")}
Step = Callable[[bool], Hook]
STEPS: dict[str, Step] = {
    "begun": lambda after: at_record("begun", after=after),
    "deletion": lambda after: at_call("delete", after=after),
    "look": lambda after: at_call("validate", skip=1, after=after),
    "cleared": lambda after: at_record("cleared", after=after),
    "complete": lambda after: at_call("complete", name=PART, after=after),
    "completed": lambda after: at_record("completed", after=after),
}
STEPS_BACK: dict[str, Step] = {
    "undoing": lambda after: rolled_back(at_record("undoing", after=after)),
    "taking-back": lambda after: rolled_back(at_call("delete", name=PART, after=after)),
    "undone": lambda after: rolled_back(at_record("undone", after=after)),
}


def before_and_after(steps: dict[str, Step]) -> dict[str, Hook]:
    return {f"{name}-{when}": step(when == "after") for when in ("before", "after") for name, step in steps.items()}


POINTS = before_and_after(STEPS) | {"end": at_the_end}
ROLLED_BACK = before_and_after(STEPS_BACK)


def by_task(case: Case) -> None:
    """Cancel the task, again and again."""

    async def main() -> None:
        task = asyncio.create_task(case.upload())
        await case.reached()
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0)
        case.hold.go.set()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())


def by_timeout(case: Case) -> None:
    """Let a timeout end the call."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await in_time()

    async def in_time() -> None:
        async with asyncio.timeout(None) as scope:
            task = asyncio.current_task()
            assert task is not None
            watch = asyncio.create_task(end(scope))
            case.go_when(lambda: task.cancelling() > 0)
            try:
                await case.upload()
            finally:
                await watch

    async def end(scope: asyncio.Timeout) -> None:
        await case.reached()
        scope.reschedule(0)

    asyncio.run(main())


def by_scope(case: Case) -> None:
    """Cancel a scope of anyio."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(case.upload)
            await case.reached()
            group.cancel_scope.cancel()
            case.go_when(lambda: True)
        assert group.cancel_scope.cancelled_caught

    asyncio.run(main())


def by_the_end_of_run(case: Case) -> None:
    """Let the main task of `asyncio.run` fail, which cancels all tasks."""
    tasks = []

    async def main() -> None:
        tasks.append(asyncio.create_task(case.upload()))
        await case.reached()
        case.go_when(lambda: tasks[0].cancelling() > 0)
        raise LookupError("main has failed")

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert tasks[0].cancelled()


def by_cancelling_all(case: Case) -> None:
    """Cancel all tasks that there are, several times, as frameworks do that shut down."""

    async def main() -> None:
        task = asyncio.create_task(case.upload())
        await case.reached()
        for _ in range(5):
            for each in asyncio.all_tasks() - {asyncio.current_task()}:
                each.cancel()
            await asyncio.sleep(0)
        case.hold.go.set()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())


class Stopping:
    """An observer that stops its upload with what is no Exception, once the point is reached."""

    def __init__(self, hold: Hold, stop: type[BaseException]) -> None:
        self.hold, self.stop, self.stopped = hold, stop, False

    def on_event(self, event: kumo_async.Event) -> None:
        if isinstance(event, kumo_async.CommitStarted):
            self.stopped = True
            raise self.stop("enough")


def by_observer(stop: type[BaseException]) -> Callable[[Case], None]:
    def stopped(case: Case) -> None:
        case.observer = observer = Stopping(case.hold, stop)

        async def main() -> None:
            other = asyncio.create_task(asyncio.sleep(0, "whole"))
            case.go_when(lambda: observer.stopped)
            with pytest.raises(stop, match="enough"):
                await case.upload()
            assert await other == "whole"

        asyncio.run(main())

    return stopped


def by_ctrl_c(case: Case) -> None:
    """Press Ctrl-C in a blocking call of the main thread, next to a thread that is given the signal."""

    cancel = Call.cancel

    def cancelled(call: Call[Any]) -> None:
        cancel(call)
        case.hold.go.set()

    def press() -> None:
        assert case.hold.reached.wait(30)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Call, "cancel", cancelled)
        with pytest.raises(KeyboardInterrupt):
            case.connector.upload("t", case.new, options=OPTIONS)
    thread.join()


WAYS: dict[str, Callable[[Case], None]] = {
    "task": by_task,
    "timeout": by_timeout,
    "scope": by_scope,
    "run": by_the_end_of_run,
    "all": by_cancelling_all,
    "ctrl-c": by_ctrl_c,
}
#: What the observer is shown within a commit is its beginning alone.
OBSERVERS = {"exit": by_observer(SystemExit), "interrupt": by_observer(KeyboardInterrupt)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", POINTS)
def test_a_commit_that_has_begun_is_finished(
    apart: LocalDataPlane,
    case: Case,
    point: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "kumo_async")
    POINTS[point](apart, case.hold, monkeypatch)
    WAYS[way](case)
    assert ids(apart, "t", "csv") == list(NEW)
    assert kumo_async.unfinished_uploads() == []
    assert "Table 't' was being changed when" in caplog.text
    assert case.connector.upload("t", case.new, options=OPTIONS).rows == len(NEW)
    assert ids(apart, "t", "csv") == list(NEW)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", ROLLED_BACK)
def test_a_commit_that_is_rolled_back_is_so_to_its_end(
    apart: LocalDataPlane,
    case: Case,
    point: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ROLLED_BACK[point](apart, case.hold, monkeypatch)
    WAYS[way](case)
    assert apart.object_names("csv") == []
    assert "No table of that name is there now" in caplog.text
    gc.collect()
    assert {each.state for each in kumo_async.unfinished_uploads()} <= {"sending"}
    assert case.connector.upload("t", case.new, options=OPTIONS).rows == len(NEW)
    assert ids(apart, "t", "csv") == list(NEW)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", FIRST_QUESTION)
def test_before_anything_was_changed_a_cancellation_takes_effect_at_once(
    apart: LocalDataPlane, case: Case, point: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is never answered, so that nobody can have waited for the answer."""
    FIRST_QUESTION[point](apart, case.hold, monkeypatch)
    answered = threading.Event()

    def never_pass() -> None:
        case.hold.reached.set()
        assert answered.wait(30)

    monkeypatch.setattr(case.hold, "pass_by", never_pass)
    try:
        WAYS[way](case)
        assert not answered.is_set()
        assert ids(apart, "t", "csv") == list(OLD)
        assert [each.state for each in kumo_async.unfinished_uploads()] == ["sending"]
    finally:
        answered.set()
    assert case.connector.upload("t", case.new, options=OPTIONS).resumed_partitions == 2
    assert ids(apart, "t", "csv") == list(NEW)


@pytest.mark.parametrize("way", OBSERVERS)
def test_an_observer_that_stops_its_upload_in_the_commit_stops_no_loop(
    apart: LocalDataPlane, case: Case, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_call("delete", after=False)(apart, case.hold, monkeypatch)
    OBSERVERS[way](case)
    assert ids(apart, "t", "csv") == list(NEW)
    assert kumo_async.unfinished_uploads() == []


def close_the_loop(directory: Path, point: str) -> None:
    """Stop and close a loop in the middle of a commit, in a process of its own, with which ends what is left of it."""
    plane, hold, patch = LocalDataPlane(root=directory / "plane"), Hold(), pytest.MonkeyPatch()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(plane):
        connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, plane.api_key))
        connector.upload("t", write(directory / "old.csv", OLD))
        case = Case(connector, write(directory / "new.csv", NEW), hold)
        (POINTS | ROLLED_BACK)[point](plane, hold, patch)
        loop = asyncio.new_event_loop()
        task = loop.create_task(case.upload())
        loop.run_until_complete(case.reached())
        loop.close()
        hold.go.set()
        for thread in threading.enumerate():
            if thread.name == "kumo_async-loop":
                thread.join()
        assert ids(plane, "t", "csv") == ([] if point in ROLLED_BACK else list(NEW))
        assert not task.done()
        patch.undo()
        assert connector.upload("t", case.new, options=OPTIONS).rows == len(NEW)
        assert ids(plane, "t", "csv") == list(NEW)
        os._exit(0)


@pytest.mark.parametrize(
    "point", ["begun-before", "deletion-before", "deletion-after", "complete-after", "end", "taking-back-before"]
)
def test_a_commit_ends_although_the_loop_is_closed(tmp_path: Path, point: str) -> None:
    script = f"""
import pathlib, traceback
try:
    from test_stopped_loops import close_the_loop
    close_the_loop(pathlib.Path({str(tmp_path)!r}), {point!r})
except BaseException:
    traceback.print_exc()
    import os; os._exit(1)
"""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Table 't' was being changed when the event loop that waited was closed: " in result.stderr
    if point in ROLLED_BACK:
        assert "No table of that name is there now" in result.stderr
