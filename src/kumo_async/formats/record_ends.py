"""Where records end: what the scanner says of each block, counted at once and looked into only where that is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kumo_async.formats.record_fields import are_regular, count_fields
from kumo_async.formats.record_words import flags, last_position, positions

if TYPE_CHECKING:
    from kumo_async.formats.record_bits import PieceBits
    from kumo_async.formats.record_words import Flags, Offsets

__all__ = ["JoinedEnds", "PackedEnds", "RecordEnds"]


class RecordEnds:
    """Record ends, in order."""

    def __init__(self, offsets: Offsets, blank: Flags | None = None, fields: Offsets | None = None) -> None:
        self._offsets = offsets
        self._blank = blank
        self._fields = fields

    @property
    def offsets(self) -> Offsets:
        """For each record the absolute offset in bytes one behind its terminator."""
        return self._offsets

    @property
    def blank(self) -> Flags | None:
        """For each record whether it is a blank line, which no reader takes for a row; None when none is."""
        return self._blank

    @property
    def fields(self) -> Offsets | None:
        """For each record the number of its fields, 1 for a blank line; None where they were not counted."""
        return self._fields

    @property
    def counted(self) -> bool:
        """Whether the fields were counted."""
        return self._fields is not None

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

    def are_regular(self, columns: int) -> bool:
        """Whether each row has `columns` fields; they must have been counted."""
        fields, blank = self.fields, self.blank
        assert fields is not None
        return bool(((fields if blank is None else fields[~blank]) == columns).all())


class PackedEnds(RecordEnds):
    """The same, as long as possible as bits: most pieces are counted, and only those with a cut are looked into.

    Args:
        bits: What is known of the piece.
        offset: The absolute offset in bytes of the piece.
        before: The delimiters of its first record that stand before it.
    """

    def __init__(self, bits: PieceBits, offset: int, before: int) -> None:
        self._bits = bits
        self._behind = offset + 1
        self._before = before
        self._rows = int(np.bitwise_count(bits.rows).sum())

    @property
    def offsets(self) -> Offsets:
        """See `RecordEnds`."""
        return positions(self._bits.ends) + self._behind

    @property
    def blank(self) -> Flags | None:
        """See `RecordEnds`."""
        ends, rows = self._bits.ends, self._bits.rows
        return None if np.array_equal(ends, rows) else ~flags(rows)[positions(ends)]

    @property
    def fields(self) -> Offsets | None:
        """See `RecordEnds`."""
        bits = self._bits
        return None if bits.delimiters is None else count_fields(bits.ends, bits.delimiters, self._before)

    @property
    def counted(self) -> bool:
        """See `RecordEnds`."""
        return self._bits.delimiters is not None

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

    def are_regular(self, columns: int) -> bool:
        """See `RecordEnds`."""
        assert self._bits.delimiters is not None
        return are_regular(self._bits.rows, self._bits.delimiters, self._before, columns)

    def _shifted(self, position: int) -> int:
        return position if position < 0 else position + self._behind


class JoinedEnds(RecordEnds):
    """Several of them, one behind the other."""

    def __init__(self, parts: Sequence[RecordEnds]) -> None:
        self._parts = parts

    @property
    def offsets(self) -> Offsets:
        """See `RecordEnds`."""
        return _join([part.offsets for part in self._parts])

    @property
    def blank(self) -> Flags | None:
        """See `RecordEnds`."""
        found = [(part, part.blank) for part in self._parts]
        if all(blank is None for _, blank in found):
            return None
        return np.concatenate([np.zeros(part.rows, np.bool_) if blank is None else blank for part, blank in found])

    @property
    def fields(self) -> Offsets | None:
        """See `RecordEnds`."""
        counted = [fields for part in self._parts if (fields := part.fields) is not None]
        return _join(counted) if len(counted) == len(self._parts) else None

    @property
    def counted(self) -> bool:
        """See `RecordEnds`."""
        return all(part.counted for part in self._parts)

    @property
    def rows(self) -> int:
        """See `RecordEnds`."""
        return sum(part.rows for part in self._parts)

    @property
    def end(self) -> int:
        """See `RecordEnds`."""
        return max((part.end for part in self._parts), default=-1)

    @property
    def row_end(self) -> int:
        """See `RecordEnds`."""
        return max((part.row_end for part in self._parts), default=-1)

    def are_regular(self, columns: int) -> bool:
        """See `RecordEnds`."""
        return all(part.are_regular(columns) for part in self._parts)


def _join(offsets: list[Offsets]) -> Offsets:
    return np.concatenate([np.empty(0, np.int64), *offsets])
