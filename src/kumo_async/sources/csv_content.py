"""The text of a CSV file as ranges of bytes: those of the file itself, or of what it was converted to on the way.

A file that is compressed, in another encoding than UTF-8, or whose records have to be changed for a plain reader is
read as a stream in worker threads, and its text is written to a row of temporary files. Each of them is freed with the
last partition that needs it, so that the disk holds what is being sent and the next partition, whatever the size of the
whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import NamedTuple, Protocol

from ..errors import SourceError
from ..formats.ahead import told
from ..formats.csv_tidy import Tidy, TidyError
from ..formats.decompress import CompressionError, decompress
from ..formats.identify import FileKind, identify, tell
from ..formats.recode import EncodingError, is_utf8, to_utf8
from ..options import UploadOptions
from .files import FileRange, SourceFile
from .spool import Spool, SpoolFile
from .workers import processors

__all__ = ["COMPRESSIONS", "FIRST_BLOCK", "Content", "FileContent", "SpooledContent", "open_content"]

#: How much of the text is looked at to learn its dialect and header, in bytes. A longer header is refused.
FIRST_BLOCK = 1024 * 1024

#: How each file name ending is compressed, in lower case.
COMPRESSIONS = {".gz": FileKind.GZIP, ".zst": FileKind.ZSTD, ".bz2": FileKind.BZIP2, ".xz": FileKind.XZ}

#: How much of a file that is decompressed or converted is read at a time, in bytes.
_READ = 128 * 1024

#: The size from which on a temporary file takes no more, in bytes.
_SPOOL_SIZE = 64 * 1024 * 1024

#: How much is produced in one visit to a worker thread, in bytes: so long is a cancellation kept waiting.
_STRIDE = 8 * 1024 * 1024

#: No text is smaller in UTF-8 than by this factor, that of ASCII in UTF-32.
_MOST_SHRINKING = 4


_CONVERTED_NOTE = " Bytes are counted in its text, decompressed and as UTF-8."
_CHANGED_NOTE = " Bytes are counted in its text after the header, as UTF-8 and as the options change it."


class Content(Protocol):
    """The text of a CSV file, in UTF-8; used by one thread at a time.

    Attributes:
        note: What errors that name an offset in it add, where its bytes are others than those of the file; else empty.
    """

    note: str

    @property
    def size(self) -> int:
        """Its size in bytes; an estimate, over the threshold for partitions, until `ended`."""
        ...

    @property
    def ended(self) -> bool:
        """Whether all of it is there."""
        ...

    def fill(self, least: int) -> bool:
        """Produce the first `least` bytes, or some more of them; return whether they are there. Worker threads only."""
        ...

    def read(self, offset: int) -> bytes:
        """Return some of the bytes from `offset` on, none at the end. Worker threads only."""
        ...

    def reach(self, end: int) -> None:
        """Produce all bytes before `end`, which nobody will read but who takes them. Worker threads only."""
        ...

    def take(self, start: int, end: int) -> tuple[FileRange, ...]:
        """Hand over the bytes from `start`, where those before ended, to `end`. They can be read further."""
        ...

    def close(self) -> None:
        """Free all that is left, and wait for threads that still produce some. Worker threads only."""
        ...


class FileContent:
    """A file whose own bytes are the text."""

    ended = True
    note = ""

    def __init__(self, file: SourceFile) -> None:
        self.size = file.size
        self._file = file

    def fill(self, least: int) -> bool:  # noqa: ARG002
        """See `Content`."""
        return True

    def read(self, offset: int) -> bytes:
        """See `Content`.

        Raises:
            SourceChangedError: If the file is shorter than it was.
        """
        length = min(FIRST_BLOCK, self.size - offset)
        block = self._file.read_blocking(offset, length) if length else b""
        if length and not block:
            raise self._file.changed("is shorter than it was")
        return block

    def reach(self, end: int) -> None:
        """See `Content`."""

    def take(self, start: int, end: int) -> tuple[FileRange, ...]:
        """See `Content`."""
        return (FileRange(self._file, start, end - start),)

    def close(self) -> None:
        """Do nothing: the file is closed by whoever opened it."""


class _Piece(NamedTuple):
    """Text from `start` to `end`, and the range of a temporary file that holds it."""

    start: int
    end: int
    file: SpoolFile
    offset: int

    def range(self, start: int, end: int) -> FileRange:
        """Return where the text from `start` to `end` is, as far as this piece has it."""
        low, high = max(start, self.start), min(end, self.end)
        return FileRange(self.file, self.offset + low - self.start, high - low)


class SpooledContent:
    """A text that is produced block by block, and kept in temporary files until it is sent.

    Args:
        file: The file that it is made from.
        options: Where the temporary files are, and the threshold for partitions.
        compression: How the file is compressed, if it is.
        encoding: The encoding of its text, if that is not UTF-8.
        tidy: What is changed in its records, if anything is; then the text begins with the first of them.
    """

    def __init__(
        self,
        file: SourceFile,
        options: UploadOptions,
        compression: FileKind | None,
        encoding: str | None,
        tidy: Tidy | None = None,
    ) -> None:
        self.note = _CHANGED_NOTE if tidy else _CONVERTED_NOTE
        self.ended = False
        self._file = file
        self._threshold = options.partition_threshold
        self._spool = Spool(options.spool_dir, _SPOOL_SIZE)
        self._pieces: list[_Piece] = []
        self._used = self._taken = self._seen = 0
        self._raw: Generator[bytes, None, None] = told(self._file_blocks(), self._use)
        if compression is not None:
            self._raw = decompress(self._file_blocks(), compression, processors(), self._use)
        self._blocks: Iterator[bytes] = to_utf8(self._raw, encoding) if encoding is not None else self._raw
        self._decidable = file.size // (_MOST_SHRINKING if encoding is not None else 1)
        if tidy is not None:
            # Comments may be all of the text, so its size is known only once it is there.
            self._blocks, self._decidable = tidy.apply(self._blocks), 0

    @property
    def size(self) -> int:
        """See `Content`."""
        if self.ended:
            return self._produced
        estimate = self._file.size * self._produced // max(self._used, 1)
        return max(estimate, self._threshold + 1)

    @property
    def _produced(self) -> int:
        return self._pieces[-1].end if self._pieces else 0

    def fill(self, least: int) -> bool:
        """See `Content`. Where the file alone tells that the text is over the threshold, nothing is done for that."""
        if least > FIRST_BLOCK and self._decidable > self._threshold:
            return True
        stop = self._produced + _STRIDE
        while not self.ended and self._produced < min(least, stop):
            self._produce()
        return self.ended or self._produced >= least

    def read(self, offset: int) -> bytes:
        """See `Content`.

        Raises:
            SourceError: If what comes next cannot be decompressed or converted.
        """
        block = self._block(offset)
        self._seen = offset + len(block)
        self._free()
        return block

    def reach(self, end: int) -> None:
        """See `Content`.

        Raises:
            SourceError: If what comes next cannot be decompressed or converted.
        """
        while not self.ended and self._produced < end:
            self._produce()
        self._seen = max(self._seen, end)

    def take(self, start: int, end: int) -> tuple[FileRange, ...]:
        """See `Content`."""
        ranges = tuple(piece.range(start, end) for piece in self._pieces if piece.start < end and piece.end > start)
        self._taken = end
        self._free()
        return ranges

    def close(self) -> None:
        """See `Content`. Partitions that were handed out cannot be read any more."""
        self._raw.close()
        self._pieces.clear()
        self._spool.close()

    def _free(self) -> None:
        # A temporary file is freed with the last range of it. What travels as one object is handed over long before it
        # is read to its end. The last piece is needed for where the text ends.
        done = min(self._taken, self._seen)
        self._pieces = [piece for piece in self._pieces[:-1] if piece.end > done] + self._pieces[-1:]

    def _block(self, offset: int) -> bytes:
        if offset >= self._produced:
            return b"" if self.ended else self._produce()
        piece = next(piece for piece in reversed(self._pieces) if piece.start <= offset)
        held = piece.range(offset, piece.end)
        return piece.file.read_blocking(held.offset, min(FIRST_BLOCK, held.length))

    def _produce(self) -> bytes:
        try:
            # A block may be empty, as where all of it was a comment: only the last one is followed by none.
            block = next(filter(None, self._blocks), b"")
        except (CompressionError, EncodingError, TidyError) as error:
            raise SourceError(f"{self._file.path} cannot be uploaded: {error}.", path=self._file.path) from error
        if block:
            self._keep(block)
        self.ended = not block
        return block

    def _keep(self, block: bytes) -> None:
        start, stored = self._produced, self._spool.store(memoryview(block))
        assert isinstance(stored.file, SpoolFile)
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.file is stored.file:
            self._pieces[-1] = last._replace(end=start + len(block))
        else:
            self._pieces.append(_Piece(start, start + len(block), stored.file, stored.offset))

    def _use(self, place: int) -> None:
        self._used = place

    def _file_blocks(self) -> Generator[bytes, None, None]:
        at = 0
        while at < self._file.size:
            block = self._file.read_blocking(at, min(_READ, self._file.size - at))
            if not block:
                raise self._file.changed("is shorter than it was")
            at += len(block)
            yield block


def open_content(file: SourceFile, options: UploadOptions, tidy: Tidy | None = None) -> Content:
    """Return the text of a file; for worker threads.

    Args:
        file: The open file.
        options: How it is written, and where temporary files are.
        tidy: What is changed in its records; then the text begins with the first of them. None for nothing.

    Raises:
        SourceError: If the file is not compressed as its name says.
    """
    compression = COMPRESSIONS.get(PurePath(file.path).suffix.lower())
    encoding = None if is_utf8(options.csv.encoding) else options.csv.encoding
    if compression is not None:
        _check_compression(file, compression)
    if compression is None and encoding is None and tidy is None:
        return FileContent(file)
    return SpooledContent(file, options, compression, encoding, tidy)


def _check_compression(file: SourceFile, kind: FileKind) -> None:
    head = file.read_blocking(0, 512)
    # Frames that are to be skipped may stand before the first one; pzstd writes such.
    skippable = head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
    if not head or identify(head) is kind or (kind is FileKind.ZSTD and skippable):
        return
    raise SourceError(
        f"{file.path} is not {kind}, as its name says: {tell(head, remedy='Give it its right name')}",
        path=file.path,
    )
