"""The rows of a Parquet file's row groups, decoded in order and gathered to units for the encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import SourceError
from ..formats.parquet_int96 import instants
from .decode import ParquetPages
from .encode import Unit

__all__ = ["page_units"]

#: Small row groups of a unit, at the most: each keeps a description in memory until its partition is full.
_UNIT_GROUPS = 64

_NOT_HELD = (
    "{}: column {!r} has INT96 timestamps in row group {} that are more than 292,000 years from 1970, or have no time "
    "of day. It has to be encoded again, and 64 bits of microseconds cannot hold them. Write the file with other "
    "values there, or with row groups smaller than a partition and no columns that have to be cast."
)


def page_units(
    most: int, *, pages: ParquetPages, groups: Iterable[int], int96: Sequence[str], full: bool, threads: bool
) -> Iterator[Unit]:
    """Decode row groups to units of some rows of one of them, or of some small ones; see `encode.Units`.

    Memory that Arrow allocates: a unit that is being read, two batches (`decode.BATCH_BYTES`), and for each column

        a buffer to read with, and 16 KiB for decoding
        + its largest page as it is stored, and the same page decoded
        + the decoded size of its largest dictionary, and 16 bytes for each value of that

    The buffers have 1 MiB each, 32 MiB together where there are more columns, and never less than 8 KiB each. Pages
    are decoded whole, however they were written: most writers end them near 1 MiB, but fastparquet writes one for all
    values of a column in a row group, so that of its files a whole row group is held, stored and decoded.

    Args:
        most: The most bytes of a unit. Row groups are those of the source, cut where one takes more than that.
        pages: What is read.
        groups: Positions of the row groups, ascending.
        int96: Names of columns with timestamps of 96 bits that come as bytes and become microseconds.
        full: Whether what is decoded is checked, too.
        threads: Whether columns are decoded side by side.

    Raises:
        SourceError: If a page cannot be decoded, or microseconds cannot hold a timestamp.
        SourceChangedError: If the file is shorter than it was.
    """
    unit: list[Any] = []
    taken = 0
    for table in _tables(most, pages, groups, int96, full, threads):
        if unit and (taken + table.nbytes > most or len(unit) == _UNIT_GROUPS):
            yield partial(list, unit)
            unit, taken = [], 0
        unit.append(table)
        taken += table.nbytes
    if unit:
        yield partial(list, unit)


def _tables(
    most: int, pages: ParquetPages, groups: Iterable[int], int96: Sequence[str], full: bool, threads: bool
) -> Iterator[Any]:
    reader = pages.open(checksums=full)
    for group in groups:
        batches = pages.batches(reader, group, full=full, threads=threads)
        yield from _cut(most, (_with_instants(pages.file.path, group, batch, int96) for batch in batches))


def _with_instants(path: str, group: int, batch: Any, int96: Sequence[str]) -> Any:
    for name in int96:
        try:
            made = instants(batch.column(name))
        except ValueError:
            raise SourceError(_NOT_HELD.format(path, name, group), path=path) from None
        batch = batch.set_column(batch.schema.get_field_index(name), name, made)
    return batch


def _cut(most: int, batches: Iterable[Any]) -> Iterator[Any]:
    import pyarrow as pa

    gathered: list[Any] = []
    taken = 0
    for batch in batches:
        if gathered and taken + batch.nbytes > most:
            yield pa.Table.from_batches(gathered)
            gathered, taken = [], 0
        gathered.append(batch)
        taken += batch.nbytes
    if gathered:
        yield pa.Table.from_batches(gathered)
