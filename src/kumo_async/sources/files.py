"""Local files as ranges of bytes, and partitions as lists of such ranges.

Whatever is uploaded becomes byte ranges before it is sent: a partition has an exact size before its upload starts,
costs no memory, and can be read again from any offset.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiofiles.os
import anyio

from ..errors import SourceChangedError, SourceError
from ..shield import in_thread
from ..threads import THREADS

__all__ = ["FileRange", "Partition", "Readable", "Segment", "SourceFile", "local_path"]

#: How much is read and handed to the network at a time, in bytes. Smaller costs time in hops between threads, larger
#: costs memory; measured in benchmarks/part_size.py.
BLOCK_SIZE = 512 * 1024

#: Reads only what the page cache has, and so never waits; Linux alone can.
#: https://man7.org/linux/man-pages/man2/preadv2.2.html
_CACHED_ONLY: int | None = getattr(os, "RWF_NOWAIT", None)

_preadv = partial(aiofiles.os.wrap(os.preadv), executor=THREADS)
_fstat = partial(aiofiles.os.wrap(os.fstat), executor=THREADS)
_stat = partial(aiofiles.os.wrap(os.stat), executor=THREADS)

_KINDS = {
    stat.S_ISDIR: "a directory",
    stat.S_ISFIFO: "a pipe (FIFO)",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a character device",
    stat.S_ISBLK: "a block device",
}


def local_path(given: str | os.PathLike[str]) -> Path:
    """Return the local path that a user's argument means: `~` and ``file://`` are understood.

    Raises:
        SourceError: If it is no path, is empty, has a NUL, or is a URL of another scheme or host.

    Example:
        >>> local_path("file:///data/my%20users.csv").name
        'my users.csv'
    """
    if not isinstance(given, str | os.PathLike):
        decode = " Use os.fsdecode() on it." if isinstance(given, bytes) else ""
        raise SourceError(f"The path must be text or an os.PathLike; got {type(given).__name__}.{decode}")
    text = os.fspath(given)
    if not isinstance(text, str):
        raise SourceError(f"The path must be text; got {type(text).__name__}. Use os.fsdecode() on it.")
    if not text or "\0" in text:
        raise SourceError("The path is empty or holds a NUL character; give the path of a file.", path=text)
    try:
        if "://" not in text:
            return Path(text).expanduser()
        url = urlsplit(text)
    except (ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        raise SourceError(f"The path {text!r} cannot be understood: {reason}. Give it in full.", path=text) from error
    if url.scheme.lower() == "file" and url.netloc.lower() not in ("", "localhost"):
        raise SourceError(
            "What stands behind file:// names another machine. Write file:///, and the path in full.",
            path=text,
        )
    if url.scheme.lower() != "file":
        raise SourceError(
            f"{url.scheme}:// sources cannot be read; download the file first and give its local path.", path=text
        )
    path = unquote(url.path)
    if "\0" in path:
        raise SourceError("The path holds a NUL character; give the path of a file.", path=text)
    return Path(path)


@dataclass(frozen=True)
class _Identity:
    """What tells that a file is still the one that was planned."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class SourceFile:
    """One local file, opened once; it is read at offsets, from any number of tasks at a time.

    Every read is exact: a file that became shorter raises SourceChangedError. The file is never mapped into memory,
    so truncating it cannot kill the process.

    Attributes:
        path: Where it was found.
        size: Its size in bytes when it was opened.
        status: All that the system told of it then.
        restated: Whether the system says that something about it has changed since, but not its size nor its mtime.
    """

    def __init__(self, path: Path, descriptor: int, status: os.stat_result) -> None:
        self.path = str(path)
        self.size = status.st_size
        self.status = status
        self.restated = False
        self._descriptor = descriptor
        self._identity = _Identity.of(status)
        # Also closes a file whose opening was cancelled while a thread was at it.
        self._close = weakref.finalize(self, os.close, descriptor)

    @classmethod
    async def open(cls, path: Path) -> SourceFile:
        """Open `path` for reading.

        Raises:
            SourceError: If it does not exist, may not be read, or is not a regular file. Never waits for a pipe.
        """
        return await in_thread(cls._open, path)

    @classmethod
    def _open(cls, path: Path) -> SourceFile:
        try:
            _refuse_irregular(path, path.stat())
            # Non-blocking, since a pipe may have taken the file's place between the two calls.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise SourceError(_explain(path, error), path=str(path)) from error
        file = cls(path, descriptor, os.fstat(descriptor))
        try:
            _refuse_irregular(path, os.fstat(descriptor))
        except SourceError:
            file._close()
            raise
        return file

    async def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        self._descriptor = -1
        self._close()

    async def __aenter__(self) -> SourceFile:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`.

        Raises:
            SourceChangedError: If the file is shorter than it was when it was opened.
            SourceError: If the operating system cannot read it.
        """
        block = bytearray(length)
        await self.read_into(offset, memoryview(block))
        return bytes(block)

    async def read_into(self, offset: int, block: memoryview) -> None:
        """Fill a block with the bytes from `offset`; raises what `read` raises."""
        done = _read_cached(self._descriptor, offset, block)
        while done < len(block):
            try:
                count: int = await _preadv(self._descriptor, [block[done:]], offset + done)
            except OSError as error:
                raise SourceError(_explain(Path(self.path), error), path=self.path) from error
            if not count:
                raise self.changed("is shorter than it was")
            done += count

    def read_blocking(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; for worker threads only. Empty means the end of the file."""
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise SourceError(_explain(Path(self.path), error), path=self.path) from error

    async def check_unchanged(self) -> None:
        """Check that the path still names this very file, with the size and mtime that it had when it was opened.

        Raises:
            SourceChangedError: If it was written to, replaced, moved or removed.
        """
        try:
            now = (await _fstat(self._descriptor), await _stat(self.path))
        except OSError as error:
            raise self.changed("was moved or removed") from error
        if any(_Identity.of(status) != self._identity for status in now):
            raise self.changed("was written to or replaced")
        # A new link or mode alone does that, so it is no reason to refuse; nor can a write hide from it.
        self.restated = any(status.st_ctime_ns != self.status.st_ctime_ns for status in now)

    def changed(self, what: str) -> SourceChangedError:
        """Return the error to raise when the file turns out not to be what was planned."""
        return SourceChangedError(
            f"{self.path} {what} while it was being uploaded. No table was made from it; upload it again once nothing "
            f"writes to it.",
            path=self.path,
        )

    def without_rows(self) -> SourceError:
        """Return the error to raise when no table can be made of the file."""
        return SourceError(f"{self.path} has no rows; a table needs at least one.", path=self.path)


class Readable(Protocol):
    """A file that ranges can be read from: the user's own, or one that was spooled."""

    async def read_into(self, offset: int, block: memoryview) -> None:
        """Fill a block with the bytes from `offset`."""
        ...

    def read_blocking(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; for worker threads only. Empty means the end of the file."""
        ...


@dataclass(frozen=True)
class FileRange:
    """A range of bytes of a file that already exists."""

    file: Readable
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length


Segment = bytes | FileRange


class Partition:
    """One file of a table as it will be in Kumo: segments back to back.

    Attributes:
        segments: Bytes that were made (a header line, a footer) and ranges of files.
        rows: Number of rows; None until `counted` tells them.
        size: Size in bytes.
    """

    def __init__(self, segments: tuple[Segment, ...], rows: int | None) -> None:
        self.segments = segments
        self.rows = rows
        self._counted: anyio.Event | None = None
        self._ends = list(accumulate(len(segment) for segment in segments))
        self.size = self._ends[-1] if self._ends else 0

    def pieces(self, offset: int, length: int, most: int) -> Iterator[Segment]:
        """Cut the bytes from `offset` to `offset + length` into segments of at most `most` bytes, in order."""
        end = offset + length
        start = 0
        for segment, segment_end in zip(self.segments, self._ends, strict=True):
            low, high = max(start, offset), min(segment_end, end)
            for at in range(low, high, most):
                yield _part_of(segment, at - start, min(most, high - at))
            start = segment_end

    def counted(self, rows: int) -> None:
        """Tell the number of rows of a partition that was handed out before it was known."""
        self.rows = rows
        if self._counted is not None:
            self._counted.set()

    async def row_count(self) -> int:
        """Return the number of rows, as soon as it is known."""
        while self.rows is None:
            self._counted = self._counted or anyio.Event()
            await self._counted.wait()
        return self.rows

    async def read(self, offset: int, length: int) -> AsyncGenerator[bytes | memoryview, None]:
        """Read the bytes from `offset` to `offset + length` in blocks, each of which is good until the next is due.

        They share one buffer: new memory for each block would cost more than reading into it.

        Raises:
            SourceChangedError: If a file is shorter than it was when it was planned.
        """
        buffer = memoryview(bytearray(min(BLOCK_SIZE, length)))
        for piece in self.pieces(offset, length, BLOCK_SIZE):
            if isinstance(piece, bytes):
                yield piece
            else:
                block = buffer[: piece.length]
                await piece.file.read_into(piece.offset, block)
                yield block


def _read_cached(descriptor: int, offset: int, block: memoryview) -> int:
    """Read what is in memory anyway, which is done sooner than a change of thread; return how many bytes it was."""
    if _CACHED_ONLY is None:
        return 0
    try:
        return os.preadv(descriptor, [block], offset, _CACHED_ONLY)
    except OSError:
        # Nothing is in memory, the file system cannot tell, or reading fails for good: then the thread says why.
        return 0


def _part_of(segment: Segment, start: int, length: int) -> Segment:
    if isinstance(segment, bytes):
        return segment[start : start + length]
    return FileRange(segment.file, segment.offset + start, length)


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kind = next((name for test, name in _KINDS.items() if test(status.st_mode)), "not a regular file")
    raise SourceError(f"{path} is {kind}; give the path of one regular file.", path=str(path))


def _explain(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            if path.is_symlink():
                return f"{path} is a link to a file that does not exist. Mend the link, or give the file's own path."
            return f"{path} does not exist. Check the path; a relative one starts at the working directory."
        case PermissionError():
            return f"{path} may not be read by this process. Change its permissions, or run as a user who may."
        case _:
            return f"{path} cannot be read: {error.strerror or error}."
