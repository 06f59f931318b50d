"""The beginning of a CSV file: its dialect, its header, and what the header becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from ..errors import SourceError
from ..formats.csv_detect import detect
from ..formats.csv_dialect import CsvDialect, HeaderError, find_first_record, read_header, write_header
from ..formats.csv_preview import first_rows
from ..formats.identify import MARKUP, FileKind, identify, tell
from ..options import CsvOptions
from ..shield import in_thread
from .csv_content import COMPRESSIONS, FIRST_BLOCK, Content
from .names import ColumnNames, accept_names

__all__ = ["SAMPLE", "Beginning", "begin", "describe", "fill", "rows_behind"]

#: Rows of a plan's sample.
SAMPLE = 5


@dataclass(frozen=True)
class Beginning:
    """What stands before the records of a file, and what will stand before those of each partition.

    Attributes:
        dialect: How the file separates and quotes its fields.
        names: What its columns are called.
        data_start: The offset in bytes of the first record behind the header.
        header: The header of each partition.
        warnings: What the user should know.
    """

    dialect: CsvDialect
    names: ColumnNames
    data_start: int
    header: bytes
    warnings: tuple[str, ...]


async def begin(content: Content, path: str, options: CsvOptions) -> Beginning:
    """Look at the first block of a text.

    Raises:
        SourceError: If it is not CSV text with a header and at least two columns.
    """
    await fill(content, FIRST_BLOCK)
    return await in_thread(_look, path, content, options)


async def fill(content: Content, least: int) -> None:
    """Have the first bytes of a text produced, as `Content.fill` does, in visits of bounded length."""
    while not await in_thread(content.fill, least):
        pass


def rows_behind(content: Content, beginning: Beginning) -> list[list[str]]:
    """Return the first rows behind the header; for worker threads."""
    block = content.read(beginning.data_start)
    return first_rows(block, beginning.dialect, content.ended and beginning.data_start + len(block) == content.size)


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
    try:
        beginning = _begun(path, first, complete, options)
    except HeaderError as error:
        what = "header" if options.header else "first record"
        raise SourceError(f"The {what} of {path} cannot be read: {error}.", path=path) from error
    if len(beginning.names.old) < 2:
        raise SourceError(_one_column(path, options.delimiter), path=path)
    return beginning


def _one_column(path: str, given: str | None) -> str:
    which = "" if given is None else f" with the delimiter {given!r}"
    other = "something else than comma, semicolon, tab or |" if given is None else "another one"
    return (
        f"{path} has a single column{which}, and Kumo takes CSV tables of two columns or more. If its columns are "
        f"separated by {other}, pass csv=CsvOptions(delimiter=...); if other lines stand before its header, remove "
        f"them; or upload Parquet."
    )


def _begun(path: str, first: bytes, complete: bool, options: CsvOptions) -> Beginning:
    quote = None if options.quote is None else options.quote.encode()
    dialect, doubts = detect(
        first, complete, delimiter=_byte(options.delimiter), quote=quote, escape=_byte(options.escape)
    )
    record = find_first_record(first, dialect, complete)
    terminator = record.terminator or b"\n"
    old = read_header(first, dialect, complete).names if options.header else tuple(options.column_names or ())
    names = accept_names(path, options.column_names or old)
    if not len(names.new) == len(old) == record.fields:
        raise SourceError(
            f"{path} has {record.fields:,} fields in its first record, and CsvOptions(column_names=...) names "
            f"{len(names.new):,}.",
            path=path,
        )
    names = ColumnNames(old, names.new, names.warnings)
    warnings = (*map(_doubtful, doubts), *names.warnings)
    if options.header and not names.changed and record.terminator:
        return Beginning(dialect, names, record.end, first[record.start : record.end], warnings)
    start = record.end if options.header else record.start
    return Beginning(dialect, names, start, write_header(names.new, dialect, terminator), warnings)


def _doubtful(doubt: str) -> str:
    return f"The file may be written in another dialect than the detected one: {doubt}. Say with csv=CsvOptions(...)."


def _byte(character: str | None) -> bytes | None:
    return None if character is None else character.encode()


def describe(path: str, dialect: CsvDialect, options: CsvOptions) -> str:
    """Say how a file is written, for plan and report."""
    quote = "no quote" if dialect.quote is None else f"quote {dialect.quote.decode()!r}"
    escape = [] if dialect.escape is None else [f"escape {dialect.escape.decode()!r}"]
    header = [] if options.header else ["no header"]
    compression = COMPRESSIONS.get(PurePath(path).suffix.lower())
    packed = [] if compression is None else [compression.removeprefix("a ").removeprefix("an ").removesuffix(" file")]
    return ", ".join(
        [f"delimiter {dialect.delimiter.decode()!r}", quote, *escape, options.encoding or "utf-8", *header, *packed]
    )
