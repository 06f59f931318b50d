"""Temporary files that the system fails to read: errors of the source, not of the connection that it is sent over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kumo_async import SourceError
from kumo_async.sources.files import FileRange, Partition
from kumo_async.sources.spool import SpoolFile


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[SpoolFile]:
    """A spool file whose descriptor can only be written to."""
    file = SpoolFile(tmp_path)
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(other, file._descriptor)
    os.close(other)
    yield file
    file.close()


async def test_a_partition_in_it_cannot_be_read(unreadable: SpoolFile) -> None:
    partition = Partition((FileRange(unreadable, 0, 100),), 1)
    with pytest.raises(SourceError, match=r"temporary file cannot be read: Bad file descriptor\. Upload the table"):
        async for _ in partition.read(0, 100):
            pass


def test_nor_can_worker_threads_read_it(unreadable: SpoolFile) -> None:
    with pytest.raises(SourceError, match="temporary file cannot be read"):
        unreadable.read_blocking(0, 100)
