"""Parquet files: cut between row groups, with a new footer after each partition; decoded only where they must be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from ..errors import SourceError
from ..formats.identify import tell
from ..formats.parquet import (
    ENCRYPTED_MAGIC,
    MAGIC,
    Footer,
    ParquetError,
    PartitionLayout,
    partition_footer,
    tail_length,
    verify_footer,
    whole_footer,
)
from ..formats.parquet_int96 import int96_columns
from ..formats.parquet_rename import Renames
from ..formats.types import ColumnType
from ..options import UploadOptions
from ..shield import in_thread
from .accept import AcceptedTypes, accept_types, decide_types, metadata_warnings
from .check import PageCheck
from .decode import ParquetPages
from .encode import UNIT_BYTES, Encoding, encoded_partitions
from .encoding import encoding_of, is_like_copied
from .files import FileRange, Partition, SourceFile
from .misfits import settle_types
from .names import ColumnNames, accept_names
from .page_indexes import read_page_indexes
from .page_units import page_units
from .spool import Spool
from .stretches import Stretch, is_mixed, plan_stretches
from .workers import Workers, processors

__all__ = ["ParquetSource"]

_TAIL = 8

_INT96_ROUNDED = (
    "Timestamps of 96 bits (INT96) have microseconds, since the table had to be encoded again, and lose what is finer."
)


class Accepted(NamedTuple):
    """What becomes of a file's columns, and what the user should know of it."""

    names: ColumnNames
    types: AcceptedTypes
    renames: Renames
    warnings: tuple[str, ...]


class ParquetSource:
    """A Parquet file whose footer was read and found sound, and whose columns Kumo takes in one form or another."""

    dialect: str | None = None
    types: Mapping[str, str] = MappingProxyType({})
    type_reasons: Mapping[str, str] = MappingProxyType({})
    sample: tuple[tuple[str, ...], ...] = ()

    def __init__(self, file: SourceFile, footer: Footer, accepted: Accepted, options: UploadOptions) -> None:
        names, types = accepted.names, accepted.types
        self.file = file
        self.columns = names.new
        self.renamed: Mapping[str, str] = names.renamed
        self.rows: int | None = footer.num_rows
        self.warnings: tuple[str, ...] = accepted.warnings
        self.size = file.size
        self._footer = types.footer
        self._casts = types.casts
        self._rewritten = footer.corrected or types.footer is not footer
        self._types = types.columns
        self._renames = accepted.renames
        self._renamed = names.changed
        self._options = options
        self._spool = Spool(options.spool_dir, UNIT_BYTES)

    @classmethod
    async def open(cls, file: SourceFile, options: UploadOptions) -> ParquetSource:
        """Read the footer, and of columns of uint64 the values where the footer does not tell that they fit.

        Raises:
            SourceError: If the file is not a sound Parquet file with columns that Kumo takes, and rows.
        """
        await _check_magic(file)
        with _refusing(file.path):
            tail = min(_TAIL, file.size)
            length = tail_length(await file.read(file.size - tail, tail), file.size)
            start = file.size - _TAIL - length
            data = await file.read(start, length)
            footer, columns = await in_thread(_look, file, data, start, options)
            columns = await settle_types(file, footer, columns, options)
            accepted = await in_thread(_accept, file.path, footer, columns)
        return cls(file, footer, accepted, options)

    async def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Plan partitions from the footer alone, except where content has to change; see `Source` and `encode`."""
        stretches = await in_thread(self._plan, size)
        if int96_columns(self._footer) and all(stretch.encoded for stretch in stretches):
            self.warnings += (_INT96_ROUNDED,)
        encoders = max(1, min(processors(), self._options.max_concurrent_partitions))
        async with Workers(encoders) as checkers, Workers(encoders) as workers:
            copied = [stretch.groups for stretch in stretches if not stretch.encoded]
            check = PageCheck(checkers, await in_thread(self._pages) if self._checks(copied) else None, copied)
            for stretch in stretches:
                async with aclosing(self._of_stretch(stretch, stretches, size, workers)) as partitions:
                    async for partition in partitions:
                        check.raise_found()
                        yield partition
            await check.finished()

    def close(self) -> None:
        """Close all spool files, sent or not."""
        self._spool.close()

    def _checks(self, copied: list[range]) -> bool:
        return bool(copied) and self._options.validate == "full"

    def _pages(self) -> ParquetPages:
        with _refusing(self.file.path):
            return ParquetPages(self.file, self._footer, self.columns, self._renames)

    def _plan(self, size: int | None) -> list[Stretch]:
        with _refusing(self.file.path):
            stretches = plan_stretches(self._footer, size, self._renames, casts=self._casts)
            if is_mixed(stretches) and not is_like_copied(self._encoding(like_copied=True)[0]):
                stretches = [Stretch(range(len(self._footer.row_groups)), encoded=True)]
        return stretches

    async def _of_stretch(
        self, stretch: Stretch, stretches: list[Stretch], size: int | None, workers: Workers
    ) -> AsyncGenerator[Partition, None]:
        if not stretch.encoded:
            yield await in_thread(self._whole if size is None else partial(self._cut, stretch.groups, size))
            return
        like_copied = is_mixed(stretches)
        encoding, pages = await in_thread(partial(self._encoding, like_copied=like_copied))
        groups = [group for group in stretch.groups if self._footer.row_groups[group].num_rows]
        # Two encoders and one reader keep two processors busy; more of them would wait for a reader with one thread.
        threads = workers.count > 2
        full = self._options.validate == "full"
        int96 = [] if like_copied else [self.columns[column] for column in int96_columns(self._footer)]
        units = partial(page_units, pages=pages, groups=groups, int96=int96, full=full, threads=threads)
        async with aclosing(encoded_partitions(encoding, units, size, workers)) as partitions:
            async for partition in partitions:
                yield partition

    def _encoding(self, *, like_copied: bool) -> tuple[Encoding, ParquetPages]:
        with _refusing(self.file.path):
            return encoding_of(self.file, self._footer, self._types, self.columns, self._spool, like_copied=like_copied)

    def _whole(self) -> Partition:
        """Return the file as one object: as it is, or with a new footer where names or types change."""
        if not self._renamed and not self._rewritten:
            return Partition((FileRange(self.file, 0, self.file.size),), self._footer.num_rows)
        with _refusing(self.file.path):
            footer = whole_footer(self._footer, self._renames)
            verify_footer(footer, self._footer.num_rows, self.columns)
        return Partition((FileRange(self.file, 0, self._footer.data_end), footer), self._footer.num_rows)

    def _cut(self, row_groups: range, size: int) -> Partition:
        with _refusing(self.file.path):
            layout = self._layout(row_groups, size)
            verify_footer(layout.footer, layout.num_rows, self.columns)
        body = (FileRange(self.file, start, end - start) for start, end in layout.ranges)
        made = [layout.offset_indexes] if layout.offset_indexes else []
        return Partition((MAGIC, *body, *made, layout.footer), layout.num_rows)

    def _layout(self, row_groups: range, size: int) -> PartitionLayout:
        if indexes := read_page_indexes(self.file, self._footer, row_groups):
            layout = partition_footer(self._footer, row_groups, self._renames, indexes)
            # A row group that fills a partition alone may leave them no place.
            if layout.size <= size:
                return layout
        return partition_footer(self._footer, row_groups, self._renames)


async def _check_magic(file: SourceFile) -> None:
    head = await file.read(0, min(file.size, 512))
    if not head:
        raise SourceError(f"{file.path} is empty; a table needs columns and at least one row.", path=file.path)
    if head.startswith(MAGIC):
        return
    if head.startswith(ENCRYPTED_MAGIC):
        advice = "it is encrypted Parquet. Decrypt it first."
    else:
        advice = tell(head, await file.read(max(file.size - 8, 0), min(file.size, 8)))
    raise SourceError(f"{file.path} is not a Parquet file that can be uploaded: {advice}", path=file.path)


def _look(file: SourceFile, data: bytes, start: int, options: UploadOptions) -> tuple[Footer, list[ColumnType]]:
    footer = Footer.parse(data, start)
    if footer.columns and not footer.num_rows:
        raise file.without_rows()
    return footer, decide_types(footer, options)


def _accept(path: str, footer: Footer, columns: list[ColumnType]) -> Accepted:
    names, types = accept_names(path, footer.columns), accept_types(path, footer, columns)
    renames = Renames.of(types.footer, names.new)
    warnings = (*names.warnings, *types.warnings, *metadata_warnings(types, renames))
    return Accepted(names, types, renames, warnings)


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """Turn what the format's own code finds wrong into an error of the source."""
    try:
        yield
    except ParquetError as error:
        raise SourceError(f"{path} cannot be uploaded as Parquet. {error}", path=path) from error
