"""One open way to the service: the REST calls and the part storage, on one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .control import ControlPlane
from .credentials import Credentials
from .http import open_session
from .storage import PartStorage

__all__ = ["Session", "connect"]


class Session:
    """The two sessions that an upload needs: one with the API key, and one that never has it."""

    def __init__(self, control: ControlPlane, storage: PartStorage) -> None:
        self.control = control
        self.storage = storage


@asynccontextmanager
async def connect(credentials: Credentials) -> AsyncIterator[Session]:
    """Open the sessions to the service, and close them in the end.

    For ``local:`` the embedded data plane runs beside them for as long.
    """
    if credentials.local_root is None:
        async with _sessions(credentials.endpoint, credentials.api_key or "") as session:
            yield session
        return
    from ..local import LocalDataPlane

    async with (
        LocalDataPlane(root=credentials.local_root) as plane,
        _sessions(plane.endpoint, plane.api_key) as session,
    ):
        yield session


@asynccontextmanager
async def _sessions(endpoint: str, api_key: str) -> AsyncIterator[Session]:
    async with open_session({"X-API-Key": api_key}) as control, open_session() as storage:
        yield Session(ControlPlane(control, endpoint), PartStorage(storage))
