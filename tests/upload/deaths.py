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

    def release(journal: Journal) -> None:  # the dead tidy nothing up; only their locks go
        if journal._file is not None:
            journal._file.close()

    with pytest.MonkeyPatch.context() as patch, pytest.raises(DeathError):  # noqa: PT012
        patch.setattr(LockedFile, "append", counted)
        patch.setattr(Journal, "close", release)
        yield


def only_journal(journals: Path) -> Path:
    """Return the one journal that is there."""
    [journal] = journals.glob("*.journal")
    return journal
