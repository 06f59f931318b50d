"""Rows of a Parquet file that is already open, decoded by pyarrow in worker threads.

pyarrow is given the descriptor that was opened once, never the path, and the footer that was checked and adapted: so
batches come with the names and types that the footer's relabelling gave them. Nothing is mapped into memory.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ..errors import KumoError, SourceError
from ..formats.arrow_errors import arrow_errors
from ..formats.parquet import MAGIC, Footer
from ..formats.parquet_metas import column_metas
from .files import SourceFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["BATCH_BYTES", "ParquetPages", "uint64_to_check"]

#: What a batch of rows may have decoded, in bytes, by what the footer tells of their size and what the first ones have;
#: at least one row.
BATCH_BYTES = 8 * 1024 * 1024
_MOST_ROWS = 32 * 1024

#: Rows that are decoded first of a row group whose values may be larger than its footer tells.
_FIRST_ROWS = 32

#: What the read buffers of all columns may have together, in bytes, and the bounds for one of them.
_BUFFERS = 32 * 1024 * 1024
_LEAST_BUFFER, _MOST_BUFFER = 8 * 1024, 1024 * 1024

_MAX_INT64 = 2**63 - 1


class _Handle(io.RawIOBase):
    """A position in an open file, as pyarrow wants one to read from."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._file.size - self._position)
        size = left if size < 0 else min(size, left)
        pieces = []
        while size:
            piece = self._file.read_blocking(self._position, size)
            if not piece:
                raise self._file.changed("is shorter than it was")
            pieces.append(piece)
            self._position += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class ParquetPages:
    """The pages of one file, read through a footer that was adapted for it.

    Args:
        file: The open file.
        footer: The adapted footer, with its length and the magic number behind it.

    Raises:
        SourceError: If pyarrow cannot read the footer.
    """

    def __init__(self, file: SourceFile, footer: bytes) -> None:
        import pyarrow.parquet as pq

        self.file = file
        try:
            self.metadata: Any = pq.read_metadata(io.BytesIO(MAGIC + footer))
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
            _Handle(self.file),
            metadata=self.metadata,
            # Without a buffer pyarrow would read whole columns of a row group at once, however large it is.
            buffer_size=max(_LEAST_BUFFER, min(_MOST_BUFFER, each)),
            pre_buffer=False,
            # As nanoseconds, the year 9999 would wrap around without a word.
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
        try:
            yield from self._batches(reader, group, full, threads, columns)
        except KumoError:
            raise
        except arrow_errors() as error:
            where = self._blame(group, full)
            raise SourceError(
                f"{self.file.path} is damaged: {where} cannot be decoded ({_first_line(error)}). Write the file anew.",
                path=self.file.path,
            ) from error

    def check(self, group: int) -> None:
        """Decode a row group in full, and compare its pages with their checksums where it has any.

        Raises:
            SourceError: If a page is damaged.
        """
        for _ in self.batches(self.open(checksums=True), group, full=True):
            pass

    def fits(self, group: int, column: str) -> bool:
        """Say whether all values of a column of uint64, or of lists of it, are values of int64, too."""
        import pyarrow.compute as pc

        for batch in self.batches(self.open(), group, columns=[column]):
            values = batch.column(0)
            while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
                values = values.flatten()
            most = pc.max(values).as_py()
            if most is not None and most > _MAX_INT64:
                return False
        return True

    def _batches(
        self, reader: Any, group: int, full: bool, threads: bool, columns: Sequence[str] | None
    ) -> Iterator[Any]:
        meta = self.metadata.row_group(group)

        def read(most: int) -> Any:
            names = None if columns is None else list(columns)
            return closing(reader.iter_batches(most, row_groups=[group], columns=names, use_threads=threads))

        rows = 0
        with read(_batch_rows(meta, read)) as batches:
            for batch in batches:
                if full:
                    _validate(batch)
                rows += batch.num_rows
                yield _without_extensions(batch)
        if rows != meta.num_rows:
            raise ValueError("it has another number of rows than the footer says")

    def _blame(self, group: int, full: bool) -> str:
        """Find out which column cannot be decoded, one after another."""
        for column in self.schema.names:
            try:
                for _ in self._batches(self.open(checksums=full), group, full, False, [column]):
                    pass
            except KumoError:
                raise
            except arrow_errors():
                return f"column {column!r} of row group {group}"
        return f"row group {group}"


def _validate(batch: Any) -> None:
    try:
        batch.validate(full=True)
    except arrow_errors() as error:
        found = "text that is not UTF-8" if "UTF8" in str(error) else "a value that its type does not allow"
    else:
        return
    # Raised out here, since what pyarrow raises may have the value in it, as of a decimal with too many digits.
    raise ValueError(f"it has {found}")


def _batch_rows(meta: Any, read: Callable[[int], Any]) -> int:
    """Say how many rows to decode at a time."""
    size, total = int(meta.total_byte_size), int(meta.num_rows)
    rows = min(_rows_of(size / max(1, total)), total)
    # A large value that repeats is stored once, in a dictionary, and decoded as often as it is there.
    if rows <= _FIRST_ROWS or rows * size <= BATCH_BYTES:
        return max(1, rows)
    with read(_FIRST_ROWS) as batches:
        first = next(batches, None)
    return rows if first is None or not first.num_rows else min(rows, _rows_of(first.nbytes / first.num_rows))


def _rows_of(width: float) -> int:
    return max(1, min(_MOST_ROWS, int(BATCH_BYTES / max(1.0, width))))


def _without_extensions(batch: Any) -> Any:
    import pyarrow as pa

    if not any(isinstance(field.type, pa.BaseExtensionType) for field in batch.schema):
        return batch
    columns = [c.storage if isinstance(c, pa.ExtensionArray) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def uint64_to_check(footer: Footer, leaves: Sequence[int], *, proofs: bool) -> Iterator[tuple[int, int]]:
    """Give the row groups and leaves of uint64 whose statistics do not prove that all values fit into an int64.

    Args:
        footer: The file's footer.
        leaves: Their positions among the leaves of all columns; a struct has several.
        proofs: Whether statistics are believed.

    Raises:
        ParquetError: If the footer is damaged there.
    """
    for number, group in enumerate(footer.row_groups):
        if group.num_rows:
            metas = column_metas(footer, number)
            yield from ((number, leaf) for leaf in leaves if not (proofs and metas[leaf].proves_within(_MAX_INT64)))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
