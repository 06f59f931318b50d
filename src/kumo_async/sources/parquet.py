"""Parquet files: cut between row groups, with a new footer behind each partition; no page is decoded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager

from anyio import to_thread

from ..errors import SourceError
from ..formats.identify import identify
from ..formats.parquet import (
    ENCRYPTED_MAGIC,
    MAGIC,
    Footer,
    ParquetError,
    partition_footer,
    plan_row_groups,
    tail_length,
    verify_footer,
    whole_footer,
)
from .files import FileRange, Partition, SourceFile
from .names import ColumnNames, accept_names

__all__ = ["ParquetSource"]

_TAIL = 8


class ParquetSource:
    """A Parquet file whose footer was read and found sound."""

    def __init__(self, file: SourceFile, footer: Footer, names: ColumnNames) -> None:
        self.file = file
        self.columns = names.new
        self.renamed: Mapping[str, str] = names.renamed
        self.rows: int | None = footer.num_rows
        self.warnings = names.warnings
        self._footer = footer
        self._new_names = names.new if names.changed else None

    @classmethod
    async def open(cls, file: SourceFile) -> ParquetSource:
        """Read the footer.

        Raises:
            SourceError: If the file is not a sound Parquet file with columns and rows.
        """
        await _check_magic(file)
        with _refusing(file.path):
            tail = min(_TAIL, file.size)
            length = tail_length(await file.read(file.size - tail, tail), file.size)
        start = file.size - _TAIL - length
        return await to_thread.run_sync(_look, file, await file.read(start, length), start)

    async def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Plan partitions from the footer alone; see `Source`."""
        if size is None:
            yield await to_thread.run_sync(self._whole)
            return
        for row_groups in await to_thread.run_sync(self._plan, size):
            yield await to_thread.run_sync(self._cut, row_groups)

    def _whole(self) -> Partition:
        """Return the file as one object: as it is, or with a new footer where names change."""
        if self._new_names is None:
            return Partition((FileRange(self.file, 0, self.file.size),), self._footer.num_rows)
        with _refusing(self.file.path):
            footer = whole_footer(self._footer, self._new_names)
            verify_footer(footer, self._footer.num_rows, self.columns)
        return Partition((FileRange(self.file, 0, self._footer.data_end), footer), self._footer.num_rows)

    def _plan(self, size: int) -> list[range]:
        with _refusing(self.file.path):
            return plan_row_groups(self._footer, size, self._new_names)

    def _cut(self, row_groups: range) -> Partition:
        with _refusing(self.file.path):
            layout = partition_footer(self._footer, row_groups, self._new_names)
            verify_footer(layout.footer, layout.num_rows, self.columns)
        body = (FileRange(self.file, start, end - start) for start, end in layout.ranges)
        return Partition((MAGIC, *body, layout.footer), layout.num_rows)


async def _check_magic(file: SourceFile) -> None:
    head = await file.read(0, min(file.size, 512))
    if not head:
        raise SourceError(f"{file.path} is empty; a table needs columns and at least one row.", path=file.path)
    if head.startswith(MAGIC):
        return
    kind = identify(head)
    if head.startswith(ENCRYPTED_MAGIC):
        advice = "it is encrypted Parquet. Decrypt it first"
    else:
        advice = f"it is {kind or 'some other text or data'}. Convert it, or give it its right name"
    raise SourceError(f"{file.path} is not a Parquet file that can be uploaded: {advice}.", path=file.path)


def _look(file: SourceFile, data: bytes, start: int) -> ParquetSource:
    with _refusing(file.path):
        footer = Footer.parse(data, start)
    names = accept_names(file.path, footer.columns)
    if footer.num_rows == 0:
        raise SourceError(f"{file.path} has no rows; a table needs at least one.", path=file.path)
    return ParquetSource(file, footer, names)


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """Turn what the format's own code finds wrong into an error of the source."""
    try:
        yield
    except ParquetError as error:
        raise SourceError(f"{path} cannot be uploaded as Parquet. {error}", path=path) from error
