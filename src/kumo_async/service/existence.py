"""Whether a thing is there, by answers that do not say so: plain decisions.

It is not known what the service answers when it is asked about, or told to delete, what is not there. Its protocol has
`is_valid=false` for that, and 404; others would say 400 or 422, or have a gateway say it with a page of its own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from .answers import Seen, Verdict, classify

__all__ = ["can_mean_missing", "first_partitions", "is_alike", "is_listed", "is_there", "stranger_of", "table_of"]

#: What a service could answer about a thing that is not there. All else is about who asks, or when, or how.
_MISSING_STATUS = frozenset({400, 404, 410, 422})


def can_mean_missing(seen: Seen) -> bool:
    """Return whether an answer could mean that there is no such thing, though it may mean anything else as well.

    Example:
        >>> can_mean_missing(Seen(status=400)), can_mean_missing(Seen(status=403))
        (True, False)
    """
    return seen.status in _MISSING_STATUS


def table_of(name: str, file_type: str) -> str:
    """Return the name of the table that an object belongs to; a table's own is returned as it is.

    Example:
        >>> table_of("users.csv/part_0001.csv", "csv"), table_of("users", "csv")
        ('users', 'users')
    """
    return name.rpartition(f".{file_type}/")[0] or name


def first_partitions(table: str, file_type: str) -> list[str]:
    """Return the partitions that are looked for where it is to be known whether a table has any.

    The first one alone would do, but for tables of which some are deleted already; those go 16 at a time.

    Example:
        >>> first_partitions("users", "csv")[0]
        'users.csv/part_0001.csv'
    """
    return [f"{table}.{file_type}/part_{number:04d}.{file_type}" for number in range(1, 17)]


def is_listed(name: str, file_type: str, listed: Iterable[str]) -> bool:
    """Return whether a list of tables has one, by its name or by its partitions.

    Example:
        >>> is_listed("users", "csv", ["orders", "users.csv/part_0001.csv"])
        True
    """
    folder = f"{name}.{file_type}/"
    return any(found == name or found.startswith(folder) for found in listed)


def is_there(seen: Seen, name: str, file_type: str, listed: Iterable[str]) -> bool | None:
    """Return whether an object or a table is there, of which only a refusal and a list of tables tell; None: not known.

    A list of tables may leave their partitions out, so that it says of one only that it is not there, if its table is
    not. Nor does it say more than the service's own "not found" does.

    Example:
        >>> is_there(Seen(status=400), "users", "csv", ["orders"])
        False
    """
    names = list(listed)
    if name in names:
        return None
    missing = classify(seen) is Verdict.ABSENT and table_of(name, file_type) != name
    return False if missing or not is_listed(table_of(name, file_type), file_type, names) else None


def stranger_of(name: str, file_type: str) -> str:
    """Return a name of the same form that nothing has.

    Example:
        >>> stranger_of("users.csv/part_0001.csv", "csv").endswith(".csv/part_0001.csv")
        True
    """
    return f"kumo_async_{secrets.token_hex(8)}{name.removeprefix(table_of(name, file_type))}"


def is_alike(one: Seen, name: str, other: Seen, other_name: str) -> bool:
    """Return whether two things were refused in the same way, but for their names and for numbers, such as an id.

    Example:
        >>> is_alike(Seen(status=400, message="No t."), "t", Seen(status=400, message="No u."), "u")
        True
    """
    same_form = (one.status, one.own, one.code) == (other.status, other.own, other.code)
    return same_form and _words(one.message, name) == _words(other.message, other_name)


def _words(message: str, name: str) -> list[str]:
    unnamed = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", message)
    return re.sub(r"\w*\d\w*", "", unnamed).split()
