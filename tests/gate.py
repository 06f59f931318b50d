"""Something to stall a call on."""

from __future__ import annotations

import anyio

__all__ = ["Gate"]


class Gate:
    """Tells that a call has come, and holds it until it may go on."""

    def __init__(self) -> None:
        self.came, self.go = anyio.Event(), anyio.Event()

    async def wait(self) -> None:
        self.came.set()
        await self.go.wait()
