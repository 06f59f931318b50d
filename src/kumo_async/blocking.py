"""The one bridge from blocking code to the event loop.

A blocking method is one call through `run`: the same arguments and the same errors as its async twin. The event loop
lives in a thread that is there while at least one call is; calls from several threads share it, and with it the
connections and limits of their clients.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from importlib.util import find_spec
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortalProvider

from .serving import Waiting, waiting

__all__ = ["run", "uvloop_if_there"]

T = TypeVar("T")

_MASKS = hasattr(signal, "pthread_sigmask")

#: Seconds after which the waiting looks for a signal that did not wake it.
_SIGNAL_POLL = 0.2


def uvloop_if_there() -> dict[str, bool]:
    """Return the options that make anyio use uvloop if it is installed."""
    return {"use_uvloop": find_spec("uvloop") is not None}


def _provider() -> BlockingPortalProvider:
    return BlockingPortalProvider("asyncio", uvloop_if_there())


_portals = _provider()


def _after_fork() -> None:
    # The child has none of the parent's threads, so a loop that was running there is not running here.
    global _portals
    _portals = _provider()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Interruptions:
    """Keeps SIGINT waiting, from the beginning of the block until they are let in, and for good from its new threads.

    What is started there is then either cancelled by an interruption or not begun. The system may give a signal to any
    thread that takes it, but only the main thread acts on it, and one that waits for a lock would not even notice:
    https://docs.python.org/3/library/signal.html#signals-and-threads
    """

    def __enter__(self) -> _Interruptions:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if _MASKS else set()
        return self

    def let_in(self) -> None:
        """Take interruptions again, and at once the one that waits."""
        if _MASKS:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def __exit__(self, *_: object) -> None:
        self.let_in()


def run(function: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    """Run an async function to its end from blocking code, and return its result.

    It works in a script, beside a running event loop (which it blocks, as any blocking call does), from several
    threads, and after a fork. Ctrl-C cancels the function, waits for its clean-up, and raises KeyboardInterrupt.

    Raises:
        BaseException: Whatever the function raises.

    Example:
        >>> import anyio
        >>> run(anyio.sleep, 0)
    """
    ended = threading.Event()
    here = Waiting.here()

    async def call() -> T:
        waiting.set(here)
        try:
            return await function(*args, **kwargs)
        finally:
            ended.set()

    with _Interruptions() as interruptions, _portals as portal:
        future = portal.start_task_soon(call)
        try:
            interruptions.let_in()
            return _result(future)
        except BaseException:
            # Either the function's own error, with nothing left to do, or an interruption of the waiting itself.
            if not future.done():
                future.cancel()
                while not ended.wait(_SIGNAL_POLL):
                    pass
            raise


def _result(future: Future[T]) -> T:
    """Wait for a result, in short waits: a signal that comes right before a long one begins would not end it."""
    while wait([future], _SIGNAL_POLL).not_done:
        pass
    return future.result()
