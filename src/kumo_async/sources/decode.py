"""Rows of a Parquet file that is already open, decoded by pyarrow in worker threads.

pyarrow is given the descriptor that was opened once, never the path, and the footer that was checked and adapted: so
batches come with the names and types that the footer's relabelling gave them. Nothing is mapped into memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ..errors import KumoError, SourceError
from ..formats.arrow_errors import arrow_errors
from ..formats.parquet import MAGIC, Footer, whole_footer
from ..formats.parquet_rename import Renames
from .file_handle import FileHandle
from .files import SourceFile
from .page_bounds import PageBounds

__all__ = ["ParquetPages"]

#: What the read buffers of all columns may have together, in bytes, and the bounds for one of them.
_BUFFERS = 32 * 1024 * 1024
_LEAST_BUFFER, _MOST_BUFFER = 8 * 1024, 1024 * 1024


class ParquetPages:
    """The pages of one file, read through a footer that was adapted for it.

    Args:
        file: The open file.
        footer: The footer, adapted for it.
        names: The names that its columns get.
        renames: What was worked out of these names for this footer, if it was.

    Raises:
        SourceError: If pyarrow cannot read the footer.
    """

    def __init__(self, file: SourceFile, footer: Footer, names: Sequence[str], renames: Renames | None = None) -> None:
        import pyarrow.parquet as pq

        self.file = file
        renamed = whole_footer(footer, names if renames is None else renames)
        self._bounds = PageBounds(file, footer, names, renamed)
        try:
            self.metadata: Any = pq.read_metadata(io.BytesIO(MAGIC + renamed))
            self.schema: Any = self.open().schema_arrow
        except arrow_errors() as error:
            raise SourceError(
                f"{file.path}: its footer cannot be read ({_first_line(error)}).", path=file.path
            ) from error

    def open(self, *, checksums: bool = False) -> Any:
        """Return a `pyarrow.parquet.ParquetFile` for one thread. It holds no descriptor of its own.

        Args:
            checksums: Whether pages are compared with their checksums.
        """
        import pyarrow.parquet as pq

        each = _BUFFERS // max(1, self.metadata.num_columns)
        return pq.ParquetFile(
            FileHandle(self.file),
            metadata=self.metadata,
            # Without a buffer pyarrow would read whole columns of a row group at once, however large it is.
            buffer_size=max(_LEAST_BUFFER, min(_MOST_BUFFER, each)),
            pre_buffer=False,
            # As nanoseconds, the year 9999 would silently wrap around.
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=checksums,
        )

    def batches(
        self,
        reader: Any,
        group: int,
        *,
        full: bool = False,
        threads: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Any]:
        """Decode one row group batch by batch; for worker threads only.

        Args:
            reader: What `open` returned, in the same thread.
            group: Position of the row group.
            full: Whether texts and lists are checked beyond what decoding them does.
            threads: Whether columns are decoded side by side.
            columns: Names of the columns to decode; None for all.

        Raises:
            SourceError: If a page cannot be decoded; names row group and column, and no value.
            SourceChangedError: If the file became shorter.
        """
        with self._damaged(group, full):
            names = None if columns is None else list(columns)
            yield from self._batches(reader, group, full, threads, names, self._bounds.rows_at_a_time(group, names))

    def column_batches(
        self, reader: Any, group: int, *, full: bool = False, columns: Sequence[str] | None = None
    ) -> Iterator[Any]:
        """Decode columns of one row group that need not come side by side; for worker threads only.

        Args:
            reader: What `open` returned, in the same thread.
            group: Position of the row group.
            full: Whether texts and lists are checked beyond what decoding them does.
            columns: Names of the columns to decode; None for all.

        Returns:
            All rows of some columns, then those of the next ones, as many as memory is allowed for.

        Raises:
            SourceError: If a page cannot be decoded; names row group and column, and no value.
            SourceChangedError: If the file became shorter.
        """
        with self._damaged(group, full):
            for names, rows in self._bounds.columns_at_a_time(group, columns):
                yield from self._batches(reader, group, full, False, names, rows)

    def check(self, group: int) -> None:
        """Decode a row group in full, and compare its pages with their checksums where it has any.

        Raises:
            SourceError: If a page is damaged.
        """
        for _ in self.column_batches(self.open(checksums=True), group, full=True):
            pass

    @contextmanager
    def _damaged(self, group: int, full: bool) -> Iterator[None]:
        """Say which column of a row group cannot be decoded."""
        try:
            yield
        except KumoError:
            raise
        except arrow_errors() as error:
            where = self._blame(group, full)
            raise SourceError(
                f"{self.file.path} is damaged: {where} cannot be decoded ({_first_line(error)}). Write the file again.",
                path=self.file.path,
            ) from error

    def _batches(
        self, reader: Any, group: int, full: bool, threads: bool, names: list[str] | None, most: int
    ) -> Iterator[Any]:
        rows = 0
        read = reader.iter_batches(most, row_groups=[group], columns=names, use_threads=threads)
        with closing(read) as batches:
            for batch in batches:
                self._bounds.refuse_row(batch, group)
                if full:
                    _validate(batch)
                rows += batch.num_rows
                yield _without_extensions(batch)
        if rows != self.metadata.row_group(group).num_rows:
            raise ValueError("it has another number of rows than the footer says")

    def _blame(self, group: int, full: bool) -> str:
        """Find out which column cannot be decoded, the first of them, by halves."""
        columns = list(self.schema.names)
        while len(columns) > 1:
            first = columns[: len(columns) // 2]
            columns = columns[len(first) :] if self._decodes(group, full, first) else first
        decodes = self._decodes(group, full, columns)
        return f"row group {group}" if decodes else f"column {columns[0]!r} of row group {group}"

    def _decodes(self, group: int, full: bool, columns: list[str]) -> bool:
        reader = self.open(checksums=full)
        try:
            for names, rows in self._bounds.columns_at_a_time(group, columns):
                for _ in self._batches(reader, group, full, False, names, rows):
                    pass
        except KumoError:
            raise
        except arrow_errors():
            return False
        return True


def _validate(batch: Any) -> None:
    try:
        batch.validate(full=True)
    except arrow_errors() as error:
        found = "text that is not UTF-8" if "UTF8" in str(error) else "a value that its type does not allow"
    else:
        return
    # Raised out here, since what pyarrow raises may have the value in it, as of a decimal with too many digits.
    raise ValueError(f"it has {found}")


def _without_extensions(batch: Any) -> Any:
    import pyarrow as pa

    if not any(isinstance(field.type, pa.BaseExtensionType) for field in batch.schema):
        return batch
    columns = [c.storage if isinstance(c, pa.ExtensionArray) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
