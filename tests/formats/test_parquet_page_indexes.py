"""Page indexes in partitions: as right as in the source, used by a reader, and left out wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from datafusion import ParquetWriterOptions, SessionContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_files import INDEXED, ColumnPages, Page, check_pages, offset_index, pages_of, query
from parquet_files import (
    assemble,
    cut,
    flat_columns,
    load,
    nested_columns,
    page_indexes,
    read,
    table_of,
    write,
    write_with_polars,
)

from kumo_async.formats import parquet_page_index, thrift
from kumo_async.formats.names import clean_names
from kumo_async.formats.parquet import partition_footer
from kumo_async.formats.parquet_footer import ROW_GROUPS
from kumo_async.formats.parquet_move import Mover
from kumo_async.formats.parquet_page_index import (
    IndexMover,
    NewOffsetIndexes,
    Pages,
    moved_offset_index,
    page_count,
)
from kumo_async.formats.thrift import Allowance

relaxed = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def contents(found: ColumnPages) -> tuple[Any, ...]:
    """All that page indexes say of a column, save where its pages are, and the pages themselves."""
    pages = [(location.size, location.first_row, location.page) for location in found.locations or []]
    return pages, found.rest, found.values


def same_rows(parts: list[bytes], source: bytes = INDEXED) -> bool:
    return bool(pa.concat_tables(map(read, parts)).combine_chunks().equals(read(source).combine_chunks()))


@relaxed
@given(
    st.lists(st.sampled_from([*flat_columns, *nested_columns]), min_size=1, max_size=4),
    st.integers(1, 150),
    st.fixed_dictionaries(
        {
            "row_group_size": st.integers(1, 60),
            "data_page_size": st.sampled_from([1, 64, 1 << 20]),
            "write_batch_size": st.sampled_from([1, 7, 1024]),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
            "compression": st.sampled_from(["none", "snappy"]),
            "use_dictionary": st.booleans(),
            "write_statistics": st.booleans(),
        }
    ),
    st.integers(1, 40_000),
    st.booleans(),
)
def test_the_indexes_of_partitions_are_those_of_the_source(
    kinds: list[str], rows: int, options: dict[str, Any], target: int, renamed: bool
) -> None:
    source = write(table_of(kinds, rows), write_page_index=True, **options)
    names = clean_names(load(source).columns) if renamed else None
    parts = cut(source, target, names)
    expected = list(map(contents, pages_of(source)))
    assert all(pages for pages, _, _ in expected)
    assert [contents(found) for part in parts for found in pages_of(part)] == expected
    for part in parts:
        check_pages(part)


def write_with_datafusion(table: pa.Table, folder: Path) -> bytes:
    """Write with DataFusion, and so with Rust's library for Parquet, which cuts long values in column indexes off."""
    options = ParquetWriterOptions(
        max_row_group_size=1_000,
        data_pagesize_limit=512,
        write_batch_size=50,
        data_page_row_count_limit=100,
        bloom_filter_on_write=True,
    )
    context = SessionContext()
    context.register_record_batches("t", [table.to_batches()])
    path = folder / "written.parquet"
    context.table("t").write_parquet_with_options(path, options)
    return path.read_bytes()


@pytest.mark.parametrize("writer", ["datafusion", "polars"])
def test_other_writers_indexes_are_kept(writer: str, tmp_path: Path) -> None:
    table = table_of([kind for kind in flat_columns if kind != "nulls"], 3_000)
    source = write_with_polars(table, 500) if writer == "polars" else write_with_datafusion(table, tmp_path)
    parts = cut(source, len(source) // 3)
    assert len(parts) > 2
    expected = list(map(contents, pages_of(source)))
    assert all(pages and values for pages, _, values in expected)
    assert [contents(found) for part in parts for found in pages_of(part)] == expected
    for part in parts:
        check_pages(part)
    assert same_rows(parts, source)


def with_indexes_between(source: bytes) -> bytes:
    """Write a file whose page indexes lie behind each row group, instead of all of them behind the last one."""
    footer = load(source)
    body, described = [b"PAR1"], []
    for number, group in enumerate(footer.row_groups):
        position = sum(map(len, body))
        ranges = sorted([*group.ranges, *group.column_indexes])
        body += (source[start:end] for start, end in ranges)
        made = NewOffsetIndexes(sum(map(len, body)))
        mover = IndexMover(page_indexes(source, footer, range(number, number + 1)), made)
        described.append(Mover(footer, ranges, {}, position, mover).moved(number, group))
        body.append(made.joined())
    values = {ROW_GROUPS: thrift.write_list(thrift.STRUCT, described)}
    new = thrift.splice(footer.data, 0, len(footer.data), thrift.changes(footer.fields, values))
    return b"".join([*body, new, len(new).to_bytes(4, "little"), b"PAR1"])


@pytest.mark.parametrize("target", [1, 6_000, 1 << 30])
def test_indexes_between_row_groups_are_kept(target: int) -> None:
    source = with_indexes_between(INDEXED)
    check_pages(source)
    footer = load(source)
    # The indexes are so small that they would count as gaps, and be copied along, if nobody claimed them.
    assert all(len(group.ranges) == len(group.offset_indexes) == 1 for group in footer.row_groups)
    assert footer.row_groups[0].end < footer.row_groups[1].first
    parts = cut(source, target)
    expected = list(map(contents, pages_of(INDEXED)))
    assert [contents(found) for part in parts for found in pages_of(part)] == expected
    for part in parts:
        check_pages(part)
    assert same_rows(parts)


def test_few_ranges_are_copied() -> None:
    footer = load(INDEXED)
    layout = partition_footer(footer, range(1, 3), None, page_indexes(INDEXED, footer, range(1, 3)))
    # Writers put the column indexes of all row groups behind the last one.
    assert len(layout.ranges) == 2
    assert layout.offset_indexes
    assert layout.size == len(assemble(INDEXED, layout))


def test_the_usual_index_and_the_general_one_are_moved_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(table_of([*flat_columns, *nested_columns], 90), row_group_size=9, write_page_index=True)
    usual = cut(source, 30_000)
    matched = []
    for name in ("_match_one_location", "_match_one_column_index"):
        match = getattr(parquet_page_index, name)
        monkeypatch.setattr(parquet_page_index, name, lambda data, match=match: matched.append(match(data)))
    assert cut(source, 30_000) == usual
    assert sum(found is not None for found in matched) > len(matched) / 2


ONE = b"\x19\x12\x02" + b"\x19\x18\x01a" * 2 + b"\x15\x02"
LEVELS = b"\x19\x26\x02\x02"


@pytest.mark.parametrize(
    "rest", [b"", b"\x19\x16\x02", b"\x19\x16\x02" + LEVELS * 2, b"\x29" + LEVELS[1:], b"\x39" + LEVELS[1:]]
)
def test_a_column_index_of_one_page(rest: bytes) -> None:
    assert page_count(ONE + rest + b"\0", Allowance()) == 1


@pytest.mark.parametrize("rest", [LEVELS, LEVELS * 2, LEVELS * 3, b"\x19\x18\x01a", b"\x19\x16\x02"[:-1], b"\0"])
def test_a_column_index_of_one_page_that_lies(rest: bytes) -> None:
    with pytest.raises(thrift.ThriftError):
        page_count(ONE + rest + b"\0", Allowance())


@pytest.mark.parametrize("page", [(5, 10, 0), (4, 9, 0), (4, 11, 0), (4, 0, 0), (-4, 10, 0), (4, 10, 1), (4, -10, 0)])
def test_an_offset_index_of_one_page_that_lies(page: Page) -> None:
    where = Pages(4, 14, 7)
    assert moved_offset_index(offset_index([(4, 10, 0)]), where, 2, Allowance())[0] == offset_index([(2, 10, 0)])
    with pytest.raises(thrift.ThriftError):
        moved_offset_index(offset_index([page]), where, 2, Allowance())


# A reader that believes page indexes


def queried_table() -> pa.Table:
    ids, words = np.arange(3_000), [f"text {n}" for n in range(3_000)]
    return pa.table({"id": ids, "word": words, "list": [[n] * (n % 3) for n in range(3_000)]})


def test_a_reader_finds_its_rows_by_the_indexes_of_partitions(tmp_path: Path) -> None:
    table = queried_table()
    source = write(table, row_group_size=1_000, write_page_index=True, data_page_size=400, write_batch_size=20)
    parts = cut(source, 70_000)
    assert len(parts) == 2
    found = []
    for part in parts:
        rows, (pages, looked_at) = query(part, tmp_path, 1_995, 2_004)
        assert 0 < looked_at < pages / 4
        found.append(rows)
    expected = table.filter(pc.and_(pc.greater_equal(table["id"], 1_995), pc.less_equal(table["id"], 2_004)))
    assert pa.concat_tables(found).to_pylist() == expected.to_pylist()


def test_that_reader_believes_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above shows is worth something: the same reader fails over pages that are a byte further on."""
    moved = parquet_page_index.moved_offset_index
    monkeypatch.setattr(
        parquet_page_index, "moved_offset_index", lambda data, pages, shift, left: moved(data, pages, shift - 1, left)
    )
    source = write(
        queried_table(), row_group_size=1_000, write_page_index=True, data_page_size=400, write_batch_size=20
    )
    (wrong,) = cut(source, 1 << 20)
    assert same_rows([wrong], source)
    with pytest.raises(Exception, match=r"(?i)parquet|eof|thrift|external"):
        query(wrong, tmp_path, 1_995, 2_004)
