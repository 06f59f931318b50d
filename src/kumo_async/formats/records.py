r"""Where the records of CSV data end, found at the speed of the disk: bytes in, offsets out.

A CSV file may be cut only between records, and only a reader that has seen every quote before a newline knows whether
the newline ends a record. `RecordScanner` sees every byte once, keeps a handful of scalars from block to block, and is
exact: it agrees with Python's `csv` module, byte for byte, wherever the blocks happen to be split. `RecordCutter` turns
record ends into partitions.

The way from a block to its record ends, each step a few numpy passes over the bits of its bytes (`record_bits`):

1. *Escapes*, in dialects that have one: every escaped byte is left out.
2. *Quotes*: which bytes lie within quoted fields, also where some quotes are literals (`record_quotes`).
3. *Ends*: the newlines outside of quotes.
4. *Fields*, where asked for: the delimiters outside of quotes (`record_fields`).

Only the bytes on both sides of a block's border, and escapes behind closing quotes that contradict each other again and
again, are walked through the state machine itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kumo_async.formats.record_bits import BitScanner
from kumo_async.formats.record_cutter import Cut, RecordCutter
from kumo_async.formats.record_ends import JoinedEnds, PackedEnds, RecordEnds
from kumo_async.formats.record_fields import count_behind
from kumo_async.formats.record_states import FRESH, LF, State, moves

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect

__all__ = ["Cut", "RecordCutter", "RecordEnds", "RecordError", "RecordScanner"]

_PIECE: Final = 1 << 20  # bytes looked at together: bounds the memory whatever the caller feeds
_WALKED: Final = 1 << 16  # the same where each special byte becomes some Python objects


class RecordError(ValueError):
    """The data ends inside a quoted field.

    Attributes:
        record: The number of the record that never ends, from 1 where the scanner began; blank lines do not count.
        offset: The offset in bytes of the quote that was never closed.
    """

    def __init__(self, record: int, offset: int) -> None:
        super().__init__(f"record {record} never ends: the quote that opens at byte {offset} is not closed")
        self.record = record
        self.offset = offset


class RecordScanner:
    r"""Finds the record ends of CSV data that is fed block by block; its memory does not grow with the data.

    Args:
        dialect: How the data separates and quotes its fields.
        offset: The absolute offset in bytes of the first byte that will be fed; a record must start there.
        count_fields: Whether to find the delimiters too, by which the fields of each record can be counted.

    Attributes:
        offset: The offset of the next byte to be fed.
        rows: The rows that have ended so far; blank lines do not count.
        count_fields: See above; may be set to False between two blocks, for good.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> scanner = RecordScanner(CsvDialect())
        >>> scanner.feed(b'1,"a\nb"\n2,').offsets.tolist(), scanner.feed(b"c\n\n3").offsets.tolist()
        ([8], [12, 13])
        >>> scanner.finish().offsets.tolist(), scanner.rows
        ([14], 3)
    """

    def __init__(self, dialect: CsvDialect, offset: int = 0, *, count_fields: bool = False) -> None:
        self.offset = offset
        self.rows = 0
        self.count_fields = count_fields
        self._delimiters = 0  # of the record that has not ended
        self._state = State.RECORD
        self._opened = offset  # where the last quoted field began
        self._cr_blank = False  # in state CR: whether the record is a blank line
        self._found: list[RecordEnds] = []
        self._quote, self._escape = dialect.quote, dialect.escape
        self._bit_scanner = BitScanner(dialect, _PIECE)
        self._moves = moves(dialect)
        special = b"\r\n" + dialect.delimiter + (dialect.quote or b"") + (dialect.escape or b"")
        self._special = np.isin(np.arange(256), list(special))

    def feed(self, block: bytes | bytearray) -> RecordEnds:
        """Scan the next bytes.

        Args:
            block: The bytes that follow the last block, any number of them; 1 MiB is fastest. They are not kept.

        Returns:
            The records whose end became certain. A CR at the very end of the block is not certain: an LF may follow.
        """
        for start in range(0, len(block), _PIECE):
            piece = block if len(block) <= _PIECE else block[start : start + _PIECE]
            used = self._settle(piece)
            if used < len(piece):
                # A bytearray would be copied where nothing is cut off.
                self._scan(piece[used:] if used else piece)
        return self._take()

    def finish(self) -> RecordEnds:
        """Tell that the data ends here.

        Returns:
            The last record, if it was still open: one without a final newline, or with a lone CR as its terminator.

        Raises:
            RecordError: The data ends inside a quoted field.
        """
        if self._state in (State.QUOTED, State.QUOTED_ESCAPED):
            raise RecordError(self.rows + 1, self._opened)
        if self._state is not State.RECORD:
            self._add([self.offset], [self._state is State.CR and self._cr_blank], [self._delimiters + 1])
        self._state = State.RECORD
        return self._take()

    def _add(self, offsets: list[int], blank: list[bool], fields: list[int]) -> None:
        if offsets:
            flags = np.array(blank, np.bool_)
            counts = np.array(fields, np.int64) if self.count_fields else None
            ends = RecordEnds(np.array(offsets, np.int64), flags if flags.any() else None, counts)
            self._found.append(ends)
            self.rows += ends.rows

    def _take(self) -> RecordEnds:
        found, self._found = self._found, []
        return found[0] if len(found) == 1 else JoinedEnds(found)

    def _settle(self, piece: bytes | bytearray) -> int:
        """Leave the states that hang on the very next byte; return how many bytes that took, at most 2."""
        used = 0
        while self._state >= State.CLOSED and used < len(piece):
            if self._state is State.CR and piece[used] != LF:
                self._add([self.offset], [self._cr_blank], [self._delimiters + 1])
                self._state, self._delimiters = State.RECORD, 0
            else:
                self._walk(piece[used : used + 1])
                used += 1
        return used

    def _scan(self, piece: bytes | bytearray) -> None:
        """Scan one piece from a state in which no byte before it is still to be interpreted."""
        if self._state is State.QUOTED and not self._matters_within_quotes(piece):
            self.offset += len(piece)
            return
        bits = self._bit_scanner.scan(piece, self._state, separate=self.count_fields)
        if bits is None:
            for start in range(0, len(piece), _WALKED):
                self._walk(piece[start : start + _WALKED])
            return
        ends = PackedEnds(bits, self.offset, self._delimiters)
        if bits.delimiters is not None:
            self._delimiters = count_behind(bits.ends, bits.delimiters, self._delimiters)
        if bits.opened >= 0:
            self._opened = self.offset + bits.opened
        self._found.append(ends)
        self.rows += ends.rows
        self.offset += len(piece)
        self._state, self._cr_blank = bits.state, bits.blank

    def _matters_within_quotes(self, piece: bytes | bytearray) -> bool:
        return any(byte is not None and byte in piece for byte in (self._quote, self._escape))

    def _walk(self, piece: bytes | bytearray) -> None:
        """Scan a piece by the state machine itself, from special byte to special byte."""
        data = np.frombuffer(piece, np.uint8)
        special = self._special.take(data)
        steps = np.flatnonzero(special | np.concatenate(([True], special[:-1])))
        state, record, cr, quoted, field = self._state, State.RECORD, State.CR, State.QUOTED, State.FIELD
        ends: list[int] = []
        blank: list[bool] = []
        fields: list[int] = []
        for at, byte in zip((steps + self.offset).tolist(), data[steps].tolist(), strict=True):
            before, state = state, self._moves[state][byte]
            if before is cr or state is record:
                ends.append(at + (state is record))
                blank.append(self._cr_blank if before is cr else before is record)
                fields.append(self._delimiters + 1)
                self._delimiters = 0
            if state is cr:
                self._cr_blank = before is record or before is cr
            elif state is quoted and before in FRESH:
                self._opened = at
            elif state is field:
                self._delimiters += 1
        self._add(ends, blank, fields)
        self._state = state
        self.offset += len(piece)
