"""The rows of a Parquet file's row groups, decoded in order and gathered to units for the encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .decode import ParquetPages
from .encode import Unit

__all__ = ["page_units"]

#: Small row groups of a unit, at the most: each keeps a description in memory until its partition is full.
_UNIT_GROUPS = 64


def page_units(
    most: int, *, pages: ParquetPages, groups: Iterable[int], int96: Sequence[str], full: bool, threads: bool
) -> Iterator[Unit]:
    """Decode row groups to units of some rows of one of them, or of some small ones; see `encode.Units`.

    Memory that Arrow allocates: a unit that is being read, two batches (`BATCH_BYTES`), and for each column

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
        int96: Names of columns with timestamps of 96 bits; they are decoded once more before all else.
        full: Whether what is decoded is checked, too.
        threads: Whether columns are decoded side by side.

    Raises:
        SourceError: If a page cannot be decoded, or microseconds cannot hold a timestamp.
        SourceChangedError: If the file is shorter than it was.
    """
    unit: list[Any] = []
    taken = 0
    for table in _tables(most, pages, _checked(pages, groups, int96) if int96 else groups, full, threads):
        if unit and (taken + table.nbytes > most or len(unit) == _UNIT_GROUPS):
            yield partial(list, unit)
            unit, taken = [], 0
        unit.append(table)
        taken += table.nbytes
    if unit:
        yield partial(list, unit)


def _tables(most: int, pages: ParquetPages, groups: Iterable[int], full: bool, threads: bool) -> Iterator[Any]:
    reader = pages.open(checksums=full)
    for group in groups:
        yield from _cut(most, pages.batches(reader, group, full=full, threads=threads))


def _checked(pages: ParquetPages, groups: Iterable[int], int96: Sequence[str]) -> Iterator[int]:
    seconds = pages.open(int96="s")
    for group in groups:
        pages.refuse_wrapping(seconds, group, int96)
        yield group


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
