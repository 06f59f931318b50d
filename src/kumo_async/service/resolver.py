"""Name resolution that never leads to a link-local address, whatever the name."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from .addresses import is_link_local

__all__ = ["LineAddressError", "SafeResolver"]


class LineAddressError(OSError):
    """A name leads to link-local addresses only."""


class SafeResolver(AbstractResolver):
    """Resolves names as aiohttp does, and leaves link-local addresses out: a part URL's name is the server's choice.

    It is asked when a connection is made, so a name that leads elsewhere a moment later gains nothing.

    Args:
        trusted: A name that may lead anywhere.
        trust_all: Whether every name may.
        resolver: Resolves the names; default: aiohttp's own.
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
