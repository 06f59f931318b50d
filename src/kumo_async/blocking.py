"""The one bridge from blocking code to the event loop.

A blocking method is one call through `run`: the same arguments and the same errors as its async twin. It runs on the
loop of our own (`loop`); calls from several threads share it, and with it the connections and limits of their clients.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, TypeVar

from .errors import KumoError
from .loop import Call, is_ours, start
from .serving import Waiting, waiting

__all__ = ["run"]

T = TypeVar("T")


class _NestedCallError(KumoError, RuntimeError):
    """A blocking call would wait for the very thread that makes it."""


_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})

#: Seconds after which the waiting looks for a signal that did not wake it.
_SIGNAL_POLL = 0.2


class _Interruptions:
    """Holds SIGINT and SIGTERM back from the beginning of the block until they are let in, and from its new threads.

    What is started there is then either cancelled by an interruption or not begun. The system may give a signal to any
    thread that takes it, but only the main thread acts on it, and one that waits for a lock would not even notice:
    https://docs.python.org/3/library/signal.html#signals-and-threads. So the main thread's mask does not keep away what
    another thread of the program is given, and what acts on it is replaced as well. A SIGTERM that no handler of the
    program waits for ends the process, as ever.
    """

    def __enter__(self) -> _Interruptions:
        in_main = threading.current_thread() is threading.main_thread()
        handlers = {number: signal.getsignal(number) for number in _SIGNALS} if in_main else {}
        self._handlers = {number: acts for number, acts in handlers.items() if callable(acts)}
        self._came: list[tuple[int, FrameType | None]] = []
        for number in self._handlers:
            signal.signal(number, self._note)
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._held = True
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.append((number, frame))

    def let_in(self) -> None:
        """Take interruptions again, and at once those that wait."""
        if not self._held:
            return
        self._held = False
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
        for number, acts in self._handlers.items():
            signal.signal(number, acts)
        for came, frame in self._came:
            self._handlers[signal.Signals(came)](came, frame)

    def __exit__(self, *_: object) -> None:
        self.let_in()


def run(function: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    """Run an async function to its end from blocking code, and return its result.

    It works in a script, beside a running event loop (which it blocks, as any blocking call does), from several
    threads, and after a fork. Ctrl-C cancels the function, waits for its clean-up, and raises KeyboardInterrupt.

    Raises:
        KumoError: If there can be no thread or no event loop for it, as in a `__del__` when the interpreter ends.
        BaseException: Whatever the function raises.

    Example:
        >>> import anyio
        >>> run(anyio.sleep, 0)
    """
    if is_ours():
        raise _NestedCallError(
            "A blocking method was called from the event loop thread that runs blocking calls, as an observer does "
            "that calls one. Call it elsewhere, or after the call that the observer watches."
        )
    here = Waiting.here()

    async def called() -> T:
        waiting.set(here)
        return await function(*args, **kwargs)

    with _Interruptions() as interruptions:
        call = start(called)
        try:
            interruptions.let_in()
            call.wait(_SIGNAL_POLL)
        except BaseException as interruption:
            _end(call, interruption)
            raise
    return call.future.result()


def _end(call: Call[Any], interruption: BaseException) -> None:
    """Cancel a call whose waiting was interrupted, and wait for its clean-up; what it failed with becomes the cause."""
    call.cancel()
    call.wait(_SIGNAL_POLL)
    failure = call.future.exception()
    if failure is not None and interruption.__cause__ is None:
        interruption.__cause__ = failure if isinstance(failure, Exception) else failure.__cause__
