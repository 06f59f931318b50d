"""Name resolution that never leads to a link-local address, whatever the name."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from ..threads import Threads
from .addresses import is_link_local

__all__ = ["LineAddressError", "SafeResolver"]


class LineAddressError(OSError):
    """A name leads to link-local addresses only."""


class DefaultResolver(AbstractResolver):
    """Resolves names as the system does, in threads of their own: a name server may take half a minute."""

    def __init__(self) -> None:
        self._threads = Threads(8, "kumo_async-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: If it has none.
        """
        flags = socket.AI_ADDRCONFIG
        found = await asyncio.wrap_future(
            self._threads.submit(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, flags)
        )
        return [_result(host, kind, proto, address) for kind, _, proto, _, address in found]

    async def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _result(host: str, family: int, proto: int, address: tuple[Any, ...]) -> ResolveResult:
    ip, port = address[0], address[1]
    if family == socket.AF_INET6 and address[3]:
        # A link-local address needs its interface.
        ip, port = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=ip, port=int(port), family=family, proto=proto, flags=numeric)


class SafeResolver(AbstractResolver):
    """Resolves names, and leaves link-local addresses out: a part URL's name is the server's choice.

    It is asked when a connection is made, so a name that leads elsewhere a moment later gains nothing.

    Args:
        trusted: A name that may lead anywhere.
        trust_all: Whether every name may.
        resolver: Resolves the names; default: the system.
    """

    def __init__(
        self, trusted: str | None = None, *, trust_all: bool = False, resolver: AbstractResolver | None = None
    ) -> None:
        self._trusted = trusted
        self._trust_all = trust_all
        self._resolver = resolver if resolver is not None else DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: If it has none, or none that may be used.
        """
        found = await self._resolver.resolve(host, port, family)
        if self._trust_all or host == self._trusted:
            return found
        good = [each for each in found if not is_link_local(each["host"])]
        if found and not good:
            raise LineAddressError("link-local")
        return good

    async def close(self) -> None:
        """Let go of what the resolver holds."""
        await self._resolver.close()
