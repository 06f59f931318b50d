"""Objects and unfinished uploads on disk.

    root/
      index.sqlite3     what is visible, what is being uploaded, and which file holds it
      secret            the key of the part URLs
      files/            every object, and every unfinished upload, under an id made here

All of it is for its owner alone: files have mode 0600, directories 0700.

Visibility comes from the index alone. A file gets its last path when its upload starts, and one transaction makes it
an object, so there is no moment at which a crash could leave half of one.

Parts are written at their final offset in the object's file as long as all parts but the last have one size, which is
how clients cut. Completing is then free. A part that does not fit, or that is sent a second time, gets a file of its
own and is copied into place when the upload is completed.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kumo_async.local.completion import Completion, check_completion
from kumo_async.local.copying import copy_range
from kumo_async.local.index import Index
from kumo_async.local.names import FileType, belonging
from kumo_async.local.s3errors import Refused
from kumo_async.local.stores import DiskFile, StoredFile, Upload

__all__ = ["DiskStore", "Place"]

_UPLOAD_LIFE_SECONDS = 7 * 24 * 3600.0
_STRAY_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the body of one PUT is written."""

    upload_id: str
    number: int
    file: str
    offset: int
    claimed: bool


class DiskStore:
    """The files and the index under one root; see `Store`.

    Args:
        root: The directory. It is made when missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = root / "files"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.mkdir(mode=0o700, exist_ok=True)
        self._index = Index(root / "index.sqlite3")

    @property
    def root(self) -> Path:
        """The directory."""
        return self._root

    @property
    def place(self) -> str:
        """The directory, in words."""
        return str(self._root)

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def secret(self) -> bytes:
        """Give the key that signs part URLs, and make it the first time."""
        path = self.root / "secret"
        with self._index.write():  # the lock that every process on this root shares
            if not path.exists():
                fresh = path.with_suffix(f".{uuid4().hex}")
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(secrets.token_bytes(32))
                fresh.replace(path)
        return path.read_bytes()

    def path(self, file: str) -> Path:
        """Say where a file of this store is."""
        return self._files / file

    # Uploads

    def start(self, file_type: FileType, name: str, num_parts: int) -> Upload:
        """Start an upload. Nothing is visible until it is completed."""
        upload = Upload(secrets.token_urlsafe(48), f"uploads/{uuid4().hex}", file_type, name, num_parts)
        with self._index.write() as index:
            index.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, NULL, ?, ?)",
                (upload.upload_id, upload.temp_path, file_type, name, num_parts, _new_file(file_type), time.time()),
            )
        return upload

    def upload(self, upload_id: str) -> Upload | None:
        """Find an upload that is not finished."""
        rows = self._index.read("SELECT * FROM uploads WHERE upload_id = ?", upload_id)
        return _upload(rows[0]) if rows else None

    def claim(self, upload_id: str, number: int, size: int) -> Place:
        """Say where a part of ``size`` bytes is to be written.

        Raises:
            Refused: There is no such upload, or it has no such part.
        """
        with self._index.write() as index:
            upload = _unfinished(index, upload_id)
            if not 1 <= number <= upload["num_parts"]:
                raise Refused("InvalidArgument", f"Part number must be between 1 and {upload['num_parts']}.")
            slot = _slot(index, upload, number, size)
            if slot is None or not _take(index, upload_id, number):
                return Place(upload_id, number, _new_file(upload["file_type"]), 0, claimed=False)
            return Place(upload_id, number, upload["file"], (number - 1) * slot, claimed=True)

    def keep(self, place: Place, size: int, etag: str) -> None:
        """Make what was written to ``place`` the part, in place of what was sent before under its number.

        Raises:
            Refused: The upload was finished meanwhile.
        """
        key = (place.upload_id, place.number)
        with self._index.write() as index:
            upload = _unfinished(index, place.upload_id)
            before = index.execute("SELECT file FROM parts WHERE upload_id = ? AND number = ?", key).fetchone()
            index.execute("REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", (*key, place.file, place.offset, size, etag))
            if place.claimed:
                index.execute("UPDATE claims SET open = 0 WHERE upload_id = ? AND number = ?", key)
        if before and before["file"] not in (upload["file"], place.file):
            self._remove(before["file"])

    def drop(self, place: Place) -> None:
        """Forget what was written to ``place``: the body did not come whole."""
        if not place.claimed:
            self._remove(place.file)
            return
        with self._index.write() as index:
            index.execute(
                "DELETE FROM claims WHERE upload_id = ? AND number = ?",
                (place.upload_id, place.number),
            )

    def complete(self, completion: Completion, check: Callable[[StoredFile], None] | None = None) -> None:
        """Make an upload the object of its name, all or nothing.

        The transaction is open while parts are copied, which is short unless a client cut its parts unevenly.

        Args:
            completion: What the client says about the upload; it must be true.
            check: Called with the object before it becomes visible; it refuses by raising `Refused`.

        Raises:
            Refused: The upload is not there, or not as the client says.
        """
        with self._index.write() as index:
            upload = _unfinished(index, completion.upload_id)
            parts = check_completion(index, upload, completion)
            file = self._assemble(index, upload, parts)
            size = sum(part["size"] for part in parts)
            if check is not None:
                check(DiskFile(self.path(file)))
            old = _publish(index, completion, file, size)
            used = index.execute("SELECT file FROM parts WHERE upload_id = ?", (completion.upload_id,)).fetchall()
            index.execute("DELETE FROM uploads WHERE upload_id = ?", (completion.upload_id,))
        self._remove(*({old, upload["file"], *(part["file"] for part in used)} - {file}))

    def _assemble(self, index: sqlite3.Connection, upload: sqlite3.Row, parts: Sequence[sqlite3.Row]) -> str:
        # A PUT that is still open may write to its slot at any time, so then the object gets a file of its own.
        query = "SELECT count(*) FROM claims WHERE upload_id = ? AND open"
        is_open = index.execute(query, (upload["upload_id"],)).fetchone()[0]
        even = all(part["size"] == upload["slot"] for part in parts[:-1])
        file: str = upload["file"] if even and not is_open else _new_file(upload["file_type"])
        offset = 0
        # Makes it, when no part was written in place.
        os.close(os.open(self.path(file), os.O_WRONLY | os.O_CREAT, 0o600))
        for part in parts:
            if (part["file"], part["offset"]) != (file, offset):
                copy_range(self.path(part["file"]), part["offset"], self.path(file), offset, part["size"])
            offset += part["size"]
        os.truncate(self.path(file), offset)
        return file

    # Objects

    def delete(self, file_type: FileType, name: str, *, partitions: bool) -> None:
        """Delete an object, and with ``partitions`` also those of the table of that name.

        Raises:
            Refused: There is nothing to delete.
        """
        where = "file_type = ? AND (name = ? OR (? AND table_name = ?))"
        values = (file_type, name, partitions, name)
        with self._index.write() as index:
            files = index.execute(f"SELECT file FROM objects WHERE {where}", values).fetchall()  # noqa: S608 - constant  # nosec B608
            index.execute(f"DELETE FROM objects WHERE {where}", values)  # noqa: S608 - constant  # nosec B608
        if not files:
            raise Refused(message=f"There is no uploaded file or table {name!r}.", status=404)
        self._remove(*(row["file"] for row in files))

    def tables(self, file_type: FileType) -> list[str]:
        """List the names that tables are read under."""
        query = "SELECT DISTINCT table_name FROM objects WHERE file_type = ? ORDER BY table_name"
        return [row["table_name"] for row in self._index.read(query, file_type)]

    def objects(self, file_type: FileType) -> list[str]:
        """List the names of all objects."""
        query = "SELECT name FROM objects WHERE file_type = ? ORDER BY name"
        return [row["name"] for row in self._index.read(query, file_type)]

    def files(self, file_type: FileType, name: str) -> list[Path]:
        """List the files of a table, or of one object, in the order in which they are read."""
        query = "SELECT file FROM objects WHERE file_type = ? AND (table_name = ? OR name = ?) ORDER BY number, name"
        return [self.path(row["file"]) for row in self._index.read(query, file_type, name, name)]

    def stored(self, file_type: FileType, name: str) -> list[DiskFile]:
        """List the same, for whoever reads them."""
        return [DiskFile(path) for path in self.files(file_type, name)]

    # Cleaning

    def sweep(self) -> None:
        """Remove uploads that were given up, as the lifecycle rule of a bucket does, and files that nothing names."""
        now = time.time()
        with self._index.write() as index:
            index.execute("DELETE FROM uploads WHERE started < ?", (now - _UPLOAD_LIFE_SECONDS,))
            named = index.execute(
                "SELECT file FROM objects UNION SELECT file FROM uploads UNION SELECT file FROM parts"
            ).fetchall()
        # A part that is being written has no row yet, so only what nobody has touched for long is stray.
        strays = {path.name for path in self._files.iterdir() if _age(path, now) > _STRAY_SECONDS}
        self._remove(*(strays - {row["file"] for row in named}))

    def _remove(self, *files: str | None) -> None:
        for file in files:
            # On Windows a file that somebody reads cannot go now; the next sweep takes it.
            with suppress(OSError):
                if file is not None:
                    self.path(file).unlink()


def _new_file(file_type: FileType) -> str:
    return f"{uuid4().hex}.{file_type}"


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _upload(row: sqlite3.Row) -> Upload:
    return Upload(row["upload_id"], row["temp_path"], row["file_type"], row["name"], row["num_parts"])


def _unfinished(index: sqlite3.Connection, upload_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = index.execute("SELECT * FROM uploads WHERE upload_id = ?", (upload_id,)).fetchone()
    if row is None:
        raise Refused("NoSuchUpload")
    return row


def _slot(index: sqlite3.Connection, upload: sqlite3.Row, number: int, size: int) -> int | None:
    """Say how many bytes lie between the starts of two parts, or None if this part does not fit such a raster."""
    slot: int | None = upload["slot"]
    if number == upload["num_parts"]:
        return 0 if number == 1 else slot
    if slot is None:
        index.execute("UPDATE uploads SET slot = ? WHERE upload_id = ?", (size, upload["upload_id"]))
        return size
    return slot if size == slot else None


def _take(index: sqlite3.Connection, upload_id: str, number: int) -> bool:
    return index.execute("INSERT OR IGNORE INTO claims VALUES (?, ?, 1)", (upload_id, number)).rowcount == 1


def _publish(index: sqlite3.Connection, completion: Completion, file: str, size: int) -> str | None:
    key = (completion.file_type, completion.name)
    old = index.execute("SELECT file FROM objects WHERE file_type = ? AND name = ?", key).fetchone()
    place = belonging(completion.name, completion.file_type)
    index.execute(
        "REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*key, place.table, place.number, file, size, time.time()),
    )
    return old["file"] if old else None
