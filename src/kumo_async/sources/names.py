"""What a source's column names become, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import SourceError
from ..formats.names import clean_names, number_case_twins
from ..formats.types import MAX_LISTED

__all__ = ["ColumnNames", "accept_names"]

_MAX_PART = 1_000
"""Characters of each thing that a message lists."""


@dataclass(frozen=True)
class ColumnNames:
    """A source's column names before and after Kumo's rule."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the rule changes any name."""
        return self.old != self.new

    @property
    def renamed(self) -> Mapping[str, str]:
        """Old name to new name, where the two differ. Of a name that stands several times the last one counts."""
        return {old: new for old, new in zip(self.old, self.new, strict=True) if old != new}


def accept_names(path: str, names: Sequence[str]) -> ColumnNames:
    """Apply Kumo's rule for column names, and number those that differ by case only.

    Raises:
        SourceError: If there are no columns.
    """
    if not names:
        raise SourceError(f"{path} has no columns.", path=path)
    cleaned = clean_names(names)
    new = number_case_twins(cleaned)
    return ColumnNames(tuple(names), tuple(new), (*_warnings(names, new), *_case_warnings(names, cleaned, new)))


def _case_warnings(old: Sequence[str], cleaned: Sequence[str], new: Sequence[str]) -> list[str]:
    """Tell of the names that differ by case only, as they are in the file."""
    first: dict[str, str] = {}
    for before, clean in zip(old, cleaned, strict=True):
        first.setdefault(clean.lower(), before)
    numbered = [
        f"{before!r} became {after!r}, since {first[clean.lower()]!r} comes first"
        for before, clean, after in zip(old, cleaned, new, strict=True)
        if clean != after
    ]
    if not numbered:
        return []
    return [f"Column names that differ by case only were numbered: {_listed(numbered, '; ')}."]


def _warnings(old: Sequence[str], new: Sequence[str]) -> list[str]:
    warnings = []
    lost = [name for name in old if name and not any(c.isascii() and c.isalnum() for c in name)]
    if lost:
        warnings.append(
            f"Kumo takes only ASCII letters and digits in column names; of these nothing is left, and they were "
            f"numbered: {_listed(list(map(repr, lost)))}."
        )
    became: dict[str, list[str]] = {}
    for before, after in zip(old, new, strict=True):
        became.setdefault(before, []).append(after)
    if twice := sorted(name for name, names in became.items() if len(names) > 1):
        where = _listed([f"{name!r} became {_listed(list(map(repr, became[name])))}" for name in twice], "; ")
        warnings.append(f"Column names that stand several times were numbered: {where}.")
    moved = _moved(old, new)
    if moved:
        listed = _listed(
            [f"{name!r} became {to!r}, since {other!r} became {name!r}" for name, to, other in moved], "; "
        )
        warnings.append(f"Columns whose own names were fine have others now: {listed}.")
    return warnings


def _moved(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str, str]]:
    """Find the names that another column took: each with its new name, and the old one of the other column."""
    owners = dict(zip(new, old, strict=True))
    pairs = [(before, after) for before, after in zip(old, new, strict=True) if before != after and before in owners]
    return [(before, after, owners[before]) for before, after in pairs if owners[before] != before]


def _listed(parts: Sequence[str], separator: str = ", ") -> str:
    """Join what a sentence lists; of very much the first, since a table may have thousands of columns."""
    more = [f"and {len(parts) - MAX_LISTED:,} more"] if len(parts) > MAX_LISTED else []
    return separator.join([*map(_cut, parts[:MAX_LISTED]), *more])


def _cut(part: str) -> str:
    """Cut what has names of thousands of characters."""
    return part if len(part) <= _MAX_PART else f"{part[: _MAX_PART - 1]}…"
