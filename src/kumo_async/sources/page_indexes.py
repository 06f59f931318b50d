"""Reading the page indexes of a partition's row groups, which lie outside the footer; for worker threads only."""

from __future__ import annotations

from collections.abc import Sequence

from ..formats.parquet import MAGIC, Footer, PageIndexes, page_index_ranges
from ..formats.parquet_page_index import MAX_PAGE_INDEX_BYTES
from .files import FileRange, Readable, SourceFile

__all__ = ["read_page_indexes", "read_pieces_indexes"]


def read_page_indexes(file: SourceFile, footer: Footer, row_groups: range) -> PageIndexes | None:
    """Read the page indexes of some row groups, at most `MAX_PAGE_INDEX_BYTES`.

    Returns:
        What was read; None where there are none, or more than are kept.

    Raises:
        SourceChangedError: If the file is shorter than it was.
    """
    groups = [group for group in footer.row_groups[row_groups.start : row_groups.stop] if group.num_rows]
    pieces = []
    for start, end in page_index_ranges(groups):
        pieces.append((start, _read(file, start, end)))
        if len(pieces[-1][1]) < end - start:
            raise file.changed("is shorter than it was")
    return PageIndexes(pieces) if pieces else None


def read_pieces_indexes(pieces: Sequence[tuple[Footer, FileRange]]) -> list[PageIndexes]:
    """Read the page indexes of small files that lie in spool files, each without its magic number.

    Returns:
        Those of each file; nothing where they have more than `MAX_PAGE_INDEX_BYTES` together.
    """
    places = [page_index_ranges(footer.row_groups) for footer, _ in pieces]
    if not 0 < sum(end - start for each in places for start, end in each) <= MAX_PAGE_INDEX_BYTES:
        return []
    moved = [stored.offset - len(MAGIC) for _, stored in pieces]
    return [
        PageIndexes([(start, _read(stored.file, start + by, end + by)) for start, end in each])
        for each, by, (_, stored) in zip(places, moved, pieces, strict=True)
    ]


def _read(file: Readable, start: int, end: int) -> bytes:
    """Read a range, or what there is of it."""
    pieces = []
    while start < end and (piece := file.read_blocking(start, end - start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
