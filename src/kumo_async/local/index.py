"""The SQLite index of a store: what is visible, and what is being uploaded."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Lock

__all__ = ["LOCKED", "Index", "primary_code"]

#: What SQLite says when another connection is at work, and waiting helps.
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_BUSY_SECONDS = 60.0
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS uploads (
        upload_id TEXT PRIMARY KEY, temp_path TEXT NOT NULL, file_type TEXT NOT NULL, name TEXT NOT NULL,
        num_parts INTEGER NOT NULL, slot INTEGER, file TEXT NOT NULL, started REAL NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS parts (
        upload_id TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL, file TEXT NOT NULL,
        offset INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
        PRIMARY KEY (upload_id, number)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS claims (
        upload_id TEXT NOT NULL REFERENCES uploads ON DELETE CASCADE, number INTEGER NOT NULL, open INTEGER NOT NULL,
        PRIMARY KEY (upload_id, number)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS objects (
        file_type TEXT NOT NULL, name TEXT NOT NULL, table_name TEXT NOT NULL, number INTEGER NOT NULL,
        file TEXT NOT NULL, size INTEGER NOT NULL, completed REAL NOT NULL,
        PRIMARY KEY (file_type, name)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS objects_by_table ON objects (file_type, table_name, number, name)",
)


class Index:
    """One SQLite file that any number of threads and processes use at once.

    One connection writes and one reads: with the write-ahead log a reader never waits for a writer, so a question that
    is asked on the event loop does not wait for a long commit in a thread.
    """

    def __init__(self, path: Path) -> None:
        _make_private(path)
        self._write_lock = Lock()
        self._read_lock = Lock()
        with ExitStack() as stack:
            self._writer = stack.enter_context(closing(_connect(path)))
            with self.write() as connection:
                for statement in _SCHEMA:
                    connection.execute(statement)
            self._reader = _connect(path)
            stack.pop_all()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Change the index: all of it or nothing, and one at a time over all processes."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                # After some failures, such as a full disk, SQLite has rolled back already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def read(self, query: str, *values: str | int) -> list[sqlite3.Row]:
        """Ask the index."""
        with self._read_lock, closing(self._reader.execute(query, values)) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        """Close both connections."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()


def primary_code(error: sqlite3.Error) -> int:
    """Give SQLite's code for an error without its details (https://sqlite.org/rescode.html); 0 when it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


#: Held while an index is made. To close any descriptor of a file is to lose all of the process's locks of it
#: (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_), so this
#: must be over before another thread connects to it.
_making = Lock()


def _make_private(path: Path) -> None:
    """Have an index that its owner alone can read; what SQLite puts next to it gets the same mode.

    One that cannot be made so is left to SQLite, which says better what is wrong with it.
    """
    with suppress(OSError), _making:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(OSError):
            # Earlier versions made it readable for everybody.
            if each.is_file() and stat.S_IMODE(each.stat().st_mode) & 0o077:
                each.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        _use_write_ahead_log(connection)
        # No fsync per commit: what was committed survives a killed process, though not a power cut.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # The busy time-out does not cover this one statement when several processes open a new index together.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) not in LOCKED or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
