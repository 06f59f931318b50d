"""Partitions of content that must be written anew: decoded, cast and encoded by pyarrow, several pieces at a time.

    row groups ── one reader, in order ──> units ── encoders, side by side ──> pieces in spool files ──> partitions

A unit is some rows of one row group, or some small row groups. Each becomes a small Parquet file of its own, so its
exact size is known before it is given its place, and partitions are filled up to the size that is asked for. From then
on they are byte ranges like all others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread

from ..errors import SourceError
from ..formats.arrow_errors import arrow_errors
from ..formats.parquet import MAGIC, Footer, tail_length, verify_footer
from ..formats.parquet_join import cost_of_file, cost_of_pieces, joined_footer
from .decode import ParquetPages
from .files import FileRange, Partition
from .spool import Spool
from .workers import Workers

__all__ = ["LEAST_BYTES", "UNIT_BYTES", "Encoding", "encoded_partitions"]

#: The most that a unit takes decoded, in bytes, and with it a row group of the result: all memory goes by this.
UNIT_BYTES = 64 * 1024**2

#: Row groups of so few bytes are not split further, however small partitions are to be.
LEAST_BYTES = 64 * 1024

#: Small row groups of a unit, at the most: each keeps a description in memory until its partition is full.
_UNIT_GROUPS = 64


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the row groups of one file are encoded.

    Attributes:
        pages: What is read.
        schema: The Arrow schema that is written; columns of another type are cast to it.
        settings: Arguments for pyarrow's writer.
        spool: Where the result is kept until it is sent.
        full: Whether what is decoded is checked, too.
    """

    pages: ParquetPages
    schema: Any
    settings: dict[str, Any] = field(repr=False)
    spool: Spool
    full: bool


@dataclass(frozen=True)
class _Piece:
    """A small Parquet file: its footer, and where its pages are."""

    footer: Footer
    pages: FileRange
    cost: int


async def encoded_partitions(
    encoding: Encoding, groups: Iterable[int], size: int | None, workers: Workers
) -> AsyncGenerator[Partition, None]:
    """Encode row groups and hand out partitions, in order, while the pieces behind them are being encoded.

    A partition is never larger than `size`, save where a single row is, or a row group of up to 64 KiB. All but the
    last one are filled until the next piece does not fit; a piece is encoded from at most a quarter of `size`, or
    `UNIT_BYTES` where that is less. Row groups are those of the source, cut where one takes more than that in memory.

    Memory that Arrow allocates: with n encoders, of which each has one unit decoded, cast and encoded, and one unit
    that is being read,

        (4 n + 1) x UNIT_BYTES + 32 MiB of read-ahead + a batch (`decode.BATCH_BYTES`)

    and nothing in proportion to the file or to a partition. What is encoded ahead is in spool files, at most 2 n
    pieces.

    Args:
        encoding: What is read and written.
        groups: Positions of the row groups, ascending.
        size: The most bytes of a partition; None for a single one.
        workers: The encoders.

    Raises:
        SourceError: If a page cannot be decoded.
        SourceChangedError: If the file is shorter than it was.
    """
    pack: list[_Piece] = []
    taken = 0
    units = _Units(encoding, groups, _unit_bytes(size), workers)
    async with aclosing(_in_order(units, encoding, size, workers)) as pieces:
        async for piece in pieces:
            if pack and size is not None and taken + piece.cost > size:
                yield await to_thread.run_sync(_joined, encoding, pack)
                pack = []
            taken = piece.cost + (taken if pack else cost_of_file(piece.footer))
            pack.append(piece)
    if pack:
        yield await to_thread.run_sync(_joined, encoding, pack)


def _unit_bytes(size: int | None) -> int:
    return UNIT_BYTES if size is None else max(LEAST_BYTES, min(UNIT_BYTES, size // 4))


async def _in_order(
    units: _Units, encoding: Encoding, size: int | None, workers: Workers
) -> AsyncGenerator[_Piece, None]:
    """Keep all encoders busy, and hand out what they made in the order of the units."""

    def work() -> tuple[int, list[_Piece]] | None:
        unit = units.pull()
        return unit and (unit[0], list(_encoded(encoding, unit[1], size)))

    waiting: deque[Future[tuple[int, list[_Piece]] | None]] = deque()
    waiting.extend(workers.submit(work) for _ in range(2 * workers.count))
    ready: dict[int, list[_Piece]] = {}
    number = 0
    while waiting:
        if done := await workers.result(waiting.popleft()):
            ready[done[0]] = done[1]
            waiting.append(workers.submit(work))
        while number in ready:
            for piece in ready.pop(number):
                yield piece
            number += 1


class _Units:
    """Reads row groups in order and gives the next unit to whichever encoder asks."""

    def __init__(self, encoding: Encoding, groups: Iterable[int], most: int, workers: Workers) -> None:
        self._encoding = encoding
        self._most = most
        self._workers = workers
        self._lock = threading.Lock()
        self._units = enumerate(self._read(groups))

    def pull(self) -> tuple[int, list[Any]] | None:
        """Return the next unit with its number, as tables of which each is to be a row group; None at the end."""
        with self._lock:
            return None if self._workers.stopped else next(self._units, None)

    def _read(self, groups: Iterable[int]) -> Iterator[list[Any]]:
        unit: list[Any] = []
        taken = 0
        for table in self._tables(groups):
            if unit and (taken + table.nbytes > self._most or len(unit) == _UNIT_GROUPS):
                yield unit
                unit, taken = [], 0
            unit.append(table)
            taken += table.nbytes
        if unit:
            yield unit

    def _tables(self, groups: Iterable[int]) -> Iterator[Any]:
        pages = self._encoding.pages
        reader = pages.open()
        # Two encoders and one reader keep two processors busy; more of them would wait for a reader with one thread.
        threads = self._workers.count > 2
        for group in groups:
            yield from self._cut(pages.batches(reader, group, full=self._encoding.full, threads=threads))

    def _cut(self, batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        gathered: list[Any] = []
        taken = 0
        for batch in batches:
            if gathered and taken + batch.nbytes > self._most:
                yield pa.Table.from_batches(gathered)
                gathered, taken = [], 0
            gathered.append(batch)
            taken += batch.nbytes
        if gathered:
            yield pa.Table.from_batches(gathered)


def _encoded(encoding: Encoding, tables: list[Any], size: int | None) -> Iterator[_Piece]:
    """Encode a unit as one piece, or as several where it turns out to be larger than a partition."""
    data, footer = _written(encoding, tables)
    cost = cost_of_pieces(footer)
    halves = [] if size is None or cost + cost_of_file(footer) <= size else _halves(tables, len(data))
    if not halves:
        pages = encoding.spool.store(data[len(MAGIC) : footer.data_end])
        yield _Piece(footer, pages, cost)
        return
    del data
    for half in halves:
        yield from _encoded(encoding, half, size)


def _halves(tables: list[Any], encoded: int) -> list[list[Any]]:
    rows = tables[0].num_rows
    if len(tables) > 1:
        middle = len(tables) // 2
        return [tables[:middle], tables[middle:]]
    if rows > 1 and encoded > LEAST_BYTES:
        return [[tables[0].slice(0, rows // 2)], [tables[0].slice(rows // 2)]]
    return []


def _written(encoding: Encoding, tables: list[Any]) -> tuple[memoryview, Footer]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        with pq.ParquetWriter(sink, encoding.schema, **encoding.settings) as writer:
            for table in tables:
                # Each batch brings dictionaries of its own, and a column with several is written without one.
                cast = table.cast(encoding.schema).unify_dictionaries()
                writer.write_table(cast, row_group_size=max(1, cast.num_rows))
    except arrow_errors() as error:
        # What pyarrow says of a cast has the value in it, so it stays out of the chain.
        raise _not_encoded(encoding.pages.file.path, type(error).__name__) from None
    data = memoryview(sink.getvalue())
    start = len(data) - 8 - tail_length(bytes(data[-8:]), len(data))
    return data, Footer.parse(bytes(data[start:-8]), start)


def _not_encoded(path: str, reason: str) -> SourceError:
    return SourceError(
        f"{path} has columns or row groups that have to be encoded anew, and pyarrow cannot do that ({reason}). Write "
        f"the file with other types, and row groups smaller than a partition.",
        path=path,
    )


def _joined(encoding: Encoding, pieces: list[_Piece]) -> Partition:
    rows = sum(piece.footer.num_rows for piece in pieces)
    footer = joined_footer([piece.footer for piece in pieces])
    verify_footer(footer, rows, encoding.schema.names)
    return Partition((MAGIC, *(piece.pages for piece in pieces), footer), rows)
