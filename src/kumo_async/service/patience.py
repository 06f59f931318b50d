"""How long calls that belong together are gone on with while none of them gets any further."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

__all__ = ["Patience"]


class Patience:
    """A bound on the time in which nothing gets any further, for all calls that share it.

    A call is given up when so many seconds have passed since any of them succeeded, whatever it does then: waiting for
    an answer, or for its next attempt. A long burst of calls is thus never too long while it moves, and one that does
    not move always ends.

    Args:
        seconds: How long nothing may get any further.

    Attributes:
        hurried: Whether somebody waits for the end of all this, so that less time is given.

    Example:
        >>> async def wait() -> bool:
        ...     with Patience(0.01).limit() as scope:
        ...         await anyio.sleep_forever()
        ...     return scope.cancelled_caught
        >>> anyio.run(wait)
        True
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self.hurried = False
        self._since: float | None = None
        self._scopes: set[anyio.CancelScope] = set()

    @contextmanager
    def limit(self) -> Iterator[anyio.CancelScope]:
        """Cancel the block when patience is at its end; the scope then tells by its `cancelled_caught`."""
        if self._since is None:
            self.renew()
        with anyio.CancelScope(deadline=self._deadline) as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)

    def renew(self) -> None:
        """Begin to count anew: something got further, or something else begins."""
        self._since = anyio.current_time()
        self._move_deadlines()

    def hurry(self, seconds: float) -> None:
        """Give no more than so many seconds from now on."""
        self.hurried = True
        self.seconds = min(self.seconds, seconds)
        self.renew()

    @property
    def _deadline(self) -> float:
        return math.inf if self._since is None else self._since + self.seconds

    def _move_deadlines(self) -> None:
        for scope in self._scopes:
            scope.deadline = self._deadline
