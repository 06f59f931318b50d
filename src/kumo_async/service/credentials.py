"""Where the service is and who we are: from arguments, or from the official SDK's environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlencode, urlsplit

import platformdirs

from ..checks import check_text
from ..errors import ConfigurationError
from .addresses import is_loopback
from .authentication import Headers, HeadersProvider, Memory
from .rbac import Scope, scope_of

__all__ = ["ENDPOINT_VARIABLE", "KEY_HEADER", "KEY_VARIABLE", "Credentials", "resolve"]

ENDPOINT_VARIABLE = "KUMO_API_ENDPOINT"
KEY_VARIABLE = "KUMO_API_KEY"
KEY_HEADER = "X-API-Key"
LOCAL_SCHEME = "local:"


@dataclass(frozen=True)
class Credentials:
    """A service to talk to.

    Attributes:
        endpoint: Its base URL, without `/v1`; for the embedded data plane the text ``local:`` with its directory.
        api_key: The key; None for the embedded data plane, which makes its own. Never shown.
        local_root: The embedded data plane's directory; None for a service that is reached over the network.
        headers: Gives the headers that stand in for a key.
        scope: The group and project to work in.
    """

    endpoint: str
    api_key: str | None = field(default=None, repr=False)
    local_root: Path | None = None
    headers: HeadersProvider | None = None
    scope: Scope = field(default=Scope())

    @property
    def scoped_endpoint(self) -> str:
        """The endpoint and, as its query, the group and project that were asked for: tables of others are others."""
        asked = {"group": self.scope.group, "project": self.scope.project}
        query = urlencode({what: name for what, name in asked.items() if name is not None})
        return f"{self.endpoint}?{query}" if query else self.endpoint

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("Credentials hold a key and are not pickled; make them where they are needed.")

    def memory(self) -> Memory:
        """Return what is known from the start about the headers of each call."""
        return Memory(headers=None if self.api_key is None else Headers({KEY_HEADER: self.api_key}))


def resolve(
    url: str | None,
    api_key: str | None,
    headers: HeadersProvider | None = None,
    group: str | None = None,
    project: str | None = None,
) -> Credentials:
    """Return the credentials that the arguments, and where they are missing the environment, stand for.

    Raises:
        ConfigurationError: If there are none, or they cannot be right.

    Example:
        >>> resolve("https://acme.kumoai.cloud/api/", "acme:secret").endpoint
        'https://acme.kumoai.cloud/api'
        >>> resolve("https://acme.kumoai.cloud/api", "acme:secret", group="Sales", project="Churn").scoped_endpoint
        'https://acme.kumoai.cloud/api?group=Sales&project=Churn'
    """
    for what, given in {"url": url, "api_key": api_key, "group": group, "project": project}.items():
        check_text(what, given)
    # Blanks and line breaks around it come with copying, or out of a file, and belong to no URL.
    url = (url or os.environ.get(ENDPOINT_VARIABLE) or "").strip() or None
    if url is not None and url.lower().startswith(LOCAL_SCHEME):
        return _local(url[len(LOCAL_SCHEME) :])
    scope = scope_of(group, project)
    if headers is not None:
        return Credentials(_check_provider(url, api_key, headers), headers=headers, scope=scope)
    key = api_key or os.environ.get(KEY_VARIABLE) or None
    if key is None:
        raise ConfigurationError(
            f"There is no API key. Set the environment variable {KEY_VARIABLE} (and {ENDPOINT_VARIABLE} unless the key "
            f"begins with the workspace's name), call kumo_async.init(url=..., api_key=...), or use the embedded data "
            f"plane with {ENDPOINT_VARIABLE}=local: or init(url='local:')."
        )
    _check_key(key)
    return Credentials(_check_endpoint(url or _default_endpoint(key)), key, scope=scope)


def _check_provider(url: str | None, api_key: str | None, headers: object) -> str:
    if api_key is not None:
        raise ConfigurationError("Give api_key or headers, not both: headers take the place of the key.")
    if not callable(headers):
        raise ConfigurationError("headers must be an async function without arguments that returns a mapping.")
    if url is None:
        raise ConfigurationError(f"With headers= the endpoint has to be given too: url=, or {ENDPOINT_VARIABLE}.")
    return _check_endpoint(url)


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
    parts = _url_parts(url)
    if parts is None:
        # Not raised in the except block: Python's error quotes the URL, which may hold a password.
        raise ConfigurationError("The endpoint is not a URL; it should look like https://NAME.kumoai.cloud/api.")
    host = parts.hostname
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


def _url_parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        return None
    return parts
