"""Who we are on each call: the headers that say so, from a key, or from a provider whose tokens expire."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio

from ..errors import AuthenticationError, KumoError

__all__ = ["Authentication", "Headers", "HeadersProvider", "Memory"]

logger = logging.getLogger("kumo_async")

#: Gives the headers that authenticate a call, such as ``{"Authorization": "Bearer ..."}``, with a token that is good.
HeadersProvider = Callable[[], Awaitable[Mapping[str, str]]]

#: Seconds after which a provider is asked anew, refused or not: the official SDK renews its tokens, which live for an
#: hour, that often (`kumoai.init`).
FRESH_SECONDS = 600.0

#: Seconds that a provider may take.
PROVIDER_SECONDS = 60.0

#: A shorter part of a secret could be anything in a text, in characters.
_SHORTEST_TAIL = 6

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_FOR_PROVIDERS = frozenset(
    {"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "upgrade"}
)


class Headers(Mapping[str, str]):
    """Headers whose values are nobody's business: they are neither shown nor pickled.

    Example:
        >>> Headers({"X-API-Key": "secret"})
        <Headers X-API-Key>
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def hidden_in(self, text: str) -> str:
        """Return a text without these values, for answers that quote what they were asked.

        Example:
            >>> Headers({"X-API-Key": "secret"}).hidden_in("No such key: secret")
            'No such key: …'
        """
        for value in self._values.values():
            # A token stands behind its scheme, and a key's secret behind the workspace; each may be quoted alone.
            tails = {value.rpartition(" ")[2].strip('"'), value.partition(":")[2].strip()}
            secrets = {value, *(tail for tail in tails if len(tail) >= _SHORTEST_TAIL)}
            forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
            for form in sorted(filter(None, forms), key=len, reverse=True):
                text = text.replace(form, "…")
        return text

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self._values)}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("Headers that authenticate are not pickled.")


@dataclass(slots=True)
class Memory:
    """What a client has learnt about itself; its event loops share it, so each value is only ever replaced whole.

    Attributes:
        headers: What the provider gave last.
        asked_at: When that was, on the monotonic clock.
        scope: The RBAC parameters of every call, once they are known.
    """

    headers: Headers | None = None
    asked_at: float = 0.0
    scope: Mapping[str, str] | None = None


class Authentication:
    """The headers of one connection's calls, renewed when they are refused, once for all calls that wait for them.

    Args:
        provider: Whom to ask; None where `memory` holds headers that never change.
        memory: What was given before, and where new headers go.
        clock: The time in seconds.
        home: The event loop that the provider belongs to; default: the one that asks.
    """

    def __init__(
        self,
        provider: HeadersProvider | None,
        memory: Memory,
        clock: Callable[[], float] = time.monotonic,
        home: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._home = home
        self._provider = provider
        self._memory = memory
        self._clock = clock
        self._lock = anyio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether asking again can help where headers are refused."""
        return self._provider is not None

    async def headers(self, refused: Headers | None = None) -> Headers:
        """Return headers for a call.

        Args:
            refused: What the call was refused with. Whoever comes first with these asks the provider; all others get
                what it gave then.

        Raises:
            AuthenticationError: If the provider gives none.
        """
        if self._provider is None:
            return self._memory.headers or Headers({})
        async with self._lock:
            known = self._memory.headers
            if known is None or known is refused:
                return await self._renew(self._provider)
            if self._clock() - self._memory.asked_at > FRESH_SECONDS:
                return await self._refresh(self._provider, known)
            return known

    async def _refresh(self, provider: HeadersProvider, known: Headers) -> Headers:
        """Replace headers that are old but were not refused; if that fails, they have to do until they are."""
        try:
            return await self._renew(provider)
        except KumoError as error:
            logger.warning("The headers could not be renewed, those from before are used: %s", error)
            self._memory.asked_at = self._clock()
            return known

    async def _renew(self, provider: HeadersProvider) -> Headers:
        self._memory.headers = given = await _ask_at_home(self._home, provider)
        self._memory.asked_at = self._clock()
        return given


async def _ask_at_home(home: asyncio.AbstractEventLoop | None, provider: HeadersProvider) -> Headers:
    """Ask a provider on the event loop that it belongs to, for as long as that one runs; else on this one."""
    if home is None or home is asyncio.get_running_loop() or not home.is_running():
        return await _ask(provider)
    asked = asyncio.run_coroutine_threadsafe(_ask(provider), home)
    try:
        with anyio.move_on_after(PROVIDER_SECONDS):
            await asyncio.wait([asyncio.wrap_future(asked)])
        if not asked.done():
            raise AuthenticationError(
                "The headers provider was not called in time: the event loop that the client was used on is blocked. "
                "Do blocking work in a thread, for example with asyncio.to_thread."
            )
    finally:
        asked.cancel()
    # Its loop may cancel all its tasks, and this is one of them.
    return await _ask(provider) if asked.cancelled() else asked.result()


async def _ask(provider: HeadersProvider) -> Headers:
    try:
        with anyio.fail_after(PROVIDER_SECONDS):
            return _checked(await _called(provider))
    except KumoError:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, it becomes our error
        failure = _what_and_where(error)
    # Raised out here: what a stranger raises may quote the token, or the URL that it came from.
    raise AuthenticationError(f"The headers provider failed with {failure}. It has to return a mapping of headers.")


def _called(provider: HeadersProvider) -> Awaitable[Mapping[str, str]]:
    given: object = provider()
    if isawaitable(given):
        return given
    raise AuthenticationError(
        f"The headers provider returned {type(given).__name__} at once, and has to be an async function. Define it "
        f"with async def."
    )


def _what_and_where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"


def _checked(given: object) -> Headers:
    if not isinstance(given, Mapping) or not given:
        raise AuthenticationError(f"The headers provider gave {type(given).__name__}, and no headers in it.")
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() in _NOT_FOR_PROVIDERS:
            raise AuthenticationError("The headers provider gave a header whose name cannot be used.")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or value != value.strip():
            raise AuthenticationError(f"The headers provider gave a header {name} that is not printable ASCII text.")
    return Headers(given)
