"""One rule for all entries of key-value metadata, of a file, of Arrow's schema and of its fields.

Writers repeat in them what the schema says, and readers believe them. An entry whose form is known is rewritten:
Arrow's schema, and what pandas and Spark say of columns. Any other one goes if a column stands in it that was renamed
or gets another type, since what it says of that column is no longer so; the rest stays as it is, byte for byte.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["ARROW_KEY", "Changes", "by_name", "mentions"]

ARROW_KEY = b"ARROW:schema"

_MOST_BYTES = 16 * 1024 * 1024
"""Bytes of an entry that is looked through. A larger one goes with the first change."""

_MOST_WORK = 1 << 30
"""Bytes that are compared for one entry, of all names together."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of a file's top-level columns.

    Attributes:
        old: Their names.
        new: Their new names, in the same order.
        types: The Arrow type of each that gets another one, None for the others; nothing where all keep theirs.
        dropped: Keys of the entries that were dropped, which are added while entries are rewritten.
    """

    old: Sequence[str]
    new: Sequence[str]
    types: Sequence[Any] = ()
    dropped: dict[str, None] = field(default_factory=dict)

    @property
    def changed(self) -> frozenset[str]:
        """The old names of the columns that have another name or type."""
        types = self.types or [None] * len(self.old)
        columns = zip(self.old, self.new, types, strict=True)
        return frozenset(old for old, new, kind in columns if old != new or kind is not None)

    def kept(self, key: bytes, value: bytes) -> bytes | None:
        """Give the value of an entry of unknown form; None if a changed column stands in it."""
        if not mentions(key, self.changed) and not mentions(value, self.changed):
            return value
        self.drop(key)
        return None

    def drop(self, key: bytes) -> None:
        """Note that an entry goes."""
        self.dropped[key.decode(errors="replace")] = None


def by_name(changes: Changes) -> dict[str, deque[tuple[str, Any]]]:
    """Give the new name and type of each column by its old name; of equal names in the order of the columns."""
    found: dict[str, deque[tuple[str, Any]]] = {}
    types = changes.types or [None] * len(changes.old)
    for old, new, kind in zip(changes.old, changes.new, types, strict=True):
        found.setdefault(old, deque()).append((new, kind))
    return found


def mentions(value: bytes, names: Collection[str]) -> bool:
    """Say whether a name stands in a value: as a word of its text, or of the texts in its JSON or its base64.

    Takes time in proportion to the value, but for names that are no single word. True where that would be too long.

    Example:
        >>> value = b'{"columns": ["user id"], "note": "by use"}'
        >>> [mentions(value, {name}) for name in ("user id", "user", "us", "note")]
        [True, True, False, True]
    """
    if not names:
        return False
    if len(value) > _MOST_BYTES:
        return True
    return any(_stand_in(text, names) for text in _readings(value))


def _readings(value: bytes) -> Iterator[str]:
    text = value.decode(errors="replace")
    yield text
    with suppress(ValueError, RecursionError):
        yield "\n".join(f'"{each}"' for each in _texts(json.loads(text)))
    with suppress(ValueError):
        yield base64.b64decode(value, validate=True).decode(errors="replace")


def _texts(document: Any) -> Iterator[str]:
    """Give all texts of a JSON document, in any order."""
    waiting = [document]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case list(items):
                waiting += items
            case dict(entries):
                waiting += entries
                waiting += entries.values()


def _stand_in(text: str, names: Collection[str]) -> bool:
    words = set(_words(text))
    if any(name in words for name in names):
        return True
    others = [name for name in names if not _is_word(name)]
    return len(others) * len(text) > _MOST_WORK or any(_stands_in(text, name) for name in others)


def _stands_in(text: str, name: str) -> bool:
    """Look for a name that is not a single word: between other words, or in quotes where it has no word at all."""
    if not _words(name):
        return f'"{name}"' in text or f"'{name}'" in text
    left, right = (r"\b" if _is_word(end) else "" for end in (name[0], name[-1]))
    return re.search(left + re.escape(name) + right, text) is not None


_words = re.compile(r"\w+").findall
_is_word = re.compile(r"\w+").fullmatch
