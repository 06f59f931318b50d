r"""What separates and quotes the fields of a CSV file, and what its columns are called.

`read_header` reads the first record of a file, `write_header` writes one again. The records behind the header are never
rewritten, so nothing here looks at what they mean. `csv_sniff` finds the delimiter of a file where it is not given.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from kumo_async.formats.recode import propose_encoding
from kumo_async.formats.records import RecordEnds, RecordError, RecordScanner

__all__ = [
    "BOM",
    "SEPARATOR_LINE",
    "CsvDialect",
    "FirstRecord",
    "Header",
    "HeaderError",
    "LineReader",
    "find_first_record",
    "read_header",
    "read_records",
    "skipped",
    "write_header",
]

_MISQUOTED: Final = "double the quotes that are part of a name, or pass quote='' if quotes are plain text in the file"
_STRIDE: Final = 1 << 16  # bytes looked at together for the end of the header, which most often are enough
BOM: Final = b"\xef\xbb\xbf"
_OTHER_BOMS: Final = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_LINE: Final = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)")
#: What Excel takes for its delimiter and not for a record, where it is the first line:
#: https://en.wikipedia.org/wiki/Comma-separated_values#Standardization
SEPARATOR_LINE: Final = re.compile(rb"sep=([!-~\t ])(?:\r\n|\n|\r)", re.IGNORECASE)


@dataclass(frozen=True)
class CsvDialect:
    r"""How a CSV file separates and quotes its fields; records end with LF, CRLF or CR in every dialect.

    Args:
        delimiter: The byte between two fields.
        quote: The byte around a field that holds delimiters or newlines, doubled where it is meant itself; None where
            the file knows no quoting.
        escape: The byte that makes the next one literal, inside and outside of quotes; None, as in RFC 4180, for none.
        skip_initial_space: Whether spaces at the beginning of a field are not part of it, so that a quote after them
            opens the field.

    Raises:
        ValueError: One of them is not a single ASCII byte, is NUL or a newline, or two of them are the same; or one is
            a space where those are skipped.

    Example:
        >>> CsvDialect(delimiter=b"\t", quote=None)
        CsvDialect(delimiter=b'\t', quote=None, escape=None, skip_initial_space=False)
    """

    delimiter: bytes = b","
    quote: bytes | None = b'"'
    escape: bytes | None = None
    skip_initial_space: bool = False

    def __post_init__(self) -> None:
        characters = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}
        given = {name: byte for name, byte in characters.items() if name == "delimiter" or byte is not None}
        for name, byte in given.items():
            # A byte over 127 would be a part of a character in UTF-8, so it can separate nothing.
            if not isinstance(byte, bytes) or len(byte) != 1 or not byte.isascii() or byte in b"\r\n\0":
                raise ValueError(f"{name} must be one ASCII byte that is neither a newline nor NUL, not {byte!r}")
        if len(set(given.values())) < len(given):
            raise ValueError(f"{', '.join(given)} must differ from each other")
        if self.skip_initial_space and b" " in given.values():
            raise ValueError(f"{', '.join(given)} must not be a space where spaces before fields are skipped")


class LineReader(Protocol):
    """What `csv.reader` returns: an iterator over records that knows how many lines it has read."""

    @property
    def line_num(self) -> int:
        """The lines that were read so far."""
        ...

    def __iter__(self) -> Iterator[list[str]]:
        """Return itself."""
        ...

    def __next__(self) -> list[str]:
        """Return the next record."""
        ...


class HeaderError(ValueError):
    """The header of a CSV file cannot be read, or cannot be written.

    Attributes:
        offset: The offset in bytes of the first byte that is wrong; None where it has no place.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class Header:
    """The first record of a CSV file, which names its columns.

    Attributes:
        names: The names of the columns, without their quotes.
        start: The offset in bytes of the record, behind a byte order mark, a line ``sep=``, and blank lines.
        end: The offset in bytes behind the record's terminator, where the data begins.
        terminator: The terminator, LF, CRLF or CR; LF if the file ends with the header.
        has_data: Whether a row follows; True also where that would be behind the block that was read.
    """

    names: tuple[str, ...]
    start: int
    end: int
    terminator: bytes
    has_data: bool


def read_header(
    block: bytes, dialect: CsvDialect, complete: bool, *, skip_rows: int = 0, comment: bytes | None = None
) -> Header:
    r"""Read the header of a CSV file.

    Args:
        block: The first bytes of the file; the header must lie within them.
        dialect: How the file separates and quotes its fields.
        complete: Whether these bytes are the whole file.
        skip_rows: The lines before the header that do not belong to the table.
        comment: The byte that a line begins with which is a comment.

    Raises:
        HeaderError: There is no header, it does not end within the block, or it is not UTF-8.

    Example:
        >>> read_header(b'\n"last, first",age\r\nSmith,42\r\n', CsvDialect(), complete=True)
        Header(names=('last, first', 'age'), start=1, end=20, terminator=b'\r\n', has_data=True)
    """
    start, end, terminator, _ = find_first_record(block, dialect, complete, skip_rows=skip_rows, comment=comment)
    names = _names(block[start:end], dialect, start)
    has_data = not complete or bool(block[end:].strip(b"\r\n"))
    return Header(names, start, end, terminator or b"\n", has_data)


class FirstRecord(NamedTuple):
    """The first record of a CSV file, be it a header or not.

    Attributes:
        start: The offset in bytes of the record, behind a byte order mark, a line ``sep=``, and blank lines.
        end: The offset in bytes behind its terminator.
        terminator: Its terminator, LF, CRLF or CR; empty if the file ends with it.
        fields: The number of its fields.
    """

    start: int
    end: int
    terminator: bytes
    fields: int


def find_first_record(
    block: bytes, dialect: CsvDialect, complete: bool, *, skip_rows: int = 0, comment: bytes | None = None
) -> FirstRecord:
    r"""Find the first record of a CSV file; the arguments and errors are those of `read_header`.

    Example:
        >>> find_first_record(b"\n1,2\n", CsvDialect(), complete=True)
        FirstRecord(start=1, end=5, terminator=b'\n', fields=2)
    """
    _refuse_other_encodings(block)
    start = skipped(block, skip_rows)
    if told := SEPARATOR_LINE.match(block, start):
        start = told.end()
    aside = re.compile(rb"(?:[\r\n]|%b[^\r\n]*)*+" % (re.escape(comment) if comment else b"(?!)"))
    start = _end(aside.match(block, start))
    if start == len(block) and complete:
        raise HeaderError("the file is empty: a CSV file begins with a header that names its columns")
    ends = _first_ends(block, dialect, start, complete)
    end, counts = int(ends.offsets[0]), ends.fields
    assert counts is not None
    return FirstRecord(start, end, _terminator(block[start:end], dialect), int(counts[0]))


def skipped(block: bytes, lines: int) -> int:
    r"""Return where the text of a file begins: after a byte order mark, and after lines that are skipped.

    Args:
        block: The first bytes of the file.
        lines: How many lines to skip. They end at each LF, CRLF or CR, whatever quotes stand in them.

    Raises:
        HeaderError: There are not as many lines in the block.

    Example:
        >>> skipped(b'Report, "2020\r\n\na,b\n1,2\n', 2)
        16
    """
    at = len(BOM) if block.startswith(BOM) else 0
    for number in range(lines):
        line = _LINE.match(block, at)
        if line is None:
            raise HeaderError(f"skip_rows={lines} is more than the {number:,} lines that its first MiB has")
        at = line.end()
    return at


def write_header(names: Sequence[str], dialect: CsvDialect, terminator: bytes) -> bytes:
    r"""Write a header, with quotes only where a name needs them.

    Args:
        names: The names of the columns.
        dialect: How the file separates and quotes its fields.
        terminator: What ends the record: LF, CRLF or CR.

    Returns:
        The record, terminator included, in UTF-8 and without a byte order mark.

    Raises:
        HeaderError: A name needs quotes, and the dialect has neither quotes nor an escape.

    Example:
        >>> write_header(["id", "last, first"], CsvDialect(), b"\n")
        b'id,"last, first"\n'
    """
    special = b"\r\n" + dialect.delimiter + (dialect.quote or b"") + (dialect.escape or b"")
    fields = [name.encode() for name in names]
    guarded = [any(byte in special for byte in field) for field in fields]
    if dialect.skip_initial_space:
        special += b" "
        guarded = [guard or field.startswith(b" ") for field, guard in zip(fields, guarded, strict=True)]
    # A header of one empty name would be a blank line, and a mark that begins a name would be the mark of the file.
    if fields == [b""] or fields[0].startswith(BOM):
        guarded[0] = True
    written = [
        _guard(field, special, dialect) if guard else field for field, guard in zip(fields, guarded, strict=True)
    ]
    return dialect.delimiter.join(written) + terminator


def _guard(field: bytes, special: bytes, dialect: CsvDialect) -> bytes:
    quote, escape = dialect.quote, dialect.escape
    if quote is not None:
        field = field if escape is None else field.replace(escape, escape * 2)
        return quote + field.replace(quote, quote * 2) + quote
    if escape is None or not field:
        raise HeaderError("a column name cannot be written without quotes, and the file is read without: rename it")
    return b"".join(escape + bytes([byte]) if byte in special else bytes([byte]) for byte in field)


def _refuse_other_encodings(block: bytes) -> None:
    for mark, encoding in _OTHER_BOMS.items():
        if block.startswith(mark):
            by = f"the file is {encoding.upper()} by its byte order mark, not UTF-8"
            raise HeaderError(f"{by}: pass encoding={encoding!r}", 0)


def _end(match: re.Match[bytes] | None) -> int:
    assert match is not None
    return match.end()


def _first_ends(block: bytes, dialect: CsvDialect, start: int, complete: bool) -> RecordEnds:
    scanner = RecordScanner(dialect, start, count_fields=True)
    try:
        for at in range(start, len(block), _STRIDE):
            ends = scanner.feed(block[at : at + _STRIDE])
            if ends.end >= 0:
                return ends
        if complete:
            return scanner.finish()
    except RecordError as error:
        if error.ends.end >= 0:
            return error.ends
        remedy = "" if error.text is None else f": {_MISQUOTED}"
        raise HeaderError(f"the header {error.what}{remedy}", error.offset) from None
    raise HeaderError(f"the header does not end within the first {len(block):,} bytes of the file", start)


def _terminator(record: bytes, dialect: CsvDialect) -> bytes:
    """Return the terminator of a record, empty if it has none: the newline that ends it may be an escaped one."""

    def ends(data: bytes) -> bool:
        return bool(RecordScanner(dialect).feed(data + dialect.delimiter).offsets.size)

    if not ends(record):
        return b""
    return b"\r\n" if record.endswith(b"\r\n") and ends(record[:-1]) else record[-1:]


def _names(record: bytes, dialect: CsvDialect, start: int) -> tuple[str, ...]:
    nul = record.find(0)
    if nul >= 0:
        raise HeaderError(f"the header holds a NUL at byte {start + nul}: {propose_encoding(record)}", start + nul)
    try:
        text = record.decode()
    except UnicodeDecodeError as error:
        offset = start + error.start
        message = f"the header is not UTF-8 at byte {offset}: {propose_encoding(record)}"
        # Without the cause: it holds the header, and errors hold no data.
        raise HeaderError(message, offset) from None
    try:
        return tuple(next(read_records(io.StringIO(text, newline=""), dialect)))
    except csv.Error:
        raise HeaderError(f"a column name is longer than {csv.field_size_limit():,} characters", start) from None


def read_records(lines: Iterable[str], dialect: CsvDialect, *, strict: bool = True) -> LineReader:
    """Read records with Python's csv module, which gives an empty list for a blank line.

    Args:
        lines: The lines of a text, each with its own terminator, such as an `io.StringIO` with ``newline=""``.
        dialect: How the text separates and quotes its fields.
        strict: Whether text after a closing quote, and a quote that is never closed, are errors.
    """
    return csv.reader(
        lines,
        delimiter=dialect.delimiter.decode(),
        quotechar=dialect.quote.decode() if dialect.quote else None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape.decode() if dialect.escape else None,
        skipinitialspace=dialect.skip_initial_space,
        strict=strict,
    )
