"""What a plane needs of the place where its tables are kept; `store.py` is one on disk, `s3store.py` one in S3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from kumo_async.local.completion import Completion
from kumo_async.local.names import FileType

__all__ = ["DiskFile", "Store", "StoredFile", "Upload"]


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that was started."""

    upload_id: str
    temp_path: str
    file_type: FileType
    name: str
    num_parts: int


class StoredFile(Protocol):
    """One object, for whoever reads it."""

    def size(self) -> int:
        """Give its size in bytes.

        Raises:
            FileNotFoundError: It is gone.
        """

    def open(self) -> BinaryIO:
        """Open it for reading, from any offset.

        Raises:
            FileNotFoundError: It is gone; the first read may be what finds that out.
        """


class Store(Protocol):
    """Objects and unfinished uploads. Every method blocks; all are safe from threads and from processes."""

    @property
    def place(self) -> str:
        """Where everything is kept, in words for people."""

    @property
    def root(self) -> Path:
        """The directory that everything is kept in.

        Raises:
            ConfigurationError: It is not kept in a directory.
        """

    def close(self) -> None:
        """Let go of what is open."""

    def start(self, file_type: FileType, name: str, num_parts: int) -> Upload:
        """Start an upload. Nothing is visible until it is completed."""

    def complete(self, completion: Completion, check: Callable[[StoredFile], None] | None = None) -> None:
        """Make an upload the object of its name, all or nothing.

        Args:
            completion: What the client says about the upload; it must be true.
            check: Called with the object; it refuses by raising `Refused`, and then no such object is left.

        Raises:
            Refused: The upload is not there, or not as the client says.
        """

    def delete(self, file_type: FileType, name: str, *, partitions: bool) -> None:
        """Delete an object, and with ``partitions`` also those of the table of that name.

        Raises:
            Refused: There is nothing to delete.
        """

    def tables(self, file_type: FileType) -> list[str]:
        """List the names that tables are read under."""

    def objects(self, file_type: FileType) -> list[str]:
        """List the names of all objects."""

    def stored(self, file_type: FileType, name: str) -> Sequence[StoredFile]:
        """List the objects of a table, or the one of that name, in the order in which they are read."""

    def files(self, file_type: FileType, name: str) -> list[Path]:
        """List them as files of this machine.

        Raises:
            ConfigurationError: They are not kept in files.
        """


@dataclass(frozen=True, slots=True)
class DiskFile:
    """An object that is a file."""

    path: Path

    def size(self) -> int:
        """Give its size in bytes."""
        return self.path.stat().st_size

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.path.open("rb")
