"""Whether records are fit for a table: as many fields in each, no NUL, and all of it UTF-8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kumo_async.formats.record_hints import EscapedQuotes

if TYPE_CHECKING:
    from kumo_async.formats.records import RecordEnds

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


_NUL: Final = "Remove it; or pass csv=CsvOptions(encoding=...) if the file is UTF-16 or UTF-32"
_NOT_UTF8: Final = "Pass its encoding, such as csv=CsvOptions(encoding='latin-1')"
_RAGGED: Final = "Mend the record; or pass the file's dialect as csv=CsvOptions(...) if it is not the one in use"
_ESCAPED: Final = (
    "Pass csv=CsvOptions(escape='\\\\') if a backslash makes the quote behind it literal, as the record may mean; or "
    "mend the record, or pass the file's dialect if it is not the one in use"
)


class RecordChecker:
    r"""Checks records, block by block, beside the scanner that finds their ends and counts their fields.

    Of several faults the one in the first record is told; within a record a bad byte goes before a wrong number of
    fields. So the answer does not depend on how the data is cut into blocks.

    Args:
        columns: The number of fields that each record must have.
        offset: The offset in bytes of the first record.
        quote: The quote that a backslash may be meant to escape, which errors then say; None where that cannot be.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> from kumo_async.formats.records import RecordScanner
        >>> scanner, checker = RecordScanner(CsvDialect(), count_fields=True), RecordChecker(2)
        >>> checker.check(b"1,2\n3\n", scanner.feed(b"1,2\n3\n"))
        Traceback (most recent call last):
            ...
        kumo_async.formats.record_checks.CheckError: record 2, which begins at byte 4, has 1 field instead of 2
    """

    def __init__(self, columns: int, offset: int = 0, quote: bytes | None = None) -> None:
        self._columns = columns
        self._offset = self._start = offset  # of the next byte, and of the record that has not ended
        self._rows = 0
        self._escaped = EscapedQuotes(quote)
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
        if ends.counted:
            self._escaped.keep(block, ends, self._offset)
        self._offset += len(block)
        self._rows += ends.rows
        if ends.end >= 0:
            self._start = ends.end

    def _bad_byte(self, block: bytes | bytearray, ends: RecordEnds, final: bool) -> _Fault | None:
        nul = block.find(0)
        found = [] if nul < 0 else [(self._offset + nul, " holds a NUL", _NUL)]
        if (not_utf8 := self._not_utf8(block, final)) is not None:
            found.append((not_utf8, " is not UTF-8", _NOT_UTF8))
        if not found:
            return None
        offset, what, remedy = min(found)
        record = self._rows + int(np.searchsorted(ends.row_offsets, offset, side="right")) + 1
        return _Fault(record, offset, f"{what} at byte {offset}", remedy)

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
        escaped = self._escaped.found(block, offset - self._offset, int(ends.offsets[at]) - self._offset)
        return _Fault(self._rows + at - int(blank) + 1, offset, what, _ESCAPED if escaped else _RAGGED)


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
