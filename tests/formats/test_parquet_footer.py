"""Footers that are odd, old or unusual, and how they are planned."""

from __future__ import annotations

import io
import random
import time
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_edits import KINDS, SOURCE, add_field, metas, number, with_footer
from parquet_files import (
    assemble,
    columns_of,
    cut,
    load,
    page_hashes,
    read,
    table_of,
    write,
)

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet import (
    Footer,
    ParquetError,
    partition_footer,
    plan_row_groups,
    verify_footer,
)
from kumo_async.formats.parquet_columns import column_range, read_row_group
from kumo_async.formats.parquet_footer import _miscounts_dictionaries
from kumo_async.formats.thrift import Patch


def test_the_footer_is_described() -> None:
    footer = load(SOURCE)
    assert footer.num_rows == 40
    assert footer.columns == ("int 0", "text 1", "struct 2")
    assert [group.num_rows for group in footer.row_groups] == [10] * 4
    assert footer.row_groups[0].first == 4
    assert all(group.size == group.end - group.first for group in footer.row_groups)
    assert footer.row_groups[-1].end == max(column_range(footer.data, meta)[1] for _, meta in metas(footer))
    assert (footer.created_by or "").startswith("parquet-cpp-arrow")
    assert [key for key, _ in footer.key_value_metadata] == [b"ARROW:schema"]
    number, text, struct = footer.elements
    assert (number.physical_type, number.repetition, number.num_children) == (2, 1, 0)
    assert (text.physical_type, text.converted_type, text.logical_type) == (6, 0, b"\x1c\x00\x00")
    assert (struct.physical_type, struct.num_children) == (None, 2)
    assert [child.name for child in struct.children] == ["a b", "list"]
    assert [path.decode() for path in chain.from_iterable(struct.leaf_paths())][:2] == ["struct 2", "a b"]


def _scattered(source: bytes, seed: int, gap: int) -> bytes:
    """Write the columns of all row groups in any order with gaps between, and say nothing true that nobody needs."""
    footer = load(source)
    places = [(column, meta, *column_range(footer.data, meta)[:2]) for column, meta in metas(footer)]
    random.Random(seed).shuffle(places)
    data = b"PAR1"
    patches: list[Patch] = []
    for column, meta, start, end in places:
        shift = len(data) - start
        offsets = {
            field: thrift.write_integer(thrift.integer(footer.data, meta, field) + shift)
            for field in (ids.DATA_PAGE, ids.DICTIONARY_PAGE)
            if field in meta
        }
        patches += thrift.changes(meta, dict(offsets))
        patches += thrift.changes(column, {ids.FILE_OFFSET: thrift.write_integer(seed), **dict.fromkeys(range(4, 8))})
        data += source[start:end] + b"gap" * gap
    return (
        with_footer(data + b"\0" * 8 + source[footer.data_end :], []) if not patches else _joined(data, footer, patches)
    )


def _joined(data: bytes, footer: Footer, patches: list[Patch]) -> bytes:
    thrift_bytes = thrift.splice(footer.data, 0, len(footer.data), sorted(patches))
    return data + thrift_bytes + len(thrift_bytes).to_bytes(4, "little") + b"PAR1"


@settings(max_examples=30)
@given(st.integers(0, 1 << 30), st.sampled_from([0, 1, 100, 500]), st.integers(1, 20_000))
def test_columns_may_lie_in_any_order_with_gaps(seed: int, gap: int, target: int) -> None:
    source = _scattered(SOURCE, seed, gap)
    assert read(source).equals(read(SOURCE))

    parts = cut(source, target, ["a", "b", "c"])

    assert pa.concat_tables(map(read, parts)).equals(read(SOURCE).rename_columns(["a", "b", "c"]))
    assert list(chain.from_iterable(map(page_hashes, parts))) == page_hashes(SOURCE)
    assert list(chain.from_iterable(map(columns_of, parts))) == columns_of(source)


def test_unknown_fields_survive() -> None:
    footer = load(SOURCE)
    patches = [add_field(footer, len(footer.data) - 1, 300, 8, b"\x0bof the file")]
    for group in footer.row_groups:
        raw = read_row_group(footer.data, group.described_at)
        patches.append(add_field(footer, raw.end - 1, 50, 9, b"\x28\x03rg1\x03rg2"))
        for column in raw.columns:
            chunk_end = max(span[3] for span in column.values())
            patches.append(add_field(footer, chunk_end, 2_000, 11, b"\x01\x85\x03map\x02"))
            patches.append(add_field(footer, column[ids.META_DATA][3] - 1, 90, 7, b"\x00double!"))
    source = with_footer(SOURCE, patches)

    layout = partition_footer(load(source), range(1, 3), ["a", "b", "c"])

    verify_footer(layout.footer, 20, ["a", "b", "c"])
    assert layout.footer.count(b"of the file") == 1
    assert layout.footer.count(b"\x28\x03rg1\x03rg2") == 2
    assert layout.footer.count(b"map") == layout.footer.count(b"\x00double!") == 2 * 4
    assert read(assemble(source, layout)).equals(read(SOURCE).slice(10, 20).rename_columns(["a", "b", "c"]))


def test_row_groups_are_numbered_and_say_where_they_start() -> None:
    footer = load(SOURCE)
    ends = [group.described_at + group.described_by for group in footer.row_groups]
    source = with_footer(
        SOURCE,
        [add_field(footer, end - 1, ids.ORDINAL, 4, thrift.write_integer(place)) for place, end in enumerate(ends)],
    )
    footer = load(assemble(source, partition_footer(load(source), range(1, 4))))
    raws = [read_row_group(footer.data, group.described_at) for group in footer.row_groups]
    assert [thrift.integer(footer.data, raw.fields, ids.ORDINAL) for raw in raws] == [0, 1, 2]
    starts = [thrift.integer(footer.data, raw.fields, ids.GROUP_FILE_OFFSET) for raw in raws]
    assert starts == [group.first for group in footer.row_groups]
    assert starts[0] == 4


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_an_index_page_moves_with_its_column_or_is_none(inside: bool, dictionary: bool) -> None:
    plain = write(table_of(KINDS, 40), row_group_size=10, use_dictionary=dictionary)
    footer = load(plain)
    patches: list[Patch] = []
    for _, meta in metas(footer):
        end = meta[ids.DATA_PAGE][3]
        offset = thrift.integer(footer.data, meta, ids.DATA_PAGE) + 1 if inside else 1 << 50
        # The new field comes right before another one, whose id is now one less away.
        patches.append((end, end + 1, b"\x16" + thrift.write_integer(offset) + bytes([footer.data[end] - 16])))
    source = with_footer(plain, patches)

    layout = partition_footer(load(source), range(2, 4))

    verify_footer(layout.footer, 20, footer.columns)
    moved = load(assemble(source, layout))
    for _, meta in metas(moved):
        assert (ids.INDEX_PAGE in meta) == inside
        assert (ids.DICTIONARY_PAGE in meta) == dictionary
        if inside:
            pages = thrift.integer(moved.data, meta, ids.DATA_PAGE)
            assert thrift.integer(moved.data, meta, ids.INDEX_PAGE) == pages + 1


def test_old_parquet_mr_files_keep_the_bytes_that_they_forgot_to_count() -> None:
    source = write(table_of(["text", "text"], 40), row_group_size=10, use_dictionary=True)
    footer = load(source)
    patches = thrift.changes(footer.fields, {6: thrift.write_binary(b"parquet-mr version 1.2.8")})
    for _, meta in metas(footer):
        size = thrift.integer(footer.data, meta, ids.COMPRESSED_SIZE)
        patches += number(meta, ids.COMPRESSED_SIZE, size - 14)
        patches += number(meta, ids.DICTIONARY_PAGE, 0)
        patches += number(meta, ids.DATA_PAGE, thrift.integer(footer.data, meta, ids.DICTIONARY_PAGE))
    old = with_footer(source, patches)
    assert read(old).equals(read(source))
    parts = cut(old, 2_000)
    assert len(parts) > 1
    assert pa.concat_tables(map(read, parts)).equals(read(source))


def _with_empty_groups(sizes: list[int]) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"a": pa.array(range(100), pa.int64())})
    with pq.ParquetWriter(sink, table.schema) as writer:
        for size in sizes:
            writer.write_table(table.slice(0, size))
    return sink.getvalue()


@pytest.mark.parametrize("sizes", [[0, 5, 0, 0, 5, 0], [5, 0, 0], [0, 0, 5], [5, 5, 5]])
@pytest.mark.parametrize("target", [1, 1_500, 1 << 20])
def test_no_partition_is_empty(sizes: list[int], target: int) -> None:
    source = _with_empty_groups(sizes)
    footer = load(source)
    plan = plan_row_groups(footer, target)
    assert list(chain.from_iterable(plan)) == list(range(len(footer.row_groups)))
    assert all(partition_footer(footer, groups).num_rows for groups in plan)
    assert pa.concat_tables(map(read, cut(source, target))).num_rows == sum(sizes)


def test_a_file_without_rows_has_one_partition_at_most() -> None:
    assert [read(part).num_rows for part in cut(_with_empty_groups([0, 0]), 1)] == [0]
    assert plan_row_groups(load(_with_empty_groups([])), 1) == []


def test_partitions_are_as_few_as_can_be() -> None:
    footer = load(write(table_of(KINDS, 300), row_group_size=1))
    target = 40_000
    plan = plan_row_groups(footer, target)
    assert len(plan) > 3
    for groups in plan[:-1]:
        # The estimate allows some bytes for each row group that may not be needed.
        one_more = partition_footer(footer, range(groups.start, groups.stop + 1))
        assert one_more.size > target - 48 * len(groups)


def test_blooms_that_overlap_are_left_out() -> None:
    options: dict[str, Any] = {"bloom_filter_options": {"int 0": {"ndv": 20, "fpp": 0.1}}}
    source = write(table_of(["int"], 40), row_group_size=10, **options)
    assert load(source).keep_blooms
    (_, meta), *_ = metas(load(source))
    for lie in (number(meta, ids.BLOOM_OFFSET, 4), number(meta, ids.BLOOM_LENGTH, 1 << 30)):
        footer = load(with_footer(source, lie))
        assert not footer.keep_blooms
        layout = partition_footer(footer, range(4))
        verify_footer(layout.footer, 40, ["int 0"])
        assert layout.ranges == ((4, footer.row_groups[-1].end),)
        assert b"bloom_filter_offset" not in layout.footer


def test_thousands_of_row_groups_are_planned_in_no_time() -> None:
    source = write(pa.table({"id": range(4_000), "x": [0.5] * 4_000}), row_group_size=1)
    start = time.process_time()
    parts = cut(source, 100_000, ["a", "b"])
    assert time.process_time() - start < 4
    assert sum(load(part).num_rows for part in parts) == 4_000


def test_verification_finds_other_rows_and_other_names() -> None:
    footer = SOURCE[load(SOURCE).data_end :]
    names = list(load(SOURCE).columns)
    verify_footer(footer, 40, names)
    with pytest.raises(ParquetError, match="40 rows instead of 41"):
        verify_footer(footer, 41, names)
    with pytest.raises(ParquetError, match="columns"):
        verify_footer(footer, 40, [*names[:2], "struct"])
    with pytest.raises(ParquetError, match="pyarrow cannot read"):
        verify_footer(b"\0" * 20 + footer[-8:], 40, names)


@pytest.mark.parametrize(
    ("created_by", "miscounts"),
    [
        (None, False),
        ("parquet-cpp-arrow version 1.0.0", False),
        ("parquet-mr", True),
        ("parquet-mr version 1.2.8 (build a)", True),
        ("parquet-mr version 1.2.9", False),
        ("parquet-mr version 1.10.1 (build b)", False),
        ("parquet-mr version 1." + "9" * 5_000 + ".0", True),  # Python reads no number of so many digits
    ],
)
def test_writers_are_known_by_their_version_however_it_is_written(created_by: str | None, miscounts: bool) -> None:
    assert _miscounts_dictionaries(created_by) is miscounts
