"""What can be uploaded. A source knows its format, checks the file, and plans partitions as byte ranges."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from ..errors import ConfigurationError, SourceError
from ..options import UploadOptions
from ..shield import clean_up, imported
from .files import FileRange, Partition, Segment, SourceFile, local_path

__all__ = ["ENDINGS", "FileRange", "Partition", "Segment", "Source", "SourceFile", "file_type_of_path", "open_source"]

#: File name endings of each file type, in lower case.
ENDINGS = {"parquet": (".parquet",), "csv": (".csv", ".csv.gz", ".csv.zst", ".csv.bz2", ".csv.xz")}


#: What is imported for each kind of source.
_LIBRARIES = {
    "parquet": ("kumo_async.sources.parquet",),
    "csv": ("kumo_async.sources.csv",),
    "converted": ("kumo_async.sources.convert",),
}


class Source(Protocol):
    """A file that was looked at and can be uploaded.

    Attributes:
        file: The open file.
        size: Size in bytes of what it holds, by which it is cut: of a compressed or converted file that of its text as
            far as that is known, and otherwise an estimate, which is over the threshold for partitions.
        dialect: How a CSV file is written; None for other types.
        columns: The column names as they will be in Kumo.
        types: Each column's type; empty where the file itself says it.
        type_reasons: Why columns of a converted file are strings, where that is not plain from their first values.
        sample: The first rows of a CSV file.
        renamed: Old name to new name, where the two differ.
        rows: Number of rows, or None where only cutting tells.
        warnings: What the user should know.
    """

    file: SourceFile
    size: int
    dialect: str | None
    columns: tuple[str, ...]
    types: Mapping[str, str]
    type_reasons: Mapping[str, str]
    sample: tuple[tuple[str, ...], ...]
    renamed: Mapping[str, str]
    rows: int | None
    warnings: tuple[str, ...]

    def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Plan the partitions, in order.

        Args:
            size: Target size of a partition in bytes; None for one object.

        Raises:
            SourceError: If the rest of the file turns out not to be acceptable.
        """
        ...

    def close(self) -> None:
        """Free what the partitions that were handed out did not; the file stays open. Worker threads only."""
        ...


@asynccontextmanager
async def open_source(path: str | os.PathLike[str], file_type: str, options: UploadOptions) -> AsyncIterator[Source]:
    """Open the file at `path` as a source of `file_type`, and close it in the end.

    Raises:
        SourceError: If the file is missing, unreadable, of another type, empty, or otherwise not acceptable.
        ConfigurationError: If it is to be converted to another type than `file_type`, or cannot be as it is asked for.
    """
    where = local_path(path)
    kind = _kind_of(where, file_type, options)
    async with await SourceFile.open(where) as file:
        source = await _open(file, kind, options)
        try:
            yield source
        finally:
            await clean_up(source.close)


async def _open(file: SourceFile, kind: str, options: UploadOptions) -> Source:
    # Each format brings libraries of its own, which only its users should pay for, and no event loop.
    await imported(*_LIBRARIES[kind])
    if kind == "parquet":
        from .parquet import ParquetSource

        return await ParquetSource.open(file, options)
    if kind == "csv":
        from .csv import CsvSource

        return await CsvSource.open(file, options)
    from .convert import ConvertSource

    return await ConvertSource.open(file, options)


def file_type_of_path(path: str | os.PathLike[str]) -> str | None:
    """Return the file type that the ending of a file's name stands for; None where it stands for none.

    Example:
        >>> file_type_of_path("~/Orders.CSV.gz"), file_type_of_path("users.txt")
        ('csv', None)
    """
    name = local_path(path).name.lower()
    return next((kind for kind, endings in ENDINGS.items() if name.endswith(endings)), None)


def _kind_of(path: Path, file_type: str, options: UploadOptions) -> str:
    """Return what a file is treated as: as one of its file type, or as one to be converted.

    A name whose ending stands for no file type does not matter: the type is given, and the content is checked.
    """
    if options.convert not in (None, file_type):
        raise ConfigurationError(
            f"UploadOptions(convert={options.convert!r}) is for a {options.convert} connector; this one holds "
            f"{file_type} tables.",
            path=str(path),
        )
    ending = file_type_of_path(path)
    if options.convert == "parquet" and ending != "parquet":
        return "converted"
    if ending not in (None, file_type):
        remedy = f'use FileUploadConnector(file_type="{ending}") for it'
        remedy += ", or pass options=UploadOptions(convert='parquet')" if ending == "csv" else ""
        raise SourceError(f"{path} cannot be uploaded through a {file_type} connector: {remedy}.", path=str(path))
    return file_type
