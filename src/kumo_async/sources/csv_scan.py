"""The one pass over the text of a CSV file that finds its partitions and checks its records."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ..errors import SourceError
from ..formats.csv_dialect import CsvDialect
from ..formats.record_checks import CheckError, RecordChecker
from ..formats.records import Cut, RecordCutter, RecordEnds, RecordError, RecordScanner
from .csv_content import FIRST_BLOCK, Content

__all__ = ["Scan"]

#: How much is scanned in one visit to a worker thread, in bytes: so long is a cancellation kept waiting.
_STRIDE = 8 * 1024 * 1024


class Scan:
    """Scans a text, some megabytes at a time, in worker threads.

    Args:
        content: The text.
        path: The file that it is from, for errors.
        dialect: How it separates and quotes its fields.
        start: The offset in bytes of the first record behind the header.
        columns: The number of fields that each record must have.
        full: Whether the fields of all records are counted; otherwise of those within the first MiB, of those within
            the last one, where footers are, and from the first line end on that may be meant as escaped. Their bytes
            are looked at everywhere, since that takes hardly any time.
    """

    def __init__(
        self, content: Content, path: str, dialect: CsvDialect, start: int, columns: int, *, full: bool
    ) -> None:
        self.finished = False
        self._content = content
        self._path = path
        self._dialect = dialect
        self._columns = columns
        self._scanner = RecordScanner(dialect, start, count_fields=True)
        self._checker = RecordChecker(dialect, columns, start, ahead=self._ahead)
        self._counted = None if full else start + FIRST_BLOCK
        self._last: deque[_Block] = deque(maxlen=2)  # where the last record begins, unless it is longer than a block

    @property
    def rows(self) -> int:
        """The rows that have ended so far."""
        return self._scanner.rows

    def warnings(self, given: Sequence[str]) -> tuple[str, ...]:
        """Return warnings with what was found so far: a quote that opens no field since spaces stand before it.

        Args:
            given: Warnings about the beginning of the text, which may name it already.
        """
        record, option = self._scanner.spaced, "skip_initial_space=True"
        if record is None or any(option in warning for warning in given):
            return tuple(given)
        return (
            *given,
            f"Record {record} has a quote after spaces, which quotes nothing: spaces and quotes are part of the field. "
            "If they should not be, pass csv=CsvOptions(skip_initial_space=True).",
        )

    def advance(self, cutter: RecordCutter | None = None) -> list[Cut]:
        """Scan on until partitions are certain, the text ends, or a worker thread was kept for long enough.

        Raises:
            SourceError: If a record is not fit for a table, or never ends.
        """
        stop = self._scanner.offset + _STRIDE
        cuts: list[Cut] = []
        while not cuts and not self.finished and self._scanner.offset < stop:
            ends = self._scan(self._content.read(self._scanner.offset))
            cuts = cutter.feed(ends) if cutter is not None else []
        if self.finished and cutter is not None:
            cuts += cutter.finish()
        return cuts

    def look(self) -> None:
        """Scan no more than the first block, and the end of the text where that is in it.

        Raises:
            SourceError: If a record is not fit for a table, or never ends.
        """
        self._scan(self._content.read(self._scanner.offset))
        if not self.finished and self._content.ended and self._scanner.offset == self._content.size:
            self._scan(b"")

    def _scan(self, block: bytes) -> RecordEnds:
        with self._refusing():
            self.finished = not block
            if self.finished and not self._scanner.count_fields:
                self._count_again()
            offset, rows = self._scanner.offset, self._scanner.rows
            ends = _scanned(block, self._scanner, self._checker)
            if self._counted is not None:
                may_continue = self._may_continue(block)
                self._last.append(_Block(block, offset, rows, ends))
                if may_continue and (self._scanner.count_fields or self._count_again()):
                    self._counted = None
                elif self._scanner.offset >= self._counted:
                    self._scanner.count_fields = False
        return ends

    def _may_continue(self, block: bytes) -> bool:
        """Whether a line end may be meant as escaped, as MySQL writes it: then a record has become two."""
        if self._dialect.escape is not None:
            return False
        at_border = bool(self._last) and self._last[-1].data.endswith(b"\\") and block[:1] in (b"\r", b"\n")
        return at_border or (b"\\" in block and (b"\\\n" in block or b"\\\r" in block))

    def _count_again(self) -> bool:
        """Count fields in the last two blocks, too, and in what follows; return whether a record ends in them."""
        first = next((block for block in self._last if block.ends.end >= 0), None)
        if first is None:
            return False
        blank = first.ends.blank
        start, rows = int(first.ends.offsets[0]), first.rows + (blank is None or not blank[0])
        scanner = RecordScanner(self._dialect, start, rows=rows, count_fields=True)
        checker = RecordChecker(self._dialect, self._columns, start, rows=rows, ahead=self._ahead)
        text = b"".join(block.data for block in self._last)[start - self._last[0].offset :]
        if text:
            _scanned(text, scanner, checker)
        scanner.spaced = self._scanner.spaced or scanner.spaced
        self._scanner, self._checker = scanner, checker
        return True

    def _ahead(self, offset: int) -> bytes:
        # For a hint only: if what follows cannot be read, the fault that was found is to be told.
        with suppress(SourceError):
            return self._content.read(offset)
        return b""

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except CheckError as error:
            text = f"{self._path}: {error}. {error.remedy}.{self._content.note}"
            raise SourceError(text, path=self._path) from error


class _Block(NamedTuple):
    """A block.

    Attributes:
        data: Its bytes.
        offset: Its offset in bytes.
        rows: The rows that ended before it.
        ends: The records that ended in it.
    """

    data: bytes
    offset: int
    rows: int
    ends: RecordEnds


def _scanned(block: bytes, scanner: RecordScanner, checker: RecordChecker) -> RecordEnds:
    """Scan a block and check it; none is the end of the data."""
    try:
        ends = scanner.feed(block) if block else scanner.finish()
    except RecordError as error:
        checker.refuse(block, error)
    checker.check(block, ends, final=not block)
    return ends
