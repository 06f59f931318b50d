"""How many fields each record has, from the places where fields and records end."""

from __future__ import annotations

import numpy as np

from kumo_async.formats.record_marks import Offsets

__all__ = ["FieldCounter"]


class FieldCounter:
    """Counts the fields of records by the delimiters outside of quotes; all offsets come in order.

    Example:
        >>> counter = FieldCounter()
        >>> counter.add(np.array([1, 5]))
        >>> counter.count(np.array([4])).tolist(), counter.count(np.array([9, 10])).tolist()
        ([2], [2, 1])
    """

    def __init__(self) -> None:
        self._separators: list[Offsets] = []
        self._open = 0  # separators of the record that has not ended, beside those in `_separators`

    def add(self, separators: Offsets) -> None:
        """Take the offsets of the next delimiters that stand outside of quotes."""
        self._separators.append(separators)

    def count(self, ends: Offsets) -> Offsets:
        """Return the number of fields of each record that ends at one of `ends`."""
        separators = np.concatenate([np.empty(0, np.int64), *self._separators])
        self._separators = []
        before = np.searchsorted(separators, ends)
        fields = np.diff(before, prepend=0) + 1
        if ends.size:
            fields[0] += self._open
            self._open = -int(before[-1])
        self._open += separators.size
        return fields
