"""Locks die with the process that took them, and its children cannot keep or use them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from forking_uploads import WAYS
from test_journal import HEAD, stored

import kumo_async
from kumo_async.local import LocalDataPlane
from kumo_async.upload import locked_file
from kumo_async.upload.journal_files import LockedFile, claim, journal_folder, lock, survey
from kumo_async.upload.journal_lines import encode
from one_of_two import ids, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return journal_folder(tmp_path / "journals")


@pytest.fixture
def started() -> Iterator[Callable[..., tuple[int, int]]]:
    """Start a program that prints a child's number; give its own and that. Kill both at the end."""
    numbers: list[int] = []

    def start(*arguments: str) -> tuple[int, int]:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
        numbers.append(process.pid)
        assert process.stdout is not None
        with process.stdout:
            numbers.append(int(process.stdout.readline()))
        process.returncode = 0  # it is waited for here
        return process.pid, numbers[-1]

    yield start
    for child in numbers[1:]:
        os.kill(child, signal.SIGKILL)


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@pytest.mark.parametrize("how", WAYS)
async def test_a_killed_upload_holds_nobody_up_whatever_it_has_started(
    how: str,
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    journals: Path,
    started: Callable[..., tuple[int, int]],
) -> None:
    path = write(tmp_path / "t.csv", range(100))
    program = str(Path(__file__).with_name("forking_uploads.py"))
    parent, child = await to_thread.run_sync(started, program, plane.endpoint, plane.api_key, str(path), how)
    assert [each.state for each in await kumo_async.unfinished_uploads_async()] == ["running"]
    kill(parent)
    os.kill(child, 0)
    assert [each.state for each in await kumo_async.unfinished_uploads_async()] == ["sending"]
    with anyio.fail_after(60):
        report = await csv.upload_async("t", path)
    assert report.resumed_partitions == 1
    assert ids(plane, "t", "csv") == list(range(100))
    assert list(journals.iterdir()) == []


def in_a_fork(work: Callable[[], object]) -> int:
    """Do something in a child process, and return 0 if that was true, and 1 if not."""
    child = os.fork()
    if not child:
        code = 2
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def open_in_this_process(path: Path) -> bool:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return path in [link.readlink() for link in links]


def test_a_child_has_no_file_of_its_parent_open(folder: Path) -> None:
    held = lock(folder, "key")
    assert held is not None
    assert in_a_fork(lambda: not open_in_this_process(held.path)) == 0
    held.remove()


def test_a_child_does_not_unlock_what_its_parent_has(folder: Path) -> None:
    held = lock(folder, "key")
    assert held is not None
    assert in_a_fork(lambda: lock(folder, "key") is None) == 0
    assert lock(folder, "key") is None
    held.remove()
    assert in_a_fork(lambda: lock(folder, "key") is not None) == 0


def test_a_child_neither_writes_nor_removes_a_file_of_its_parent(folder: Path) -> None:
    file, _ = claim(folder, HEAD, resume=True)
    before = file.path.read_bytes()

    def refused() -> bool:
        with pytest.raises(OSError, match="forked"):
            file.append(encode(stored(1)), sync=True)
        with pytest.raises(OSError, match="forked"):
            file.erase()
        file.remove()
        return True

    assert in_a_fork(refused) == 0
    assert file.path.read_bytes() == before
    assert [each.running for each in survey(folder)] == [True]
    file.remove()
    assert survey(folder) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_another_thread_never_gets_a_lock(folder: Path) -> None:
    """Wherever a thread is between opening and closing a file, a fork of the process holds no lock with it."""
    ended = threading.Event()
    problems: list[Exception] = []

    def lock_and_unlock() -> None:
        try:
            while not ended.is_set():
                held = lock(folder, "key")
                assert held is not None, "a child has it"
                held.remove()
        except Exception as error:  # noqa: BLE001
            problems.append(error)

    thread = threading.Thread(target=lock_and_unlock)
    thread.start()
    children = []
    try:
        for _ in range(60):
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
            children.append(child)
    finally:
        ended.set()
        thread.join()
        for child in children:
            kill(child)
    assert problems == []


def test_a_fork_waits_for_a_file_that_is_being_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is known which files are to be closed in a child, there is none."""
    opening, go, forked = threading.Event(), threading.Event(), threading.Event()
    open_file = os.open

    def hold(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = open_file(path, flags, mode)
        if flags & os.O_CREAT:
            opening.set()
            assert go.wait(30)
        return descriptor

    monkeypatch.setattr(os, "open", hold)
    held: list[LockedFile | None] = []
    thread = threading.Thread(target=lambda: held.append(lock(folder, "key")))
    thread.start()
    assert opening.wait(30)
    assert locked_file.opening.locked()
    codes: list[int] = []

    def fork() -> None:
        codes.append(in_a_fork(lambda: not open_in_this_process(folder / "key.lock")))
        forked.set()

    forking = threading.Thread(target=fork)
    forking.start()
    assert not forked.is_set()
    go.set()
    thread.join()
    forking.join()
    assert codes == [0]
    assert held[0] is not None
    held[0].remove()


def test_the_threads_of_one_process_exclude_each_other(folder: Path) -> None:
    inside, most = 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            while (held := lock(folder, "key")) is None:
                pass
            with counting:
                inside += 1
                most = max(most, inside)
            with counting:
                inside -= 1
            held.remove()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_worker_of_multiprocessing_waits_for_its_parent(folder: Path) -> None:
    held = lock(folder, "key")
    assert held is not None
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_is_free, (str(folder),)) is False
        held.remove()
        assert pool.apply(_is_free, (str(folder),)) is True


def _is_free(folder: str) -> bool:
    file = lock(Path(folder), "key")
    if file is not None:
        file.remove()
    return file is not None


@pytest.mark.parametrize("how", ["deleted", "moved", "made again"])
def test_who_has_a_lock_that_was_taken_away_does_not_remove_the_next_one(folder: Path, how: str) -> None:
    first = lock(folder, "key")
    assert first is not None
    if how == "moved":
        folder.rename(folder.with_name("moved"))
        folder.mkdir(mode=0o700)
    else:
        first.path.unlink()
    second = None if how == "deleted" else lock(folder, "key")
    first.remove()
    if second is not None:
        assert lock(folder, "key") is None
        second.remove()
    assert list(folder.iterdir()) == []


def test_a_journal_that_was_moved_away_says_nothing_any_more(folder: Path) -> None:
    file, _ = claim(folder, HEAD, resume=True)
    file.append(encode(stored(1)), sync=False)
    moved = folder.rename(folder.with_name("moved"))
    folder.mkdir(mode=0o700)
    file.remove()
    assert survey(moved) == []
