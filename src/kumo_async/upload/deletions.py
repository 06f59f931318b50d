"""Deletions of objects, whose answers may be lost.

A deletion whose answer was lost may take effect later, and would hit what comes next. So it is not made again at once:
it is waited until it shows, or until it cannot be expected any more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import anyio

from ..errors import ServiceError
from ..service.answers import AnswerError, Break
from ..service.control import MAY_MEAN_NOT_THERE, ControlPlane

__all__ = ["Deletions", "is_lost"]

logger = logging.getLogger("kumo_async")

#: Seconds in which a deletion whose answer was lost can be expected to take effect: gateways give up on requests that
#: then take a few seconds more.
_WINDOW = 15.0

#: Seconds between two looks at whether it has; they double.
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 2.0

#: How often an object is deleted while the answers are lost.
_ATTEMPTS = 3


@dataclass
class Deletions:
    """The deletions of one table.

    Attributes:
        open: Whether one may take effect later: its answer was lost, and it has not shown since.
        begun: Whether something of the table may be gone.
        denied: The names that the service said it did not know.
        tried: The name of the last partition that was to be deleted.
        kept: The names of the partitions that could not be deleted.
    """

    control: ControlPlane
    connector: str
    open: bool = False
    begun: bool = False
    denied: set[str] = field(default_factory=set)
    tried: str = ""
    kept: list[str] = field(default_factory=list)

    async def delete(self, name: str, *, shown: bool = False) -> bool:
        """Delete an object or a table; return whether the service knew it.

        Args:
            name: Its name.
            shown: Whether the service has shown it before.

        Raises:
            ServiceError: If it refuses, or its answers are lost each time.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._delete_once(name)
            except ServiceError as error:
                if not is_lost(error):
                    raise
                failure = error
            self.begun = True
            # One that was given up has used all the time there is.
            given_up = failure.attempts is None
            if not given_up and await self._shows_in_time(name, shown):
                return True
            self.open = True
            if given_up:
                break
            if attempt < _ATTEMPTS:
                logger.info("Deleting %s is tried again: %s", name, failure)
        raise failure

    async def _delete_once(self, name: str) -> bool:
        """Delete an object or a table, and again after an answer that is none of the service's.

        Such an answer tells nothing of its attempt, which may still take effect after the last one. Only where the
        service then says that there is no such thing has it done so before.
        """
        unclear = False

        def on_retry(_: int, error: AnswerError) -> None:
            nonlocal unclear
            unclear |= error.seen.broken is Break.UNEXPECTED and not error.throttled

        try:
            known = await self.control.delete_object(self.connector, name, on_retry)
        except ServiceError:
            self.begun |= unclear
            self.open |= unclear
            raise
        self.begun |= known or unclear
        self.open |= known and unclear
        return known

    async def delete_if_there(self, name: str) -> bool:
        """Delete an object; return False where the service refuses to, and does not know of it either.

        Raises:
            ServiceError: If it refuses otherwise.
        """
        try:
            await self.delete(name)
        except ServiceError as error:
            if not await self._means_not_there(error, name):
                raise
            return False
        return True

    async def delete_partition(self, name: str, *, shown: bool) -> None:
        """Delete a partition, which need not be there."""
        try:
            if not await self.delete(name, shown=shown):
                self.denied.add(name)
        except ServiceError as error:
            if not await self._means_not_there(error, name):
                raise
            self.denied.add(name)

    async def _shows_in_time(self, name: str, shown: bool) -> bool:
        """Wait until a deletion whose answer was lost shows, or its window is over; return whether it has shown."""
        end, pause = anyio.current_time() + _WINDOW, _FIRST_LOOK
        while True:
            try:
                there = await _is_there(self.control, self.connector, name)
            except ServiceError:
                return False
            if not there:
                # Of what was never seen, a service that does not know partitions says the same.
                return shown
            shown = True
            left = end - anyio.current_time()
            if left <= 0:
                return False
            await anyio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _means_not_there(self, error: ServiceError, name: str) -> bool:
        """Return whether the refusal of a deletion means that there is nothing to delete."""
        try:
            return error.status in MAY_MEAN_NOT_THERE and not await self.control.has_table(self.connector, name)
        except ServiceError:
            return False


async def _is_there(control: ControlPlane, connector: str, name: str) -> bool:
    """Return whether a partition, or anything of a table, is there."""
    ask = control.has_table if "/" in name else control.shows_table
    return await ask(connector, name)


def is_lost(error: ServiceError) -> bool:
    """Return whether the answer to a call was lost, so that the call may have had its effect all the same."""
    return error.status is None or error.status == 408 or error.status >= 500
