"""KumoClient: a workspace to talk to, and the connections to it that all its users share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import anyio

from .checks import event_loop
from .errors import ConfigurationError
from .service.authentication import HeadersProvider
from .service.credentials import resolve
from .service.network import network_of
from .service.snowflake import snowflake_headers
from .serving import check_answerable
from .shield import imported, to_the_end

if TYPE_CHECKING:
    from .service.session import Session
    from .upload.limits import Limits

__all__ = ["HeadersProvider", "KumoClient", "check_client", "default_client", "init", "snowflake_headers"]


class KumoClient:
    """A Kumo workspace and the key to it. One process may have several.

    Creating a client makes no connection. Connections are opened when a call needs them, shared by all calls that run
    at the same time on one event loop, and closed with the last of them; ``async with client:`` keeps them open between
    calls. The limits of `UploadOptions` hold over all uploads of a client on one event loop.

    Args:
        url: The service's endpoint, such as ``https://acme.kumoai.cloud/api``; ``local:`` or ``local:/some/dir`` for
            the embedded data plane, which needs no key. Default: the environment variable ``KUMO_API_ENDPOINT``, else
            the workspace that the key begins with.
        api_key: The API key. Default: the environment variable ``KUMO_API_KEY``.
        headers: An async function that gives the headers which take the place of the key, for tokens that expire. It is
            asked before the first call, every ten minutes, and when the service answers 401; the call is then made once
            more. `snowflake_headers` is one.
        group: In a workspace with role-based access control, the group to work in, by name or id. Default: none, or the
            only one you belong to where the environment variable ``RBAC_ENABLED`` is ``true``.
        project: The project to work in, by name or id.
        ca_file: A PEM file with certificate authorities that are trusted besides the system's, for the service and its
            part storage. Certificates are always verified.
        proxy: The URL of an HTTP proxy for both, such as ``http://proxy.example:3128``; ``""`` for none. Default: the
            environment variable ``HTTPS_PROXY``, else ``ALL_PROXY``. Hosts in ``NO_PROXY``, and loopback, are always
            reached directly.

    Raises:
        ConfigurationError: If there are no credentials, or an argument cannot be right.

    Example:
        >>> import kumo_async
        >>> client = kumo_async.KumoClient(url="local:")
        >>> connector = kumo_async.FileUploadConnector("csv", client=client)
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        headers: HeadersProvider | None = None,
        group: str | None = None,
        project: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        proxy: str | None = None,
    ) -> None:
        self.credentials = resolve(url, api_key, headers, group, project)
        self._network = network_of(ca_file, proxy)
        self._memory = self.credentials.memory()
        self._shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()

    @property
    def endpoint(self) -> str:
        """The service's base URL, or ``local:`` with the embedded data plane's directory."""
        return self.credentials.endpoint

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """Open the connections to the service, or join those that are open on this event loop.

        Raises:
            ConfigurationError: If that cannot be, or the call waits for a data plane in its own thread.
        """
        check_answerable(self.endpoint)
        shared = await self._join()
        try:
            yield await shared.connection(self._connect)
        finally:
            await to_the_end(shared.leave)

    async def __aenter__(self) -> KumoClient:
        shared = await self._join()
        try:
            await shared.connection(self._connect)
        except BaseException:
            await to_the_end(shared.leave)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await to_the_end(self._shared[asyncio.get_running_loop()].leave)

    def _connect(self) -> AbstractAsyncContextManager[Session]:
        from .service.session import connect

        return connect(self.credentials, self._network, self._memory)

    async def _join(self) -> _Shared:
        loop = event_loop()
        # aiohttp costs a third of a second to import; a program that only configures a client need not wait for it.
        await imported("tenacity", "kumo_async.service.session", "kumo_async.upload.limits")
        if self.credentials.local_root is not None:
            await imported("kumo_async.local")
        for other in [other for other in self._shared if other.is_closed()]:
            # It was closed without an end to its calls, and what is left of them refers to it.
            self._shared.pop(other, None)
        # No lock: a loop's entry is touched by that loop's thread alone.
        shared = self._shared.get(loop)
        if shared is None:
            shared = self._shared[loop] = _Shared()
        shared.users += 1
        return shared

    def __repr__(self) -> str:
        return f"KumoClient({self.endpoint!r})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("A KumoClient holds a key and is not pickled; make one where it is needed.")


class Connection:
    """What one event loop shares of a client: the open session and the limits."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self.session = session
        self.limits = limits


class _Shared:
    """Opens a connection for the first who needs it and closes it after the last."""

    def __init__(self) -> None:
        self.users = 0
        self._stack = AsyncExitStack()
        self._lock = anyio.Lock()
        self._connection: Connection | None = None

    async def connection(self, connect: Callable[[], AbstractAsyncContextManager[Session]]) -> Connection:
        async with self._lock:
            if self._connection is None:
                from .upload.limits import Limits

                session = await self._stack.enter_async_context(connect())
                self._connection = Connection(session, Limits())
            return self._connection

    async def leave(self) -> None:
        self.users -= 1
        async with self._lock:
            if self.users == 0:
                self._connection = None
                await self._stack.aclose()


_default: KumoClient | None = None
_from_environment: KumoClient | None = None


def init(
    url: str | None = None,
    api_key: str | None = None,
    *,
    headers: HeadersProvider | None = None,
    group: str | None = None,
    project: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    proxy: str | None = None,
) -> None:
    """Set the workspace for all connectors that are not given a client of their own. Makes no connection.

    A second call replaces what the first one set. Without any call, the environment variables are used.

    Args:
        url: See `KumoClient`.
        api_key: See `KumoClient`.
        headers: See `KumoClient`.
        group: See `KumoClient`.
        project: See `KumoClient`.
        ca_file: See `KumoClient`.
        proxy: See `KumoClient`.

    Raises:
        ConfigurationError: If there are no credentials, or an argument cannot be right.

    Example:
        >>> import kumo_async
        >>> kumo_async.init(url="local:")
    """
    global _default
    _default = KumoClient(url, api_key, headers=headers, group=group, project=project, ca_file=ca_file, proxy=proxy)


def check_client(client: object) -> None:
    """Raise unless `client` is a client, or None.

    Raises:
        ConfigurationError: If it is neither.
    """
    if client is not None and not isinstance(client, KumoClient):
        raise ConfigurationError(f"client must be a KumoClient; got {type(client).__name__}.")


def default_client() -> KumoClient:
    """Return the client that `init` set, or one from the environment variables.

    Raises:
        ConfigurationError: If neither gives credentials.
    """
    global _from_environment
    if _default is not None:
        return _default
    client = KumoClient()
    if _from_environment is None or _from_environment.credentials != client.credentials:
        _from_environment = client
    return _from_environment
