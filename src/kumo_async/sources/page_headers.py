"""Columns of a Parquet row group as they lie in the file, and the headers of their pages, read a few at a time."""

from __future__ import annotations

from dataclasses import dataclass

from ..formats.parquet_pages import MAX_HEADER_BYTES, PageHeader, read_page_header
from ..formats.thrift import ThriftError
from .files import SourceFile
from .page_profiles import PER_ITEM, Leaf

__all__ = ["Chunk", "PageWindow", "levels_end"]

#: What is read at once of a file for headers, in bytes.
_HEAD = 16 * 1024


@dataclass(frozen=True)
class Chunk:
    """A column of a row group: where its pages are, how many rows and values they have, and where it is described."""

    leaf: Leaf
    start: int
    end: int
    rows: int
    values: int
    described_at: int

    @property
    def items_size(self) -> int:
        """What all values of its lists take, without the bytes of texts."""
        return self.values * (self.leaf.width + PER_ITEM) if self.leaf.lists else 0


class PageWindow:
    """Page headers, read with what lies around them: small pages share a read."""

    def __init__(self, file: SourceFile, end: int) -> None:
        self._file = file
        self._end = end
        self._start = 0
        self._data = b""

    def header(self, at: int) -> tuple[PageHeader, int]:
        """Read the header at a position of the file, and give the position after it.

        Raises:
            ThriftError: It is broken.
        """
        if not self._start <= at < self._start + len(self._data):
            self._load(at, _HEAD)
        while True:
            try:
                page, end = read_page_header(self._data, at - self._start)
            except ThriftError:
                there = self._start + len(self._data) - at
                if there >= min(MAX_HEADER_BYTES, self._end - at):
                    raise
                self._load(at, max(_HEAD, 8 * there))
            else:
                return page, self._start + end

    def _load(self, at: int, size: int) -> None:
        size = min(size, self._end - at)
        self._start, self._data = at, self._file.read_blocking(at, size)
        if len(self._data) < size:
            raise self._file.changed("is shorter than it was")


def levels_end(leaf: Leaf, page: PageHeader, body: bytes) -> int:
    """Return where the values of a page begin."""
    if page.plain_levels:
        return sum(page.plain_levels)
    end = 0
    for _ in range((leaf.lists > 0) + leaf.optional):
        end += 4 + int.from_bytes(body[end : end + 4], "little")
    return end
