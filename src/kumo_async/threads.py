"""Worker threads of our own, which depend on no event loop and on no executor of others.

`concurrent.futures` refuses work as soon as the main thread has ended, though other threads may still be uploading, and
with it asyncio's default executor does. The threads that anyio lends are shared with the whole program, which may have
all of them wait for an upload. Threads of our own are there in either case.
"""

from __future__ import annotations

# Other libraries import it when they need it, and it cannot be imported any more when the main thread has ended.
import concurrent.futures.thread  # noqa: F401
import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from threading import Condition, Lock, Thread, current_thread
from typing import Any, ParamSpec, TypeVar

from .errors import KumoError

__all__ = ["THREADS", "Threads", "check_interpreter"]

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that a thread waits for more work. It is short, so that no thread is left where nothing is to be done.
_LINGER = 0.02


def check_interpreter() -> None:
    """Refuse work that needs a thread when none can run any more: starting one then would wait for ever.

    Raises:
        KumoError: If the interpreter is ending, as in a `__del__` that is called last.

    Example:
        >>> check_interpreter()
    """
    if sys.is_finalizing():
        raise KumoError("The interpreter is ending, and nothing can be done any more. Make the call before that.")


class _Job:
    """A call, and the future that gets its outcome."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.future: Future[Any] = Future()

    def outcome(self) -> Callable[[], None] | None:
        """Do the call, unless it was cancelled; return what tells its outcome."""
        if not self.future.set_running_or_notify_cancel():
            return None
        try:
            return partial(self.future.set_result, self.call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the future is waited for
            return partial(self.future.set_exception, error)


class Threads(Executor):
    """Runs calls in threads that end when there is nothing left to do. The interpreter waits for all of them.

    Args:
        count: How many threads there may be at once.
        name: What the threads are called.

    Example:
        >>> Threads(2, "example").submit(max, 3, 7).result()
        7
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self.reset()

    def reset(self) -> None:
        """Forget all threads and calls, as a forked process must, which has none of them."""
        self._changed = Condition(Lock())
        self._jobs: deque[_Job] = deque()
        self._threads: set[Thread] = set()
        self._unfinished = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call done in a thread, in the order of submission.

        Raises:
            KumoError: If no thread can be started, because the system has none left or the interpreter is ending.
            RuntimeError: If this was shut down.
        """
        job = _Job(partial(fn, *args, **kwargs))
        with self._changed:
            if self._closed:
                raise RuntimeError("These threads were shut down.")
            self._unfinished += 1
            if self._unfinished > len(self._threads) and len(self._threads) < self._count:
                self._start_one()
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def _start_one(self) -> None:
        thread = Thread(target=self._work, name=self._name, daemon=False)
        try:
            check_interpreter()
            thread.start()
        except (KumoError, RuntimeError) as error:
            if self._threads:
                return
            self._unfinished -= 1
            raise KumoError(f"No thread can be started for the work of an upload: {error}") from error
        self._threads.add(thread)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            tell = job.outcome()
            with self._changed:
                self._unfinished -= 1
            if tell is not None:
                tell()
            del job, tell

    def _next(self) -> _Job | None:
        """Wait for a job; return None, and forget the thread, if there is none for a while.

        A condition is waited for, and not a `SimpleQueue`: its `get` can wait for ever although it is given a time-out,
        when another thread takes the item at the moment at which the time is over.
        """
        with self._changed:
            if not self._jobs and not self._closed:
                self._changed.wait_for(lambda: self._jobs or self._closed, _LINGER)
            if self._jobs:
                return self._jobs.popleft()
            self._threads.discard(current_thread())
            return None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the threads when they have done what there is.

        Args:
            wait: Whether to wait for that.
            cancel_futures: Whether calls that have not begun are cancelled.
        """
        with self._changed:
            self._closed = True
            threads = list(self._threads)
            waiting = self._drain() if cancel_futures else []
            self._changed.notify_all()
        for job in waiting:
            job.future.cancel()
        for thread in threads if wait else ():
            thread.join()

    def _drain(self) -> list[_Job]:
        jobs = list(self._jobs)
        self._jobs.clear()
        self._unfinished -= len(jobs)
        return jobs


#: For short work, such as reading a block. What takes seconds has threads of its own; see `sources.workers`.
THREADS = Threads(32, "kumo_async")

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=THREADS.reset)
