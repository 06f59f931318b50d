"""Deleting an old table, whatever shape it had and whatever the service's delete call covers.

It is not known whether deleting `name` also removes the partitions `name.ext/part_*`, nor what deleting an unknown name
answers. So `name` is deleted first, and where the table is still there, its partitions are: those that the service
lists or knows by their names. Where a refusal may mean that there is no such thing, the service is asked whether it is
there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio

from ..errors import ServiceError, no_groups
from ..options import COMMIT_SECONDS
from ..service.control import MAY_MEAN_NOT_THERE, ControlPlane
from ..service.messages import file_type_of
from ..service.session import Session
from .burst import in_a_burst
from .deletions import Deletions
from .plan import partition_name

__all__ = ["HalfRemovedError", "remove_known_table", "remove_table"]

logger = logging.getLogger("kumo_async")

#: The highest partition number that is looked for: 300 GB, the most that Kumo documents, in partitions of 100 MiB, and
#: room for as many again.
_LAST_PARTITION = 6000

#: How many partitions are deleted, or asked for, at once.
_AT_ONCE = 16

#: How far partitions are looked for after the last one that was seen: as many as Kumo documents for CSV.
_FAR = 128

_THERE = "is still there"
_OPEN = ", but a deletion whose answer was lost may still take effect"


class HalfRemovedError(ServiceError):
    """Some of a table's partitions may be gone, and others are there."""


async def remove_table(session: Session, connector: str, table: str, file_type: str) -> bool:
    """Delete a table with all its objects; return whether there was one. Once begun, it is not cancelled.

    Raises:
        ServiceError: If the service refuses; the table is as it was.
        HalfRemovedError: If that happens halfway, or the table is still there afterwards.
    """
    if not await session.control.shows_table(connector, table):
        return False

    async def remove(bounded: Session) -> None:
        if await remove_known_table(bounded.control, connector, table, file_type):
            logger.warning("Table %r is deleted%s, on a table of that name that comes after.", table, _OPEN)

    await in_a_burst(session, table, COMMIT_SECONDS, remove)
    return True


async def remove_known_table(control: ControlPlane, connector: str, table: str, file_type: str) -> bool:
    """Delete a table that is known to be there; see `remove_table`.

    Returns:
        Whether a deletion may still take effect, and hit what comes next.
    """
    removal = _Removal(Deletions(control, connector), table, file_type)
    deletions = removal.deletions
    known = await _delete_name(removal)
    try:
        if await removal.is_complete(known=known):
            return deletions.open
    except ServiceError as error:
        if not (deletions.begun or deletions.open):
            raise _refused(table, _THERE, error) from error
        raise await _half_removed(removal, error) from error
    raise HalfRemovedError(
        f"The service still shows table {table!r} after everything that can belong to it was deleted; some of its "
        f"partitions may be gone. Delete it in Kumo, and try again.",
        table=table,
    )


@dataclass
class _Removal:
    """The removal of one table."""

    deletions: Deletions
    table: str
    file_type: str

    async def is_complete(self, *, known: bool) -> bool:
        """Delete what is left of the table once its name was deleted; return whether nothing is.

        Args:
            known: Whether the service knew the name, and says that it deleted it.
        """
        if await self._is_gone() or await self._seen_partitions_go(_AT_ONCE):
            return True
        # It may have said so of what it did not do.
        if known and (await self.deletions.delete(self.table, shown=True) and await self._is_gone()):
            return True
        return await self._seen_partitions_go(_FAR) or await self._unseen_partitions_go()

    async def _is_gone(self) -> bool:
        return not await self.deletions.control.shows_table(self.deletions.connector, self.table)

    async def has_partitions(self) -> bool:
        """Return whether the service shows any partition of the table. The first ones may have been deleted before."""
        if await _listed_partitions(self.deletions.control, self.deletions.connector, self.table):
            return True
        for number, names in self._names():
            if number > _FAR:
                break
            if await self._there(names):
                return True
        return False

    async def _seen_partitions_go(self, far: int) -> bool:
        """Delete the partitions that the service lists, or else knows by name; return whether the table is gone then.

        Args:
            far: How far they are looked for after the last one that was there.
        """
        if listed := await _listed_partitions(self.deletions.control, self.deletions.connector, self.table):
            for first in range(0, len(listed), _AT_ONCE):
                await self._delete(listed[first : first + _AT_ONCE], shown=True)
            return await self._is_gone()
        last = 0
        for number, names in self._names():
            if number > last + far:
                break
            if there := await self._there(names):
                last = number + _AT_ONCE
                await self._delete(there, shown=True)
                if await self._is_gone():
                    return True
        return False

    async def _unseen_partitions_go(self) -> bool:
        """Delete partitions that the service does not show; return whether the table is gone then.

        It goes on while the service says that it knew some, up to a limit, since a service may claim to know any name.
        """
        deletions = self.deletions
        unused = partition_name(self.table, self.file_type, _LAST_PARTITION + 1)
        for number, names in self._names():
            if number > _FAR and await deletions.delete(unused):
                return False
            await self._delete(names)
            if await self._is_gone():
                return True
            if deletions.denied.issuperset(names):
                break
        again = sorted(deletions.denied)
        await self._delete(again[: 2 * _AT_ONCE])
        return bool(again) and await self._is_gone()

    def _names(self) -> Iterator[tuple[int, list[str]]]:
        """Give the names of the partitions that there may be, some at a time, with the number of the first."""
        for number in range(1, _LAST_PARTITION + 1, _AT_ONCE):
            numbers = range(number, min(number + _AT_ONCE, _LAST_PARTITION + 1))
            yield number, [partition_name(self.table, self.file_type, each) for each in numbers]

    async def _there(self, names: Sequence[str]) -> list[str]:
        """Return those of some partitions that are there, asked for at once."""
        found = set[str]()

        async def ask(name: str) -> None:
            if await self.deletions.control.has_table(self.deletions.connector, name):
                found.add(name)

        with no_groups():
            async with anyio.create_task_group() as group:
                for name in names:
                    group.start_soon(ask, name)
        return sorted(found)

    async def _delete(self, names: Sequence[str], *, shown: bool = False) -> None:
        """Delete some partitions at once; what fails is tried once more where others may be gone.

        Half a table that is read as a whole one is worse than none.
        """
        if not names:
            return
        deletions = self.deletions
        failures = await _failing(deletions, names, shown=shown)
        if failures and deletions.begun:
            failures = await _failing(deletions, list(failures), shown=shown)
        deletions.tried = max(deletions.tried, *names)
        deletions.kept = sorted(failures)
        for failure in failures.values():
            raise failure


async def _listed_partitions(control: ControlPlane, connector: str, table: str) -> list[str]:
    """Return the partitions of a table that the service lists; most services list tables alone."""
    folder = f"{table}.{file_type_of(connector)}/"
    return sorted(name for name in await control.list_tables(connector) if name.startswith(folder))


async def _half_removed(removal: _Removal, error: ServiceError) -> HalfRemovedError:
    """Return the error for a table that may be gone in part; it says what is there, as far as that can be known."""
    deletions, table = removal.deletions, removal.table
    if not deletions.kept and await _is_unknown(deletions, table):
        said = (
            f"Table {table!r} was deleted, but it is not known whether all of its partitions are gone: {error} "
            f"No table of that name is there now; upload it again."
        )
    else:
        said = (
            f"Table {table!r} could not be deleted whole, and some of its partitions may be gone: {error} "
            f"{_kept(deletions)}Delete or upload it again."
        )
    return HalfRemovedError(said, table=table, status=error.status, code=error.code, attempts=error.attempts)


async def _is_unknown(deletions: Deletions, table: str) -> bool:
    try:
        return not await deletions.control.has_table(deletions.connector, table)
    except ServiceError:
        return False


def _kept(deletions: Deletions) -> str:
    if not deletions.kept:
        return ""
    return f"These may still be there: {', '.join(deletions.kept)}, and any after {deletions.tried}. "


def _refused(table: str, state: str, failure: ServiceError) -> ServiceError:
    return ServiceError(
        f"Table {table!r} could not be deleted, and {state}: {failure}",
        table=table,
        status=failure.status,
        code=failure.code,
        attempts=failure.attempts,
    )


async def _delete_name(removal: _Removal) -> bool:
    """Delete what is called as the table; return whether the service knew it. Where that fails, ask whether it is gone.

    A refusal is asked about, too: an attempt before it, whose answer was lost, may have been carried out. Or there is
    nothing of just that name, since the table consists of partitions.
    """
    deletions, table = removal.deletions, removal.table
    try:
        return await deletions.delete(table, shown=True)
    except ServiceError as error:
        failure = error
    control, connector = deletions.control, deletions.connector
    control.patience.renew()
    state = await _state(control, connector, table)
    deletions.begun |= state is None
    may_go_on = failure.status in MAY_MEAN_NOT_THERE and state == _THERE
    if state is not None and not (may_go_on and await removal.has_partitions()):
        raise _refused(table, f"{state}{_OPEN if deletions.open else ''}", failure) from failure
    return False


async def _state(control: ControlPlane, connector: str, table: str) -> str | None:
    """Return in words what is known of a table after an answer was lost, None if it is gone."""
    try:
        return _THERE if await control.shows_table(connector, table) else None
    except ServiceError:
        return "whether it is still there is not known (look with has_table())"


async def _failing(deletions: Deletions, names: Sequence[str], *, shown: bool) -> dict[str, ServiceError]:
    """Delete some partitions at once; return the failures when all of them have been answered.

    Raised before, they would cancel requests that the service may still carry out, on a table that came after.
    """
    failures: dict[str, ServiceError] = {}

    async def delete(name: str) -> None:
        try:
            await deletions.delete_partition(name, shown=shown)
        except ServiceError as error:
            failures[name] = error

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(delete, name)
    return failures
