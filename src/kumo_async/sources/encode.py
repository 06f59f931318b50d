"""Partitions of content that must be encoded again: cast and encoded by pyarrow, several pieces at a time.

    a source ── one reader, in order ──> units ── encoders, side by side ──> pieces in spool files ──> partitions

A unit is some rows: of a Parquet file some of one row group, or some small row groups (`page_units`); of a CSV file
some records, which the encoder itself parses (`convert`). Each becomes a small Parquet file of its own, so its exact
size is known before it is given its place, and partitions are filled up to the size that is asked for. From then on
they are byte ranges like all others.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import SourceError
from ..formats.arrow_errors import arrow_errors
from ..formats.parquet import MAGIC, Footer, tail_length, verify_footer
from ..formats.parquet_head import under_head
from ..formats.parquet_join import cost_of_file, cost_of_pieces, joined_footer, pages_end
from ..shield import in_thread
from .files import FileRange, Partition
from .page_indexes import read_pieces_indexes
from .spool import Spool
from .workers import Workers

__all__ = ["LEAST_BYTES", "UNIT_BYTES", "Encoding", "Unit", "Units", "encoded_partitions", "written"]

#: The most that a unit takes decoded, in bytes, and with it a row group of the result: all memory goes by this.
UNIT_BYTES = 64 * 1024**2

#: Row groups of so few bytes are not split further, however small partitions are to be.
LEAST_BYTES = 64 * 1024

Unit = Callable[[], list[Any]]
"""Gives some rows as tables, of which each is to be a row group; called once, by an encoder."""

Units = Callable[[int], Iterator[Unit]]
"""Gives the units of a table in order, none of which takes more than so many bytes as tables; read by one at a time."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the rows of one file are encoded.

    Attributes:
        path: The file, for errors.
        schema: The Arrow schema that is written; columns of another type are cast to it.
        settings: Arguments for pyarrow's writer.
        spool: Where the result is kept until it is sent.
        head: A footer whose schema and metadata the partitions have; None for those that pyarrow writes.
    """

    path: str
    schema: Any
    settings: dict[str, Any] = field(repr=False)
    spool: Spool
    head: Footer | None = None


@dataclass(frozen=True)
class _Piece:
    """A small Parquet file: its footer, and where all that lies before it is, except for the magic number."""

    footer: Footer
    pages: FileRange
    cost: int


async def encoded_partitions(
    encoding: Encoding, units: Units, size: int | None, workers: Workers
) -> AsyncGenerator[Partition, None]:
    """Encode units and hand out partitions, in order, while the pieces after them are being encoded.

    A partition is never larger than `size`, except where a single row is, or a row group of up to 64 KiB. All but the
    last one are filled until the next piece does not fit; a piece is encoded from at most a quarter of `size`, or
    `UNIT_BYTES` where that is less.

    Memory that Arrow allocates: with n encoders, of which each has one unit decoded, cast and encoded,

        4 n x UNIT_BYTES, and what the reader of the units has (of Parquet: `page_units`)

    and nothing in proportion to a partition. What is encoded ahead is in spool files, at most 2 n pieces.

    Args:
        encoding: How they are written.
        units: What is read.
        size: The most bytes of a partition; None for a single one.
        workers: The encoders.

    Raises:
        SourceError: If a unit cannot be read or encoded.
        SourceChangedError: If the file is shorter than it was.
    """
    pack: list[_Piece] = []
    taken = 0
    queue = _Queue(units(_unit_bytes(size)), workers)
    async with aclosing(_in_order(queue, encoding, size, workers)) as pieces:
        async for piece in pieces:
            if pack and size is not None and taken + piece.cost > size:
                yield await in_thread(_joined, encoding, pack)
                pack = []
            taken = piece.cost + (taken if pack else cost_of_file(piece.footer))
            pack.append(piece)
    if pack:
        yield await in_thread(_joined, encoding, pack)


def _unit_bytes(size: int | None) -> int:
    return UNIT_BYTES if size is None else max(LEAST_BYTES, min(UNIT_BYTES, size // 4))


async def _in_order(
    queue: _Queue, encoding: Encoding, size: int | None, workers: Workers
) -> AsyncGenerator[_Piece, None]:
    """Keep all encoders busy, and hand out what they made in the order of the units."""

    def work() -> tuple[int, list[_Piece]] | None:
        unit = queue.pull()
        return unit and (unit[0], list(_encoded(encoding, unit[1](), size)))

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


class _Queue:
    """Gives the next unit to whichever encoder asks."""

    def __init__(self, units: Iterator[Unit], workers: Workers) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._units = enumerate(units)

    def pull(self) -> tuple[int, Unit] | None:
        """Return the next unit with its number; None at the end."""
        with self._lock:
            return None if self._workers.stopped else next(self._units, None)


def _encoded(encoding: Encoding, tables: list[Any], size: int | None) -> Iterator[_Piece]:
    """Encode a unit as one piece, or as several where it turns out to be larger than a partition."""
    data, footer = _written(encoding, tables)
    if encoding.head is not None:
        footer = under_head(encoding.head, footer)
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


def written(encoding: Encoding) -> Footer:
    """Give the footer of a file without rows, as pyarrow writes it."""
    return _written(encoding, [])[1]


def _written(encoding: Encoding, tables: list[Any]) -> tuple[memoryview, Footer]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    failure: str | None = None
    columns: list[str] = []
    try:
        with pq.ParquetWriter(sink, encoding.schema, **encoding.settings) as writer:
            for table in tables:
                # Each batch brings dictionaries of its own, and a column with several is written without one.
                cast = _cast(table, encoding.schema).unify_dictionaries()
                writer.write_table(cast, row_group_size=max(1, cast.num_rows))
    except arrow_errors() as error:
        failure = type(error).__name__
        columns = _not_cast(tables, encoding.schema)
    if failure is not None:
        # Raised out here: what pyarrow says of a cast has the value in it.
        raise _not_encoded(encoding.path, failure, columns)
    data = memoryview(sink.getvalue())
    start = len(data) - 8 - tail_length(bytes(data[-8:]), len(data))
    return data, Footer.parse(bytes(data[start:-8]), start)


def _not_cast(tables: list[Any], schema: Any) -> list[str]:
    """Name the columns that cannot be cast."""
    import pyarrow as pa

    found = []
    for place, name in enumerate(schema.names):
        only = pa.schema([schema.field(place)])
        try:
            for table in tables:
                _cast(table.select([place]), only)
        except arrow_errors():
            found.append(name)
    return found


def _cast(table: Any, schema: Any) -> Any:
    """Cast the columns of other types. Arrow cannot cast every type to itself: embeddings with nulls, for one."""
    import pyarrow as pa

    columns = [c if c.type.equals(f.type) else c.cast(f.type) for c, f in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _not_encoded(path: str, reason: str, columns: list[str]) -> SourceError:
    what = f"column {columns[0]!r}" if columns else "columns or row groups"
    return SourceError(
        f"{path} has to be encoded again, and pyarrow cannot do that with {what} ({reason}). Write the file with other "
        f"types, and row groups smaller than a partition.",
        path=path,
    )


def _joined(encoding: Encoding, pieces: list[_Piece]) -> Partition:
    rows = sum(piece.footer.num_rows for piece in pieces)
    indexes = read_pieces_indexes([(piece.footer, piece.pages) for piece in pieces])
    made, footer = joined_footer([piece.footer for piece in pieces], indexes)
    verify_footer(footer, rows, encoding.schema.names)
    body = (replace(piece.pages, length=pages_end(piece.footer) - len(MAGIC)) for piece in pieces)
    return Partition((MAGIC, *body, *([made] if made else []), footer), rows)
