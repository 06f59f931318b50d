"""The one pass over the text of a CSV file that finds its partitions and checks its records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
        full: Whether the fields of all records are counted; otherwise of those within the first MiB. Their bytes are
            looked at everywhere, since that takes hardly any time.
    """

    def __init__(
        self, content: Content, path: str, dialect: CsvDialect, start: int, columns: int, *, full: bool
    ) -> None:
        self.finished = False
        self._content = content
        self._path = path
        self._scanner = RecordScanner(dialect, start, count_fields=True)
        self._checker = RecordChecker(columns, start, None if dialect.escape else dialect.quote)
        self._counted = None if full else start + FIRST_BLOCK

    @property
    def rows(self) -> int:
        """The rows that have ended so far."""
        return self._scanner.rows

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
            ends = self._scanner.feed(block) if block else self._scanner.finish()
            self._checker.check(block, ends, final=self.finished)
            self._scanner.count_fields = self._counted is None or self._scanner.offset < self._counted
        return ends

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except RecordError as error:
            raise self._error(error, "Close the quote, or double it where it is meant literally") from error
        except CheckError as error:
            raise self._error(error, error.remedy) from error

    def _error(self, error: ValueError, remedy: str) -> SourceError:
        return SourceError(f"{self._path}: {error}. {remedy}.{self._content.note}", path=self._path)
