"""One open way to the service: the REST calls and the part storage, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from .authentication import Authentication, Headers, Memory
from .control import ControlPlane
from .credentials import KEY_HEADER, Credentials
from .http import open_session
from .network import Network
from .patience import Patience
from .rbac import Get, Scope, find_scope
from .retry import RetryBudget
from .storage import PartStorage

__all__ = ["Session", "connect"]


class Session:
    """The two ways that an upload needs: one on which each call authenticates itself, and one that never does.

    Attributes:
        reopen: Opens the same on the event loop that runs then; the retries are of one budget.
    """

    def __init__(
        self,
        control: ControlPlane,
        storage: PartStorage,
        reopen: Callable[[], AbstractAsyncContextManager[Session]],
    ) -> None:
        self.control = control
        self.storage = storage
        self.reopen = reopen

    def within(self, patience: Patience) -> Session:
        """Return the same session, whose calls are given up when patience is at its end."""
        return Session(self.control.within(patience), self.storage, self.reopen)


@asynccontextmanager
async def connect(
    credentials: Credentials,
    network: Network | None = None,
    memory: Memory | None = None,
    *,
    home: asyncio.AbstractEventLoop | None = None,
    budget: RetryBudget | None = None,
) -> AsyncIterator[Session]:
    """Open the way to the service, and close it in the end.

    For ``local:`` the embedded data plane runs beside it for as long.

    Args:
        credentials: Where the service is, and who we are.
        network: How it is reached; default: directly, or through the environment's proxy.
        memory: What the client has learnt on other connections.
        home: The event loop that a headers provider belongs to; default: the running one.
        budget: The retries of all requests; default: one of its own.

    Raises:
        ConfigurationError: If the environment names a proxy that cannot be used.
    """
    memory = memory if memory is not None else credentials.memory()
    home = home if home is not None else asyncio.get_running_loop()
    budget = budget if budget is not None else RetryBudget()
    reopen = partial(connect, credentials, network, memory, home=home, budget=budget)
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
                Authentication(credentials.headers, memory, home=home),
                _remembered(credentials.scope, memory),
                budget,
            )
            yield Session(calls, PartStorage(storage), reopen)
            return
        from ..local import LocalDataPlane

        async with LocalDataPlane(root=credentials.local_root) as plane:
            key = Memory(headers=Headers({KEY_HEADER: plane.api_key}))
            calls = ControlPlane(control, plane.endpoint, Authentication(None, key), budget=budget)
            yield Session(calls, PartStorage(storage), reopen)


def _remembered(scope: Scope, memory: Memory) -> Callable[[Get], Awaitable[Mapping[str, str]]]:
    """Return a function that finds the scope the first time, whichever connection of a client it is."""

    async def find(get: Get) -> Mapping[str, str]:
        if memory.scope is None:
            memory.scope = await find_scope(scope, get)
        return memory.scope

    return find
