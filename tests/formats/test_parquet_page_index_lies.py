"""Page indexes that lie, are damaged or made to hurt: those of that row group are left out, and all else stays."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_files import INDEXED, Page, check_pages, offset_index, pages_of
from parquet_edits import metas, number, with_footer
from parquet_files import cut, load, page_indexes, read

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet import page_index_ranges, partition_footer
from kumo_async.formats.parquet_columns import page_index_places
from kumo_async.formats.parquet_page_index import MAX_PAGE_INDEX_BYTES

COLUMNS = GROUPS = 3
LIAR = COLUMNS + 1
"""The column whose indexes are changed: the second one of the second row group."""


def with_places(source: bytes, *places: tuple[int, int, int], column: int = LIAR) -> bytes:
    """Have the footer say that an index of a column lies elsewhere: its field, where it starts and how long it is."""
    found, _ = list(metas(load(source)))[column]
    patches = [
        patch
        for field, start, length in places
        for patch in (*number(found, field, start), *number(found, field + 1, length))
    ]
    return with_footer(source, patches)


def with_index(index: bytes, field: int, column: int = LIAR) -> bytes:
    """Write another index before the footer, and have the footer point there."""
    footer = load(INDEXED)
    longer = INDEXED[: footer.data_end] + index + INDEXED[footer.data_end :]
    return with_places(longer, (field, footer.data_end, len(index)), column=column)


def index_of(field: int, column: int = LIAR) -> bytes:
    footer = load(INDEXED)
    found, _ = list(metas(footer))[column]
    start, length = (thrift.integer(footer.data, found, each) for each in (field, field + 1))
    return INDEXED[start : start + length]


def pages() -> list[Page]:
    locations = pages_of(INDEXED)[LIAR].locations or []
    assert len(locations) > 3
    return [(page.offset, page.size, page.first_row) for page in locations]


def with_page(place: int, offset: int = 0, size: int = 0, row: int = 0) -> bytes:
    changed = pages()
    old = changed[place]
    changed[place] = (old[0] + offset, old[1] + size, old[2] + row)
    return offset_index(changed)


def has_indexes(parts: list[bytes]) -> list[bool]:
    """Say of each row group whether its columns have offset indexes and column indexes; all or none of them do."""
    found = [found for part in parts for found in pages_of(part)]
    groups = [found[start : start + COLUMNS] for start in range(0, len(found), COLUMNS)]
    for group in groups:
        assert len({(column.locations is None, column.values is None) for column in group}) == 1
    return [group[0].locations is not None for group in groups]


def check_left_out(source: bytes, left_out: set[int] = frozenset({1})) -> None:  # type: ignore[assignment]
    """Check that the indexes of some row groups, and of no other, are left out of partitions, large ones and small."""
    for target in (1, 1 << 30):
        parts = cut(source, target)
        assert pa.concat_tables(map(read, parts)).combine_chunks().equals(read(INDEXED).combine_chunks())
        assert has_indexes(parts) == [group not in left_out for group in range(GROUPS)]
        for part in parts:
            check_pages(part)


def test_indexes_written_by_hand_are_kept() -> None:
    assert offset_index(pages()) == index_of(ids.OFFSET_INDEX)
    check_left_out(with_index(offset_index(pages()), ids.OFFSET_INDEX), set())


OFFSET_LIES: dict[str, Callable[[], bytes]] = {
    "a page further on": lambda: with_page(1, offset=1),
    "the first page before the column": lambda: with_page(0, offset=-1, size=1),
    "the last page behind the column": lambda: with_page(-1, size=1),
    "a negative offset": lambda: with_page(0, offset=-(1 << 40)),
    "a huge offset": lambda: with_page(2, offset=1 << 61),
    "a page of no bytes": lambda: offset_index([*pages(), (sum(pages()[-1][:2]), 0, 39)]),
    "a negative size": lambda: with_page(1, size=-(1 << 20)),
    "rows from the second one on": lambda: with_page(0, row=1),
    "rows backwards": lambda: with_page(3, row=-20),
    "rows that there are not": lambda: with_page(-1, row=1_000),
    "negative rows": lambda: with_page(1, row=-1_000),
    "pages in another order": lambda: offset_index(pages()[::-1]),
    "one page less": lambda: offset_index(pages()[:-1]),
    "the first page missing": lambda: offset_index(pages()[1:]),
    "no pages": lambda: offset_index([]),
    "cut off": lambda: offset_index(pages())[:-1],
    "cut off in the middle": lambda: offset_index(pages())[:20],
    "one more byte": lambda: offset_index(pages()) + b"\0",
    "no list": lambda: b"\x16\x02\0",
    "a list of numbers": lambda: b"\x19" + thrift.write_list(thrift.I64, [b"\x02"] * len(pages())) + b"\0",
    "nothing": lambda: b"\0",
    "text sizes of other pages": lambda: offset_index(pages(), b"\x19\x16\x02"),
    "no sizes": lambda: offset_index(pages()).replace(b"\x15", b"\x35"),
    "deep nesting": lambda: offset_index(pages(), b"\x9c" + b"\x1c" * 99 + b"\0" * 100),
    "offsets of another type": lambda: offset_index(pages()).replace(b"\x16", b"\x15"),
    "of another column": lambda: index_of(ids.OFFSET_INDEX, LIAR + COLUMNS),
}


@pytest.mark.parametrize("lie", OFFSET_LIES.values(), ids=OFFSET_LIES.keys())
def test_offset_indexes_that_lie_are_left_out(lie: Callable[[], bytes]) -> None:
    check_left_out(with_index(lie(), ids.OFFSET_INDEX))


def column_index(nulls: int, smallest: int, largest: int, rest: bytes = b"\x15\x02") -> bytes:
    texts = (b"\x19" + thrift.write_list(thrift.BINARY, [b"\x01a"] * count) for count in (smallest, largest))
    return b"\x19" + thrift.write_list(1, [b"\x02"] * nulls) + b"".join(texts) + rest + b"\0"


N = len(pages())
VALUE_LIES: dict[str, Callable[[], bytes]] = {
    "of fewer pages": lambda: column_index(N - 1, N - 1, N - 1),
    "of more pages": lambda: column_index(N + 1, N + 1, N + 1),
    "of one page": lambda: column_index(1, 1, 1),
    "smallest values missing": lambda: column_index(N, N - 1, N),
    "largest values missing": lambda: column_index(N, N, N - 1),
    "nulls missing": lambda: column_index(N - 1, N, N),
    "no order": lambda: column_index(N, N, N, b""),
    "counts of other pages": lambda: column_index(N, N, N, b"\x15\x02\x19\x16\x02"),
    "cut off": lambda: column_index(N, N, N)[:-1],
    "one more byte": lambda: column_index(N, N, N) + b"\0",
    "no lists": lambda: b"\x15\x02" * 4 + b"\0",
}


@pytest.mark.parametrize("lie", VALUE_LIES.values(), ids=VALUE_LIES.keys())
def test_column_indexes_of_other_pages_are_left_out(lie: Callable[[], bytes]) -> None:
    check_left_out(with_index(column_index(N, N, N), ids.COLUMN_INDEX), set())
    check_left_out(with_index(lie(), ids.COLUMN_INDEX))


PLACES: dict[str, Callable[[], tuple[int, int]]] = {
    "before the data": lambda: (0, 10),
    "before the file": lambda: (-1, 10),
    "in a column": lambda: (pages()[0][0], 10),
    "over the footer": lambda: (load(INDEXED).data_end - 5, 10),
    "behind the file": lambda: (1 << 40, 10),
    "of 64 bits": lambda: ((1 << 63) - 1, (1 << 31) - 1),
    "longer than the file": lambda: (load(INDEXED).row_groups[-1].end, (1 << 31) - 1),
}


@pytest.mark.parametrize("field", [ids.OFFSET_INDEX, ids.COLUMN_INDEX])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_indexes_that_cannot_be_where_they_are_said_to_be_are_left_out(
    place: Callable[[], tuple[int, int]], field: int
) -> None:
    check_left_out(with_places(INDEXED, (field, *place())))


@pytest.mark.parametrize("field", [ids.OFFSET_INDEX, ids.COLUMN_INDEX])
def test_indexes_that_share_bytes_are_left_out(field: int) -> None:
    """Otherwise a few bytes could be sent once for each column of each row group."""
    footer = load(INDEXED)
    other, _ = list(metas(footer))[LIAR + COLUMNS]
    place = page_index_places(footer.data, other)[field == ids.COLUMN_INDEX]
    assert place
    check_left_out(with_places(INDEXED, (field, place[0], place[1] - place[0])), {1, 2})
    check_left_out(with_places(INDEXED, (field, place[0] + 1, 1)), {1, 2})


@pytest.mark.parametrize("field", [ids.OFFSET_INDEX, ids.COLUMN_INDEX])
@pytest.mark.parametrize("size", [0, -1, -(1 << 31)])
def test_an_index_of_no_bytes_is_none(field: int, size: int) -> None:
    (part,) = cut(with_places(INDEXED, (field, 1_000, size)), 1 << 30)
    found = pages_of(part)[LIAR]
    assert found.values is None
    assert (found.locations is None) is (field == ids.OFFSET_INDEX)
    assert sum(column.locations is None for column in pages_of(part)) == (field == ids.OFFSET_INDEX)
    check_pages(part)


def test_fields_that_are_not_known_survive() -> None:
    later = b"\xd8\x02hi"
    known = b"\x19" + thrift.write_list(thrift.I64, [b"\x08"] * N)
    source = with_index(offset_index(pages(), known + later, in_each=later), ids.OFFSET_INDEX)
    source_pages = pages_of(source)[LIAR]
    (part,) = cut(source, 1 << 30, ["a", "b", "c"])
    assert source_pages.rest.count(later) == N + 1
    assert pages_of(part)[LIAR].rest == source_pages.rest
    check_pages(part)


def test_more_than_is_kept_is_never_read() -> None:
    values = column_index(N, N, N, b"\x15\x02\xb8" + thrift.write_binary(bytes(MAX_PAGE_INDEX_BYTES)))
    source = with_index(values, ids.COLUMN_INDEX)
    footer = load(source)
    assert page_index_ranges(footer.row_groups) == page_index_ranges(footer.row_groups[1:2]) == []
    assert [len(page_index_ranges([group])) for group in footer.row_groups] == [2, 0, 2]
    assert has_indexes(cut(source, 1)) == [True, False, True]


BOMBS = {
    "values": b"\x19\xf8" + thrift.write_integer(1 << 22) + bytes(1 << 24),
    "empty values": b"\x19\x11\x02\x19\xf8\xff\xff\xff\x06" + bytes((1 << 24) - 20),
    "pages": b"\x19\xfc\xff\xff\xff\x06" + bytes((1 << 24) - 20),
    "counts": b"\x19\xfc\xff\xff\xff\xff\x7f" + bytes(1 << 20),
    "structs": b"\xd9\xfc\xff\xff\xff\x06" + b"\x16\x02\0" * (1 << 22),
    "maps": b"\xdb\xff\xff\xff\x06\x88" + bytes(1 << 24)[:-20],
    "depth": b"\x1c" * (1 << 20),
}


@pytest.mark.parametrize("field", [ids.OFFSET_INDEX, ids.COLUMN_INDEX])
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_left_out_quickly_in_little_memory(bomb: bytes, field: int) -> None:
    source = with_index(bomb[: MAX_PAGE_INDEX_BYTES - 2_000], field)
    footer = load(source)
    indexes = page_indexes(source, footer, range(1, 2))
    tracemalloc.start()
    start = time.process_time()
    layout = partition_footer(footer, range(1, 2), None, indexes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert layout.offset_indexes == b""
    assert time.process_time() - start < 2
    assert peak < 36 << 20


REGION = (load(INDEXED).row_groups[-1].end, load(INDEXED).data_end)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 1 << 16), st.sampled_from("xxdi"), st.integers(0, 255)), min_size=1, max_size=3),
    st.sampled_from([1, 8_000, 1 << 30]),
)
def test_damaged_indexes_never_break_a_partition(damage: list[tuple[int, str, int]], target: int) -> None:
    start, end = REGION
    region = bytearray(INDEXED[start:end])
    for place, how, byte in damage:
        place %= end - start
        region[place : place + (how != "i")] = b"" if how == "d" else bytes([byte])
    # The footer stays where it was.
    parts = cut(INDEXED[:start] + region[: end - start].ljust(end - start, b"\0") + INDEXED[end:], target)
    assert pa.concat_tables(map(read, parts)).combine_chunks().equals(read(INDEXED).combine_chunks())
    for part in parts:
        for found in pages_of(part):
            assert all(page.offset + page.size <= len(part) for page in found.locations or [])


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.integers(0, COLUMNS * GROUPS - 1),
            st.sampled_from([ids.OFFSET_INDEX, ids.COLUMN_INDEX]),
            st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(*REGION),
            st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 200),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([1, 8_000, 1 << 30]),
)
def test_places_that_lie_never_break_a_partition(lies: list[tuple[int, int, int, int]], target: int) -> None:
    source = INDEXED
    for column, *place in lies:
        source = with_places(source, (place[0], place[1], place[2]), column=column)
    parts = cut(source, target)
    assert pa.concat_tables(map(read, parts)).combine_chunks().equals(read(INDEXED).combine_chunks())
    assert sum(map(len, parts)) <= len(source) + len(parts) * len(INDEXED)
    for part in parts:
        check_pages(part)
