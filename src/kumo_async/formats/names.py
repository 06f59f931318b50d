"""The names that Kumo accepts: for columns the official SDK's rule, for tables what can be part of an object key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kumo_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MAX_TABLE_NAME", "check_table_name", "check_uploaded_name", "clean_names", "number_case_twins"]

MAX_TABLE_NAME = 255
"""Characters in a table's name. An S3 key may have 1024, and the names of the partitions are made from this one."""

_ILLEGAL_IN_COLUMN = re.compile(r"[^0-9A-Za-z]")
_ILLEGAL_IN_TABLE = re.compile(r"[^0-9A-Za-z_.-]")


def clean_names(names: Sequence[str]) -> list[str]:
    """Make column names that Kumo accepts, by the documented rule.

    Every character that is not an ASCII letter or digit becomes ``_``, outer ``_`` go, an empty name becomes
    ``auto_named_<n>``, and a repeated name gets ``_1``, ``_2`` and so on. So a legal name stays, unless one before it
    has become the same.

    Args:
        names: All column names of the table, in order. Takes time in proportion to their number.

    Returns:
        As many names, in the same order, all legal and all different.

    Example:
        >>> clean_names(["user id", "user.id", "_total_", "é"])
        ['user_id', 'user_id_1', 'total', 'auto_named_0']
    """
    cleaned = [_ILLEGAL_IN_COLUMN.sub("_", name).strip("_") for name in names]
    unnamed = 0
    for position, name in enumerate(cleaned):
        if not name:
            cleaned[position] = f"auto_named_{unnamed}"
            unnamed += 1
    return _unique(cleaned)


def number_case_twins(names: Sequence[str]) -> list[str]:
    """Number names that differ by case only as `clean_names` numbers equal ones: many readers cannot keep them apart.

    Args:
        names: Names as `clean_names` returns them.

    Returns:
        As many names, in the same order, no two of them equal when case is ignored.

    Example:
        >>> number_case_twins(["ID", "name", "id", "Id"])
        ['ID', 'name', 'id_1', 'Id_2']
    """
    return _unique(names, str.lower)


def _unique(names: Sequence[str], key: Callable[[str], str] = str) -> list[str]:
    # A made name must also keep clear of the names that are still to come, or the second of them would be renamed
    # although it was fine. The counters only ever rise, which keeps 20,000 equal names linear.
    taken = set(map(key, names))
    repeats: dict[str, int] = {}
    unique = []
    for name in names:
        kept = key(name)
        if kept not in repeats:
            repeats[kept] = 0
            unique.append(name)
            continue
        while key(candidate := f"{name}_{repeats[kept] + 1}") in taken:
            repeats[kept] += 1
        repeats[kept] += 1
        taken.add(key(candidate))
        unique.append(candidate)
    return unique


def check_table_name(name: str) -> None:
    """Refuse a table name that could not be one plain, unambiguous part of an object key.

    ASCII letters, digits, ``_``, ``-`` and ``.`` inside the name are allowed, up to 255 characters. A name that ends in
    ``.parquet`` or ``.csv`` would meet the folder in which another table's partitions are kept.

    Args:
        name: The table's name as the user gave it.

    Raises:
        ConfigurationError: The name is not allowed; the message says which character, where, and what to use.

    Example:
        >>> check_table_name("users-2024.v2")
        >>> check_table_name("a/b")
        Traceback (most recent call last):
            ...
        kumo_async.errors.ConfigurationError: Table name 'a/b' has '/' as character 2. Use only ASCII letters, ...
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"A table name must be a str, not {type(name).__name__}. Pass a name such as 'users'.")
    if problem := _problem_of_table_name(name):
        raise ConfigurationError(problem, table=_shown(name))


def check_uploaded_name(name: str) -> None:
    """Refuse what cannot be the name of an uploaded table, or could mean objects of another one.

    Other clients give names that `check_table_name` refuses for new tables, with blanks or in other scripts.

    Raises:
        ConfigurationError: The name is empty, has a ``/``, or ends as a folder of partitions does.

    Example:
        >>> check_uploaded_name("my table")
        >>> check_uploaded_name("users.csv")
        Traceback (most recent call last):
            ...
        kumo_async.errors.ConfigurationError: Table name 'users.csv' ends with the name of a file format. Use 'users'.
    """
    if not isinstance(name, str) or not name or "/" in name:
        check_table_name(name)
    elif problem := _problem_of_format(name):
        raise ConfigurationError(problem, table=_shown(name))


def _problem_of_table_name(name: str) -> str | None:
    if not name:
        return "The table name is empty. Pass a name such as 'users'."
    if len(name) > MAX_TABLE_NAME:
        shown = f"Table name {_shown(name)!r} has {len(name)} characters."
        return f"{shown} Use at most {MAX_TABLE_NAME}."
    if found := _ILLEGAL_IN_TABLE.search(name):
        place = f"has {found.group()!r} as character {found.start() + 1}"
        return f"Table name {name!r} {place}. Use only ASCII letters, digits, '_', '-' and '.'."
    if name[0] in ".-":
        return f"Table name {name!r} starts with {name[0]!r}. Start it with a letter, a digit or '_'."
    if name.endswith("."):
        return f"Table name {name!r} ends with '.'. Leave the last '.' out."
    return _problem_of_format(name)


def _problem_of_format(name: str) -> str | None:
    stem, _, suffix = name.rpartition(".")
    if stem and suffix.lower() in {"parquet", "csv"}:
        return f"Table name {name!r} ends with the name of a file format. Use {stem!r}."
    return None


def _shown(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"
