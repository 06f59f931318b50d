"""Temporary files for content that was encoded anew: nobody else can open them, and none of them outlives its use."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import aiofiles.os

from ..checks import expanded
from ..errors import SourceError
from ..threads import THREADS
from .files import FileRange

__all__ = ["Spool", "SpoolFile"]

_preadv = partial(aiofiles.os.wrap(os.preadv), executor=THREADS)


class SpoolFile:
    """A file without a name, written once at its end and read at offsets.

    Its descriptor is closed, and its space given back, once nothing refers to it any more, or by `close`.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.size = 0
        self._descriptor = _open_unnamed(os.fspath(folder) if folder is not None else tempfile.gettempdir())
        self._close: Callable[[], object] = weakref.finalize(self, os.close, self._descriptor)

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of `data` at `offset`; for worker threads only."""
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written

    async def read_into(self, offset: int, block: memoryview) -> None:
        """Fill a block with the bytes from `offset`.

        Raises:
            SourceError: If it cannot be read.
        """
        while block:
            with _readable():
                count: int = await _preadv(self._descriptor, [block], offset)
            if not count:
                raise SourceError("A temporary file is shorter than what was written to it. Upload the table again.")
            block, offset = block[count:], offset + count

    def read_blocking(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; for worker threads only.

        Raises:
            SourceError: If it cannot be read.
        """
        with _readable():
            return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        """Close the file, which removes it. Closing twice is allowed."""
        self._close()


class Spool:
    """The spool files of one source: pieces of content go into one file until it is full, then into the next.

    Args:
        folder: Where the files are; None for the system's directory for temporary files.
        full: Bytes after which the next file is begun. A file's space is given back once all its pieces were sent.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, full: int) -> None:
        self._folder = None if folder is None else expanded("UploadOptions.spool_dir", folder)
        self._full = full
        self._lock = threading.Lock()
        self._current: SpoolFile | None = None
        self._files: weakref.WeakSet[SpoolFile] = weakref.WeakSet()

    def store(self, data: memoryview) -> FileRange:
        """Write a piece and return where it is; for worker threads, any number at a time.

        Raises:
            SourceError: If it cannot be written.
        """
        try:
            file, offset = self._reserve(len(data))
            file.write(offset, data)
        except OSError as error:
            where = self._folder if self._folder is not None else tempfile.gettempdir()
            raise SourceError(
                f"A temporary file cannot be written in {os.fspath(where)}: {error.strerror or error}. The encoded "
                f"partitions that are being sent need room there; UploadOptions.spool_dir names another directory.",
                path=os.fspath(where),
            ) from error
        return FileRange(file, offset, len(data))

    def _reserve(self, length: int) -> tuple[SpoolFile, int]:
        with self._lock:
            if self._current is None or self._current.size >= self._full:
                self._current = SpoolFile(self._folder)
                self._files.add(self._current)
            offset = self._current.size
            self._current.size += length
            return self._current, offset

    def close(self) -> None:
        """Close all files, sent or not. Nobody may write any more."""
        self._current = None
        for file in list(self._files):
            file.close()


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # As it is, it would look like a broken connection to whoever sends what is read here.
        reason = error.strerror or error
        raise SourceError(f"A temporary file cannot be read: {reason}. Upload the table again.") from error


def _open_unnamed(folder: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    if unnamed := getattr(os, "O_TMPFILE", 0):
        # Some file systems have no unnamed files; the other way shows whether the folder itself is at fault.
        with contextlib.suppress(OSError):
            return os.open(folder, flags | unnamed | os.O_EXCL, 0o600)
    descriptor, path = tempfile.mkstemp(prefix="kumo_async-", dir=folder)
    os.unlink(path)  # noqa: PTH108 - Path.unlink says no more
    return descriptor
