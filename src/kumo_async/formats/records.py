r"""Where the records of CSV data end, found at the speed of the disk: bytes in, offsets out.

A CSV file may be cut only between records, and only a reader that has seen every quote before a newline knows whether
the newline ends a record. `RecordScanner` sees every byte once, keeps a handful of scalars from block to block, and is
exact: it agrees with Python's `csv` module, byte for byte, wherever the blocks happen to be split. `RecordCutter` turns
record ends into partitions.

The way from a block to its record ends, in a few numpy passes each (`record_marks`):

1. *Escapes*, in dialects that have one: every escaped byte is overwritten by a neutral one.
2. *Flips*: the quotes at which the data goes into or out of a quoted field.
3. *Ends*: the newlines outside of quotes.

Only an escape directly behind a closing quote, where its meaning hangs on the state, makes the scanner walk the rest of
the piece through the state machine itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kumo_async.formats.record_bits import BitScanner, positions
from kumo_async.formats.record_cutter import Cut, RecordCutter
from kumo_async.formats.record_ends import PackedEnds, RecordEnds
from kumo_async.formats.record_fields import FieldCounter
from kumo_async.formats.record_marks import (
    Flips,
    find_ends,
    find_escapes,
    find_flips,
    find_insides,
    find_separators,
    find_terminators,
    is_inside,
)
from kumo_async.formats.record_states import FRESH, LF, State, moves

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect
    from kumo_async.formats.record_marks import Bytes, Flags, Offsets

__all__ = ["Cut", "RecordCutter", "RecordEnds", "RecordError", "RecordScanner"]

_PIECE: Final = 1 << 20  # bytes looked at together: bounds the memory whatever the caller feeds


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

    Arguments:
        dialect: How the data separates and quotes its fields.
        offset: The absolute offset in bytes of the first byte that will be fed; a record must start there.
        count_fields: Whether to count the fields of each record too, which takes as long again and more.

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
        self._fields = FieldCounter()
        self._state = State.RECORD
        self._opened = offset  # where the last quoted field began
        self._cr_blank = False  # in state CR: whether the record is a blank line
        self._found: list[RecordEnds] = []
        self._quote, self._escape, self._delimiter = dialect.quote, dialect.escape, dialect.delimiter[0]
        self._bit_scanner = BitScanner(dialect, _PIECE)
        self._moves = moves(dialect)
        separators = b"\r\n" + dialect.delimiter
        special = separators + (dialect.quote or b"") + (dialect.escape or b"")
        self._opens_after = np.isin(np.arange(256), list(separators))
        self._special = np.isin(np.arange(256), list(special))
        self._neutral = next(byte for byte in range(1, 10) if byte not in special)

    def feed(self, block: bytes | bytearray) -> RecordEnds:
        """Scan the next bytes.

        Arguments:
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
            self._add([self.offset], [self._state is State.CR and self._cr_blank])
        self._state = State.RECORD
        return self._take()

    def _add(self, offsets: Offsets | list[int], blank: Flags | list[bool]) -> None:
        if len(offsets):
            flags = np.asarray(blank, np.bool_)
            ends = RecordEnds(np.asarray(offsets, np.int64), flags if flags.any() else None)
            self._found.append(ends)
            self.rows += ends.rows

    def _take(self) -> RecordEnds:
        found, self._found = self._found, []
        if len(found) == 1 and not self.count_fields:
            return found[0]
        pieces = [ends.offsets for ends in found]
        offsets = np.concatenate([np.empty(0, np.int64), *pieces])
        fields = self._fields.count(offsets) if self.count_fields else None
        blanks = [ends.blank for ends in found]
        if all(blank is None for blank in blanks):
            return RecordEnds(offsets, None, fields)
        known = zip(pieces, blanks, strict=True)
        flags = (np.zeros(piece.size, np.bool_) if blank is None else blank for piece, blank in known)
        return RecordEnds(offsets, np.concatenate(list(flags)), fields)

    def _settle(self, piece: bytes | bytearray) -> int:
        """Leave the states that hang on the very next byte; return how many bytes that took, at most 2."""
        used = 0
        while self._state >= State.CLOSED and used < len(piece):
            if self._state is State.CR and piece[used] != LF:
                self._add([self.offset], [self._cr_blank])
                self._state = State.RECORD
            else:
                self._walk(piece[used : used + 1])
                used += 1
        return used

    def _scan(self, piece: bytes | bytearray) -> None:
        """Scan one piece from a state in which no byte before it is still to be interpreted."""
        escaped = self._escape is not None and self._escape in piece
        if not escaped and self._state is State.QUOTED and self._quote is not None and self._quote not in piece:
            self.offset += len(piece)
        elif self._scan_bits(piece):
            return
        elif self._escape is not None and escaped:
            self._scan_escaped(piece, self._escape)
        else:
            self._mark(piece, self._flips(piece))

    def _scan_bits(self, piece: bytes | bytearray) -> bool:
        """Scan a piece of which every quote and every CR is what it seems to be; return False if it is not one."""
        inside, fresh, empty = self._state is State.QUOTED, self._state in FRESH, self._state is State.RECORD
        bits = self._bit_scanner.scan(piece, inside=inside, fresh=fresh, empty=empty, separate=self.count_fields)
        if bits is None:
            return False
        if bits.opened >= 0:
            self._opened = self.offset + bits.opened
        if bits.separators is not None:
            self._fields.add(positions(bits.separators) + self.offset)
        ends = PackedEnds(bits, self.offset)
        self._found.append(ends)
        self.rows += ends.rows
        self.offset += len(piece)
        literal = self._escape is not None and self._ends_literal(piece, self._escape)
        before = State.QUOTED if bits.inside else State.PLAIN
        if literal:
            self._state = before
        elif piece[-1:] == self._quote and not bits.inside:
            self._state = State.CLOSED
        elif bits.inside and piece[-1:] != self._escape:
            self._state = State.QUOTED
        else:
            self._state = self._moves[before][piece[-1]]
        return True

    @staticmethod
    def _ends_literal(piece: bytes | bytearray, escape: bytes) -> bool:
        """Whether an escape makes the last byte of a piece literal."""
        before = piece[:-1] if piece[-2:-1] == escape else b""
        return bool((len(before) - len(before.rstrip(escape))) & 1)

    def _scan_escaped(self, piece: bytes | bytearray, escape: bytes) -> None:
        data = np.frombuffer(bytearray(piece), np.uint8)
        runs, escapes = find_escapes(data, escape[0])
        pending = bool(escapes[-1] == data.size - 1)
        data[escapes[: escapes.size - pending] + 1] = self._neutral
        text = data.tobytes()
        flips = self._flips(text)
        unclear = self._behind_closing(data, runs, flips)
        self._mark(text[:unclear], Flips(flips.at[flips.at < unclear], flips.opened))
        if unclear < len(piece):
            self._walk(piece[unclear:])
        elif pending and self._state is State.QUOTED:
            self._state = State.QUOTED_ESCAPED

    def _behind_closing(self, data: Bytes, runs: Offsets, flips: Flips) -> int:
        """The first escape directly behind a quote outside of quotes: if the quote closed a field, it is a literal."""
        if self._quote is None:
            return data.size
        runs = runs[data.take(runs - 1, mode="clip") == self._quote[0]]
        outside = runs[~is_inside(flips.at, runs, inside=self._state is State.QUOTED)]
        return int(outside[0]) if outside.size else data.size

    def _flips(self, piece: bytes | bytearray) -> Flips:
        if self._quote is None or self._quote not in piece:
            return Flips(np.empty(0, np.int64), -1)
        inside, fresh = self._state is State.QUOTED, self._state in FRESH
        data = np.frombuffer(piece, np.uint8)
        return find_flips(data, self._quote[0], self._opens_after, inside=inside, fresh=fresh)

    def _mark(self, piece: bytes | bytearray, flips: Flips) -> None:
        """Add the ends that the flips leave, and step behind the piece."""
        data = np.frombuffer(piece, np.uint8)
        inside = self._state is State.QUOTED
        insides = find_insides(flips.at, data.size, inside=inside) if inside or flips.at.size else None
        if self.count_fields:
            self._fields.add(find_separators(data, self._delimiter, insides) + self.offset)
        at = find_terminators(piece, data, insides)
        ends, blank = find_ends(data, at, empty=self._state is State.RECORD)
        if flips.opened >= 0:
            self._opened = self.offset + flips.opened
        self._state = self._state_behind(piece, flips.at)
        if self._state is State.CR:
            self._cr_blank = bool(blank[-1])
            ends, blank = ends[:-1], blank[:-1]
        self._add(ends + self.offset, blank)
        self.offset += len(piece)

    def _state_behind(self, piece: bytes | bytearray, flips: Offsets) -> State:
        if (self._state is State.QUOTED) ^ (flips.size & 1):
            return State.QUOTED
        if piece[-1:] != self._quote:
            return self._moves[State.PLAIN][piece[-1]]
        run = len(piece.rstrip(self._quote))
        if flips.size and flips[-1] >= run:
            return State.CLOSED
        # An even run that flips nothing is an empty field, so far, where a field begins, and literals elsewhere.
        if self._opens_after[piece[run - 1]] if run else self._state in FRESH:
            self._opened = self.offset + run
            return State.CLOSED
        return State.PLAIN

    def _walk(self, piece: bytes | bytearray) -> None:
        """Scan a piece by the state machine itself, from special byte to special byte."""
        data = np.frombuffer(piece, np.uint8)
        special = self._special.take(data)
        steps = np.flatnonzero(special | np.concatenate(([True], special[:-1])))
        state, record, cr, quoted, field = self._state, State.RECORD, State.CR, State.QUOTED, State.FIELD
        ends: list[int] = []
        blank: list[bool] = []
        separators: list[int] = []
        for at, byte in zip((steps + self.offset).tolist(), data[steps].tolist(), strict=True):
            before, state = state, self._moves[state][byte]
            if before is cr:
                ends.append(at + (byte == LF))
                blank.append(self._cr_blank)
            elif state is record:
                ends.append(at + 1)
                blank.append(before is record)
            if state is cr:
                self._cr_blank = before is record or before is cr
            elif state is quoted and before in FRESH:
                self._opened = at
            elif state is field:
                separators.append(at)
        self._add(ends, blank)
        if self.count_fields:
            self._fields.add(np.array(separators, np.int64))
        self._state = state
        self.offset += len(piece)
