"""Reading the page indexes of a partition's row groups, which lie outside the footer."""

from __future__ import annotations

from ..formats.parquet import Footer, PageIndexes, page_index_ranges
from .files import SourceFile

__all__ = ["read_page_indexes"]


def read_page_indexes(file: SourceFile, footer: Footer, row_groups: range) -> PageIndexes | None:
    """Read the page indexes of some row groups, at most `MAX_PAGE_INDEX_BYTES`; for worker threads only.

    Returns:
        What was read; None where there are none, or more than are kept.

    Raises:
        SourceChangedError: If the file is shorter than it was.
    """
    groups = [group for group in footer.row_groups[row_groups.start : row_groups.stop] if group.num_rows]
    pieces = [(start, _read(file, start, end)) for start, end in page_index_ranges(groups)]
    return PageIndexes(pieces) if pieces else None


def _read(file: SourceFile, start: int, end: int) -> bytes:
    pieces = []
    while start < end:
        piece = file.read_blocking(start, end - start)
        if not piece:
            raise file.changed("is shorter than it was")
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
