"""The beginning of a CSV file: its dialect, its header, and what the header becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePath

from ..errors import SourceError
from ..formats.csv_dialect import (
    CsvDialect,
    HeaderError,
    find_first_record,
    read_header,
    skipped,
    write_header,
)
from ..formats.csv_header import data_row_doubts, header_doubts, other_delimiter, why_no_header
from ..formats.csv_preview import FirstRecord as Sampled
from ..formats.csv_preview import first_records, first_rows
from ..formats.csv_sniff import Sniffed, sniff
from ..formats.csv_tidy import Tidy
from ..formats.identify import MARKUP, FileKind, identify, tell
from ..options import CsvOptions, UploadOptions
from ..shield import clean_up, in_thread
from .csv_content import COMPRESSIONS, FIRST_BLOCK, Content, open_content
from .files import SourceFile
from .names import ColumnNames, accept_names

__all__ = ["SAMPLE", "Beginning", "begin", "describe", "fill", "hinting", "rows_behind"]

#: Rows of a plan's sample.
SAMPLE = 5
_OPTIONS = re.compile(r"csv=CsvOptions\(([^()]+)\)")
#: How much is looked at for a delimiter that is never detected, in bytes.
_LINES = 1 << 16


@dataclass(frozen=True)
class Beginning:
    """What stands before the records of a file, and what will stand before those of each partition.

    Attributes:
        dialect: How the text separates and quotes its fields.
        names: What its columns are called.
        data_start: The offset in bytes of the first record behind the header.
        header: The header of each partition.
        warnings: What the user should know.
        hints: Those of them that say that the dialect may be another one.
        tidy: What is changed in the records; None where nothing is.
    """

    dialect: CsvDialect
    names: ColumnNames
    data_start: int
    header: bytes
    warnings: tuple[str, ...]
    hints: tuple[str, ...] = ()
    tidy: Tidy | None = None


async def begin(file: SourceFile, options: UploadOptions) -> tuple[Content, Beginning]:
    """Open the text of a file and look at its first block.

    Where the options change its records, their text is what is returned, and begins with the first of them.

    Raises:
        SourceError: If it is not CSV text with a header and at least two columns.
    """
    content = await in_thread(open_content, file, options)
    try:
        await fill(content, FIRST_BLOCK)
        beginning = await in_thread(_look, file.path, content, options.csv)
        if beginning.tidy is None:
            return content, beginning
    except BaseException:
        await clean_up(content.close)
        raise
    await clean_up(content.close)
    changed = replace(beginning, dialect=beginning.tidy.result, data_start=0)
    content = await in_thread(open_content, file, options, beginning.tidy)
    try:
        await fill(content, FIRST_BLOCK)
    except BaseException:
        await clean_up(content.close)
        raise
    return content, changed


async def fill(content: Content, least: int) -> None:
    """Have the first bytes of a text produced, as `Content.fill` does, in visits of bounded length."""
    while not await in_thread(content.fill, least):
        pass


def rows_behind(content: Content, beginning: Beginning) -> list[list[str]]:
    """Return the first rows behind the header; for worker threads."""
    block = content.read(beginning.data_start)
    return first_rows(block, beginning.dialect, content.ended and beginning.data_start + len(block) == content.size)


@contextmanager
def hinting(beginning: Beginning) -> Iterator[None]:
    """Add to a refusal what may be the reason by the beginning of the file, unless it names that itself."""
    try:
        yield
    except SourceError as error:
        said = str(error)
        hints = [hint for hint in beginning.hints if not set(_OPTIONS.findall(hint)) & set(_OPTIONS.findall(said))]
        if not hints or type(error) is not SourceError:
            raise
        raise SourceError(" ".join([said, *hints]), path=error.path) from error


def _look(path: str, content: Content, options: CsvOptions) -> Beginning:
    first = content.read(0)
    complete = content.ended and len(first) == content.size
    if not first:
        raise SourceError(f"{path} is empty; a table needs a header and at least one row.", path=path)
    kind = identify(first)
    # The header's own check says what to do about UTF-16 and UTF-32.
    harmless = (None, FileKind.UTF16, FileKind.UTF32, *(() if options.header else MARKUP))
    if kind not in harmless:
        raise SourceError(f"{path} is not a CSV file: {tell(first)}", path=path)
    hints: tuple[str, ...] = ()
    try:
        sniffed = _sniff(first, complete, options)
        hints = sniffed.warnings
        return _Look(path, first, complete, options, sniffed).beginning()
    except HeaderError as error:
        what = "header" if options.header else "first record"
        raise SourceError(" ".join([f"The {what} of {path} cannot be read: {error}.", *hints]), path=path) from error


def _sniff(first: bytes, complete: bool, options: CsvOptions) -> Sniffed:
    return sniff(
        _uncommented(first[skipped(first, options.skip_rows) :], options),
        complete,
        delimiter=_byte(options.delimiter),
        quote=None if options.quote is None else options.quote.encode(),
        escape=None if options.escape is None else options.escape.encode(),
        skip_initial_space=options.skip_initial_space,
    )


def _uncommented(text: bytes, options: CsvOptions) -> bytes:
    """Return a text with blank lines for comments; good enough for a look at it."""
    if options.comment is None:
        return text
    return re.sub(rb"(?:\A|(?<=[\r\n]))%b[^\r\n]*" % re.escape(options.comment.encode()), b"", text)


class _Look:
    """A look at the first block of a text."""

    def __init__(self, path: str, first: bytes, complete: bool, options: CsvOptions, sniffed: Sniffed) -> None:
        self._path = path
        self._first = first
        self._complete = complete
        self._options = options
        self._comment = _byte(options.comment)
        self._dialect, self._hints = sniffed
        self._record = find_first_record(
            first, self._dialect, complete, skip_rows=options.skip_rows, comment=self._comment
        )
        self._records = self._sample()

    def beginning(self) -> Beginning:
        """Return what the block tells.

        Raises:
            SourceError: If it has no header of two columns that its records agree with.
            HeaderError: If the header cannot be read or written.
        """
        self._check()
        options, record = self._options, self._record
        names = self._names()
        warnings = (*self._hints, *self._doubts(), *names.warnings)
        tidy = self._tidy(len(names.old))
        plain = self._dialect if tidy is None else tidy.result
        kept = options.header and not names.changed and record.terminator and not self._dialect.skip_initial_space
        if kept and options.column_names is None:
            header = self._first[record.start : record.end]
        else:
            header = write_header(names.new, plain, record.terminator or b"\n")
        return Beginning(self._dialect, names, self._start, header, warnings, self._hints, tidy)

    @property
    def _start(self) -> int:
        return self._record.end if self._options.header else self._record.start

    def _sample(self) -> list[Sampled]:
        start = self._record.start
        before = len(re.findall(rb"\r\n?|\n", self._first[:start]))
        records = first_records(_uncommented(self._first[start:], self._options), self._dialect, self._complete)
        return [record._replace(lines=record.lines + before) for record in records]

    def _check(self) -> None:
        """Refuse a file whose first record cannot be its header."""
        options = self._options
        # Where the dialect may be another one, the number of fields tells nothing of the header.
        if options.header and options.column_names is None and not self._hints:
            may_be_short = options.short_rows == "fill"
            if self._records and (why := why_no_header(self._records, may_be_short=may_be_short)):
                raise self._error(why)
        if self._record.fields < 2 and len(options.column_names or ()) < 2:
            raise self._error(self._one_column())

    def _one_column(self) -> str:
        given = self._options.delimiter
        which = "" if given is None else f" with the delimiter {given!r}"
        other = "something else than comma, semicolon, tab or |" if given is None else "another one"
        lines = (
            _uncommented(self._first[self._record.start :][:_LINES], self._options)
            .decode(errors="replace")
            .splitlines()
        )
        found = other_delimiter(lines if self._complete else lines[:-1])
        remedy = found or (
            f"If its columns are separated by {other}, pass csv=CsvOptions(delimiter=...); if other lines stand before "
            "its header, pass csv=CsvOptions(skip_rows=...)."
        )
        kind = "Kumo takes CSV tables of two columns or more"
        return f"it has a single column{which}, and {kind}. {remedy} Or upload Parquet."

    def _names(self) -> ColumnNames:
        options, record = self._options, self._record
        if options.header:
            header = read_header(
                self._first, self._dialect, self._complete, skip_rows=options.skip_rows, comment=self._comment
            )
            old = header.names
        else:
            old = tuple(options.column_names or (f"column_{number + 1}" for number in range(record.fields)))
        given = options.column_names
        if given is not None and len(given) != record.fields:
            if not self._fits(len(given)):
                raise self._error(
                    f"it has {record.fields:,} fields in its first record, and CsvOptions(column_names=...) names "
                    f"{len(given):,}."
                )
            # The header's own names belong to no columns.
            old = tuple(given)
        names = accept_names(self._path, given or old)
        return ColumnNames(old, names.new, names.warnings)

    def _fits(self, columns: int) -> bool:
        """Whether records have so many fields although the first one has not."""
        counts = [len(record.fields) for record in self._records]
        filled = self._options.short_rows == "fill"
        if not self._options.header:
            return filled and self._record.fields < columns
        return columns in counts[1:2] or (filled and columns >= max(counts, default=0))

    def _doubts(self) -> Iterator[str]:
        if self._options.header and self._records:
            if self._options.column_names is None:
                yield from header_doubts(self._records)
            yield from data_row_doubts(self._records[0].fields, [record.fields for record in self._records[1:]])

    def _tidy(self, columns: int) -> Tidy | None:
        filled = columns if self._options.short_rows == "fill" else None
        if self._comment is None and filled is None and not self._dialect.skip_initial_space:
            return None
        return Tidy(self._dialect, self._start, self._comment, filled)

    def _error(self, what: str) -> SourceError:
        text = " ".join([f"{self._path} cannot be read as a table: {what}", *self._hints])
        return SourceError(text, path=self._path)


def _byte(character: str | None) -> bytes | None:
    return None if character is None else character.encode()


def describe(path: str, dialect: CsvDialect, options: CsvOptions) -> str:
    """Say how a file is written, for plan and report."""
    compression = COMPRESSIONS.get(PurePath(path).suffix.lower())
    said = {
        f"delimiter {dialect.delimiter.decode()!r}": True,
        "no quote" if dialect.quote is None else f"quote {dialect.quote.decode()!r}": True,
        f"escape {(dialect.escape or b'').decode()!r}": dialect.escape is not None,
        "initial spaces skipped": options.skip_initial_space,
        f"comment {options.comment!r}": options.comment is not None,
        options.encoding or "utf-8": True,
        f"{options.skip_rows:,} line{'s' * (options.skip_rows != 1)} skipped": options.skip_rows > 0,
        "no header": not options.header,
        "short rows filled": options.short_rows == "fill",
        str(compression).removeprefix("a ").removeprefix("an ").removesuffix(" file"): compression is not None,
    }
    return ", ".join(words for words, holds in said.items() if holds)
