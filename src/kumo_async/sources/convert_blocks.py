"""Blocks of whole records on their way from CSV text to tables, and where in it a value does not fit its type."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import SourceError
from ..formats.arrow_errors import arrow_errors
from ..formats.csv_arrow import MOST_BYTES, BlockReader
from ..formats.records import Cut, RecordError, RecordScanner
from .files import FileRange, SourceFile

__all__ = ["Block", "BlockParser", "gathered", "read_ranges"]


class Block(NamedTuple):
    """Whole records of a text: the bytes ``start:end``, the rows in them, and the rows before them."""

    start: int
    end: int
    rows: int
    before: int


def gathered(blocks: Iterable[Block], most: int, row_bytes: float) -> Iterator[Block]:
    """Join blocks as long as their text and their rows together stay within so many bytes.

    Args:
        blocks: The blocks of a text, in order.
        most: The most bytes of a joined block; one that alone has more stays as it is.
        row_bytes: What a row takes in a table beside its texts.

    Example:
        >>> list(gathered([Block(0, 4, 1, 0), Block(4, 8, 1, 1), Block(8, 12, 1, 2)], 18, 4.5))
        [Block(start=0, end=8, rows=2, before=0), Block(start=8, end=12, rows=1, before=2)]
    """
    joined: Block | None = None
    for block in blocks:
        if joined is None:
            joined = block
        elif block.end - joined.start + (joined.rows + block.rows) * row_bytes <= most:
            joined = joined._replace(end=block.end, rows=joined.rows + block.rows)
        else:
            yield joined
            joined = block
    if joined is not None:
        yield joined


def read_ranges(source: SourceFile, ranges: Sequence[FileRange]) -> bytes:
    """Return what some ranges hold, back to back; for worker threads only.

    Args:
        source: The file that they are of, or are made from.
        ranges: Ranges of it, or of temporary files.

    Raises:
        SourceError: If they cannot be read.
        SourceChangedError: If the file is shorter than it was.
    """
    pieces = []
    for each in ranges:
        offset, end = each.offset, each.offset + each.length
        while offset < end:
            piece = each.file.read_blocking(offset, end - offset)
            if not piece:
                raise source.changed("is shorter than it was")
            pieces.append(piece)
            offset += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass(frozen=True)
class BlockParser:
    """Parses the blocks of one file.

    Attributes:
        file: The file.
        reader: How records become columns.
        shown: For each of the reader's names the column's name in the file.
        note: What errors that name an offset in the text add.
    """

    file: SourceFile
    reader: BlockReader
    shown: Mapping[str, str]
    note: str

    def block(self, cut: Cut, before: int) -> Block:
        """Return the block that was cut.

        Raises:
            SourceError: If a single record is larger than what can be read at once.
        """
        if cut.end - cut.start > MOST_BYTES:
            raise self._error(
                f"record {before + 1} has {cut.end - cut.start:,} bytes, and at most {MOST_BYTES:,} can be converted",
                "Upload the file through a CSV connector, which takes records of any size",
            )
        return Block(*cut, before)

    def parse(self, block: Block, data: bytes, types: Mapping[str, Any], columns: Sequence[str]) -> Any:
        """Return some columns of a block as a table; for worker threads only.

        Args:
            block: Where the records are from.
            data: Their bytes.
            types: The types of columns; those of the others are inferred.
            columns: The columns to convert, at least one.

        Raises:
            SourceError: If a value does not fit its column's type; names record and column, and not the value.
        """
        with suppress(*arrow_errors()):
            table = self.reader.read(data, types, columns)
            if table.num_rows == block.rows:
                return table
        # Raised out here, since what pyarrow raises has the value in it.
        raise self._misfit(block, data, types, columns)

    def _misfit(self, block: Block, data: bytes, types: Mapping[str, Any], columns: Sequence[str]) -> SourceError:
        ends = _row_ends(self.reader, data)
        at = bisect_left(range(len(ends)), True, key=lambda at: _fails(self.reader, data[: ends[at]], types, columns))
        start = int(ends[at - 1]) if at else 0
        record = data[start : ends[at]] if at < len(ends) else None
        name = None if record is None else self._misfit_column(record, types, columns)
        if record is None or name is None:
            return self._error(
                f"its records {block.before + 1:,} to {block.before + block.rows:,} cannot be converted by pyarrow",
                "Upload it through a CSV connector",
            )
        offset = block.start + start + len(record) - len(record.lstrip(b"\r\n"))
        return self._error(
            f"record {block.before + at + 1}, which begins at byte {offset}, has a value in column "
            f"{self.shown[name]!r} that is not of type {types[name]}",
            self._remedy(record, types, name),
        )

    def _misfit_column(self, record: bytes, types: Mapping[str, Any], columns: Sequence[str]) -> str | None:
        sought = [name for name in columns if name in types]
        # Halved again and again, since each look takes longer the more columns there are.
        at = bisect_left(range(len(sought)), True, key=lambda at: _fails(self.reader, record, types, sought[: at + 1]))
        return sought[at] if at < len(sought) else None

    def _remedy(self, record: bytes, types: Mapping[str, Any], name: str) -> str:
        if not _fails(replace(self.reader, quoted_nulls=True), record, types, [name]):
            return "It is a null value in quotes: pass csv=CsvOptions(quoted_nulls=True) to have it read as null"
        return (
            "Mend it; or give the column another type, or the text that means null, with csv=CsvOptions(types=..., "
            "null_values=...)"
        )

    def _error(self, what: str, remedy: str) -> SourceError:
        return SourceError(f"{self.file.path}: {what}. {remedy}.{self.note}", path=self.file.path)


def _fails(reader: BlockReader, data: bytes, types: Mapping[str, Any], columns: Sequence[str]) -> bool:
    with suppress(*arrow_errors()):
        reader.read(data, types, columns)
        return False
    return True


def _row_ends(reader: BlockReader, data: bytes) -> Any:
    scanner, ends = RecordScanner(reader.dialect), [np.empty(0, np.int64)]
    # Of files that were checked before, only one that has changed since breaks the grammar.
    with suppress(RecordError):
        ends += [scanner.feed(data).row_offsets]
        ends += [scanner.finish().row_offsets]
    return np.concatenate(ends)
