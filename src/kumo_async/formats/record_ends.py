"""Where records end: what the scanner says of each block, counted at once and looked into only where that is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kumo_async.formats.record_bits import PieceBits, last_position, positions

if TYPE_CHECKING:
    from kumo_async.formats.record_marks import Flags, Offsets

__all__ = ["PackedEnds", "RecordEnds"]


class RecordEnds:
    """Record ends, in order.

    Attributes:
        fields: For each record the number of its fields, 1 for a blank line; None where they were not counted.
    """

    fields: Offsets | None = None

    def __init__(self, offsets: Offsets, blank: Flags | None = None, fields: Offsets | None = None) -> None:
        self._offsets = offsets
        self._blank = blank
        self.fields = fields

    @property
    def offsets(self) -> Offsets:
        """For each record the absolute offset in bytes one behind its terminator."""
        return self._offsets

    @property
    def blank(self) -> Flags | None:
        """For each record whether it is a blank line, which no reader takes for a row; None when none is."""
        return self._blank

    @property
    def rows(self) -> int:
        """How many of the records are rows."""
        return int(self.offsets.size - (0 if self.blank is None else np.count_nonzero(self.blank)))

    @property
    def row_offsets(self) -> Offsets:
        """The ends of the rows alone, without the blank lines."""
        return self.offsets if self.blank is None else self.offsets[~self.blank]

    @property
    def end(self) -> int:
        """The end of the last record; -1 if there is none."""
        return int(self.offsets[-1]) if self.offsets.size else -1

    @property
    def row_end(self) -> int:
        """The end of the last row; -1 if there is none."""
        return int(self.row_offsets[-1]) if self.row_offsets.size else -1


class PackedEnds(RecordEnds):
    """The same, as long as possible as bits: most pieces are counted, and only those with a cut are looked into."""

    def __init__(self, bits: PieceBits, offset: int) -> None:
        self._bits = bits
        self._behind = offset + 1
        self._rows = int(np.bitwise_count(bits.rows).sum())

    @property
    def offsets(self) -> Offsets:
        """See `RecordEnds`."""
        return positions(self._bits.ends) + self._behind

    @property
    def blank(self) -> Flags | None:
        """See `RecordEnds`."""
        blank = self._bits.ends & ~self._bits.rows
        if not blank.any():
            return None
        return np.isin(positions(self._bits.ends), positions(blank), assume_unique=True)

    @property
    def rows(self) -> int:
        """See `RecordEnds`."""
        return self._rows

    @property
    def row_offsets(self) -> Offsets:
        """See `RecordEnds`."""
        return positions(self._bits.rows) + self._behind

    @property
    def end(self) -> int:
        """See `RecordEnds`."""
        return self._shifted(last_position(self._bits.ends))

    @property
    def row_end(self) -> int:
        """See `RecordEnds`."""
        return self._shifted(last_position(self._bits.rows))

    def _shifted(self, position: int) -> int:
        return position if position < 0 else position + self._behind
