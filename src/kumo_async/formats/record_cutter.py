"""From record ends to partitions: `RecordCutter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from kumo_async.formats.record_ends import RecordEnds

__all__ = ["Cut", "RecordCutter"]


class Cut(NamedTuple):
    """A partition: the range ``start:end`` in bytes, and the rows in it."""

    start: int
    end: int
    rows: int


class RecordCutter:
    """Cuts CSV data into partitions while its records are being found; keeps a few numbers, however many there are.

    Each partition holds as many rows as fit, at least one. Blank lines go with the row that follows them, those at the
    end of the data with the last row, even beyond the target: every partition has a row, every byte a partition.

    Args:
        header_size: The bytes that each partition will begin with, before its records.
        target_bytes: The size in bytes that a partition of more than one row never exceeds, header included.
        offset: The absolute offset in bytes of the first record.

    Example:
        >>> import numpy as np
        >>> from kumo_async.formats.record_ends import RecordEnds
        >>> cutter = RecordCutter(header_size=10, target_bytes=30)
        >>> cutter.feed(RecordEnds(np.array([8, 16, 24, 32])))
        [Cut(start=0, end=16, rows=2)]
        >>> cutter.finish()
        [Cut(start=16, end=32, rows=2)]
    """

    def __init__(self, header_size: int, target_bytes: int, offset: int = 0) -> None:
        self._room = target_bytes - header_size
        self._start = self._row_end = self._end = offset
        self._rows = 0

    def feed(self, ends: RecordEnds) -> list[Cut]:
        """Take the next record ends; return the partitions that became certain: a row follows that does not fit."""
        if ends.end >= 0:
            self._end = ends.end
        if ends.row_end <= self._start + self._room:
            # Nearly always: no row needs to be looked at by itself.
            self._rows += ends.rows
            self._row_end = max(self._row_end, ends.row_end)
            return []
        offsets = ends.row_offsets
        cuts: list[Cut] = []
        done = 0
        while done < offsets.size:
            fitting = int(np.searchsorted(offsets[done:], self._start + self._room, side="right"))
            if not fitting and self._rows:
                cuts.append(self._cut(self._row_end))
            else:
                # A row that alone is larger than the target has a partition to itself.
                taken = max(fitting, 1)
                done += taken
                self._rows += taken
                self._row_end = int(offsets[done - 1])
        return cuts

    def finish(self) -> list[Cut]:
        """Return the last partition, which takes the rest; none if there was no row at all."""
        return [self._cut(self._end)] if self._rows else []

    def _cut(self, end: int) -> Cut:
        cut = Cut(self._start, end, self._rows)
        self._start, self._rows = end, 0
        return cut
