"""The first pass over a CSV file that is converted: its blocks, checked record by record, and its columns' types."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ..errors import SourceError
from ..formats.csv_types import chosen, every_type, possible_types
from ..formats.records import RecordCutter
from ..shield import in_thread
from .convert_blocks import Block, BlockParser, read_ranges
from .csv_content import Content
from .csv_scan import Scan
from .files import FileRange
from .workers import Workers

__all__ = ["BLOCK_BYTES", "TypePass"]

#: What a block of text has, in bytes, as whole records: larger only where one record is.
BLOCK_BYTES = 4 * 1024 * 1024


class TypePass:
    """Finds blocks one after another, and looks into several of them side by side.

    Memory: for each worker a block, and what it is as texts and as values, together at most 18 times `BLOCK_BYTES`;
    beside them what a scan takes. Of the file 4 numbers are kept for each block.

    Args:
        content: The text; all of it is taken.
        scan: What finds its records and checks each.
        start: The offset in bytes of the first record.
        parser: What makes tables of blocks.
        given: The types of columns that were given, by name; they are checked.

    Attributes:
        blocks: All blocks of the text, in order, once `run` is through.
    """

    def __init__(self, content: Content, scan: Scan, start: int, parser: BlockParser, given: Mapping[str, Any]) -> None:
        self.blocks: list[Block] = []
        self._content = content
        self._scan = scan
        self._start = start
        self._parser = parser
        self._given = given
        # Everything is a string, so there is nothing to check.
        self._checked = {name: kind for name, kind in given.items() if kind != every_type()[-1]}
        self._possible = {name: frozenset(every_type()) for name in parser.reader.names if name not in given}
        self._waiting: deque[Future[dict[str, frozenset[Any]]]] = deque()

    async def run(self, workers: Workers) -> dict[str, Any]:
        """Return the type of each column, in order.

        Raises:
            SourceError: If a record is not fit for a table, or a value not of a type that was given.
        """
        try:
            await self._scan_all(workers)
        except SourceError:
            # What is wrong before that place is the first thing to mend.
            await self._look_into(workers, 0)
            raise
        await self._look_into(workers, 0)
        names = self._parser.reader.names
        return {name: self._given[name] if name in self._given else chosen(self._possible[name]) for name in names}

    async def _scan_all(self, workers: Workers) -> None:
        cutter = RecordCutter(0, BLOCK_BYTES, self._start)
        rows = 0
        while not self._scan.finished:
            for cut in await in_thread(self._scan.advance, cutter):
                block = self._parser.block(cut, rows)
                rows += block.rows
                self.blocks.append(block)
                ranges = self._content.take(block.start, block.end)
                await self._look_into(workers, 2 * workers.count - 1)
                self._waiting.append(workers.submit(self._types_of, block, ranges, self._undecided(), workers))

    async def _look_into(self, workers: Workers, most: int) -> None:
        """Wait until at most so many blocks are still to be looked into."""
        while len(self._waiting) > most:
            for name, possible in (await workers.result(self._waiting.popleft())).items():
                self._possible[name] &= possible

    def _undecided(self) -> list[str]:
        return [name for name, possible in self._possible.items() if len(possible) > 1]

    def _types_of(
        self, block: Block, ranges: Sequence[FileRange], undecided: list[str], workers: Workers
    ) -> dict[str, frozenset[Any]]:
        columns = [*self._checked, *undecided]
        if not columns or workers.stopped:
            return {}
        data, string = read_ranges(self._parser.file, ranges), every_type()[-1]
        values = self._parser.parse(block, data, self._checked, columns)
        typed = [name for name in undecided if values.schema.field(name).type != string]
        found = dict.fromkeys(undecided, frozenset([string]))
        if typed:
            texts = self._parser.parse(block, data, dict.fromkeys(typed, string), typed)
            found |= {name: possible_types(values[name], texts[name]) for name in typed}
        return found
