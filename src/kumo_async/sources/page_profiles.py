"""What the columns of a Parquet row group take in memory while they are decoded, by what is known of their pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from ..formats.parquet_pages import DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY, DICTIONARY_ENCODINGS, PageHeader
from ..formats.parquet_schema import BYTE_ARRAY, FIXED_BYTES, REPEATED, REQUIRED, SchemaElement

__all__ = [
    "BATCH_BYTES",
    "PER_ITEM",
    "Leaf",
    "PageWalk",
    "Profile",
    "Stretches",
    "leaves_of",
    "lengths_of",
    "most_page_bytes",
    "rows_within",
]

#: What a batch of rows may have decoded, in bytes; at least one row.
BATCH_BYTES = 8 * 1024 * 1024
_MOST_ROWS = 32 * 1024

#: What the pages of a row group that are in memory at a time may have, in bytes: so much in any file, and so many times
#: the file's bytes in a large one. fastparquet, for one, writes a single page for all values of a row group.
_PAGES_FLOOR = 256 * 1024 * 1024
_PAGES_PER_BYTE = 8

#: What the pages of many columns may have together nevertheless: so much for each, about twice what writers make of
#: a page, and so much for all. A sparse table of hundreds of columns has a page of usual size for each of them.
_PAGES_PER_COLUMN = 2 * 1024 * 1024
_PAGES_OF_COLUMNS = 1024 * 1024 * 1024

#: Rows are gathered to stretches of so many bytes, where they are known by the page and where each is known.
_STRETCH = 64 * 1024
SEEN_STRETCH = 1024 * 1024

_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 20, 4: 4, 5: 8}

#: What Arrow needs for a value in addition to its bytes: levels, an offset, whether it is null.
_PER_VALUE, PER_ITEM = 4, 8

#: What lengths of texts take that are decoded for a page as a whole, in bytes for each of its values.
_LENGTHS = {DELTA_LENGTH_BYTE_ARRAY: 4, DELTA_BYTE_ARRAY: 12}


class Leaf(NamedTuple):
    """A column as it is stored: its top-level column, and what its values are like."""

    name: str
    path: str
    kind: int
    width: int
    lists: int
    optional: bool

    @property
    def is_column(self) -> bool:
        """Whether it is all of its top-level column."""
        return self.path == self.name

    @property
    def is_text(self) -> bool:
        """Whether its values have lengths of their own."""
        return self.kind == BYTE_ARRAY


def leaves_of(
    name: str, element: SchemaElement, path: str = "", lists: int = 0, optional: bool = False
) -> Iterator[Leaf]:
    """Give what is stored of a column, which pyarrow knows by this name: itself, or all leaves within it."""
    path = f"{path}.{element.name}" if path else name
    lists += element.repetition == REPEATED
    optional |= element.repetition != REQUIRED
    if (kind := element.physical_type) is not None:
        width = 16 + max(0, element.type_length or 0) if kind == FIXED_BYTES else _WIDTHS.get(kind, 0)
        yield Leaf(name, path, kind, width, lists, optional)
    for child in element.children:
        yield from leaves_of(name, child, path, lists, optional)


class Stretches:
    """Consecutive rows with the bytes that they have together, where not all rows have as many.

    Attributes:
        rows: All of them.
        largest: The most bytes of one stretch.
    """

    def __init__(self, size: int) -> None:
        self.rows = self.largest = 0
        self._size = size
        self._ends = [0]
        self._sizes = [0]
        self._open = (0, 0)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, rows: int, size: int) -> None:
        """Add the next rows; or more bytes of the last one, if there are none."""
        open_rows, open_size = self._open
        if not len(self) or (rows and open_rows and open_size + size > self._size):
            self._ends.append(self._ends[-1])
            self._sizes.append(self._sizes[-1])
            open_rows = open_size = 0
        self.rows += rows
        self._ends[-1] += rows
        self._sizes[-1] += size
        self._open = (open_rows + rows, open_size + size)
        self.largest = max(self.largest, open_size + size)

    def add_each(self, sizes: Any) -> None:
        """Add the next rows by the bytes of each, as an array of numpy."""
        import numpy as np

        totals = np.cumsum(sizes)
        ends = np.flatnonzero(np.diff(totals // self._size)) + 1
        for start, end in pairwise([0, *ends.tolist(), len(totals)]):
            if start < end:
                self.add(end - start, int(totals[end - 1] - (totals[start - 1] if start else 0)))

    def most_within(self, rows: int) -> float:
        """Return the most bytes of so many consecutive rows, where those of a stretch are all alike."""
        if len(self) <= 1:
            return self._sizes[-1] * min(1, rows / max(1, self.rows))
        import numpy as np

        ends, sizes = np.asarray(self._ends, float), np.asarray(self._sizes, float)
        # Between two ends the bytes grow evenly, so they are most where the rows begin or end at one.
        after = np.interp(ends + rows, ends, sizes) - sizes
        before = sizes - np.interp(ends - rows, ends, sizes)
        return float(max(after.max(), before.max()))


@dataclass(frozen=True)
class Profile:
    """What a column of a row group takes in memory.

    Attributes:
        leaf: The column.
        held: Its largest page, stored and decoded, and its dictionary.
        width: What a row takes, whatever its value.
        plain: The bytes of values that lie in the pages as they are, and of lists.
        indexed: How many of the first rows have values of a dictionary.
        longest: The most bytes of such a value, where it is not known which rows have which.
        dictionary: The header of its dictionary, and where that begins.
        seen: The bytes of such values, where the indices were looked at.
    """

    leaf: Leaf
    held: int
    width: int
    plain: Stretches
    indexed: int
    longest: int
    dictionary: tuple[PageHeader, int] | None = None
    seen: Stretches = field(default_factory=lambda: Stretches(SEEN_STRETCH))

    @property
    def most(self) -> int:
        """The most that is in memory at a time, however few rows are decoded."""
        return self.held + self.longest + self.plain.largest + self.seen.largest

    def within(self, rows: int) -> float:
        """Return the most that so many consecutive rows take."""
        return rows * (self.width + self.longest) + self.plain.most_within(rows) + self.seen.most_within(rows)


class PageWalk:
    """What is found on the way over the pages of a column."""

    def __init__(self, leaf: Leaf) -> None:
        self.plain = Stretches(_STRETCH)
        self._leaf = leaf
        self._largest = self._dictionary_size = self._longest = self._indexed = 0
        self._dictionary: tuple[PageHeader, int] | None = None
        self._uses_dictionary = False

    def add_page(self, page: PageHeader, at: int) -> None:
        """Note what a page takes, of whatever kind it is, and where it begins after its header."""
        lengths = _LENGTHS.get(page.encoding, 0) * page.values if self._leaf.is_text and page.is_data else 0
        self._largest = max(self._largest, page.stored + page.decoded + lengths)
        if page.is_dictionary:
            self._dictionary = page, at
            self._dictionary_size = max(self._dictionary_size, page.decoded + 16 * page.values)
            self._longest = max(self._longest, page.decoded - 4 * page.values) if self._leaf.is_text else 0

    def add_values(self, page: PageHeader, rows: int, texts: int) -> None:
        """Note the rows that begin in a page, and the bytes of its texts."""
        by_index = page.encoding in DICTIONARY_ENCODINGS
        if self._leaf.lists:
            texts += page.values * (self._leaf.width + PER_ITEM + (self._longest if by_index else 0))
        elif by_index:
            self._uses_dictionary = True
            # Only the rows before all others are looked at: what comes after would become a part of the dictionary.
            self._indexed += rows if self._indexed == self.plain.rows else 0
        self.plain.add(rows, texts)

    def profile(self) -> Profile:
        """Return what the column takes."""
        longest = self._longest if self._uses_dictionary else 0
        width = 0 if self._leaf.lists else self._leaf.width + _PER_VALUE
        held = self._largest + self._dictionary_size
        return Profile(self._leaf, held, width, self.plain, self._indexed, longest, self._dictionary)


def rows_within(profiles: Sequence[Profile], total: int) -> int:
    """Return how many rows `BATCH_BYTES` hold wherever they are; at least one."""
    each = sum(profile.width + profile.longest for profile in profiles)
    rows = max(1, min(_MOST_ROWS, total, BATCH_BYTES // max(1, each)))
    while rows > 1 and sum(profile.within(rows) for profile in profiles) > BATCH_BYTES:
        rows //= 2
    return rows


def lengths_of(texts: Any) -> Any:
    """Give the lengths of texts that are indices into a dictionary, as an array of numpy."""
    import pyarrow.compute as pc

    return pc.binary_length(texts.dictionary).take(texts.indices).cast("int64").fill_null(0).to_numpy()


def most_page_bytes(file_size: int, columns: int = 1) -> int:
    """Return what the pages of a row group may take that have to be in memory at a time, those of so many columns."""
    return max(_PAGES_FLOOR, _PAGES_PER_BYTE * file_size, min(_PAGES_PER_COLUMN * columns, _PAGES_OF_COLUMNS))
