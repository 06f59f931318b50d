"""Taking an old table away, whatever shape it had and whatever the service's delete call covers.

It is not known whether deleting `name` also removes the partitions `name.ext/part_*`, nor what deleting an unknown name
answers. So `name` is deleted first, and as long as the table is still there, its partitions are. Where a refusal may
mean that there is no such thing, the service is asked whether it is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from ..errors import ServiceError
from ..options import COMMIT_SECONDS
from ..service.answers import AnswerError, Break, Verdict
from ..service.control import MAY_MEAN_NOT_THERE, ControlPlane
from ..service.retry import OnRetry
from ..service.session import Session
from .burst import in_a_burst
from .plan import partition_name

__all__ = ["HalfRemovedError", "delete_if_there", "remove_known_table", "remove_table"]

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
    """

    control: ControlPlane
    connector: str
    open: bool = False

    async def delete(self, name: str) -> None:
        await self.control.delete_object(self.connector, name, self._on_retry)

    async def delete_if_there(self, name: str) -> None:
        await delete_if_there(self.control, self.connector, name, self._on_retry)

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
    # Where this is refused, nothing has happened yet.
    await _delete_name(deletions, table, file_type)
    try:
        for first in range(1, _LAST_PARTITION, _AT_ONCE):
            if not await control.shows_table(connector, table):
                return deletions.open
            await _delete_partitions(deletions, table, file_type, range(first, first + _AT_ONCE))
    except ServiceError as error:
        raise HalfRemovedError(
            f"Table {table!r} could not be deleted whole, and some of its partitions may be gone: {error} Delete or "
            f"upload it again.",
            table=table,
            status=error.status,
            code=error.code,
            attempts=error.attempts,
        ) from error
    raise HalfRemovedError(
        f"The service still shows table {table!r} after everything that can belong to it was deleted. Delete it in "
        f"Kumo, and try again.",
        table=table,
    )


async def delete_if_there(control: ControlPlane, connector: str, name: str, on_retry: OnRetry | None = None) -> bool:
    """Delete an object; return False where the service refuses to, and does not know of it either.

    Raises:
        ServiceError: If it refuses otherwise.
    """
    try:
        await control.delete_object(connector, name, on_retry)
    except ServiceError as error:
        if error.status not in MAY_MEAN_NOT_THERE or await _may_be_there(control, connector, name):
            raise
        return False
    return True


async def _may_be_there(control: ControlPlane, connector: str, name: str) -> bool:
    try:
        return await control.has_table(connector, name)
    except ServiceError:
        return True


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
    deletions.open |= failure.status is None or failure.status >= 500
    control, connector = deletions.control, deletions.connector
    control.patience.renew()
    state = await _state(control, connector, table)
    may_go_on = failure.status in MAY_MEAN_NOT_THERE and state == _THERE
    if state is not None and not (may_go_on and await _has_partitions(control, connector, table, file_type)):
        raise ServiceError(
            f"Table {table!r} could not be deleted, and {state}: {failure}",
            table=table,
            status=failure.status,
            code=failure.code,
            attempts=failure.attempts,
        ) from failure


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


async def _delete_partitions(deletions: _Deletions, table: str, file_type: str, numbers: range) -> None:
    """Delete some partitions at once; a failure is raised when all of them have been answered.

    Raised before, it would cancel requests that the service may still carry out, on a table that came after.
    """
    failures: list[ServiceError] = []

    async def delete(number: int) -> None:
        try:
            await deletions.delete_if_there(partition_name(table, file_type, number))
        except ServiceError as error:
            failures.append(error)

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(delete, number)
    if failures:
        raise failures[0]
