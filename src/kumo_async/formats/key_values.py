"""One rule for all entries of key-value metadata, of a file, of Arrow's schema and of its fields.

Writers repeat in them what the schema says, and readers believe them. An entry whose form is known is rewritten:
Arrow's schema, and what pandas and Spark say of columns. Any other one goes if a column stands in it that was renamed
or gets another type, since what it says of that column is no longer so; the rest stays as it is, byte for byte.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["ARROW_KEY", "Changes", "NameIndex", "by_name"]

ARROW_KEY = b"ARROW:schema"

_MOST_BYTES = 16 * 1024 * 1024
"""Bytes of an entry that is looked through. A larger one goes with the first change."""

_MOST_WORK = 1 << 30
"""Bytes that are compared for one entry, of all names together."""


@dataclass(frozen=True)
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

    @cached_property
    def changed(self) -> NameIndex:
        """The old names of the columns that have another name or type."""
        types = self.types or [None] * len(self.old)
        columns = zip(self.old, self.new, types, strict=True)
        return NameIndex(old for old, new, kind in columns if old != new or kind is not None)

    def kept(self, key: bytes, value: bytes) -> bytes | None:
        """Give the value of an entry of unknown form; None if a changed column stands in it."""
        if not self.changed.stand_in(key) and not self.changed.stand_in(value):
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


class NameIndex:
    """Some names of columns, to be looked for in many values.

    Args:
        names: The names.

    Example:
        >>> index = NameIndex(["user id", "n"])
        >>> [index.stand_in(value) for value in (b'{"of": ["user id"]}', b"id of user", b"n,m", b"name")]
        [True, False, True, False]
    """

    def __init__(self, names: Iterable[str]) -> None:
        unique = set(names)
        words = {name: _words(name) for name in unique}
        often = Counter(word for found in words.values() for word in set(found))
        self._words = {name for name, found in words.items() if found == [name]}
        self._wordless = [name for name, found in words.items() if not found]
        # A name of several words is looked for only where its rarest one is.
        self._others: dict[str, list[str]] = {}
        for name in unique - self._words - set(self._wordless):
            self._others.setdefault(min(words[name], key=lambda word: often[word]), []).append(name)

    def __bool__(self) -> bool:
        return bool(self._words or self._others or self._wordless)

    def stand_in(self, value: bytes) -> bool:
        """Say whether a name stands in a value: as words of its text, or of the texts in its JSON or its base64.

        Takes time in proportion to the value. True where it is too large to be looked through.
        """
        if not self:
            return False
        return len(value) > _MOST_BYTES or any(map(self._stand_in, _readings(value)))

    def _stand_in(self, text: str) -> bool:
        words = set(_words(text))
        if not self._words.isdisjoint(words):
            return True
        if any(f'"{name}"' in text or f"'{name}'" in text for name in self._wordless):
            return True
        others = [name for word in words & self._others.keys() for name in self._others[word]]
        return len(others) * len(text) > _MOST_WORK or any(_stands_in(text, name) for name in others)


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


def _stands_in(text: str, name: str) -> bool:
    """Look for a name between other words."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        before, after = text[max(0, at - 1) : at + 1], text[end - 1 : end + 1]
        # Two adjacent characters of a word would make it a part of a longer one.
        if not (at and _is_word(before)) and not (end < len(text) and _is_word(after)):
            return True
        at = text.find(name, at + 1)
    return False


_words = re.compile(r"\w+").findall
_is_word = re.compile(r"\w+").fullmatch
