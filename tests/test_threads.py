"""Worker threads of our own do what they are given, and end when nothing is left."""

from __future__ import annotations

import threading
import time

import pytest

from kumo_async import threads
from kumo_async.threads import Threads


def test_threads_that_idle_always_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue of the standard library would let one wait for ever where another thread takes what it woke up for."""
    monkeypatch.setattr(threads, "_LINGER", 0.00005)
    workers = Threads(16, "idle")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        jobs = [workers.submit(max, number, 7) for number in range(8)]
        assert [job.result(timeout=10) for job in jobs] == [7] * 8
    idle = [thread for thread in threading.enumerate() if thread.name == "idle"]
    for thread in idle:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in idle)


def test_what_has_not_begun_is_cancelled_when_asked() -> None:
    workers, begun, go = Threads(1, "one"), threading.Event(), threading.Event()

    def hold() -> bool:
        begun.set()
        return go.wait()

    first = workers.submit(hold)
    begun.wait()
    second = workers.submit(max, 1, 2)
    workers.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    go.set()
    assert first.result(timeout=10)
    with pytest.raises(RuntimeError, match="shut down"):
        workers.submit(max, 1, 2)
