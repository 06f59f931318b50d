"""Which threads serve an embedded data plane.

A blocking call in such a thread would wait for an answer that only this thread can give, so it is refused.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

from .errors import ConfigurationError

__all__ = ["Waiting", "check_answerable", "serving", "waiting"]


@dataclass(frozen=True)
class Waiting:
    """A thread that waits for a blocking call.

    Attributes:
        thread: Its number.
        loop: The event loop that runs in it, and stands still meanwhile; None where none does.
    """

    thread: int
    loop: asyncio.AbstractEventLoop | None

    @classmethod
    def here(cls) -> Waiting:
        """Return the current thread, which is about to wait."""
        try:
            return cls(threading.get_ident(), asyncio.get_running_loop())
        except RuntimeError:
            return cls(threading.get_ident(), None)


@dataclass(frozen=True)
class _Server:
    """Where an embedded data plane was started."""

    loop: asyncio.AbstractEventLoop
    thread: int
    process: int

    def is_held_up(self, waiting: Waiting) -> bool:
        """Return whether it cannot answer before the waiting ends: its loop is the one that waits, or runs no more."""
        if self.process != os.getpid():
            return False
        if self.loop.is_running():
            return self.loop is waiting.loop
        return self.thread == waiting.thread


#: The thread that waits for the call under way; None for calls that none waits for.
waiting: ContextVar[Waiting | None] = ContextVar("waiting", default=None)

_servers: dict[int, _Server] = {}


@contextmanager
def serving(url: str) -> Iterator[None]:
    """Know the current event loop as the one that answers at a URL, until the block is left."""
    port = _loopback_port(url)
    server = _Server(asyncio.get_running_loop(), threading.get_ident(), os.getpid())
    if port is not None:
        _servers[port] = server
    try:
        yield
    finally:
        if port is not None and _servers.get(port) is server:
            del _servers[port]


def check_answerable(endpoint: str) -> None:
    """Refuse a call that waits for an embedded data plane in the very thread that serves it.

    Raises:
        ConfigurationError: If it would wait for ever.
    """
    port, caller = _loopback_port(endpoint), waiting.get()
    server = None if port is None else _servers.get(port)
    if caller is not None and server is not None and server.is_held_up(caller):
        raise ConfigurationError(
            f"The embedded data plane at {endpoint} lives on the event loop of the thread that makes this blocking "
            f"call, so it could not answer. Await the async method (upload_async for upload), or start the plane with "
            f"`with LocalDataPlane() as plane:`, which gives it a thread of its own."
        )


def _loopback_port(url: str) -> int | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.port if host in ("localhost", "::1") or host.startswith("127.") else None
