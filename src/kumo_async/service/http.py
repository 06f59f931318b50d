"""The border to aiohttp: sessions that carry no more than they should, and its failures as values of ours."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from .._version import __version__
from ..shield import in_thread
from .answers import Break, Seen
from .clocks import http_date, wait_asked
from .network import Network, Proxy, proxy_for, proxy_from_environment, tls_context
from .resolver import LineAddressError, SafeResolver

__all__ = [
    "CONTROL_TIMEOUT",
    "MOST_ERROR",
    "NETWORK_ERRORS",
    "STALL_SECONDS",
    "HttpClient",
    "TooLongError",
    "open_session",
    "read_limited",
    "read_text",
    "retry_after",
    "seen_of",
    "server_time",
]

#: Seconds without any progress after which a connection is given up. There is no limit on the whole of a transfer: a
#: slow line must be able to finish.
STALL_SECONDS = 60.0
CONTROL_TIMEOUT = aiohttp.ClientTimeout(total=120.0, sock_connect=30.0)

#: How much of an error is read, in bytes.
MOST_ERROR = 64 * 1024

#: UnicodeError is what a host name that cannot be one comes to.
NETWORK_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, OSError, UnicodeError)

#: What resolvers say where a name does not exist, or has no address. All else may pass.
_NO_SUCH_NAME = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)


class TooLongError(Exception):
    """An answer is longer than the call can need."""


class HttpClient:
    """Makes requests over one session: through the proxy where there is one, and never on to where an answer points.

    The session has no headers of its own but User-Agent, since aiohttp would show them to the proxy too.
    """

    def __init__(self, session: aiohttp.ClientSession, network: Network, environment: Proxy | None) -> None:
        self._session = session
        self._network = network
        self._environment = environment

    def request(self, method: str, url: URL, **options: Any) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Make a request; the options are those of `aiohttp.ClientSession.request`."""
        proxy = proxy_for(self._network, self._environment, url.scheme, url.host or "", url.port)
        if proxy is not None:
            options |= {"proxy": proxy.url, "proxy_headers": proxy.headers}
        return self._session.request(method, url, allow_redirects=False, **options)


@asynccontextmanager
async def open_session(
    network: Network | None = None, *, names_of_ours: bool = False, traced: bool = False
) -> AsyncIterator[HttpClient]:
    """Open a session with verified TLS, no cookies, no `.netrc`, and no limit of its own on connections.

    The control plane and the part storage get one each, so that nothing that belongs to the one can reach the other.

    Args:
        network: How to reach others; default: directly, or through the environment's proxy.
        names_of_ours: Whether the user chose the host names, so that they may lead anywhere. Those of part URLs are the
            server's choice, and must not lead to a link-local address.
        traced: Whether tools that instrument aiohttp see its requests. Their spans record whole URLs, and a
            presigned one lets anybody write.

    Raises:
        ConfigurationError: If the environment names a proxy that cannot be used.
    """
    network = network or Network()
    environment = None if network.direct else proxy_from_environment()
    context = await in_thread(tls_context, network.ca_file)
    proxy = network.proxy or environment
    resolver = SafeResolver(trusted=None if proxy is None else proxy.host, trust_all=names_of_ours)
    try:
        async with _session(context, resolver) as session:
            if not traced:
                # They have put their trace configurations there while the session was made.
                session.trace_configs.clear()
            yield HttpClient(session, network, environment)
    finally:
        await resolver.close()


def _session(context: ssl.SSLContext, resolver: SafeResolver) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=context, resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"kumo-async/{__version__}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=STALL_SECONDS),
        auto_decompress=True,
        # It would read proxies from the environment, and with them passwords from `.netrc`.
        trust_env=False,
    )


def seen_of(error: BaseException, host: str) -> Seen:
    """Return what a failed connection looks like, in words that hold no URL."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Seen(status=error.status, own=False, message=f"the proxy did not let us through to {host}")
    broken, words = _break_of(error, host)
    return Seen(broken=broken, message=words)


def _break_of(error: BaseException, host: str) -> tuple[Break, str]:
    match error:
        case (
            aiohttp.ClientConnectorCertificateError()
            | ssl.SSLCertVerificationError()
            | aiohttp.ServerFingerprintMismatch()
        ):
            return Break.UNTRUSTED, _not_verified(error, host)
        case aiohttp.ClientConnectorError(os_error=LineAddressError()):
            return Break.UNUSABLE, f"the name {host} leads to a link-local address"
        case aiohttp.ClientConnectorDNSError():
            return _unresolved(error)
        case aiohttp.ClientConnectorSSLError():
            return Break.UNREACHED, f"no TLS connection to {host}"
        case aiohttp.ClientProxyConnectionError():
            return Break.UNREACHED, f"no connection to the proxy on the way to {host}"
        case aiohttp.ClientConnectorError():
            return Break.UNREACHED, f"no connection to {host}: {_reason(error.os_error)}"
        case aiohttp.ConnectionTimeoutError():
            return Break.UNREACHED, f"no connection to {host} in time"
        case asyncio.TimeoutError():
            return Break.LOST, f"{host} did not answer in time"
        case aiohttp.InvalidURL() | UnicodeError():
            return Break.UNUSABLE, f"nothing can be sent to {host}: that is no usable address"
        case _:
            return Break.LOST, f"the connection to {host} broke ({type(error).__name__})"


def _unresolved(error: aiohttp.ClientConnectorDNSError) -> tuple[Break, str]:
    # Its own host, since it may be the proxy's.
    words = f"the name {error.host} cannot be resolved"
    reason = error.os_error
    if isinstance(reason, socket.gaierror) and reason.errno in _NO_SUCH_NAME:
        return Break.NAMELESS, f"{words}: there is no such name"
    return Break.UNREACHED, words


def _reason(error: OSError) -> str:
    # The system's words, since asyncio's own are its call and the address.
    number = error.errno or 0
    return os.strerror(number) if number in errno.errorcode else error.strerror or "refused"


def server_time(response: aiohttp.ClientResponse) -> float | None:
    """Return the server's clock by its answer, in seconds since the epoch."""
    return http_date(response.headers.get("Date"))


def _not_verified(error: BaseException, host: str) -> str:
    cause = getattr(error, "certificate_error", error)
    reason = getattr(cause, "verify_message", None) or "it is not valid"
    return f"the TLS certificate of {host} cannot be verified: {reason}. If its authority is private, give ca_file="


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that the server asks to wait, if it does."""
    now = server_time(response)
    return wait_asked(response.headers.get("Retry-After"), time.time() if now is None else now)


async def read_text(response: aiohttp.ClientResponse, most: int) -> str:
    """Return an answer's body as text, no more than `most` bytes of it."""
    return (await _read(response, most)).decode("utf-8", "replace")


async def read_limited(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return an answer's body.

    Raises:
        TooLongError: If it is longer than `most` bytes; no more of it are read.
    """
    data = await _read(response, most + 1)
    if len(data) > most:
        raise TooLongError
    return data


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    async for block in response.content.iter_any():
        data += block
        if len(data) >= most:
            # What is left of it is not waited for, and the connection is of no further use.
            response.close()
            break
    return bytes(data[:most])
