"""Directories that cannot hold tables: one error at once, which says where and how to mend it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import kumo_async
from kumo_async.errors import ConfigurationError
from kumo_async.local import LocalDataPlane, index
from kumo_async.local.index import Index

WRITABLE = "Make it writable, or choose another directory."
DAMAGED = "Choose another directory, or remove this one and upload its tables again."


def a_directory(root: Path) -> None:
    (root / "index.sqlite3").mkdir()


def noise(root: Path) -> None:
    (root / "index.sqlite3").write_bytes(bytes(range(1, 256)) * 20)


def cut_off(root: Path) -> None:
    with closing(Index(root / "index.sqlite3")):
        pass
    os.truncate(root / "index.sqlite3", 6000)


def of_somebody_else(root: Path) -> None:
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection:
        connection.execute("CREATE TABLE uploads (id INTEGER)")


def a_file_in_the_way(root: Path) -> None:
    (root / "files").write_bytes(b"")


def no_secret(root: Path) -> None:
    (root / "secret").mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason", "remedy", "cause"),
    [
        (a_directory, "unable to open database file", WRITABLE, sqlite3.Error),
        (noise, "file is not a database", DAMAGED, sqlite3.Error),
        (cut_off, "database disk image is malformed", DAMAGED, sqlite3.Error),
        (of_somebody_else, "no such column", DAMAGED, sqlite3.Error),
        (a_file_in_the_way, "File exists", WRITABLE, OSError),
        (no_secret, "Is a directory", WRITABLE, OSError),
    ],
)
async def test_a_directory_that_cannot_be_used(
    spoil: Callable[[Path], None], reason: str, remedy: str, cause: type[Exception], tmp_path: Path
) -> None:
    spoil(tmp_path)
    with pytest.raises(ConfigurationError) as raised:
        await LocalDataPlane(tmp_path).start()
    assert str(tmp_path) in str(raised.value)
    assert reason in str(raised.value)
    assert str(raised.value).endswith(remedy)
    assert isinstance(raised.value.__cause__, cause)


async def test_a_root_behind_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "file" / "plane"
    with pytest.raises(ConfigurationError, match="Not a directory") as raised:
        await kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(f"local:{root}")).table_names_async()
    assert str(root) in str(raised.value)
    assert isinstance(raised.value.__cause__, NotADirectoryError)


class ReadOnly(sqlite3.Connection):
    """A connection as on a file system that was mounted read-only, which a test cannot have everywhere."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA journal_mode"):
            super().execute("PRAGMA query_only = ON")
        return super().execute(sql, *values)


async def test_a_store_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalDataPlane(tmp_path):
        pass
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: connect(*args, **more, factory=ReadOnly))
    with pytest.raises(ConfigurationError, match="attempt to write a readonly database") as raised:
        await LocalDataPlane(tmp_path).start()
    assert str(raised.value).endswith(WRITABLE)


async def test_an_index_that_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalDataPlane(tmp_path):
        pass
    monkeypatch.setattr(index, "_BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / "index.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigurationError, match="database is locked") as raised:
            await LocalDataPlane(tmp_path).start()
    assert str(raised.value).endswith("End the process that holds it, or choose another directory.")


async def test_a_directory_that_was_mended_is_used(tmp_path: Path) -> None:
    noise(tmp_path)
    with pytest.raises(ConfigurationError):
        await LocalDataPlane(tmp_path).start()
    shutil.rmtree(tmp_path)
    async with LocalDataPlane(tmp_path) as plane:
        assert plane.table_names("csv") == []
