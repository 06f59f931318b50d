r"""Where the records of CSV data end, found at the speed of the disk: bytes in, offsets out.

A CSV file may be cut only between records, and only a reader that has seen every quote before a newline knows whether
the newline ends a record. `RecordScanner` sees every byte once, keeps a handful of scalars from block to block, and is
exact: it agrees with Python's `csv` module, byte for byte, wherever the blocks happen to be split. `RecordCutter` turns
record ends into partitions.

The grammar is that of RFC 4180, and strict. A quote opens a field only as its first byte; elsewhere in an unquoted
field it is text. After a closing quote only the delimiter, a line end or the end of the data may come. So what a quote
means depends on the bytes before it alone, and an escape, in dialects that have one, is in force wherever it is not
escaped itself.

The way from a block to its record ends, each step a few numpy passes over the bits of its bytes (`record_bits`):

1. *Escapes*, in dialects that have one: every escaped byte is left out.
2. *Quotes*: which bytes lie within quoted fields, also where some quotes are literals, and whether text follows one
   (`record_quotes`).
3. *Ends*: the newlines outside of quotes.
4. *Fields*, where asked for: the delimiters outside of quotes (`record_fields`).

Only the byte on the other side of a block's border is looked at by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kumo_async.formats.record_bits import BitScanner
from kumo_async.formats.record_cutter import Cut, RecordCutter
from kumo_async.formats.record_ends import JoinedEnds, PackedEnds, RecordEnds
from kumo_async.formats.record_fields import count_behind
from kumo_async.formats.record_states import State
from kumo_async.formats.record_words import count_before

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect

__all__ = ["Cut", "RecordCutter", "RecordEnds", "RecordError", "RecordScanner"]

_PIECE: Final = 1 << 20  # bytes looked at together: bounds the memory whatever the caller feeds


class RecordError(ValueError):
    """A record breaks the grammar: text follows a closing quote, or the data ends within a field.

    Attributes:
        record: The number of the record in which the field begins, from 1; blank lines do not count.
        what: What is wrong with it, in words that follow its number.
        offset: The offset in bytes of the quote that opens the field; or of the last end of a line, if it is escaped.
        text: The offset in bytes of the text after the closing quote; None where the data ends first.
        escaped: Whether the data ends first because what would end the record is escaped.
        ends: The ends of the records before it, as far as they were not returned.
    """

    def __init__(
        self,
        record: int,
        what: str,
        offset: int,
        *,
        text: int | None = None,
        escaped: bool = False,
        ends: RecordEnds | None = None,
    ) -> None:
        super().__init__(f"record {record} {what}")
        self.record = record
        self.what = what
        self.offset = offset
        self.text = text
        self.escaped = escaped
        self.ends = ends if ends is not None else JoinedEnds([])


class RecordScanner:
    r"""Finds the record ends of CSV data that is fed block by block; its memory does not grow with the data.

    Args:
        dialect: How the data separates and quotes its fields.
        offset: The absolute offset in bytes of the first byte that will be fed; a record must start there.
        rows: The rows before it.
        count_fields: Whether to find the delimiters too, by which the fields of each record can be counted.

    Attributes:
        offset: The offset of the next byte to be fed.
        rows: The rows that have ended so far; blank lines do not count.
        count_fields: See above; may be set to False between two blocks, for good.
        spaced: The number of the first record with a quote that opens no field since spaces stand before it; None as
            long as none was found. Some are passed over: of a MiB with literal quotes the first quarter is looked at.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> scanner = RecordScanner(CsvDialect())
        >>> scanner.feed(b'1,"a\nb"\n2,').offsets.tolist(), scanner.feed(b"c\n\n3").offsets.tolist()
        ([8], [12, 13])
        >>> scanner.finish().offsets.tolist(), scanner.rows
        ([14], 3)
    """

    def __init__(self, dialect: CsvDialect, offset: int = 0, *, rows: int = 0, count_fields: bool = False) -> None:
        self.offset = offset
        self.rows = rows
        self.count_fields = count_fields
        self.spaced: int | None = None
        self._delimiters = 0  # of the record that has not ended
        self._state = State.RECORD
        self._opened = offset  # where the last quoted field began
        self._last = b""
        self._cr_blank = False  # in state CR: whether the record is a blank line
        self._found: list[RecordEnds] = []
        self._quote, self._escape, self._delimiter = dialect.quote, dialect.escape, dialect.delimiter
        self._bit_scanner = BitScanner(dialect)

    def feed(self, block: bytes | bytearray) -> RecordEnds:
        """Scan the next bytes.

        Args:
            block: The bytes that follow the last block, any number of them; 1 MiB is fastest. They are not kept.

        Returns:
            The records whose end became certain. A CR at the very end of the block is not certain: an LF may follow.

        Raises:
            RecordError: Text follows a closing quote. Nothing can be fed after that.
        """
        for start in range(0, len(block), _PIECE):
            piece = block if len(block) <= _PIECE else block[start : start + _PIECE]
            used = self._settle(piece)
            if used < len(piece):
                # A bytearray would be copied where nothing is cut off.
                self._scan(piece[used:] if used else piece)
            self._last = bytes(piece[-1:])
        return self._take()

    def finish(self) -> RecordEnds:
        """Tell that the data ends here.

        Returns:
            The last record, if it was still open: one without a final newline, or with a lone CR as its terminator.

        Raises:
            RecordError: The data ends inside a quoted field, or what would end the last record is escaped.
        """
        if self._state in (State.QUOTED, State.QUOTED_ESCAPED):
            what = f"never ends: the quote that opens at byte {self._opened} is not closed"
            raise RecordError(self.rows + 1, what, self._opened)
        escaped = self._state is State.PLAIN and self._last in (b"\r", b"\n")
        if escaped or self._state is State.ESCAPED:
            at = self.offset - escaped
            raise RecordError(self.rows + 1, f"never ends: its end at byte {at} is escaped", at, escaped=True)
        if self._state is not State.RECORD:
            self._end_record(self.offset)
        return self._take()

    def _end_record(self, offset: int) -> None:
        blank = self._state is State.CR and self._cr_blank
        counts = np.array([self._delimiters + 1], np.int64) if self.count_fields else None
        self._found.append(RecordEnds(np.array([offset], np.int64), np.array([True]) if blank else None, counts))
        self.rows += not blank
        self._state, self._delimiters = State.RECORD, 0

    def _take(self) -> RecordEnds:
        found, self._found = self._found, []
        return found[0] if len(found) == 1 else JoinedEnds(found)

    def _settle(self, piece: bytes | bytearray) -> int:
        """Leave the states that depend on the very next byte; return how many bytes that took, at most one."""
        byte, used = piece[:1], 0
        if self._state is State.CR:
            used = int(byte == b"\n")
            self._end_record(self.offset + used)
        elif self._state is State.CLOSED:
            used = int(byte == self._quote)
            if not used and byte not in (self._delimiter, b"\r", b"\n"):
                raise self._text_error()
            self._state = State.QUOTED if used else State.PLAIN
        elif self._state in (State.ESCAPED, State.QUOTED_ESCAPED):
            used, self._state = 1, State.PLAIN if self._state is State.ESCAPED else State.QUOTED
        self.offset += used
        return used

    def _scan(self, piece: bytes | bytearray) -> None:
        """Scan one piece from a state in which no byte before it is still to be interpreted."""
        if self._state is State.QUOTED and not self._matters_within_quotes(piece):
            self.offset += len(piece)
            return
        bits = self._bit_scanner.scan(piece, self._state, separate=self.count_fields)
        if bits.text >= 0:
            self._scan(piece[: bits.text])
            raise self._text_error()
        if bits.spaced >= 0:
            self.spaced = self.rows + count_before(bits.rows, bits.spaced) + 1
            self._bit_scanner.seek_spaced = False
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

    def _text_error(self) -> RecordError:
        what = (
            f"has text at byte {self.offset}, after the quote that closes the field which opens at byte {self._opened}"
        )
        return RecordError(self.rows + 1, what, self._opened, text=self.offset, ends=self._take())
