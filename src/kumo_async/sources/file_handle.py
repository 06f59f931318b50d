"""An open file as pyarrow wants one to read from."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from .files import SourceFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FileHandle"]


class FileHandle(io.RawIOBase):
    """A position in an open file, which it does not close; the methods are those of Python's files."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that its position can be changed."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position, and return it."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read from the position on; less than was asked for at the end of the file alone."""
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
        """Read as much as fits."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)
