"""How many rows of a Parquet row group may be decoded at a time: bounded by its pages, not by what its footer says.

What is small in a file can be large once it is decoded: a page that compresses well, a long text that a dictionary has
once and rows have often, a list of a hundred million nulls. So before a row group is decoded, the headers of its pages
are read, and where they leave it open, what they are about:

    fixed-size values        a row takes what its type takes
    texts as they are        a page has as many bytes as its header says
    texts of a dictionary    a row takes at most the longest entry; where that is too much, all indices are looked at
    texts as differences     the lengths are in front of the page, and are added up
    lists                    the rows of a page are counted in its levels, and its values are in its header

pyarrow then decodes so many rows at a time as stay within `BATCH_BYTES`. What cannot be bounded so is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import Any

from ..errors import SourceError
from ..formats import parquet_columns as ids
from ..formats import thrift
from ..formats.arrow_errors import arrow_errors
from ..formats.parquet import MAGIC, Footer, with_tail
from ..formats.parquet_columns import column_range, read_row_group
from ..formats.parquet_footer import KEY_VALUES, SCHEMA
from ..formats.parquet_metas import ColumnMeta
from ..formats.parquet_pages import (
    DELTA_BYTE_ARRAY,
    DICTIONARY_ENCODINGS,
    PageHeader,
    count_zeros,
    delta_sum,
    longest_text,
)
from ..formats.parquet_schema import BYTE_ARRAY, MAX_ELEMENTS
from ..formats.thrift import ThriftError
from .file_handle import FileHandle
from .files import SourceFile
from .page_headers import Chunk, PageWindow, levels_end
from .page_profiles import (
    BATCH_BYTES,
    SEEN_STRETCH,
    PageWalk,
    Profile,
    Stretches,
    leaves_of,
    lengths_of,
    most_page_bytes,
    rows_within,
)

__all__ = ["PageBounds"]

#: What a row may have decoded in any file, in bytes; in a larger one it may have as many as the file.
_ROW_FLOOR = 64 * 1024 * 1024

#: What the lists of a row group may have decoded without a look at how long each of them is, in bytes.
_UNSEEN_LISTS = 64 * 1024 * 1024

#: Pages of a column of a row group. Their headers alone would take minutes.
_MOST_PAGES = 250_000

#: How much a closer look at one column may take, in bytes for its dictionary and in stretches of rows.
_MOST_LOOKED_AT = 16 * 1024 * 1024
_PER_ENTRY = 64
_MOST_SEEN = 100_000

_BUFFER = 256 * 1024
_CONVERTED_TYPE, _SCALE, _PRECISION, _LOGICAL_TYPE = 6, 7, 8, 10
_NO_LABELS: dict[int, bytes | None] = dict.fromkeys([_CONVERTED_TYPE, _SCALE, _PRECISION, _LOGICAL_TYPE])

_LARGER_PAGES = "Write the file again with larger pages, for example with pyarrow.parquet.write_table(table, path)."
_REMEDY = (
    "Write the file again with smaller pages or row groups, for example with pyarrow.parquet.write_table(table, path, "
    "row_group_size=100_000)."
)

_ARROW_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "ZSTD": "zstd", "LZ4_RAW": "lz4_raw"}


class PageBounds:
    """Bounds what is decoded at a time of the row groups of one file; for worker threads only.

    Args:
        file: The open file.
        footer: Its footer.
        names: The names of its columns that pyarrow is told.
        renamed: The footer with these names, its length and the magic number.
    """

    def __init__(self, file: SourceFile, footer: Footer, names: Sequence[str], renamed: bytes) -> None:
        self._file = file
        self._footer = footer
        self._leaves = [leaf for name, top in zip(names, footer.elements, strict=True) for leaf in leaves_of(name, top)]
        self._renamed = renamed

    def rows_at_a_time(self, group: int, columns: Sequence[str] | None = None) -> int:
        """Say how many rows of a row group are decoded at a time.

        Args:
            group: Position of the row group.
            columns: Names of the columns that are decoded; None for all.

        Raises:
            SourceError: If its pages would take more memory than is allowed.
            ThriftError: If a page's header is broken.
        """
        return self._rows(self._walked(group, columns), group)

    def columns_at_a_time(self, group: int, columns: Sequence[str] | None = None) -> Iterator[tuple[list[str], int]]:
        """Say which columns of a row group can be decoded side by side, where they need not be: often all of them.

        Args:
            group: Position of the row group.
            columns: Names of the columns that are decoded; None for all.

        Returns:
            All columns in their order, some at a time; and how many rows of these are decoded at a time.

        Raises:
            SourceError: If the pages of one of them would take more memory than is allowed.
            ThriftError: If a page's header is broken.
        """
        most = most_page_bytes(self._file.size)
        taken: list[tuple[Chunk, Profile]] = []
        held = 0
        for _, leaves in groupby(self._walked(group, columns), key=lambda walked: walked[0].leaf.name):
            column = list(leaves)
            size = sum(profile.most for _, profile in column)
            if taken and held + size > most:
                yield _names_of(taken), self._rows(taken, group)
                taken, held = [], 0
            taken += column
            held += size
        if taken:
            yield _names_of(taken), self._rows(taken, group)

    def _walked(self, group: int, columns: Sequence[str] | None) -> list[tuple[Chunk, Profile]]:
        chunks = self._chunks(group, columns)
        count_rows = sum(chunk.items_size for chunk in chunks) > _UNSEEN_LISTS
        return [(chunk, self._profile(chunk, group, count_rows)) for chunk in chunks]

    def _rows(self, walked: Sequence[tuple[Chunk, Profile]], group: int) -> int:
        """Say how many rows of some columns are decoded at a time."""
        profiles = [profile for _, profile in walked]
        self._refuse_large(profiles, group)
        total = self._footer.row_groups[group].num_rows
        rows = rows_within(profiles, total)
        # As if no dictionary had long values: what a closer look at them can bring.
        wanted = rows_within([replace(profile, longest=0) for profile in profiles], total)
        if rows < wanted:
            profiles = [self._with_longest(chunk, each) for chunk, each in walked]
            rows = rows_within(profiles, total)
        if 4 * rows < wanted:
            share = BATCH_BYTES // (4 * len(profiles))
            profiles = [self._looked_at(p, group, wanted) if p.longest * wanted > share else p for p in profiles]
            rows = rows_within(profiles, total)
        return rows

    def refuse_row(self, batch: Any, group: int) -> None:
        """Make sure that a batch of a single row does not take more memory than is allowed.

        Raises:
            SourceError: If it does.
        """
        most = max(_ROW_FLOOR, self._file.size)
        if batch.num_rows == 1 and batch.nbytes > most:
            sizes = [column.nbytes for column in batch.columns]
            name = batch.schema.names[sizes.index(max(sizes))]
            raise SourceError(
                f"{self._file.path} has a row of {batch.nbytes:,} bytes in row group {group}, most of them in column "
                f"{name!r}; it has to be decoded, and {most:,} bytes are allowed. Write the file again without such "
                f"values, or with several rows in place of one long list.",
                path=self._file.path,
            )

    def _chunks(self, group: int, columns: Sequence[str] | None) -> list[Chunk]:
        data, described = self._footer.data, self._footer.row_groups[group]
        asked = None if columns is None else set(columns)
        raw = read_row_group(data, described.described_at)
        chunks = []
        for leaf, column, meta in zip(self._leaves, raw.columns, raw.metas, strict=True):
            if asked is None or leaf.name in asked:
                start, end, _ = column_range(data, meta)
                values = thrift.integer(data, meta, ids.NUM_VALUES)
                chunks.append(Chunk(leaf, start, end, described.num_rows, values, column[ids.META_DATA][2]))
        return chunks

    def _profile(self, chunk: Chunk, group: int, count_rows: bool) -> Profile:
        """Walk over the pages of a column."""
        walk = PageWalk(chunk.leaf)
        for page, at in self._pages(chunk, group):
            walk.add_page(page, at)
            if page.is_data:
                texts = self._texts_size(chunk, page, at) if chunk.leaf.is_text else 0
                rows = page.values if not chunk.leaf.lists else self._rows_of(chunk, page, at) if count_rows else 0
                walk.add_values(page, rows, texts)
        if chunk.leaf.lists and not count_rows:
            walk.plain.add(chunk.rows, 0)
        return walk.profile()

    def _pages(self, chunk: Chunk, group: int) -> Iterator[tuple[PageHeader, int]]:
        """Give the pages of a column that are read, and where each begins after its header."""
        most = most_page_bytes(self._file.size)
        at, left = chunk.start, chunk.values
        window = PageWindow(self._file, chunk.end)
        for _ in range(_MOST_PAGES):
            if left <= 0 or at >= chunk.end:
                return
            page, at = window.header(at)
            if page.stored + page.decoded > most:
                size = page.stored + page.decoded
                raise self._too_large(f"a page of column {chunk.leaf.name!r} takes {size:,} bytes", group, most)
            yield page, at
            at += page.stored
            left -= page.values if page.is_data else 0
        raise SourceError(
            f"{self._file.path}: column {chunk.leaf.name!r} has more than {_MOST_PAGES:,} pages in row group {group}. "
            f"{_LARGER_PAGES}",
            path=self._file.path,
        )

    def _texts_size(self, chunk: Chunk, page: PageHeader, at: int) -> int:
        """Return how many bytes the texts of a page have at most together."""
        if page.encoding in DICTIONARY_ENCODINGS:
            return 0
        if page.encoding != DELTA_BYTE_ARRAY:
            return page.decoded
        body = self._body(chunk, page, at)
        if body is None or page.odd_levels:
            return page.values * page.decoded
        # What each text shares with the one before comes on top of what is in the page.
        return page.decoded + delta_sum(body[levels_end(chunk.leaf, page, body) :], page.values)

    def _rows_of(self, chunk: Chunk, page: PageHeader, at: int) -> int:
        """Count the rows that begin in a page of lists; 0 where its levels cannot be read here."""
        if page.plain_levels:
            levels = self._read(at, min(page.plain_levels[0], page.stored))
        else:
            body = self._body(chunk, page, at)
            if body is None or page.odd_levels:
                return 0
            levels = body[4 : 4 + int.from_bytes(body[:4], "little")]
        return count_zeros(levels, chunk.leaf.lists.bit_length(), page.values)

    def _body(self, chunk: Chunk, page: PageHeader, at: int) -> bytes | None:
        """Read a page and decompress it; None where pyarrow has no such codec for that."""
        stored = self._read(at, page.stored)
        data = self._footer.data
        codec = ColumnMeta(data, thrift.scan(data, chunk.described_at)[0]).codec
        if codec == "NONE" or not page.compressed:
            return stored
        if codec not in _ARROW_CODECS:
            return None
        import pyarrow as pa

        skipped = sum(page.plain_levels or ())
        if not (decoded := page.decoded - skipped) > 0:
            return stored[:skipped]
        values: bytes = pa.decompress(stored[skipped:], decoded, _ARROW_CODECS[codec], asbytes=True)
        return stored[:skipped] + values

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._file.size:
            raise ThriftError("A page ends after the file.")
        handle = FileHandle(self._file)
        handle.seek(at)
        return handle.read(size)

    def _refuse_large(self, profiles: Sequence[Profile], group: int) -> None:
        total = sum(profile.most for profile in profiles)
        most = most_page_bytes(self._file.size, len(profiles))
        if total > most:
            largest = max(profiles, key=lambda profile: profile.most)
            where = f"{largest.most:,} of them in column {largest.leaf.name!r}"
            raise self._too_large(f"its largest pages take {total:,} bytes together, {where}", group, most)

    def _too_large(self, why: str, group: int, most: int) -> SourceError:
        return SourceError(
            f"{self._file.path}: row group {group} cannot be decoded in bounded memory: {why}, and "
            f"{most:,} are allowed. {_REMEDY}",
            path=self._file.path,
        )

    def _with_longest(self, chunk: Chunk, profile: Profile) -> Profile:
        """Look at a dictionary, of whose longest value only the size of all of them is known."""
        body = self._body(chunk, *profile.dictionary) if profile.longest and profile.dictionary else None
        return profile if body is None else replace(profile, longest=min(profile.longest, longest_text(body)))

    def _looked_at(self, profile: Profile, group: int, rows: int) -> Profile:
        """Look at the indices of a column, to know which rows have long values."""
        if not (profile.indexed and profile.dictionary and profile.leaf.is_column):
            return profile
        page, _ = profile.dictionary
        if page.decoded + _PER_ENTRY * page.values > _MOST_LOOKED_AT:
            return profile
        seen = Stretches(SEEN_STRETCH)
        for batch in self._by_index(group, profile.leaf.name, rows):
            seen.add_each(lengths_of(batch.column(0)))
            if len(seen) > _MOST_SEEN:
                return profile
            if seen.rows >= profile.indexed:
                return replace(profile, longest=0, seen=seen)
        return profile

    def _by_index(self, group: int, name: str, rows: int) -> Iterator[Any]:
        """Decode a column of texts as a dictionary and indices; ends early where pyarrow cannot do that."""
        import pyarrow.parquet as pq

        handle = FileHandle(self._file)
        options = {"buffer_size": _BUFFER, "pre_buffer": False, "read_dictionary": [name]}
        try:
            reader = pq.ParquetFile(handle, metadata=self._unlabelled, **options)
            batches = reader.iter_batches(rows, row_groups=[group], columns=[name], use_threads=False)
            with closing(batches):
                yield from batches
        except arrow_errors():
            return

    @cached_property
    def _unlabelled(self) -> Any:
        """The footer without what texts mean: as bytes, pyarrow can give all of them by index."""
        import pyarrow.parquet as pq

        named = Footer.parse(self._renamed[:-8], self._footer.data_end)
        patches = thrift.changes(named.fields, {KEY_VALUES: None})
        for element in thrift.structs(named.data, named.fields, SCHEMA, MAX_ELEMENTS):
            if thrift.integer(named.data, element, 1, -1) == BYTE_ARRAY:
                patches += thrift.changes(element, _NO_LABELS)
        unlabelled = thrift.splice(named.data, 0, len(named.data), sorted(patches))
        return pq.read_metadata(io.BytesIO(MAGIC + with_tail(unlabelled)))


def _names_of(walked: Sequence[tuple[Chunk, Profile]]) -> list[str]:
    return list(dict.fromkeys(chunk.leaf.name for chunk, _ in walked))
