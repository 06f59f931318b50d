"""CSV files: cut between records, with the header in front of each partition; no other byte is changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from anyio import to_thread

from ..errors import SourceError
from ..formats.csv_dialect import CsvDialect, Header, HeaderError, detect, read_header, write_header
from ..formats.identify import identify
from ..formats.records import Cut, RecordCutter, RecordError, RecordScanner
from .files import FileRange, Partition, Segment, SourceFile
from .names import ColumnNames, accept_names

__all__ = ["CsvSource"]

#: How much of the file is looked at to learn its dialect and header, in bytes. A longer header is refused.
FIRST_BLOCK = 1024 * 1024

#: How much is scanned in one visit to a worker thread, in bytes: so long is a cancellation kept waiting.
_STRIDE = 16 * 1024 * 1024


#: A target that no file reaches.
_UNCUT = 2**62


class CsvSource:
    """A CSV file whose header was read."""

    rows: int | None = None

    def __init__(self, file: SourceFile, dialect: CsvDialect, header: Header, names: ColumnNames, first: bytes) -> None:
        self.file = file
        self.size = file.size
        self.dialect = dialect
        self.columns = names.new
        self.renamed: Mapping[str, str] = names.renamed
        self.warnings = names.warnings
        self._data_start = header.end
        self._header = (
            write_header(names.new, dialect, header.terminator) if names.changed else first[header.start : header.end]
        )

    @classmethod
    async def open(cls, file: SourceFile) -> CsvSource:
        """Read the header.

        Raises:
            SourceError: If the file is not a CSV file with a header and at least two columns.
        """
        first = await file.read(0, min(file.size, FIRST_BLOCK))
        return await to_thread.run_sync(_look, file, first)

    async def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Scan the file for record ends and plan partitions as soon as they are certain; see `Source`."""
        cutter = RecordCutter(len(self._header), _UNCUT if size is None else size, self._data_start)
        scan = _Scan(self.file, RecordScanner(self.dialect, self._data_start), cutter)
        while not scan.finished:
            for cut in await to_thread.run_sync(scan.advance):
                yield self._partition(cut)

    def close(self) -> None:
        """Do nothing: nothing is held but the file."""

    def _partition(self, cut: Cut) -> Partition:
        body: Segment = FileRange(self.file, cut.start, cut.end - cut.start)
        return Partition((self._header, body), cut.rows)


def _look(file: SourceFile, first: bytes) -> CsvSource:
    path, complete = file.path, len(first) == file.size
    if not first:
        raise SourceError(f"{path} is empty; a table needs a header and at least one row.", path=path)
    if kind := identify(first):
        raise SourceError(f"{path} is not a CSV file: it is {kind}. Convert it, or give it its right name.", path=path)
    try:
        dialect = detect(first, complete)
        header = read_header(first, dialect, complete)
    except HeaderError as error:
        raise SourceError(f"The header of {path} cannot be read: {error}.", path=path) from error
    names = accept_names(path, header.names)
    if len(header.names) < 2:
        raise SourceError(
            f"{path} has a single column, and Kumo takes CSV tables of two columns or more. If its columns are "
            f"separated by something else than comma, semicolon, tab or |, write it with commas; or upload Parquet.",
            path=path,
        )
    return CsvSource(file, dialect, header, names, first)


class _Scan:
    """The one pass over the file that finds its partitions, some megabytes at a time, in worker threads."""

    def __init__(self, file: SourceFile, scanner: RecordScanner, cutter: RecordCutter) -> None:
        self.finished = False
        self._file = file
        self._scanner = scanner
        self._cutter = cutter

    def advance(self) -> list[Cut]:
        """Scan on until partitions are certain, the file ends, or a worker thread was kept for long enough."""
        cuts: list[Cut] = []
        for _ in range(0, _STRIDE, FIRST_BLOCK):
            left = self._file.size - self._scanner.offset
            block = self._file.read_blocking(self._scanner.offset, min(FIRST_BLOCK, left)) if left else b""
            if not block:
                return self._finish(left)
            if cuts := self._cutter.feed(self._scanner.feed(block)):
                break
        return cuts

    def _finish(self, left: int) -> list[Cut]:
        if left:
            raise self._file.changed("is shorter than it was")
        self.finished = True
        try:
            return [*self._cutter.feed(self._scanner.finish()), *self._cutter.finish()]
        except RecordError as error:
            raise SourceError(
                f"{self._file.path}: {error}. Close the quote, or double it where it is meant literally.",
                path=self._file.path,
            ) from error
