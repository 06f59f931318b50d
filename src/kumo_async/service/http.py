"""The border to aiohttp: sessions that carry no more than they should, and its failures as values of ours."""

from __future__ import annotations

import asyncio
import ssl
import time

import aiohttp

from .._version import __version__
from .answers import Break, Seen
from .clocks import http_date, wait_asked

__all__ = [
    "CONTROL_TIMEOUT",
    "NETWORK_ERRORS",
    "STALL_SECONDS",
    "open_session",
    "read_text",
    "retry_after",
    "seen_of",
    "server_time",
]

#: Seconds without any progress after which a connection is given up. There is no limit on the whole of a transfer: a
#: slow line must be able to finish.
STALL_SECONDS = 60.0
CONTROL_TIMEOUT = aiohttp.ClientTimeout(total=120.0, sock_connect=30.0)

#: UnicodeError is what a host name that cannot be one comes to.
NETWORK_ERRORS = (aiohttp.ClientError, asyncio.TimeoutError, OSError, UnicodeError)


def open_session(headers: dict[str, str] | None = None) -> aiohttp.ClientSession:
    """Return a session with verified TLS, no cookies, no `.netrc`, and no limit of its own on connections.

    The part storage gets a session without headers, so that the API key cannot reach it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"kumo-async/{__version__}", **(headers or {})},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=STALL_SECONDS),
        auto_decompress=True,
    )


def seen_of(error: BaseException, host: str) -> Seen:
    """Return what a failed connection looks like, in words that hold no URL."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Seen(status=error.status, own=False, message=f"a proxy did not connect to {host}")
    broken, words = _break_of(error, host)
    return Seen(broken=broken, message=words)


def _break_of(error: BaseException, host: str) -> tuple[Break, str]:
    match error:
        case (
            aiohttp.ClientConnectorCertificateError()
            | ssl.SSLCertVerificationError()
            | aiohttp.ServerFingerprintMismatch()
        ):
            return Break.UNTRUSTED, f"the TLS certificate of {host} cannot be verified"
        case aiohttp.ClientConnectorDNSError():
            return Break.UNREACHED, f"the name {host} cannot be resolved"
        case aiohttp.ClientConnectorSSLError():
            return Break.UNREACHED, f"no TLS connection to {host}"
        case aiohttp.ClientConnectorError():
            return Break.UNREACHED, f"no connection to {host}: {error.os_error.strerror or 'refused'}"
        case aiohttp.ConnectionTimeoutError():
            return Break.UNREACHED, f"no connection to {host} in time"
        case asyncio.TimeoutError():
            return Break.LOST, f"{host} did not answer in time"
        case aiohttp.InvalidURL() | UnicodeError():
            return Break.UNUSABLE, f"nothing can be sent to {host}: that is no usable address"
        case _:
            return Break.LOST, f"the connection to {host} broke ({type(error).__name__})"


def server_time(response: aiohttp.ClientResponse) -> float | None:
    """Return the server's clock by its answer, in seconds since the epoch."""
    return http_date(response.headers.get("Date"))


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that the server asks to wait, if it does."""
    now = server_time(response)
    return wait_asked(response.headers.get("Retry-After"), time.time() if now is None else now)


async def read_text(response: aiohttp.ClientResponse, most: int) -> str:
    """Return an answer's body as text, no more than `most` bytes of it."""
    data = bytearray()
    async for block in response.content.iter_any():
        data += block
        if len(data) >= most:
            break
    return data[:most].decode("utf-8", "replace")
