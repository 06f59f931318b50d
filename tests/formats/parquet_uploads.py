"""What the tests of encoded Parquet partitions share: looking at spool files while they are there, and page hashes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from parquet_files import page_hashes

import kumo_async


def joined(files: Iterable[Path]) -> pa.Table:
    """Read partitions in order as one table."""
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files]).combine_chunks()


def hashes(files: Iterable[Path]) -> list[str]:
    """Hash the pages of all columns of all row groups of files, in order."""
    return [found for file in files for found in page_hashes(file.read_bytes())]


def small(size: int | None = 256 * 1024, **more: object) -> kumo_async.UploadOptions:
    """Options that cut every file into partitions of a size, or send it as one object."""
    if size is None:
        return kumo_async.UploadOptions(**more)  # type: ignore[arg-type]
    return kumo_async.UploadOptions(partition_threshold=0, partition_size=size, **more)  # type: ignore[arg-type]


def open_spools(folder: Path) -> list[int]:
    """Give the modes of the nameless files in a folder that this process has open."""
    modes = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            if str(link.readlink()).startswith(f"{folder}/"):
                modes.append(stat.S_IMODE(os.stat(link).st_mode))  # noqa: PTH116 - by its number, not its path
        except FileNotFoundError:
            continue
    return modes


class Watch:
    """Looks at the spool files whenever something happens, and may act on one kind of event."""

    def __init__(self, folder: Path, on_stored: Callable[[], None] | None = None) -> None:
        self.modes: set[int] = set()
        self.names: set[str] = set()
        self._folder = folder
        self._on_stored = on_stored

    def on_event(self, event: kumo_async.Event) -> None:
        self.modes.update(open_spools(self._folder))
        self.names.update(path.name for path in self._folder.iterdir())
        if self._on_stored is not None and isinstance(event, kumo_async.PartitionStored):
            self._on_stored()


@contextmanager
def nothing_spooled(folder: Path) -> Iterator[None]:
    """Check that no spool file outlives the block."""
    folder.mkdir()
    yield
    assert open_spools(folder) == []
    assert list(folder.iterdir()) == []
