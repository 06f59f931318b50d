"""How much is under way at once, over all uploads that share a client."""

from __future__ import annotations

import bisect
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

from .pace import Pace
from .rate import RateMeter

__all__ = ["Limit", "Limits", "Place"]


@dataclass(order=True)
class _Ticket:
    """One who waits; the smallest of a user is let in first."""

    rank: tuple[int, ...]
    arrival: int
    most: int = field(compare=False)
    event: anyio.Event = field(compare=False, default_factory=anyio.Event)


@dataclass(eq=False)
class _User:
    """What one upload has under way, and waits for."""

    held: int = 0
    most: int = 0
    served: int = 0
    joined: bool = False
    waiting: list[_Ticket] = field(default_factory=list)


class Limit:
    """Counts what is under way. Whoever enters brings the number that may be under way beside it.

    Places are shared fairly (max-min): one that is free goes to the user who has the fewest, and of those to the one
    who was served the longest ago, so that nobody waits behind another's queue. As long as somebody has none, the last
    free place is not for those who have some: what is slow does not take all. A user's own are let in in the order of
    their rank, and nobody waits behind one whose own number is smaller.

    Example:
        >>> async def main() -> int:
        ...     parts = Limit()
        ...     async with parts.hold(2), parts.hold(2):
        ...         return parts.held
        >>> anyio.run(main)
        2
    """

    def __init__(self) -> None:
        self.held = 0
        self.pace = Pace()
        self._users: dict[object, _User] = {}
        self._arrivals = count()
        self._turns = count(1)

    def join(self, user: object) -> None:
        """Count `user` as one who will want places, until `leave`."""
        self._user(user).joined = True

    def leave(self, user: object) -> None:
        """Count `user` no longer."""
        self._user(user).joined = False
        self._forget(user)
        self.admit()

    @asynccontextmanager
    async def hold(self, most: int, user: object = None, rank: tuple[int, ...] = ()) -> AsyncIterator[Place]:
        """Wait until fewer than `most` are under way, and be under way until the block is left."""
        place = Place(self, most, user, rank)
        await place.take()
        try:
            yield place
        finally:
            place.give_back()

    async def acquire(self, most: int, user: object = None, rank: tuple[int, ...] = ()) -> None:
        """Wait until fewer than `most` are under way, and count as one of them."""
        ticket = _Ticket(rank, next(self._arrivals), most)
        whose = self._user(user)
        whose.most = max(whose.most, most)
        bisect.insort(whose.waiting, ticket)
        self.admit()
        try:
            if ticket.event.is_set():
                await anyio.lowlevel.checkpoint()
            else:
                await ticket.event.wait()
        except BaseException:
            self._withdraw(ticket, user)
            raise

    def release(self, user: object = None) -> None:
        """Be under way no longer, and let in the next who may."""
        self.held -= 1
        self._user(user).held -= 1
        self._forget(user)
        self.admit()

    def admit(self) -> None:
        """Let in everybody who may enter now."""
        while (found := self._next()) is not None:
            user, ticket = found
            user.waiting.remove(ticket)
            user.held += 1
            user.served = next(self._turns)
            self.held += 1
            ticket.event.set()

    def wanted_back(self, most: int, user: object) -> bool:
        """Return whether `user` should let go of a place: there are too many, or somebody with fewer waits."""
        held = self._user(user).held
        over = self.held > min(most, self.pace.window)
        return over or any(other.waiting and other.held < held for other in self._users.values())

    def _next(self) -> tuple[_User, _Ticket] | None:
        """Choose who is let in next, if anybody may be."""
        if self.held + 1 > self.pace.window:
            return None
        some_have_none = any(user.joined and not user.held for user in self._users.values())
        best: tuple[_User, _Ticket] | None = None
        for user in self._users.values():
            if not user.waiting or self.held >= user.most:
                continue
            if best is not None and (best[0].held, best[0].served) <= (user.held, user.served):
                continue
            ticket = next((each for each in user.waiting if self._fits(user, each.most, some_have_none)), None)
            best = best if ticket is None else (user, ticket)
        return best

    def _fits(self, user: _User, most: int, some_have_none: bool) -> bool:
        most = math.floor(min(self.pace.window, most))
        kept = 1 if some_have_none and user.held and most > 1 else 0
        return self.held < most - kept

    def _user(self, user: object) -> _User:
        return self._users.setdefault(user, _User())

    def _forget(self, user: object) -> None:
        known = self._user(user)
        if not (known.joined or known.held or known.waiting):
            del self._users[user]

    def _withdraw(self, ticket: _Ticket, user: object) -> None:
        if ticket.event.is_set():
            self.release(user)
        else:
            self._user(user).waiting.remove(ticket)
            self._forget(user)


class Place:
    """One that is under way, or wants to be."""

    def __init__(self, limit: Limit, most: int, user: object, rank: tuple[int, ...]) -> None:
        self._limit = limit
        self._most = most
        self._user = user
        self._rank = rank
        self._held = False

    async def take(self) -> None:
        """Wait for a place."""
        await self._limit.acquire(self._most, self._user, self._rank)
        self._held = True

    def give_back(self) -> None:
        """Leave the place, if it is held."""
        if self._held:
            self._held = False
            self._limit.release(self._user)

    async def renew(self) -> None:
        """Keep the place, unless it is wanted back: then wait for another."""
        if self._limit.wanted_back(self._most, self._user):
            self.give_back()
            await self.take()


class Limits:
    """What the uploads of a client on one event loop must share.

    Attributes:
        partitions: The partitions under way.
        parts: The parts under way.
        meter: How fast they go out.
        url_seconds: How long part URLs live, by the last ones that said so.
    """

    def __init__(self) -> None:
        self.partitions = Limit()
        self.parts = Limit()
        self.meter = RateMeter()
        self.url_seconds: float | None = None
        self._tables: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[object]:
        """Be one of the uploads among whom places are shared; gives the user to ask for them with."""
        user = object()
        self.partitions.join(user)
        self.parts.join(user)
        try:
            yield user
        finally:
            self.partitions.leave(user)
            self.parts.leave(user)

    def table(self, connector: str, table: str) -> anyio.Lock:
        """Return the lock that whoever changes a table holds."""
        return self._tables.setdefault((connector, table), anyio.Lock())
