"""Memory is bounded by the pages of a file, whatever they become: decoded within the formula, or refused."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pages import (
    DELTA_BYTES,
    DELTA_LENGTH,
    DICTIONARY,
    PLAIN,
    Column,
    delta_texts,
    dictionary_page,
    levels,
    page,
    page_v2,
    run,
    with_pages,
)
from page_sizes import page_memory
from parquet_files import load

from kumo_async.formats.parquet import whole_footer
from kumo_async.sources import page_bounds, page_profiles
from kumo_async.sources.decode import ParquetPages
from kumo_async.sources.files import SourceFile

MB, MIB = 1_000_000, 1024**2

#: With two encoders: nine units, two batches and the buffers, what Python and Arrow take themselves, and the most that
#: pages may have.
FORMULA = 9 * 64 * MIB + 2 * 8 * MIB + 32 * MIB
PAGES = 256 * MIB


def _long_text_later() -> bytes:
    """Most rows have a short text, and 100 later ones the long one of the dictionary."""
    dictionary = dictionary_page([b"a", b"x" * (10 * MB)], "zstd")
    rows = 40_100
    data = levels(run(rows, 1)) + b"\x01" + run(40_000, 0) + run(100, 1)
    made = Column(dictionary + page(data, rows, DICTIONARY, "zstd"), rows, len(dictionary), "zstd")
    return with_pages(_texts(rows), rows, {"s": made})


def _long_text_everywhere() -> bytes:
    """A dictionary of one text that is in all rows, too large to look at who has it."""
    dictionary = dictionary_page([b"x" * (20 * MB)], "zstd")
    data = levels(run(20, 1)) + b"\x00" + run(20, 0)
    made = Column(dictionary + page(data, 20, DICTIONARY, "zstd"), 20, len(dictionary), "zstd")
    return with_pages(_texts(20), 20, {"s": made})


def _texts(rows: int) -> pa.Table:
    return pa.table({"s": ["a"] * rows, "c": pa.array(range(rows), pa.uint32())})


def _texts_that_share_all() -> bytes:
    """Each text is the one before."""
    rows = 1_000
    data = levels(run(rows, 1)) + delta_texts([0, *[MB] * (rows - 1)], [b"x" * MB, *[b""] * (rows - 1)])
    return with_pages(_texts(rows), rows, {"s": Column(page(data, rows, DELTA_BYTES, "zstd"), rows, codec="zstd")})


def _no_texts_at_all() -> bytes:
    """A page that claims to have lengths for two thousand million values."""
    data = levels(run(1, 1)) + bytes(100)
    one = page(data, 2_000_000_000, DELTA_LENGTH)
    return with_pages(_texts(1), 1, {"s": Column(one, 1)})


def _large_pages() -> bytes:
    """Pages of 512 MiB that compress well."""
    values = 1 << 26
    one = page(levels(run(values, 1)) + bytes(8 * values), values, PLAIN, "zstd")
    column = Column(2 * one, 2 * values, codec="zstd")
    return with_pages(pa.table({"a": [1]}), 2 * values, {"a": column})


def _large_dictionary() -> bytes:
    """A dictionary that would take 512 MiB."""
    dictionary = dictionary_page([b"x" * (1 << 29)], "zstd")
    made = Column(dictionary + page(levels(run(1, 1)) + b"\0\2\0", 1, DICTIONARY, "zstd"), 1, len(dictionary), "zstd")
    return with_pages(_texts(1), 1, {"s": made})


def _claimed_dictionary() -> bytes:
    """A dictionary that claims to have so many values."""
    dictionary = dictionary_page([b"x"], claimed=1 << 30)
    made = Column(dictionary + page(levels(run(1, 1)) + b"\0\2\0", 1, DICTIONARY), 1, len(dictionary))
    return with_pages(_texts(1), 1, {"s": made})


def _one_list(kind: pa.DataType, pages: int, items: int) -> bytes:
    """One row with a list of nulls, on so many pages."""
    first = page(levels(run(1, 0), run(items - 1, 1)) + levels(run(items, 2)), items, PLAIN)
    more = page(levels(run(items, 1)) + levels(run(items, 2)), items, PLAIN)
    table = pa.table({"l": pa.array([[1]], pa.list_(kind))})
    return with_pages(table, 1, {"l": Column(first + more * (pages - 1), pages * items)})


def _one_list_of_pages_v2() -> bytes:
    """The same in pages of version 2 that claim to have a row each."""
    items, pages = MB, 100
    first = page_v2((run(1, 0) + run(items - 1, 1), run(items, 2)), b"", items, 1, PLAIN)
    more = page_v2((run(items, 1), run(items, 2)), b"", items, 1, PLAIN)
    table = pa.table({"l": pa.array([[1]], pa.list_(pa.uint32()))})
    return with_pages(table, 1, {"l": Column(first + more * (pages - 1), pages * items)})


def _many_lists() -> bytes:
    """Each row is short but one, whose list is on ten pages of a million values."""
    rows, items = 20_000, MB
    short = page(levels(run(rows, 0)) + levels(run(rows, 2)), rows, PLAIN)
    first = page(levels(run(1, 0), run(items - 1, 1)) + levels(run(items, 2)), items, PLAIN)
    more = page(levels(run(items, 1)) + levels(run(items, 2)), items, PLAIN)
    table = pa.table({"l": pa.array([[1]], pa.list_(pa.uint32()))})
    return with_pages(table, rows + 1, {"l": Column(short + first + more * 9, rows + 10 * items)})


BOMBS: dict[str, tuple[Callable[[], bytes], str, str | int]] = {
    "a long text later": (_long_text_later, "fast", 40_100),
    "a long text everywhere": (_long_text_everywhere, "full", 20),
    "texts that share all": (_texts_that_share_all, "fast", "its largest pages take"),
    "lengths of no texts": (_no_texts_at_all, "fast", "its largest pages take 8,000,"),
    "large pages": (_large_pages, "full", "a page of column 'a' takes 536,"),
    "a large dictionary": (_large_dictionary, "fast", "a page of column 's' takes 536,"),
    "a dictionary of many values": (_claimed_dictionary, "fast", "its largest pages take 17,179,"),
    "a list on one page": (lambda: _one_list(pa.uint32(), 1, 100 * MB), "fast", "pages take 1,200,000,"),
    "a list on one page, in full": (lambda: _one_list(pa.int64(), 1, 100 * MB), "full", "pages take 1,600,000,"),
    "a list on many pages": (lambda: _one_list(pa.uint32(), 100, MB), "fast", "pages take 1,200,"),
    "a list on some pages": (lambda: _one_list(pa.uint32(), 18, MB), "fast", "has a row of 7"),
    "a list on many new pages": (_one_list_of_pages_v2, "fast", "pages take 1,200,"),
    "a long list among short ones": (_many_lists, "fast", 20_001),
}


@pytest.mark.parametrize(("make", "validate", "found"), BOMBS.values(), ids=BOMBS.keys())
def test_small_files_take_no_more_than_the_formula(
    make: Callable[[], bytes], validate: str, found: str | int, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(make())
    assert path.stat().st_size < MB
    script = Path(__file__).parent / "peak_memory.py"
    command = [sys.executable, str(script), str(path), validate, str(tmp_path)]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if isinstance(found, int):
        assert done["rows"] == found
        assert done["bytes"] <= FORMULA + PAGES
    else:
        assert found in done["error"]
        assert "row group 0" in done["error"]
        assert "Write the file again" in done["error"]
        assert done["bytes"] <= FORMULA


CHOICES = st.fixed_dictionaries(
    {
        "use_dictionary": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"]),
        "data_page_size": st.sampled_from([None, 64, 2_000]),
        "dictionary_pagesize_limit": st.sampled_from([None, 300]),
        "row_group_size": st.sampled_from([1, 70, 1_000]),
        "encoding": st.sampled_from([None, "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]),
    }
)
VALUES = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 3, 40, 3_000, None])), max_size=12)


@settings(max_examples=60, deadline=None)
@given(texts=VALUES, lists=VALUES, choices=CHOICES)
def test_batches_are_within_the_bound(texts: Any, lists: Any, choices: dict[str, Any], tmp_path_factory: Any) -> None:
    values = [None if n is None else f"{at % 3}" * n for at, (times, n) in enumerate(texts) for _ in range(times)]
    items = [None if n is None else [float(at)] * n for at, (times, n) in enumerate(lists) for _ in range(times)]
    rows = max(1, min(len(values), len(items)))
    padded = (values + [None] * rows)[:rows], (items + [None] * rows)[:rows]
    table = pa.table({"s": pa.array(padded[0], pa.string()), "l": pa.array(padded[1], pa.list_(pa.float32()))})
    encoding = choices.pop("encoding")
    if encoding:
        choices |= {"use_dictionary": False, "column_encoding": {"s": encoding}}
    path = tmp_path_factory.mktemp("bounds") / "t.parquet"
    pq.write_table(table, path, **{key: value for key, value in choices.items() if value is not None})
    batch, unseen = page_profiles.BATCH_BYTES, page_bounds._UNSEEN_LISTS
    page_profiles.BATCH_BYTES = 10_000
    page_bounds._UNSEEN_LISTS = 5_000
    try:
        _check_batches(path, table, 10_000)
    finally:
        page_profiles.BATCH_BYTES = batch
        page_bounds._UNSEEN_LISTS = unseen


def _check_batches(path: Path, table: pa.Table, most: int) -> None:
    async def decode() -> list[pa.RecordBatch]:
        async with await SourceFile.open(path) as file:
            pages = ParquetPages(file, load(path.read_bytes()), table.column_names)
            groups = range(pages.metadata.num_row_groups)
            return [each for group in groups for each in pages.batches(pages.open(), group)]

    made = anyio.run(decode)
    assert pa.Table.from_batches(made, schema=table.schema).equals(table)
    # At most two stretches and two pages of each column are only in part in a batch, and a row may be larger than all.
    slack = 2 * page_memory(path) + 4 * 2**16 + max((len(text or "") for text in table["s"].to_pylist()), default=0)
    assert all(each.num_rows == 1 or each.nbytes <= most + slack for each in made)


def test_texts_of_which_one_is_long_are_still_read_in_large_batches(tmp_path: Path) -> None:
    path, rows = tmp_path / "t.parquet", 300_000
    texts = np.array([f"word {n % 100}" for n in range(rows)], object)
    texts[1_000] = "x" * 100_000
    table = pa.table({"s": texts, "c": pa.array(range(rows), pa.uint32())})
    pq.write_table(table, path, row_group_size=rows)

    async def count() -> int:
        async with await SourceFile.open(path) as file:
            pages = ParquetPages(file, load(path.read_bytes()), ["s", "c"])
            return sum(1 for _ in pages.batches(pages.open(), 0))

    assert anyio.run(count) <= 20


def test_headers_of_many_columns_are_read_in_no_time(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({f"c{n}": ["a", "b"] for n in range(2_000)}), sink)
    path = tmp_path / "t.parquet"
    path.write_bytes(sink.getvalue())

    async def bound() -> int:
        async with await SourceFile.open(path) as file:
            footer = load(sink.getvalue())
            bounds = page_bounds.PageBounds(file, footer, footer.columns, whole_footer(footer, None))
            start = time.process_time()
            rows = bounds.rows_at_a_time(0)
            assert time.process_time() - start < 2
            return rows

    assert anyio.run(bound) == 2
