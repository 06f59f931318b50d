"""The journal of a running upload, written off the event loop. An upload whose journal cannot be written goes on."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import anyio
from anyio import to_thread

from .._version import __version__
from ..options import UploadOptions
from ..report import UploadPlan
from ..service.messages import connector_id
from ..shield import clean_up, in_thread, obtain
from ..sources.files import Partition, SourceFile
from .journal import Begun, Cleared, Head, JournalError, JournalState, Phase, Record, Stored
from .journal_files import (
    Interrupted,
    LockedFile,
    Unfinished,
    claim,
    claim_unless_interrupted,
    interrupted,
    journal_folder,
    journals,
    lock,
    survey,
)
from .journal_lines import FORMAT, encode

__all__ = ["Journal", "Journals", "fingerprint", "head_of"]

logger = logging.getLogger("kumo_async")

#: Made bytes are hashed at once up to this size: that takes less than a change of thread.
_HASHED_AT_ONCE = 64 * 1024

#: Seconds between two looks at a lock that another process holds, at the most.
_LOCK_POLL = 0.1


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
        """Append records; with `sync` they survive a loss of power, and not only the death of the process."""
        async with self._lock:
            for record in records:
                self.state.apply(record)
                if isinstance(record, Stored):
                    self.resumed.discard(record.receipt.name)
            if self._file is not None:
                await in_thread(self._append, self._file, records, sync)

    async def begin(self, partitions: int, *, clear: bool) -> None:
        """Note that the commit begins, in place of those that were interrupted. Needs the table's lock.

        The disk itself has it where a loss of power could leave half a table, or none, behind. One new object where
        none was before is either visible or not, so that such a table does not wait for the disk.

        Args:
            partitions: How many the table has.
            clear: Whether there is no old table.
        """
        others = await to_thread.run_sync(self._others)
        begun = Begun(partitions=partitions, supersedes=tuple(other.state.head.id for other in others))
        sync = partitions > 1 or not clear or bool(others)
        await self.note(begun, *([Cleared()] if clear else []), sync=sync)
        # Only now, since until now they were all that could tell what is visible.
        for other in others:
            await to_thread.run_sync(_remove, other.path)

    async def finish(self) -> None:
        """Remove the journal: nothing is left to be done."""
        file, self._file = self._file, None
        if file is not None:
            await to_thread.run_sync(_remove_locked, file)

    def close(self) -> None:
        """Leave the journal to whoever uploads the table next; one that tells of nothing is removed."""
        if self._file is None:
            return
        if self.state.phase is Phase.SENDING and not self.state.stored:
            _remove(self._file.path)
        self._file.close()

    async def leave(self) -> None:
        """Do what `close` does, off the event loop, whatever cancels."""
        if self._file is not None:
            await clean_up(self.close)

    def _others(self) -> list[Interrupted]:
        if self._folder is None:
            return []
        found = interrupted(self._folder, self.state.head.table_key)
        return [each for each in found if each.state.head.id != self.state.head.id]

    def _append(self, file: LockedFile, records: Sequence[Record], sync: bool) -> None:
        if any(isinstance(each, Stored) and _is_secret(each.receipt.temp_upload_path) for each in records):
            self._give_up(
                file, "the service's upload paths have queries, as presigned URLs do, and are not written down"
            )
            return
        try:
            file.append(b"".join(map(encode, records)), sync=sync)
        except OSError as error:
            self._give_up(file, _words(error))

    def _give_up(self, file: LockedFile, problem: str) -> None:
        self.problem, self._file = problem, None
        # What says less than was done is of use only once the commit has begun: it is finished by it, or taken back.
        if self.state.phase is Phase.SENDING:
            _remove_locked(file)
        file.close()


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
            return cls(await to_thread.run_sync(journal_folder, given))
        except OSError as error:
            return cls(None, _words(error))

    async def interrupted(self, key: str) -> list[Interrupted]:
        """Return a table's commits that have begun and not ended; see `journal_files.interrupted`."""
        return [] if self.folder is None else await to_thread.run_sync(interrupted, self.folder, key)

    async def survey(self) -> list[Unfinished]:
        """Return all uploads that have begun and not ended."""
        return [] if self.folder is None else await to_thread.run_sync(survey, self.folder)

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
        """Lock the journal of an upload that died; None if it is gone, or its upload still runs."""
        with suppress(OSError, JournalError):
            file = await to_thread.run_sync(LockedFile.acquire, path)
            if file is not None:
                state = await to_thread.run_sync(file.state)
                await to_thread.run_sync(_remove_superseded, path.parent, state)
                return Journal(self.folder, state, file)
        return None

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
            return await to_thread.run_sync(journal_folder, None)
        except OSError:
            return self.folder

    async def _locked(self, folder: Path, key: str) -> LockedFile | None:
        try:
            # The kernel could wait for the lock as well, but in a thread that no cancellation gets out of it.
            while (file := await obtain(partial(lock, folder, key), _unlock)) is None:  # noqa: ASYNC110
                await anyio.sleep(random.uniform(0, _LOCK_POLL))  # noqa: S311
        except OSError as error:
            logger.warning("Table locks cannot be used in %s: %s", folder, error)
            return None
        return file


def head_of(endpoint: str, plan: UploadPlan, file: SourceFile, options: UploadOptions) -> Head:
    """Return which upload this is."""
    deciding = {
        "version": __version__,
        "csv": asdict(options.csv),
        "on_unsupported": options.on_unsupported,
        "convert": options.convert,
    }
    return Head(
        format=FORMAT,
        id="",
        created=0,
        endpoint=endpoint,
        connector=connector_id(plan.file_type),
        table=plan.table,
        path=os.path.abspath(file.path),  # noqa: PTH100 - Path.resolve would ask the disk
        device=file.status.st_dev,
        inode=file.status.st_ino,
        size=file.status.st_size,
        mtime_ns=file.status.st_mtime_ns,
        ctime_ns=file.status.st_ctime_ns,
        partition_size=plan.partition_size,
        arguments=sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest(),
    )


async def fingerprint(partition: Partition, source: SourceFile) -> str:
    """Return a digest of what a partition consists of.

    Ranges of the source count by their place, since the head of the journal says that the source is the same. All else,
    such as what was encoded anew, counts by its bytes: no promise is needed that it comes out the same again.
    """
    digest = sha256()
    start = 0
    for segment in partition.segments:
        length = len(segment)
        if isinstance(segment, bytes):
            digest.update(b"bytes %d " % length)
            if length <= _HASHED_AT_ONCE:
                digest.update(segment)
            else:
                await to_thread.run_sync(digest.update, segment)
        elif segment.file is source:
            digest.update(b"source %d %d " % (segment.offset, length))
        else:
            digest.update(b"spooled %d " % length)
            async for block in partition.read(start, length):
                await to_thread.run_sync(digest.update, block)
        start += length
    return digest.hexdigest()


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
            _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("The journal %s could not be removed: %s", path, error)


def _remove_locked(file: LockedFile) -> None:
    _remove(file.path)
    file.close()


def _close(journal: Journal | None) -> None:
    if journal is not None:
        journal.close()


def _unlock(file: LockedFile | None) -> None:
    if file is not None:
        _remove_locked(file)
