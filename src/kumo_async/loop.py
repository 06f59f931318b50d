"""An event loop of our own, in a thread that is there while at least one call runs on it.

Blocking calls run on it from their beginning to their end; so does what must reach its end although an async method's
loop may cancel all its tasks, stop or be closed: a commit, above all. Its thread is one that the interpreter waits for.
Only the package starts or cancels tasks there, so on it a shield of anyio keeps every cancellation away.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from importlib.util import find_spec
from threading import Lock, Thread, get_ident
from types import BuiltinFunctionType
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio

from .errors import KumoError
from .threads import check_interpreter

__all__ = ["Call", "is_ours", "start", "uvloop_if_there"]

T = TypeVar("T")

_LIMITS = "Call again when the system has what is missing (ulimit -a shows its limits)."


def uvloop_if_there() -> dict[str, bool]:
    """Return the options that make anyio use uvloop if it is installed and can be used."""
    return {"use_uvloop": find_spec("uvloop") is not None and _threads_are_real()}


def _threads_are_real() -> bool:
    """Return whether a thread is one of the system's.

    gevent and eventlet put threads that take turns in their place. One of these that waits in uvloop never lets the
    others have theirs.
    """
    import _thread

    return isinstance(_thread.start_new_thread, BuiltinFunctionType)


class Call(Generic[T]):
    """A call that runs on our loop.

    Args:
        function: What is called.

    Attributes:
        future: Its outcome. A call that was cancelled has a CancelledError with the cause of that, if any.
    """

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self.future: Future[T] = Future()
        self.context = copy_context()
        self.host: _Host | None = None
        self._function = function
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scope: anyio.CancelScope | None = None
        self._cancelled = False
        self._ended = Lock()
        self._ended.acquire()
        self.future.add_done_callback(lambda _: self._ended.release())

    def cancel(self) -> None:
        """Cancel the call; from any thread."""
        self._cancelled = True
        if self._loop is not None:
            # Closed only after the call has ended.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel_scope)

    def _cancel_scope(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def wait(self, poll: float) -> None:
        """Wait for the end of the call, in waits of `poll` seconds, and for the thread that ends with it.

        An interruption may come anywhere in here, so nothing is held that the loop's thread could need.
        """
        while not self.future.done():
            if self._ended.acquire(timeout=poll):
                break
        if self.host is not None:
            self.host.join()

    async def run(self) -> Callable[[], None]:
        """Run the call in this task; return what tells its outcome. It raises nothing: other calls are on the loop."""
        error: BaseException = asyncio.CancelledError()
        results: list[T] = []
        self._loop = asyncio.get_running_loop()
        # A cancellation is for the one who made the call, and for no task of this loop.
        with suppress(asyncio.CancelledError), anyio.CancelScope() as self._scope:
            if self._cancelled:
                self._scope.cancel()
            try:
                results.append(await self._function())
            except asyncio.CancelledError as cancelled:
                error.__cause__ = cancelled.__cause__
                raise
            except BaseException as failure:  # noqa: BLE001 - raised where the call was made
                error = failure
        return partial(self.future.set_result, results[0]) if results else partial(self.future.set_exception, error)


class _Host:
    """One loop and its thread: from the first call until none is left."""

    def __init__(self) -> None:
        self._thread = Thread(target=self._serve, name="kumo_async-loop", daemon=False)
        self._lock = Lock()
        self._new: deque[Call[Any]] = deque()
        self._unfinished = 0
        self._over = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread.

        Raises:
            KumoError: If the system has none left, or the interpreter is ending.
        """
        check_interpreter()
        try:
            self._thread.start()
        except RuntimeError as error:
            raise KumoError(
                f"The thread of the event loop for this call cannot be started: {error}. {_LIMITS}"
            ) from error

    def take(self, call: Call[Any]) -> bool:
        """Run a call; return False if it is too late for that."""
        with self._lock:
            if self._over:
                return False
            call.host = self
            self._unfinished += 1
            self._new.append(call)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._admit)
        return True

    def join(self) -> None:
        """Wait for the thread if it is about to end."""
        if self._over:
            self._thread.join()

    def _serve(self) -> None:
        try:
            anyio.run(self._main, backend_options=uvloop_if_there())
        except Exception as error:  # noqa: BLE001 - there is no loop: the calls that wait for it must fail
            self._fail(error)

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        _ours[loop] = get_ident()
        self._empty = anyio.Event()
        async with anyio.create_task_group() as self._group:
            with self._lock:
                self._loop = loop
            self._admit()
            await self._empty.wait()

    def _admit(self) -> None:
        while self._new:
            call = self._new.popleft()
            call.context.run(self._group.start_soon, self._run, call)

    async def _run(self, call: Call[Any]) -> None:
        tell = await call.run()
        with self._lock:
            self._unfinished -= 1
            self._over = self._unfinished == 0
        if self._over:
            self._empty.set()
        tell()

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._over = True
        reason = error.strerror if isinstance(error, OSError) else str(error)
        for call in self._new:
            failure = KumoError(f"The event loop for this call cannot be started: {reason}. {_LIMITS}")
            failure.__cause__ = error
            call.future.set_exception(failure)


_ours: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()
_lock = Lock()
_host: _Host | None = None


def start(function: Callable[[], Awaitable[T]]) -> Call[T]:
    """Begin a call on our loop, from any thread.

    Raises:
        KumoError: If the loop's thread cannot be started.

    Example:
        >>> call = start(partial(anyio.sleep, 0))
        >>> call.wait(poll=0.2), call.future.result()
        (None, None)
    """
    global _host
    call = Call(function)
    with _lock:
        if _host is None or not _host.take(call):
            host = _Host()
            host.take(call)
            host.start()
            _host = host
    return call


def is_ours() -> bool:
    """Return whether the running loop is the one of our own."""
    try:
        # gevent has several threads of its own in one of the system's, and in that a loop runs for all of them.
        return _ours.get(asyncio.get_running_loop()) == get_ident()
    except RuntimeError:
        return False


def _after_fork() -> None:
    # The child has none of the parent's threads, so a loop that was running there is not running here.
    global _lock, _host
    _lock, _host = Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
