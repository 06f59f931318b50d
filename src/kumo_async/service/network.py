"""How both planes are reached: whose certificates are trusted, and through which proxy."""

from __future__ import annotations

import base64
import os
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from ..checks import check_text, expanded
from ..errors import ConfigurationError
from .addresses import is_loopback
from .authentication import Headers

__all__ = ["Network", "Proxy", "network_of", "proxy_for", "proxy_from_environment", "tls_context"]


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: Its URL, without user and password.
        headers: What it must be told with each connection; holds user and password.
    """

    url: str
    headers: Headers = field(default_factory=lambda: Headers({}))

    @property
    def host(self) -> str:
        """The proxy's host name or address."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Network:
    """What a client was told about the way to the service.

    Attributes:
        ca_file: A PEM file with certificate authorities that are trusted besides the system's.
        proxy: A proxy for everything; None asks the environment.
        direct: Whether there is no proxy, whatever the environment says.
    """

    ca_file: str | None = None
    proxy: Proxy | None = None
    direct: bool = False


def network_of(ca_file: str | os.PathLike[str] | None, proxy: str | None) -> Network:
    """Return what the arguments stand for.

    Raises:
        ConfigurationError: If they cannot be used.

    Example:
        >>> network_of(None, "http://me:secret@proxy.example:3128").proxy
        Proxy(url='http://proxy.example:3128', headers=<Headers Proxy-Authorization>)
    """
    check_text("proxy", proxy)
    return Network(
        ca_file=None if ca_file is None else _check_ca_file(ca_file),
        proxy=_proxy(proxy, "proxy=") if proxy else None,
        direct=proxy == "",
    )


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the one kind of TLS context there is: it verifies certificates and host names.

    The system's authorities are OpenSSL's, so that ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` are respected. Reads files.
    """
    return _tls_context(ca_file, *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))


@lru_cache(maxsize=8)
def _tls_context(ca_file: str | None, *_environment: str | None) -> ssl.SSLContext:
    # Reading the system's authorities takes some 15 ms, which not every connection should cost.
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(("http/1.1",))
    return context


def proxy_from_environment() -> Proxy | None:
    """Return the proxy for https URLs that the environment names in the way that curl made usual.

    Raises:
        ConfigurationError: If it is none that can be used.
    """
    # Only https URLs leave this machine, so HTTP_PROXY is of no interest.
    named = getproxies_environment()
    url = named.get("https") or named.get("all")
    return _proxy(url, "HTTPS_PROXY (or ALL_PROXY)") if url else None


def proxy_for(network: Network, environment: Proxy | None, scheme: str, host: str, port: int | None) -> Proxy | None:
    """Return the proxy that a URL is reached through, None where it is reached directly.

    Example:
        >>> here, there = Network(proxy=Proxy("http://proxy.example:3128")), Network(direct=True)
        >>> proxy_for(here, None, "https", "acme.kumoai.cloud", None).url
        'http://proxy.example:3128'
        >>> proxy_for(here, None, "http", "127.0.0.1", 80), proxy_for(there, here.proxy, "https", "example.com", None)
        (None, None)
    """
    proxy = None if network.direct else network.proxy or environment
    # What goes to this machine's loopback may be in the clear, and a proxy would mean another machine by it.
    if proxy is None or scheme != "https" or is_loopback(host):
        return None
    exempt: Any = {"no": getproxies_environment().get("no", "")}
    return None if proxy_bypass_environment(f"{host}:{port or 443}", exempt) else proxy


def _check_ca_file(ca_file: str | os.PathLike[str]) -> str:
    if not isinstance(ca_file, str | os.PathLike):
        raise ConfigurationError(f"ca_file must be the path of a PEM file; got {type(ca_file).__name__}.")
    path = expanded("ca_file", ca_file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigurationError(f"ca_file={str(path)!r} holds no certificates in PEM form.", path=str(path)) from error
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ConfigurationError(f"ca_file={str(path)!r} cannot be read: {reason}.", path=str(path)) from error
    return str(path)


def _proxy(url: str, where: str) -> Proxy:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        # The text is not shown, because it may hold a password.
        raise ConfigurationError(f"{where} is not the URL of an HTTP proxy, such as http://proxy.example:3128.")
    bare = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{bare}{f':{port}' if port else ''}", _credentials(parts.username, parts.password))


def _credentials(user: str | None, password: str | None) -> Headers:
    # https://www.rfc-editor.org/rfc/rfc7617
    if user is None:
        return Headers({})
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return Headers({"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})
