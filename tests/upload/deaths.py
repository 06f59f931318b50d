"""Uploads that stop at a known record of their journal, in this process: all is closed, and nothing is undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kumo_async.upload.journal_files import LockedFile
from kumo_async.upload.journaling import Journal


class DeathError(Exception):
    """Stands for the end of a process."""


def _release(journal: Journal) -> None:
    """The dead tidy nothing up; only their locks go."""
    if journal._file is not None:
        journal._file.close()


@contextmanager
def dying_after(records: int) -> Iterator[None]:
    """End whatever runs in the block with a DeathError once so many records were appended."""
    append, count = LockedFile.append, 0

    def counted(file: LockedFile, line: bytes, *, sync: bool) -> None:
        nonlocal count
        count += 1
        append(file, line, sync=sync)
        if count == records:
            raise DeathError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(DeathError):  # noqa: PT012
        patch.setattr(LockedFile, "append", counted)
        patch.setattr(Journal, "close", _release)
        yield


@contextmanager
def dying_unnoted(journals: Path) -> Iterator[None]:
    """End the upload in the block with a DeathError once all is visible, and before it notes that anything is."""

    async def die(journal: Journal) -> None:
        raise DeathError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(DeathError):  # noqa: PT012
        patch.setattr(Journal, "finish", die)
        patch.setattr(Journal, "close", _release)
        yield
    journal = only_journal(journals)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"completed"' not in line))


def only_journal(journals: Path) -> Path:
    """Return the one journal that is there."""
    [journal] = journals.glob("*.journal")
    return journal
