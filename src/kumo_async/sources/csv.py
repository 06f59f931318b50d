"""CSV files: cut between records, with the header in front of each partition; no other byte is changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from anyio import to_thread

from ..errors import SourceError
from ..formats.csv_dialect import CsvDialect, HeaderError, detect, find_first_record, read_header, write_header
from ..formats.csv_preview import first_rows, seeming_types
from ..formats.identify import FileKind, identify
from ..formats.records import Cut, RecordCutter
from ..options import CsvOptions, UploadOptions
from .csv_content import COMPRESSIONS, FIRST_BLOCK, Content, open_content
from .csv_scan import Scan
from .files import Partition, SourceFile
from .names import ColumnNames, accept_names

__all__ = ["CsvSource"]

#: Rows of a plan's sample.
_SAMPLE = 5


@dataclass(frozen=True)
class _Beginning:
    """What stands before the records of a file, and what will stand before those of each partition."""

    dialect: CsvDialect
    names: ColumnNames
    data_start: int
    header: bytes


class CsvSource:
    """A CSV file whose header was read."""

    rows: int | None = None

    def __init__(
        self,
        file: SourceFile,
        options: UploadOptions,
        content: Content,
        beginning: _Beginning,
        rows: list[list[str]],
    ) -> None:
        self.file = file
        self.size = content.size
        self.dialect: str | None = _describe(file.path, beginning.dialect, options.csv)
        self.columns = beginning.names.new
        self.types: Mapping[str, str] = dict(zip(self.columns, seeming_types(rows, len(self.columns)), strict=True))
        self.sample = tuple(tuple(row) for row in rows[:_SAMPLE])
        self.renamed: Mapping[str, str] = beginning.names.renamed
        self.warnings = beginning.names.warnings
        self._content = content
        self._data_start = beginning.data_start
        self._header = beginning.header
        full = options.validate == "full"
        self._scan = Scan(content, file.path, beginning.dialect, self._data_start, len(beginning.names.old), full=full)

    @classmethod
    async def open(cls, file: SourceFile, options: UploadOptions) -> CsvSource:
        """Read the header; of a file that is decompressed or converted so much that it is clear whether it is cut.

        Raises:
            SourceError: If the file is not a CSV file with a header and at least two columns.
        """
        content = await to_thread.run_sync(open_content, file, options)
        try:
            await _fill(content, FIRST_BLOCK)
            beginning = await to_thread.run_sync(_look, file.path, content, options.csv)
            rows = await to_thread.run_sync(_first_rows, content, beginning)
            await _fill(content, options.partition_threshold + 1)
            return cls(file, options, content, beginning, rows)
        except BaseException:
            content.close()
            raise

    def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Scan the text for record ends and plan partitions as soon as they are certain; see `Source`."""
        return self._whole() if size is None else self._cut(size)

    async def _cut(self, size: int) -> AsyncGenerator[Partition, None]:
        cutter = RecordCutter(len(self._header), size, self._data_start)
        while not self._scan.finished:
            for cut in await to_thread.run_sync(self._scan.advance, cutter):
                yield self._partition(cut, cut.rows)

    async def _whole(self) -> AsyncGenerator[Partition, None]:
        """Plan one object, which may be sent from its first row on; the rest is scanned meanwhile."""
        scan = self._scan
        while not scan.finished and not scan.rows:
            await to_thread.run_sync(scan.advance)
        if not scan.rows:
            return
        partition = self._partition(
            Cut(self._data_start, self._content.size, scan.rows), scan.rows if scan.finished else None
        )
        yield partition
        while not scan.finished:
            await to_thread.run_sync(scan.advance)
        partition.counted(scan.rows)

    def close(self) -> None:
        """Free the temporary files."""
        self._content.close()

    def _partition(self, cut: Cut, rows: int | None) -> Partition:
        return Partition((self._header, *self._content.take(cut.start, cut.end)), rows)


async def _fill(content: Content, least: int) -> None:
    while not await to_thread.run_sync(content.fill, least):
        pass


def _look(path: str, content: Content, options: CsvOptions) -> _Beginning:
    first = content.read(0)
    complete = content.ended and len(first) == content.size
    if not first:
        raise SourceError(f"{path} is empty; a table needs a header and at least one row.", path=path)
    kind = identify(first)
    # The header's own check says what to do about these two.
    if kind not in (None, FileKind.UTF16, FileKind.UTF32):
        raise SourceError(f"{path} is not a CSV file: it is {kind}. Convert it, or give it its right name.", path=path)
    try:
        beginning = _begin(path, first, complete, options)
    except HeaderError as error:
        what = "header" if options.header else "first record"
        raise SourceError(f"The {what} of {path} cannot be read: {error}.", path=path) from error
    if len(beginning.names.old) < 2:
        raise SourceError(
            f"{path} has a single column, and Kumo takes CSV tables of two columns or more. If its columns are "
            f"separated by something else than comma, semicolon, tab or |, pass csv=CsvOptions(delimiter=...); or "
            f"upload Parquet.",
            path=path,
        )
    return beginning


def _first_rows(content: Content, beginning: _Beginning) -> list[list[str]]:
    block = content.read(beginning.data_start)
    return first_rows(block, beginning.dialect, content.ended and beginning.data_start + len(block) == content.size)


def _begin(path: str, first: bytes, complete: bool, options: CsvOptions) -> _Beginning:
    quote = None if options.quote is None else options.quote.encode()
    dialect = detect(first, complete, delimiter=_byte(options.delimiter), quote=quote, escape=_byte(options.escape))
    record = find_first_record(first, dialect, complete)
    terminator = record.terminator or b"\n"
    old = read_header(first, dialect, complete).names if options.header else tuple(options.column_names or ())
    names = accept_names(path, options.column_names or old)
    if not len(names.new) == len(old) == record.fields:
        raise SourceError(
            f"{path} has {record.fields:,} fields in its first record, and CsvOptions(column_names=...) names "
            f"{len(names.new):,} columns.",
            path=path,
        )
    names = ColumnNames(old, names.new, names.warnings)
    if options.header and not names.changed and record.terminator:
        return _Beginning(dialect, names, record.end, first[record.start : record.end])
    start = record.end if options.header else record.start
    return _Beginning(dialect, names, start, write_header(names.new, dialect, terminator))


def _byte(character: str | None) -> bytes | None:
    return None if character is None else character.encode()


def _describe(path: str, dialect: CsvDialect, options: CsvOptions) -> str:
    quote = "no quote" if dialect.quote is None else f"quote {dialect.quote.decode()!r}"
    escape = [] if dialect.escape is None else [f"escape {dialect.escape.decode()!r}"]
    header = [] if options.header else ["no header"]
    compression = COMPRESSIONS.get(PurePath(path).suffix.lower())
    packed = [] if compression is None else [compression.removeprefix("a ").removeprefix("an ").removesuffix(" file")]
    return ", ".join(
        [f"delimiter {dialect.delimiter.decode()!r}", quote, *escape, options.encoding or "utf-8", *header, *packed]
    )
