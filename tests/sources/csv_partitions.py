"""What a CSV file is cut into, without the way to the service; and how a reader sees it."""

from __future__ import annotations

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import anyio

from kumo_async import CsvOptions, UploadOptions
from kumo_async.sources import open_source


def parsed(data: bytes, **dialect: Any) -> list[list[str]]:
    """The rows that Python's csv module reads, blank lines aside."""
    return [row for row in csv.reader(io.StringIO(data.decode(), newline=""), **dialect) if row]


async def partitions_of(
    path: Path, size: int | None, options: UploadOptions | None = None
) -> list[tuple[int | None, bytes]]:
    """The rows and the content of each partition of a file, read as they would be sent."""
    options = options or UploadOptions()
    found = []
    async with open_source(path, "csv", options) as source:
        async for partition in source.partitions(size):
            content = b"".join([bytes(block) async for block in partition.read(0, partition.size)])
            assert len(content) == partition.size
            found.append((partition, content))
    return [(partition.rows, content) for partition, content in found]


def cut(path: Path, size: int | None, **options: Any) -> list[tuple[int | None, bytes]]:
    """Like `partitions_of`, in a loop of its own; the threshold is 0 unless the file is to be one object."""
    if size is not None:
        options.setdefault("partition_threshold", 0)
    return anyio.run(partitions_of, path, size, UploadOptions(**options))


def csv_options(*, validate: Literal["fast", "full"] = "fast", **values: Any) -> UploadOptions:
    return UploadOptions(validate=validate, csv=CsvOptions(**values))


def spool_files(folder: Path) -> list[Path]:
    """The temporary files that this process holds in a folder: they have no name in it."""
    found: list[Path] = []
    for link in Path("/proc/self/fd").iterdir():
        # Other threads close files meanwhile.
        with suppress(FileNotFoundError):
            target = str(link.readlink())
            found += [link] if target.startswith(str(folder)) and "(deleted)" in target else []
    return found
