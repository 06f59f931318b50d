"""What a file really is, by its first and last bytes, whatever its name says."""

from __future__ import annotations

import codecs
import json
import re
from enum import StrEnum
from typing import Final

__all__ = ["MARKUP", "FileKind", "identify", "tell"]


class FileKind(StrEnum):
    """A kind of file; its value is its name with the article, for a message such as ``f"it is {kind}"``."""

    PARQUET = "a Parquet file"
    ENCRYPTED_PARQUET = "an encrypted Parquet file"
    GZIP = "a gzip file"
    ZSTD = "a Zstandard file"
    BZIP2 = "a bzip2 file"
    XZ = "an xz file"
    LZ4 = "an LZ4 file"
    ZIP = "a ZIP file"
    EXCEL = "an Excel file"
    ORC = "an ORC file"
    ARROW = "an Arrow IPC file"
    FEATHER = "a Feather file"
    AVRO = "an Avro file"
    SQLITE = "an SQLite file"
    HDF5 = "an HDF5 file"
    PDF = "a PDF file"
    JSON = "a JSON file"
    UTF16 = "text in UTF-16"
    UTF32 = "text in UTF-32"
    HTML = "an HTML page"
    XML = "an XML file"
    GIT_LFS = "a Git LFS pointer, not the file itself"


#: Kinds that are text, so that a table without a header may have such a value in its first row.
MARKUP: Final = (FileKind.HTML, FileKind.XML, FileKind.GIT_LFS)

_BINARY: Final = (
    (b"\x1f\x8b", FileKind.GZIP),
    (b"\x28\xb5\x2f\xfd", FileKind.ZSTD),
    (b"\xfd7zXZ\0", FileKind.XZ),
    (b"\x04\x22\x4d\x18", FileKind.LZ4),
    (b"PK\x03\x04", FileKind.ZIP),
    (b"PK\x05\x06", FileKind.ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind.EXCEL),
    (b"ARROW1\0\0", FileKind.ARROW),
    (b"Obj\x01", FileKind.AVRO),
    (b"SQLite format 3\0", FileKind.SQLITE),
    (b"\x89HDF\r\n\x1a\n", FileKind.HDF5),
    (b"%PDF-", FileKind.PDF),
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (b"\xff\xfe\0\0", FileKind.UTF32),
    (b"\0\0\xfe\xff", FileKind.UTF32),
    (b"\xff\xfe", FileKind.UTF16),
    (b"\xfe\xff", FileKind.UTF16),
)

# These could also be the beginning of a header, such as "ORC,TROLL", so what follows must not look like text.
_LETTERS: Final = (
    (b"PARE", FileKind.ENCRYPTED_PARQUET),
    (b"PAR1", FileKind.PARQUET),
    (b"ORC", FileKind.ORC),
    (b"FEA1", FileKind.FEATHER),
    (b"BZh", FileKind.BZIP2),
)

_CONTROL: Final = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_WORKBOOK: Final = re.compile(rb"xl/(workbook|worksheets|theme|styles|_rels)")
_JSON: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*(?:["}]|\Z)|\[\s*(?:[\[{"\]\d-]|\Z))')

# These are text, as CSV is: a header such as "<html>,b" must not match, so more than the first word has to be right.
# A tag: https://html.spec.whatwg.org/multipage/syntax.html#start-tags (and cut off, where the head ends in it).
_ATTRIBUTES: Final = rb"""(?:\s+[\w:.-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=,;|]+))?|\s+"[^"]*")*\s*"""
_HTML: Final = rb"<(?:!doctype\s+html|html)" + _ATTRIBUTES + rb"(?:>(?:\ *[\r\n<]|\ *\w|\Z)|\Z)"
# https://www.w3.org/TR/xml/#NT-XMLDecl
_XML: Final = rb"<\?xml\s+version\s*=\s*[\"']1\."
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md#the-pointer
_GIT_LFS: Final = rb"version\ https://git-lfs\.github\.com/spec/v1\r?\n(?:ext-\d|oid\ |\Z)"
_TEXTS: Final = tuple(
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*" + pattern, re.IGNORECASE), kind)
    for pattern, kind in ((_HTML, FileKind.HTML), (_XML, FileKind.XML), (_GIT_LFS, FileKind.GIT_LFS))
)
_TEXT_BYTES: Final = 4096
_LONGEST_WORD: Final = len("-Infinity")
_REMEDIES: Final = {
    FileKind.HTML: "It may be a login or error page that was saved in its place: fetch it again",
    FileKind.GIT_LFS: "Fetch the file with `git lfs pull`",
}


def identify(head: bytes, tail: bytes = b"") -> FileKind | None:
    """Tell what a file is by the bytes that its format begins with.

    Args:
        head: The first bytes of the file; 64 are enough for all but Excel, which 4 KiB tell from other ZIP files.
        tail: Its last bytes, 4 at least; only they tell Parquet that is encrypted behind a plain beginning, and ORC
            that begins with text.

    Returns:
        The kind; None for plain text and for what is not known. JSON is a guess by its first line.

    Example:
        >>> f"users.csv cannot be read as CSV: it is {identify(bytes.fromhex('1f8b0800'))}"
        'users.csv cannot be read as CSV: it is a gzip file'
    """
    kind = _by_letters(head) or next((kind for magic, kind in _BINARY if head.startswith(magic)), None)
    if kind is FileKind.ZIP and _WORKBOOK.search(head):
        return FileKind.EXCEL
    if kind is FileKind.PARQUET and tail.endswith(b"PARE"):
        return FileKind.ENCRYPTED_PARQUET
    # The last byte is the length of the postscript, whose last field is the magic: https://orc.apache.org/specification/
    if kind is None and head.startswith(b"ORC") and tail[-4:-1] == b"ORC":
        return FileKind.ORC
    return kind or (FileKind.JSON if _JSON.match(head) and _is_json(head) else _by_text(head[:_TEXT_BYTES]))


def tell(head: bytes, tail: bytes = b"", *, remedy: str = "Convert it, or give it its right name") -> str:
    r"""Say what a file is that is not what its name says, and what to do.

    Args:
        head: The first bytes of the file, as for `identify`.
        tail: Its last bytes.
        remedy: What to do, unless there is better advice for its kind.

    Returns:
        The end of a message, in two sentences.

    Example:
        >>> tell(b"id,amount\n1,9.50\n")
        'it is text, such as CSV. Convert it, or give it its right name.'
    """
    kind = identify(head, tail)
    if kind is not None:
        return f"it is {kind}. {_REMEDIES.get(kind, remedy)}."
    return f"it is {'text, such as CSV' if _is_text(head) else 'some other text or data'}. {remedy}."


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # which forgives a character that is cut off
    except UnicodeDecodeError:
        return False
    return not _CONTROL.search(head)


def _is_json(head: bytes) -> bool:
    """Whether the first line goes on as JSON: a field of CSV may begin so, but a delimiter follows it, or its items."""
    text = head[:_TEXT_BYTES].decode("utf-8-sig", errors="replace").lstrip()
    line = re.split(r"[\r\n]", text, maxsplit=1)[0].rstrip()
    try:
        _, end = json.JSONDecoder().raw_decode(line)
    except json.JSONDecodeError as error:
        # What ends with the line goes on in the next one, or where the head does not reach: there also amid a word.
        cut = _LONGEST_WORD if line == text else 0
        return error.pos >= len(line) - cut or error.msg.startswith("Unterminated string")
    except RecursionError:
        return True
    return end == len(line)


def _by_text(head: bytes) -> FileKind | None:
    return next((kind for pattern, kind in _TEXTS if pattern.match(head)), None)


def _by_letters(head: bytes) -> FileKind | None:
    for magic, kind in _LETTERS:
        if head == magic or (head.startswith(magic) and _CONTROL.search(head, len(magic), 64)):
            return kind
    return None
