"""Where the service is and who we are: from arguments, or from the official SDK's environment variables."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from ..errors import ConfigurationError

__all__ = ["ENDPOINT_VARIABLE", "KEY_VARIABLE", "Credentials", "is_link_local", "is_loopback", "resolve"]

ENDPOINT_VARIABLE = "KUMO_API_ENDPOINT"
KEY_VARIABLE = "KUMO_API_KEY"
LOCAL_SCHEME = "local:"


@dataclass(frozen=True)
class Credentials:
    """A service to talk to.

    Attributes:
        endpoint: Its base URL, without `/v1`; for the embedded data plane the text ``local:`` with its directory.
        api_key: The key; None for the embedded data plane, which makes its own. Never shown.
        local_root: The embedded data plane's directory; None for a service that is reached over the network.
    """

    endpoint: str
    api_key: str | None = field(default=None, repr=False)
    local_root: Path | None = None


def resolve(url: str | None, api_key: str | None) -> Credentials:
    """Return the credentials that the arguments, and where they are missing the environment, stand for.

    Raises:
        ConfigurationError: If there are none, or they cannot be right.

    Example:
        >>> resolve("https://acme.kumoai.cloud/api/", "acme:secret").endpoint
        'https://acme.kumoai.cloud/api'
    """
    url = url or os.environ.get(ENDPOINT_VARIABLE) or None
    if url is not None and url.lower().startswith(LOCAL_SCHEME):
        return _local(url[len(LOCAL_SCHEME) :])
    key = api_key or os.environ.get(KEY_VARIABLE) or None
    if key is None:
        raise ConfigurationError(
            f"There is no API key. Set the environment variable {KEY_VARIABLE} (and {ENDPOINT_VARIABLE} unless the key "
            f"begins with the workspace's name), call kumo_async.init(url=..., api_key=...), or use the embedded data "
            f"plane with {ENDPOINT_VARIABLE}=local: or init(url='local:')."
        )
    _check_key(key)
    return Credentials(_check_endpoint(url or _default_endpoint(key)), key)


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or address is this machine's loopback.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("localhost.example.com")
        (True, True, False)
    """
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_link_local(host: str) -> bool:
    """Return whether a host is an address that only means something on this very line, such as a cloud's metadata.

    Example:
        >>> is_link_local("169.254.169.254"), is_link_local("example.com")
        (True, False)
    """
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def _local(rest: str) -> Credentials:
    try:
        given = Path(rest).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"The directory of local:{rest} is of a user who does not exist.") from error
    root = given if rest else platformdirs.user_data_path("kumo-async") / "local"
    return Credentials(f"{LOCAL_SCHEME}{root}", None, root)


def _default_endpoint(key: str) -> str:
    workspace = key.split(":", 1)[0]
    if ":" not in key or not workspace or not all(c.isalnum() or c in "-_." for c in workspace):
        raise ConfigurationError(
            f"The API key does not begin with a workspace's name and a colon, so the endpoint cannot be taken from it. "
            f"Set {ENDPOINT_VARIABLE}, or give url=."
        )
    return f"https://{workspace}.kumoai.cloud/api"


def _check_key(key: str) -> None:
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise ConfigurationError(
            f"The API key has white space around it or characters that a key cannot have. Copy it anew into "
            f"{KEY_VARIABLE}."
        )


def _check_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise ConfigurationError(
            "The endpoint is not a URL; it should look like https://NAME.kumoai.cloud/api."
        ) from error
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            "The endpoint is not a URL of the service; it should look like https://NAME.kumoai.cloud/api, or be local: "
            "for the embedded data plane."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("The endpoint must have no user, query or fragment; the key goes into api_key.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"The endpoint http://{host} would send the key in the clear; use https://.")
    return url.rstrip("/")
