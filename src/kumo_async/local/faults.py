"""Faults as data: which calls go wrong, and how.

A `Fault` says which calls it means and what they get; the answers are small classes with one method, so that a test
can add its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol, get_args

from aiohttp import web

from kumo_async.errors import ConfigurationError
from kumo_async.local.calls import Call, CallName
from kumo_async.local.s3errors import Refused

__all__ = [
    "Answer",
    "CutAnswer",
    "Disconnect",
    "Exchange",
    "Fault",
    "Faults",
    "Garbage",
    "HalfAnswer",
    "LateEffect",
    "NoETag",
    "Stall",
    "Status",
    "Waitable",
    "WrongETag",
]


class Exchange:
    """One call, as an answer sees it.

    Attributes:
        request: The HTTP request; the body of ``put_part`` is unread, of all other calls it is read.
        call: What is known about the call.
    """

    def __init__(
        self,
        request: web.Request,
        call: Call,
        run: Callable[[], Awaitable[web.Response]],
        refuse: Callable[[Refused], web.Response],
    ) -> None:
        self.request = request
        self.call = call
        self._run = run
        self._refuse = refuse

    async def effect(self) -> web.Response:
        """Do what was asked, and give the answer to it."""
        try:
            return await self._run()
        except Refused as refused:
            return self._refuse(refused)
        except (OSError, sqlite3.Error) as error:
            # A full disk, most likely. Clients know what to do about S3's own code for it.
            words = getattr(error, "strerror", None) or type(error).__name__
            return self._refuse(Refused("InternalError", f"The store failed: {words}"))

    def refuse(self, refused: Refused) -> web.Response:
        """Word a refusal as this call words its own: XML from storage, JSON from the control plane."""
        return self._refuse(refused)


class Answer(Protocol):
    """What a call gets instead of the usual."""

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""


class Waitable(Protocol):
    """Something to wait for, such as `anyio.Event`."""

    async def wait(self) -> object:
        """Wait until it has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Give some calls an answer of their own.

    Args:
        call: The call that goes wrong: one of `CallName`, such as ``"put_part"``.
        answer: What it gets.
        name: A pattern (as in `fnmatch`) for the name of the object or table; None for any.
        part: The number of the part; None for any.
        skip: How many matching calls go by unharmed first.
        times: How many matching calls go wrong after that; None for all of them.

    Raises:
        ConfigurationError: There is no such call.

    Example:
        >>> twice = Fault(call="put_part", part=1, times=2, answer=Status(503, headers={"Retry-After": "0"}))
        >>> twice.matches(Call(1, "put_part", part=2))
        False
    """

    call: CallName
    answer: Answer
    name: str | None = None
    part: int | None = None
    skip: int = 0
    times: int | None = 1

    def __post_init__(self) -> None:
        names: tuple[str, ...] = get_args(CallName)
        if self.call not in names:
            raise ConfigurationError(f"There is no call {self.call!r} to go wrong; there are {names}.")

    def matches(self, call: Call) -> bool:
        """Say whether a call is one that this fault means."""
        return (
            self.call == call.call
            and (self.name is None or fnmatchcase(call.name or "", self.name))
            and (self.part is None or self.part == call.part)
        )


class Faults:
    """The faults of one plane, and how far each has got."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults: list[tuple[Fault, list[int]]] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Add a fault behind those there are."""
        self._faults.append((fault, [0]))

    def pick(self, call: Call) -> Answer | None:
        """Choose the answer of the first fault that is due for this call; None if all goes well."""
        for fault, seen in self._faults:
            if not fault.matches(call):
                continue
            seen[0] += 1
            turn = seen[0] - fault.skip
            if turn > 0 and (fault.times is None or turn <= fault.times):
                return fault.answer
        return None


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with a status.

    Args:
        status: The HTTP status.
        code: S3's code, such as ``"SlowDown"``.
        message: The words; S3's own for the code when left out.
        headers: Headers of the answer, such as ``{"Retry-After": "0"}``.
        after_effect: Do first what was asked. The client cannot know that from the answer.
        after_bytes: How many bytes of a part to read first.
    """

    status: int
    code: str | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after_effect: bool = False
    after_bytes: int = 0

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        if self.after_effect:
            await exchange.effect()
        await _read(exchange.request, self.after_bytes)
        return exchange.refuse(Refused(self.code, self.message, status=self.status, headers=self.headers))


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Break the connection without an answer.

    Args:
        after_bytes: How many bytes of a part to read first. Other calls are always read whole.
        after_effect: Do first what was asked.
    """

    after_bytes: int = 0
    after_effect: bool = False

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        if self.after_effect:
            await exchange.effect()
        else:
            await _read(exchange.request, self.after_bytes)
        if exchange.request.transport is not None:
            exchange.request.transport.abort()
        # Nobody will get this: the server finds the connection gone when it starts to write.
        return web.Response(status=500)


async def _read(request: web.Request, most: int) -> None:
    left = most
    while left > 0 and (piece := await request.content.read(min(left, 65536))):
        left -= len(piece)


@dataclass(frozen=True, slots=True)
class Stall:
    """Hold the answer, then go on as usual.

    Args:
        until: What to wait for, such as `anyio.Event`.
        after_effect: Do first what was asked, and hold only the answer.
    """

    until: Waitable
    after_effect: bool = False

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        if self.after_effect:
            response = await exchange.effect()
            await self.until.wait()
            return response
        await self.until.wait()
        return await exchange.effect()


@dataclass(frozen=True, slots=True)
class NoETag:
    """Store the part, and leave the ``ETag`` header out of the answer."""

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        response = await exchange.effect()
        response.headers.pop("ETag", None)
        return response


@dataclass(frozen=True, slots=True)
class WrongETag:
    """Store the part, and answer with the ``ETag`` of other bytes.

    Args:
        etag: The wrong tag, without quotes.
    """

    etag: str = "0" * 32

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        response = await exchange.effect()
        if "ETag" in response.headers:
            response.headers["ETag"] = f'"{self.etag}"'
        return response


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """Break the connection in the middle of the answer.

    Args:
        after_effect: Do first what was asked.
    """

    after_effect: bool = False

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        headers = dict((await exchange.effect()).headers) if self.after_effect else {}
        headers["Content-Length"] = "1000"
        begun = web.StreamResponse(headers=headers)
        await begun.prepare(exchange.request)
        await begun.write(b"{")
        if exchange.request.transport is not None:
            exchange.request.transport.close()
        # Nobody will get this, as with Disconnect.
        return web.Response(status=500)


@dataclass(frozen=True, slots=True)
class LateEffect:
    """Answer with a status, as a gateway does that waits no longer, and do what was asked later.

    Args:
        until: What to wait for before it is done, such as `anyio.Event`.
        status: The HTTP status.
    """

    until: Waitable
    status: int = 504

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        response = web.Response(status=self.status, text="<html>Gateway</html>", content_type="text/html")
        # The client must not wait for this connection, on which nothing else comes before the effect.
        response.force_close()
        await response.prepare(exchange.request)
        await response.write_eof()
        if exchange.request.transport is not None:
            exchange.request.transport.close()
        await self.until.wait()
        await exchange.effect()
        return response


@dataclass(frozen=True, slots=True)
class HalfAnswer:
    """Do what was asked, and answer with the first part of the usual body, as if it were all.

    Args:
        end: The text after whose first occurrence the body ends; None for its middle.
    """

    end: str | None = None

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        response = await exchange.effect()
        text = response.text or ""
        stop = len(text) // 2 if self.end is None else text.find(self.end) + len(self.end)
        return web.Response(status=response.status, text=text[:stop], content_type=response.content_type)


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer 200 with a body that is not the usual one, such as a proxy's page, or an error in place of success.

    Args:
        body: The body.
        after_effect: Do first what was asked.
    """

    body: bytes = b"<html>not the answer</html>"
    after_effect: bool = False

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        if self.after_effect:
            await exchange.effect()
        return web.Response(body=self.body)
