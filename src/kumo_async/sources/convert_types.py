"""The first pass over a CSV file that is converted: its blocks, checked record by record, and its columns' types."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import SourceError
from ..formats.csv_texts import EVERY, STRING, every_type
from ..formats.csv_types import chosen, common_types, reasons
from ..formats.records import RecordCutter
from ..shield import in_thread
from .convert_blocks import Block, BlockParser, read_ranges
from .csv_content import Content
from .csv_scan import Scan
from .files import FileRange
from .workers import Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..formats.csv_texts import Masks

__all__ = ["BLOCK_BYTES", "TypePass"]

#: What a block of text has, in bytes, as whole records: larger only where one record is.
BLOCK_BYTES = 4 * 1024 * 1024


class _Waiting(NamedTuple):
    """A block that is being looked into, the columns that are asked about, and what it will say of them."""

    block: Block
    ranges: Sequence[FileRange]
    columns: NDArray[np.intp]
    possible: Future[Masks]


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
        reasons: By name why a column is one of strings, where its texts could be taken for something else.
    """

    def __init__(self, content: Content, scan: Scan, start: int, parser: BlockParser, given: Mapping[str, Any]) -> None:
        self.blocks: list[Block] = []
        self.reasons: dict[str, str] = {}
        self._content = content
        self._scan = scan
        self._start = start
        self._parser = parser
        self._names = parser.reader.names
        self._given = given
        # Everything is a string, so there is nothing to check.
        self._checked = {name: kind for name, kind in given.items() if kind != every_type()[-1]}
        self._possible: Masks = np.array([STRING if name in given else EVERY for name in self._names], np.uint16)
        self._waiting: deque[_Waiting] = deque()
        self._explained: list[Future[dict[str, str]]] = []

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
        for future in self._explained:
            reasons_of_block = await workers.result(future)
            self.reasons.update(reasons_of_block)
        self.reasons = {name: self.reasons[name] for name in self._names if name in self.reasons}
        found = zip(self._names, self._possible.tolist(), strict=True)
        return {name: self._given[name] if name in self._given else chosen(possible) for name, possible in found}

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
                columns = np.flatnonzero(self._possible != STRING)
                possible = workers.submit(self._types_of, block, ranges, columns, self._possible[columns], workers)
                self._waiting.append(_Waiting(block, ranges, columns, possible))

    async def _look_into(self, workers: Workers, most: int) -> None:
        """Wait until at most so many blocks are still to be looked into."""
        while len(self._waiting) > most:
            block, ranges, columns, possible = self._waiting.popleft()
            before = self._possible[columns]
            kept = await workers.result(possible)
            after = before & kept
            self._possible[columns] = after
            decided = (after == STRING) & (before != STRING)
            if decided.any():
                arguments = (block, ranges, columns[decided], before[decided], workers)
                self._explained.append(workers.submit(self._reasons_of, *arguments))

    def _types_of(
        self, block: Block, ranges: Sequence[FileRange], columns: NDArray[np.intp], among: Masks, workers: Workers
    ) -> Masks:
        """Return which of some types keep all texts of some columns; check the types that were given as well."""
        names = [self._names[at] for at in columns.tolist()]
        types = {**self._checked, **dict.fromkeys(names, every_type()[-1])}
        if not types or workers.stopped:
            return among
        table = self._parser.parse(block, read_ranges(self._parser.file, ranges), types, list(types))
        return common_types(_texts(table.columns[len(self._checked) :]), among)

    def _reasons_of(
        self, block: Block, ranges: Sequence[FileRange], columns: NDArray[np.intp], before: Masks, workers: Workers
    ) -> dict[str, str]:
        """Say for columns that no type but string is left for which record of a block that lies at."""
        if workers.stopped:
            return {}
        names = [self._names[at] for at in columns.tolist()]
        types = dict.fromkeys(names, every_type()[-1])
        table = self._parser.parse(block, read_ranges(self._parser.file, ranges), types, names)
        texts, nulls = _texts(table.columns), self._parser.reader.null_values
        found = zip(names, reasons(texts, before, block.before, nulls), strict=True)
        return {name: words for name, words in found if words is not None}


def _texts(columns: Sequence[Any]) -> list[Any]:
    return [column.chunk(0) if column.num_chunks == 1 else column.combine_chunks() for column in columns]
