"""One open way to the service: the REST calls and the part storage, on one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from .authentication import Authentication, Headers, Memory
from .control import ControlPlane
from .credentials import KEY_HEADER, Credentials
from .http import open_session
from .network import Network
from .patience import Patience
from .rbac import Get, Scope, find_scope
from .storage import PartStorage

__all__ = ["Session", "connect"]


class Session:
    """The two ways that an upload needs: one on which each call authenticates itself, and one that never does."""

    def __init__(self, control: ControlPlane, storage: PartStorage) -> None:
        self.control = control
        self.storage = storage

    def within(self, patience: Patience) -> Session:
        """Return the same session, whose calls are given up when patience is at its end."""
        return Session(self.control.within(patience), self.storage)


@asynccontextmanager
async def connect(
    credentials: Credentials, network: Network | None = None, memory: Memory | None = None
) -> AsyncIterator[Session]:
    """Open the way to the service, and close it in the end.

    For ``local:`` the embedded data plane runs beside it for as long.

    Args:
        credentials: Where the service is, and who we are.
        network: How it is reached; default: directly, or through the environment's proxy.
        memory: What the client has learnt on other connections.

    Raises:
        ConfigurationError: If the environment names a proxy that cannot be used.
    """
    memory = memory if memory is not None else credentials.memory()
    if credentials.local_root is not None:
        network = Network(direct=True)
    async with (
        open_session(network, names_of_ours=True, traced=True) as control,
        open_session(network) as storage,
    ):
        if credentials.local_root is None:
            calls = ControlPlane(
                control,
                credentials.endpoint,
                Authentication(credentials.headers, memory),
                _remembered(credentials.scope, memory),
            )
            yield Session(calls, PartStorage(storage))
            return
        from ..local import LocalDataPlane

        async with LocalDataPlane(root=credentials.local_root) as plane:
            key = Memory(headers=Headers({KEY_HEADER: plane.api_key}))
            yield Session(ControlPlane(control, plane.endpoint, Authentication(None, key)), PartStorage(storage))


def _remembered(scope: Scope, memory: Memory) -> Callable[[Get], Awaitable[Mapping[str, str]]]:
    """Return a function that finds the scope the first time, whichever connection of a client it is."""

    async def find(get: Get) -> Mapping[str, str]:
        if memory.scope is None:
            memory.scope = await find_scope(scope, get)
        return memory.scope

    return find
