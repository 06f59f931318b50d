"""Commits whose process died: finished, taken back, or left alone where the table is somebody else's by now."""

from __future__ import annotations

from enum import Enum

from ..errors import UploadError
from ..service.messages import file_type_of
from .changing import in_one_burst
from .commit import ForgottenError, make_visible, undo
from .journal import Cleared, Phase
from .journaling import Journal
from .replace import remove_known_table
from .transfer import Transfer

__all__ = ["Outcome", "is_superseded", "roll_forward", "take_back"]


class Outcome(Enum):
    """What became of a commit that was interrupted."""

    FINISHED = "finished"  #: the table is there, whole
    TAKEN_BACK = "taken back"  #: nothing of it is visible; what is missing must be sent again
    SUPERSEDED = "superseded"  #: somebody else has changed the table since, and it is left as it is


async def roll_forward(transfer: Transfer, journal: Journal) -> Outcome:
    """Finish a commit whose process died. Needs the table's lock; once begun, it is not cancelled.

    Raises:
        UploadError: If it could not be finished, or the service does not tell whose the table is; says what is visible.
        ServiceError: If the service refuses a call, or cannot be reached; the journal stays as it is.
    """
    return await in_one_burst(transfer, lambda bounded: _roll_forward(bounded, journal))


async def _roll_forward(transfer: Transfer, journal: Journal) -> Outcome:
    control, connector = transfer.session.control, transfer.connector
    phase, doubtful = journal.state.phase, False
    if await is_superseded(transfer, journal):
        await journal.finish()
        return Outcome.SUPERSEDED
    if phase is Phase.UNDOING:
        await undo(transfer, journal)
        return Outcome.TAKEN_BACK
    if phase is Phase.BEGUN:
        # Nothing was completed yet, so whatever is there is the old table or what is left of it.
        if await control.shows_table(connector, transfer.table):
            doubtful = await remove_known_table(control, connector, transfer.table, file_type_of(connector))
        await journal.note(Cleared(), sync=True)
    if await _is_replaced(transfer, journal):
        await journal.finish()
        return Outcome.SUPERSEDED
    try:
        await make_visible(transfer, journal, doubtful=doubtful, taken_over=phase is Phase.CLEARED)
    except ForgottenError:
        return Outcome.TAKEN_BACK
    return Outcome.FINISHED


async def is_superseded(transfer: Transfer, journal: Journal) -> bool:
    """Return whether somebody else has written the table since, as far as that can be seen: no object is ours then."""
    if journal.state.phase not in (Phase.CLEARED, Phase.UNDOING):
        return False
    return await transfer.session.control.has_table(transfer.connector, journal.state.beyond)


async def _is_replaced(transfer: Transfer, journal: Journal) -> bool:
    """Return whether somebody else has deleted or replaced what this commit has made visible.

    Raises:
        UploadError: If the service shows the table, but none of its objects: then these may be ours or another's.
    """
    control, connector, table = transfer.session.control, transfer.connector, transfer.table
    there = {name: await control.has_table(connector, name) for name in sorted(journal.state.completed)}
    if all(there.values()):
        return False
    if any(there.values()) or not await control.shows_table(connector, table):
        return True
    raise UploadError(
        f"Table {table!r} is there, and the service does not say whether that is the part of it that an upload which "
        f"died has made visible, or another table that came after. Upload it again, which replaces it whole, or "
        f"discard the upload that died, which deletes its part and no other table.",
        table=table,
    )


async def take_back(transfer: Transfer, journal: Journal) -> None:
    """Delete what an interrupted commit has made visible. Needs the table's lock; once begun, it is not cancelled.

    Raises:
        UploadError: If some of it may still be visible.
    """
    await in_one_burst(transfer, lambda bounded: undo(bounded, journal))
