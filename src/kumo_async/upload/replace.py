"""Taking an old table away, whatever shape it had and whatever the service's delete call covers.

It is not known whether deleting `name` also removes the partitions `name.ext/part_*`, nor what deleting an unknown name
answers. So `name` is deleted first, and as long as the table is still there, its partitions are. Where a refusal may
mean that there is no such thing, the service is asked whether it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from ..errors import ServiceError
from ..options import COMMIT_SECONDS
from ..service.answers import AnswerError, Break, Verdict
from ..service.control import MAY_MEAN_NOT_THERE, ControlPlane
from ..service.session import Session
from .burst import in_a_burst
from .plan import partition_name

__all__ = ["HalfRemovedError", "delete_if_there", "is_lost", "remove_known_table", "remove_table"]

#: The highest partition number that is looked for: 300 GB, the most that Kumo documents, in partitions of 100 MiB, and
#: room for as many again.
_LAST_PARTITION = 6000

#: How many partitions are deleted between two looks at whether the table is still there.
_AT_ONCE = 16

_THERE = "is still there"


class HalfRemovedError(ServiceError):
    """Some of a table's partitions may be gone, and others are there."""


@dataclass
class _Deletions:
    """The deletions of one table.

    Attributes:
        open: Whether one may take effect later: its answer was lost, and another one did the work.
        begun: Whether something of the table may be gone.
        last: The highest number of a partition that the service knew.
        denied: The numbers of those that it did not know.
        tried: The highest number of a partition that was to be deleted.
        kept: The names of the partitions that could not be deleted.
    """

    control: ControlPlane
    connector: str
    open: bool = False
    begun: bool = False
    last: int = 0
    denied: set[int] = field(default_factory=set)
    tried: int = 0
    kept: list[str] = field(default_factory=list)

    async def delete(self, name: str) -> bool:
        try:
            known = await self.control.delete_object(self.connector, name, self._on_retry)
        except ServiceError as error:
            self.begun |= is_lost(error)
            raise
        self.begun |= known
        return known

    async def delete_partition(self, name: str, number: int) -> None:
        try:
            if await self.delete(name):
                self.last = max(self.last, number)
            else:
                self.denied.add(number)
        except ServiceError as error:
            if not await _means_not_there(error, self.control, self.connector, name):
                raise

    def _on_retry(self, _: int, error: AnswerError) -> None:
        self.open |= error.verdict is Verdict.RETRY and error.seen.broken is not Break.UNREACHED


async def remove_table(session: Session, connector: str, table: str, file_type: str) -> bool:
    """Delete a table with all its objects; return whether there was one. Once begun, it is not cancelled.

    Raises:
        ServiceError: If the service refuses; the table is as it was.
        HalfRemovedError: If that happens halfway, or the table is still there afterwards.
    """
    if not await session.control.shows_table(connector, table):
        return False

    async def remove(bounded: Session) -> None:
        await remove_known_table(bounded.control, connector, table, file_type)

    await in_a_burst(session, table, COMMIT_SECONDS, remove)
    return True


async def remove_known_table(control: ControlPlane, connector: str, table: str, file_type: str) -> bool:
    """Delete a table that is known to be there; see `remove_table`.

    Returns:
        Whether a deletion may still take effect, and hit what comes next.
    """
    deletions = _Deletions(control, connector)
    await _delete_name(deletions, table, file_type)
    try:
        if await _partitions_go(deletions, table, file_type, range(1, _LAST_PARTITION + 1)):
            return deletions.open
        # Once more, since of a partition that was there the service may have said for a moment that it was not.
        denied = [number for number in sorted(deletions.denied) if number <= deletions.last + _AT_ONCE]
        if await _partitions_go(deletions, table, file_type, denied):
            return deletions.open
    except ServiceError as error:
        if not (deletions.begun or deletions.open):
            raise _refused(table, _THERE, error) from error
        raise HalfRemovedError(
            f"Table {table!r} could not be deleted whole, and some of its partitions may be gone: {error} "
            f"{_kept(deletions, table, file_type)}Delete or upload it again.",
            table=table,
            status=error.status,
            code=error.code,
            attempts=error.attempts,
        ) from error
    raise HalfRemovedError(
        f"The service still shows table {table!r} after everything that can belong to it was deleted; some of its "
        f"partitions may be gone. Delete it in Kumo, and try again.",
        table=table,
    )


def _kept(deletions: _Deletions, table: str, file_type: str) -> str:
    if not deletions.kept:
        return ""
    behind = partition_name(table, file_type, deletions.tried)
    return f"These may still be there: {', '.join(deletions.kept)}, and any behind {behind}. "


async def delete_if_there(control: ControlPlane, connector: str, name: str) -> bool:
    """Delete an object; return False where the service refuses to, and does not know of it either.

    Raises:
        ServiceError: If it refuses otherwise.
    """
    try:
        await control.delete_object(connector, name)
    except ServiceError as error:
        if not await _means_not_there(error, control, connector, name):
            raise
        return False
    return True


async def _means_not_there(error: ServiceError, control: ControlPlane, connector: str, name: str) -> bool:
    """Return whether the refusal of a deletion means that there is nothing to delete."""
    try:
        return error.status in MAY_MEAN_NOT_THERE and not await control.has_table(connector, name)
    except ServiceError:
        return False


def is_lost(error: ServiceError) -> bool:
    """Return whether the answer to a call was lost, so that the call may have had its effect all the same."""
    return error.status is None or error.status == 408 or error.status >= 500


def _refused(table: str, state: str, failure: ServiceError) -> ServiceError:
    return ServiceError(
        f"Table {table!r} could not be deleted, and {state}: {failure}",
        table=table,
        status=failure.status,
        code=failure.code,
        attempts=failure.attempts,
    )


async def _delete_name(deletions: _Deletions, table: str, file_type: str) -> None:
    """Delete what is called `table`; where that fails, ask whether it is gone.

    A refusal is asked about, too: an attempt before it, whose answer was lost, may have been carried out. Or there is
    nothing of just that name, since the table consists of partitions.
    """
    try:
        await deletions.delete(table)
    except ServiceError as error:
        failure = error
    else:
        return
    deletions.open |= is_lost(failure)
    control, connector = deletions.control, deletions.connector
    control.patience.renew()
    state = await _state(control, connector, table)
    deletions.begun |= state is None
    may_go_on = failure.status in MAY_MEAN_NOT_THERE and state == _THERE
    if state is not None and not (may_go_on and await _has_partitions(control, connector, table, file_type)):
        raise _refused(table, state, failure) from failure


async def _has_partitions(control: ControlPlane, connector: str, table: str, file_type: str) -> bool:
    if await control.has_table(connector, partition_name(table, file_type, 1)):
        return True
    return any(name.startswith(f"{table}.{file_type}/") for name in await control.list_tables(connector))


async def _state(control: ControlPlane, connector: str, table: str) -> str | None:
    """Return in words what is known of a table after an answer was lost, None if it is gone."""
    try:
        return _THERE if await control.shows_table(connector, table) else None
    except ServiceError:
        return "whether it is still there is not known (look with has_table())"


async def _partitions_go(deletions: _Deletions, table: str, file_type: str, numbers: Sequence[int]) -> bool:
    """Delete partitions, some at a time, until the table is gone; return whether it is."""
    for first in range(0, len(numbers), _AT_ONCE):
        if not await deletions.control.shows_table(deletions.connector, table):
            return True
        await _delete_partitions(deletions, table, file_type, numbers[first : first + _AT_ONCE])
    return not await deletions.control.shows_table(deletions.connector, table)


async def _delete_partitions(deletions: _Deletions, table: str, file_type: str, numbers: Sequence[int]) -> None:
    """Delete some partitions at once; what fails is tried once more where others may be gone.

    Half a table that is read as a whole one is worse than none.
    """
    failures = await _failing(deletions, table, file_type, numbers)
    if failures and deletions.begun:
        failures = await _failing(deletions, table, file_type, list(failures))
    deletions.tried = max(deletions.tried, *numbers)
    deletions.kept = [partition_name(table, file_type, number) for number in sorted(failures)]
    for failure in failures.values():
        raise failure


async def _failing(
    deletions: _Deletions, table: str, file_type: str, numbers: Sequence[int]
) -> dict[int, ServiceError]:
    """Delete some partitions at once; return the failures when all of them have been answered.

    Raised before, they would cancel requests that the service may still carry out, on a table that came after.
    """
    failures: dict[int, ServiceError] = {}

    async def delete(number: int) -> None:
        try:
            await deletions.delete_partition(partition_name(table, file_type, number), number)
        except ServiceError as error:
            deletions.open |= is_lost(error)
            failures[number] = error

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(delete, number)
    return failures
