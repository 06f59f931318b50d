"""Whether records are fit for a table: as many fields in each, no NUL, all of it UTF-8; and what to do if not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from kumo_async.formats.recode import propose_encoding
from kumo_async.formats.record_hints import TRIED, Remedies, Surroundings

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect
    from kumo_async.formats.records import RecordEnds, RecordError

__all__ = ["CheckError", "RecordChecker"]


class CheckError(ValueError):
    """A record is not fit for a table.

    Attributes:
        record: Its number, from 1 for the first row behind the header; blank lines do not count.
        offset: The offset in bytes of the first bad byte, or of the record where its number of fields is wrong.
        remedy: What to do about it.
    """

    def __init__(self, fault: _Fault) -> None:
        super().__init__(f"record {fault.record}{fault.what}")
        self.record = fault.record
        self.offset = fault.offset
        self.remedy = fault.remedy


class _Fault(NamedTuple):
    record: int
    offset: int
    what: str
    remedy: str


class RecordChecker:
    r"""Checks records, block by block, beside the scanner that finds their ends and counts their fields.

    Of several faults the one in the first record is told; within a record a bad byte goes before a wrong number of
    fields. So the answer does not depend on how the data is cut into blocks.

    Args:
        dialect: The dialect that the scanner reads.
        columns: The number of fields that each record must have.
        offset: The offset in bytes of the first record.
        rows: The rows before it.
        ahead: Returns some of the bytes from an offset on. An error looks at what follows the last block to say what to
            do about it.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> from kumo_async.formats.records import RecordScanner
        >>> scanner, checker = RecordScanner(CsvDialect(), count_fields=True), RecordChecker(CsvDialect(), 2)
        >>> checker.check(b"1,2\n3\n", scanner.feed(b"1,2\n3\n"))
        Traceback (most recent call last):
            ...
        kumo_async.formats.record_checks.CheckError: record 2, which begins at byte 4, has 1 field instead of 2
    """

    def __init__(
        self,
        dialect: CsvDialect,
        columns: int,
        offset: int = 0,
        *,
        rows: int = 0,
        ahead: Callable[[int], bytes] = lambda _: b"",
    ) -> None:
        self._columns = columns
        self._offset = self._start = offset  # of the next byte, and of the record that has not ended
        self._rows = rows
        self._ahead = ahead
        self._surroundings = Surroundings()
        self._remedies = Remedies(dialect, columns)
        self._tail = b""  # the last bytes, where they may be a character that the next block completes

    def check(self, block: bytes | bytearray, ends: RecordEnds, *, final: bool = False) -> None:
        """Check the next bytes, and the records that ended with them.

        Args:
            block: The bytes that were fed to the scanner, right from the first one on.
            ends: What the scanner found in them. Where it did not count fields, their number is not checked.
            final: Whether the data ends here.

        Raises:
            CheckError: They are not fit.
        """
        bad, ragged = self._bad_byte(block, ends, final), self._ragged(block, ends)
        if bad and not (ragged and ragged.record < bad.record):
            raise CheckError(bad)
        if ragged:
            raise CheckError(ragged)
        if ends.end >= 0:
            self._start = ends.end
        self._surroundings.keep(block, ends.end - self._offset if ends.end >= 0 else -1)
        self._offset += len(block)
        self._rows += ends.rows

    def refuse(self, block: bytes | bytearray, error: RecordError) -> NoReturn:
        """Raise the first fault, where the scanner found a record that breaks the grammar.

        Args:
            block: The bytes that were fed to the scanner, none at the end of the data.
            error: What the scanner raised.

        Raises:
            CheckError: Always: about a record before, or that one.
        """
        if error.text is not None:
            cut = error.text - self._offset
            self.check(block[:cut], error.ends)
            block = block[cut:]
        block = self._continued(block, 0)
        near = self._surroundings.at(block, -1)
        opening = error.offset - self._start
        if error.text is not None:
            remedy = self._remedies.misquoted(near, opening, error.text - self._start, block[:TRIED])
        elif error.escaped:
            remedy = self._remedies.escaped_end()
        else:
            remedy = self._remedies.unclosed(near, opening)
        raise CheckError(_Fault(error.record, error.offset, f" {error.what}", remedy)) from error

    def _continued(self, block: bytes | bytearray, start: int) -> bytes | bytearray:
        """Return a block with so much of what follows it that enough can be looked at from `start` on."""
        missing = TRIED - (len(block) - max(start, 0))
        return block + self._ahead(self._offset + len(block))[:missing] if missing > 0 else block

    def _bad_byte(self, block: bytes | bytearray, ends: RecordEnds, final: bool) -> _Fault | None:
        nul = block.find(0)
        found = [] if nul < 0 else [(self._offset + nul, " holds a NUL")]
        if (not_utf8 := self._not_utf8(block, final)) is not None:
            found.append((not_utf8, " is not UTF-8"))
        if not found:
            return None
        offset, what = min(found)
        remedy = propose_encoding(block, max(offset - self._offset, 0))
        record = self._rows + int(np.searchsorted(ends.row_offsets, offset, side="right")) + 1
        return _Fault(record, offset, f"{what} at byte {offset}", remedy[0].upper() + remedy[1:])

    def _not_utf8(self, block: bytes | bytearray, final: bool) -> int | None:
        if not self._tail and block.isascii():
            return None
        data, start = self._tail + block, self._offset - len(self._tail)
        whole = len(data) - (0 if final else _incomplete(data))
        self._tail = data[whole:]
        if _is_utf8(data[:whole]):
            return None
        try:
            data[:whole].decode()
        except UnicodeDecodeError as error:
            return start + error.start
        return None

    def _ragged(self, block: bytes | bytearray, ends: RecordEnds) -> _Fault | None:
        if not ends.counted or ends.are_regular(self._columns):
            return None
        counts, blanks = ends.fields, ends.blank
        assert counts is not None
        wrong = counts != self._columns
        if blanks is not None:
            wrong &= ~blanks
        at = int(wrong.argmax())
        blank = 0 if blanks is None else np.count_nonzero(blanks[:at])
        offset = int(ends.offsets[at - 1]) if at else self._start
        fields = int(counts[at])
        count = "1 field" if fields == 1 else f"{fields:,} fields"
        what = f", which begins at byte {offset}, has {count} instead of {self._columns:,}"
        start = offset - self._offset
        near = self._surroundings.at(self._continued(block, start), start)
        remedy = self._remedies.ragged(near, int(ends.offsets[at]) - offset, fields)
        return _Fault(self._rows + at - int(blank) + 1, offset, what, remedy)


def _incomplete(data: bytes) -> int:
    """The number of bytes at the end of `data` that may be the beginning of a character."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte < 0x80:
            break
    return 0


def _is_utf8(data: bytes) -> bool:
    import pyarrow as pa  # most files are ASCII, and do without its 25 MiB

    # Arrow looks at bytes several times faster than Python, which would make a string of them.
    bounds = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, bounds, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
