"""Why a directory cannot hold the tables of a plane, as one error with a remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kumo_async.errors import ConfigurationError
from kumo_async.local.index import LOCKED, primary_code

__all__ = ["usable"]

# SQLITE_ERROR is what statements get that name a column or table which is not there: the index is somebody else's.
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


@contextmanager
def usable(root: Path) -> Iterator[None]:
    """Turn what goes wrong while a store under ``root`` is opened into one error.

    Raises:
        ConfigurationError: The directory cannot be made, read or written, or its index is locked or damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigurationError(_index_message(root, error), path=str(root)) from error
    except OSError as error:
        raise ConfigurationError(_message(root, error.strerror or type(error).__name__), path=str(root)) from error


def _message(root: Path, reason: str) -> str:
    return (
        f"The directory {root} cannot keep the tables of the embedded data plane: {reason}. Make it writable, or "
        f"choose another directory."
    )


def _index_message(root: Path, error: sqlite3.Error) -> str:
    if primary_code(error) in LOCKED:
        return (
            f"The index of the tables in {root} stays in use: {error}. End the process that holds it, or choose "
            f"another directory."
        )
    if primary_code(error) in _DAMAGED:
        return (
            f"The index of the tables in {root} is damaged, or not one of an embedded data plane: {error}. Choose "
            f"another directory, or remove this one and upload its tables again."
        )
    return _message(root, str(error))
