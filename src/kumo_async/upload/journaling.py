"""The journal of a running upload, written off the event loop.

A journal never says less than was done: the next upload, or `recover`, would undo it. An upload whose journal cannot be
written goes on without one, and removes it before it does what the journal would not tell. Where it cannot even be
removed, that is not done.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio

from ..errors import UploadError
from ..shield import clean_up, in_thread, obtain
from .journal import Begun, Cleared, Completed, Head, JournalError, JournalState, Phase, Record, Stored, Undoing, Undone
from .journal_files import (
    Interrupted,
    Unfinished,
    begun,
    claim,
    claim_unless_interrupted,
    erase,
    interrupted,
    journal_folder,
    journals,
    lock,
    state_of,
    survey,
)
from .journal_lines import encode
from .locked_file import LockedFile

__all__ = ["Journal", "Journals"]

logger = logging.getLogger("kumo_async")

#: Seconds between two looks at a lock that another process holds, at the most.
_LOCK_POLL = 0.1


#: The directories for which the log already says that locks cannot be used there.
_warned: set[Path] = set()


class _Claim(Protocol):
    def __call__(self, folder: Path, head: Head, *, resume: bool) -> tuple[LockedFile, JournalState] | None: ...


class Journal:
    """What one upload notes.

    Attributes:
        state: What was noted so far.
        resumed: The objects that an earlier run has stored, and this one has not sent again.
        problem: Why it is not on disk; None while it is.
    """

    def __init__(
        self, folder: Path | None, state: JournalState, file: LockedFile | None, problem: str | None = None
    ) -> None:
        self.state = state
        self.resumed = set(state.stored)
        self.problem = problem
        self._folder = folder
        self._file = file
        self._lock = anyio.Lock()

    async def note(self, *records: Record, sync: bool = False) -> None:
        """Append records; with `sync` they survive a loss of power, and not only the death of the process.

        Raises:
            UploadError: If they can neither be written, nor the journal be removed, which would say less than is about
                to be done.
        """
        async with self._lock:
            for record in records:
                self.state.apply(record)
                if isinstance(record, Stored):
                    self.resumed.discard(record.receipt.name)
            if self._file is not None:
                await in_thread(self._write, self._file, records, sync)

    async def begin(self, partitions: int, *, clear: bool) -> None:
        """Note that the commit begins, in place of those that were interrupted. Needs the table's lock.

        The disk itself has it where a loss of power could leave half a table, or none, behind. One new object where
        none was before is either visible or not, so that such a table does not wait for the disk.

        Args:
            partitions: How many the table has.
            clear: Whether there is no old table.

        Raises:
            UploadError: If a journal would say less than is about to be done, and stays. Nothing was done.
        """
        others = await in_thread(self._others)
        record = Begun(partitions=partitions, supersedes=tuple(other.state.head.id for other in others))
        at_once = [Cleared()] if clear and not others else []
        await self.note(record, *at_once, sync=partitions > 1 or not clear or bool(others))
        # Only now, since until now they were all that could tell what is visible.
        for other in others:
            try:
                await in_thread(erase, other.path)
            except OSError as error:
                await self.note(Undone())
                raise self._stays(record, other.path, _words(error)) from error
        if clear and not at_once:
            await self.note(Cleared(), sync=True)

    async def finish(self) -> None:
        """Remove the journal: nothing is left to be done."""
        file, self._file = self._file, None
        if file is not None:
            await in_thread(_remove_locked, file)

    def close(self) -> None:
        """Leave the journal to the next upload of the table; one that tells of nothing is removed."""
        if self._file is None:
            return
        if self.state.phase is Phase.SENDING and not self.state.stored:
            _remove_locked(self._file)
        self._file.close()

    async def leave(self) -> None:
        """Do what `close` does, off the event loop, whatever cancels."""
        if self._file is not None:
            await clean_up(self.close)

    def _others(self) -> list[Interrupted]:
        if self._folder is None:
            return []
        found = begun(self._folder, self.state.head.table_key)
        return [each for each in found if each.state.head.id != self.state.head.id]

    def _write(self, file: LockedFile, records: Sequence[Record], sync: bool) -> None:
        """Write records to the file, or have no file that lacks them."""
        if self.problem is None:
            self.problem = _try_to_append(file, records, sync)
        # That some objects may be visible is what it says without this as well.
        if self.problem is None or isinstance(records[-1], Completed):
            return
        try:
            file.erase()
        except OSError as error:
            # Nothing is about to be done then; before anything is, this is tried again.
            if not isinstance(records[0], Stored | Undone):
                raise self._stays(records[0], file.path, _words(error)) from error
        else:
            self._file = None
            file.close()

    def _stays(self, record: Record, path: Path, problem: str) -> UploadError:
        match record:
            case Begun():
                state = "The table is as it was."
            case Undoing():
                state = f"These objects may be visible and must be deleted: {', '.join(self.state.names)}."
            case _:
                state = "No table of that name is there now."
        table = self.state.head.table
        return UploadError(
            f"Table {table!r} could not be committed, since the journal {path} can be neither written nor removed, and "
            f"the next upload would go by what it says: {problem}. {state} Make the journal's directory writable, and "
            f"upload the table again.",
            table=table,
        )


def _try_to_append(file: LockedFile, records: Sequence[Record], sync: bool) -> str | None:
    """Append records, and return why that was not possible, if it was not."""
    if any(isinstance(each, Stored) and _is_secret(each.receipt.temp_upload_path) for each in records):
        return "the service's upload paths have queries, as presigned URLs do, and are not written down"
    try:
        file.append(b"".join(map(encode, records)), sync=sync)
    except OSError as error:
        return _words(error)
    return None


class Journals:
    """The journals of this user on this machine, or the reason why there can be none.

    Attributes:
        folder: Where they are; None where there can be none.
        problem: The reason.
    """

    def __init__(self, folder: Path | None, problem: str | None = None) -> None:
        self.folder = folder
        self.problem = problem

    @classmethod
    async def open(cls, given: str | os.PathLike[str] | None) -> Journals:
        """Look for the directory, and make it where it is missing."""
        try:
            return cls(await in_thread(journal_folder, given))
        except OSError as error:
            return cls(None, _words(error))

    async def interrupted(self, key: str) -> list[Interrupted]:
        """Return a table's commits that have begun and not ended; see `journal_files.interrupted`."""
        return [] if self.folder is None else await in_thread(interrupted, self.folder, key)

    async def survey(self) -> list[Unfinished]:
        """Return all uploads that have begun and not ended."""
        return [] if self.folder is None else await in_thread(survey, self.folder)

    async def claim(self, head: Head, *, resume: bool) -> Journal:
        """Take over the journal of an earlier run of the same upload, or begin one."""
        journal = await self._claim(claim, head, resume)
        assert journal is not None
        return journal

    async def claim_unless_interrupted(self, head: Head, *, resume: bool) -> Journal | None:
        """Do what `claim` does; None where the table has interrupted commits, which come first."""
        return await self._claim(claim_unless_interrupted, head, resume)

    async def _claim(self, function: _Claim, head: Head, resume: bool) -> Journal | None:
        folder = self.folder
        if folder is None:
            return Journal(None, JournalState(head), None, self.problem)

        def work() -> Journal | None:
            claimed = function(folder, head, resume=resume)
            return None if claimed is None else Journal(folder, claimed[1], claimed[0])

        try:
            return await obtain(work, _close)
        except OSError as error:
            return Journal(folder, JournalState(head), None, _words(error))

    async def take(self, path: Path) -> Journal | None:
        """Lock the journal of an upload that died; None if it is gone or not trusted, or its upload still runs.

        Raises:
            UploadError: If it cannot be read or locked.
        """
        try:
            file = await in_thread(LockedFile.acquire, path)
            if file is not None:
                state = await in_thread(state_of, file)
                await in_thread(_remove_superseded, path.parent, state)
                return Journal(self.folder, state, file)
        except JournalError:
            return None
        except OSError as error:
            raise UploadError(
                f"The journal {path} of an upload that died cannot be used: {_words(error)}. Make it and its directory "
                f"readable and writable for you alone."
            ) from error
        return None

    async def forget(self, key: str, table: str) -> None:
        """Have no journal tell of a commit of a table any more. Needs the table's lock.

        Raises:
            UploadError: If one stays.
        """
        folder = self.folder
        for found in [] if folder is None else await in_thread(begun, folder, key):
            try:
                await in_thread(erase, found.path)
            except OSError as error:
                raise UploadError(
                    f"Table {table!r} was not deleted, since the journal {found.path} of an upload that died cannot be "
                    f"removed, and would bring it back: {_words(error)}. Make the journal's directory writable.",
                    table=table,
                ) from error

    @asynccontextmanager
    async def table(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of a table, for which the other processes of this user wait."""
        folder = await self._lock_folder()
        file = None if folder is None else await self._locked(folder, key)
        try:
            yield
        finally:
            if file is not None:
                await clean_up(partial(_remove_locked, file))

    async def _lock_folder(self) -> Path | None:
        """Return where locks are: in one place for all of this user's uploads, wherever their journals are."""
        try:
            return await in_thread(journal_folder, None)
        except OSError:
            return self.folder

    async def _locked(self, folder: Path, key: str) -> LockedFile | None:
        try:
            # The kernel could wait for the lock as well, but in a thread that no cancellation gets out of it.
            while (file := await obtain(partial(lock, folder, key), _unlock)) is None:  # noqa: ASYNC110
                await anyio.sleep(random.uniform(0, _LOCK_POLL))  # noqa: S311
        except OSError as error:
            if folder not in _warned:
                _warned.add(folder)
                logger.warning(
                    "Table locks cannot be used in %s, so that uploads of one table by several processes are not kept "
                    "apart: %s",
                    folder,
                    error,
                )
            return None
        return file


def _is_secret(temp_upload_path: str) -> bool:
    return "?" in temp_upload_path


def _words(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _remove_superseded(folder: Path, state: JournalState) -> None:
    """Remove the journals that a commit replaces, which its process has not lived to do. They would outlive it."""
    replaced = {f"{state.head.table_key}-{each}.journal" for each in state.supersedes}
    for path in journals(folder, state.head.table_key) if replaced else ():
        if path.name in replaced:
            erase(path)


def _remove_locked(file: LockedFile) -> None:
    try:
        file.remove()
    except OSError as error:
        logger.warning("The file %s could not be removed: %s", file.path, error)


def _close(journal: Journal | None) -> None:
    if journal is not None:
        journal.close()


def _unlock(file: LockedFile | None) -> None:
    if file is not None:
        _remove_locked(file)
