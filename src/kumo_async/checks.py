"""What the value of an option may be: each check names the option, what it may be, and what it is."""

from __future__ import annotations

import asyncio
import codecs
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ConfigurationError

__all__ = [
    "check_bool",
    "check_characters",
    "check_choice",
    "check_encoding",
    "check_existing_dir",
    "check_int",
    "check_journal_dir",
    "check_seconds",
    "check_text",
    "event_loop",
    "expanded",
    "names_of",
    "null_values_of",
    "types_of",
]


def check_int(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return `value` if it is a whole number from `least` to `most`, else raise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name} must be a whole number; got {type(value).__name__}.")
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigurationError(f"{name} must be {allowed}; got {value}.")
    return value


def check_seconds(name: str, value: object) -> None:
    """Raise unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name} must be a number; got {type(value).__name__}.")
    if not 0 < value < math.inf:
        raise ConfigurationError(f"{name} must be above 0 seconds, and not infinite; got {value}.")


def check_bool(name: str, value: object) -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False; got {type(value).__name__}.")


def check_text(name: str, value: object) -> None:
    """Raise unless `value` is a str, or None."""
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str; got {type(value).__name__}.")


def check_choice(name: str, value: object, *choices: str | None) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        known = " or ".join(map(repr, choices))
        raise ConfigurationError(f"{name} must be {known}; got {value!r}.")


def check_existing_dir(name: str, given: str | os.PathLike[str] | None) -> None:
    """Raise unless `given` is an existing directory, or None."""
    if given is None:
        return
    if not isinstance(given, str | os.PathLike):
        raise ConfigurationError(f"{name} must be the path of a directory; got {type(given).__name__}.")
    if not expanded(name, given).is_dir():
        raise ConfigurationError(
            f"{name} is {os.fspath(given)!r}, which is not an existing directory. Create it, or leave the option out "
            f"to use the system's temporary directory."
        )


def check_journal_dir(given: object) -> None:
    """Raise unless `given` can name a directory, or is None.

    Raises:
        ConfigurationError: If it is of another type, or empty.

    Example:
        >>> check_journal_dir("/var/lib/journals")
    """
    if given is None:
        return
    if not (isinstance(given, str | os.PathLike) and os.fspath(given)):
        raise ConfigurationError(f"journal_dir must be the path of a directory; got {given!r}.")
    expanded("journal_dir", given)


def expanded(name: str, given: str | os.PathLike[str]) -> Path:
    """Return the path that an option means. A `~` is a home directory here as well, since no shell has seen it.

    Raises:
        ConfigurationError: If it is in the home of a user who does not exist.

    Example:
        >>> expanded("journal_dir", "~/journals") == Path.home() / "journals"
        True
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{name} is {os.fspath(given)!r}, and no home directory is known for it. Give the path in full."
        ) from error


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        ConfigurationError: If none of asyncio's is running here.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise ConfigurationError(
            "The async methods need an event loop of asyncio, and none is running here. Under another one, such as "
            "trio's, call the blocking method in a thread: await anyio.to_thread.run_sync(connector.upload, ...)."
        ) from error


def check_characters(
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
    comment: str | None = None,
    *,
    skip_initial_space: bool = False,
) -> None:
    """Raise unless the characters of a CSV dialect can be told from each other and from what has a meaning."""
    given = {"delimiter": delimiter, "quote": quote or None, "escape": escape or None, "comment": comment}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            raise ConfigurationError(
                f"CsvOptions.{name} must be one ASCII character that is neither a newline nor NUL; got {value!r}."
            )
    if len(set(given.values())) < len(given):
        raise ConfigurationError(f"CsvOptions: {', '.join(given)} must differ from each other.")
    if skip_initial_space and " " in given.values():
        raise ConfigurationError(
            "CsvOptions: with skip_initial_space=True spaces before fields are skipped, so a space cannot be the "
            "delimiter, the quote, the escape or the comment."
        )


def check_encoding(encoding: object) -> None:
    """Raise unless `encoding` names a codec that makes text of a stream of bytes."""
    try:
        # Codecs that do not make text of bytes, such as "hex", refuse this; a NUL in the name is a ValueError.
        "".encode(encoding)  # type: ignore[arg-type]
        codecs.getincrementaldecoder(encoding)  # type: ignore[call-overload]
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"CsvOptions.encoding must name a text codec of Python that decodes streams; got {encoding!r}."
        ) from error


def types_of(types: object) -> dict[str, Any]:
    """Return the types of columns as a dict of our own, or raise."""
    if not isinstance(types, Mapping) or not all(isinstance(name, str) for name in types):
        raise ConfigurationError("CsvOptions.types must be a dict of column names and types.")
    return dict(types)


def null_values_of(values: object) -> tuple[str, ...]:
    """Return the texts that mean null as a tuple, or raise."""
    listed = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str | bytes) else None
    if listed is None or not all(isinstance(value, str) for value in listed):
        raise ConfigurationError('CsvOptions.null_values must be a list of texts, such as ["", "NA"].')
    return listed


def names_of(names: object) -> tuple[str, ...]:
    """Return the names of columns as a tuple, or raise."""
    listed = tuple(names) if isinstance(names, Sequence) and not isinstance(names, str | bytes) else ()
    if not listed or not all(isinstance(name, str) for name in listed):
        raise ConfigurationError("CsvOptions.column_names must be a list of one name or more, each a str.")
    return listed
