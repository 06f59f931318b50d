"""Footers that are odd, old, damaged or made to deceive."""

from __future__ import annotations

import io
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_files import (
    assemble,
    columns_of,
    cut,
    flat_columns,
    load,
    nested_columns,
    page_hashes,
    read,
    table_of,
    write,
    write_with_duckdb,
    write_with_fastparquet,
    write_with_polars,
)

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.names import clean_names
from kumo_async.formats.parquet import (
    MAX_FOOTER_BYTES,
    Footer,
    ParquetError,
    partition_footer,
    plan_row_groups,
    tail_length,
    verify_footer,
    whole_footer,
)
from kumo_async.formats.parquet_columns import column_range, read_row_group
from kumo_async.formats.thrift import Patch, Struct

KINDS = ["int", "text", "struct"]
SOURCE = write(table_of(KINDS, 40), row_group_size=10, write_page_index=True)


def with_footer(source: bytes, patches: list[Patch]) -> bytes:
    """Change the footer of a file that is whole otherwise."""
    footer = load(source)
    data = thrift.splice(footer.data, 0, len(footer.data), sorted(patches))
    return source[: footer.data_end] + data + len(data).to_bytes(4, "little") + b"PAR1"


def metas(footer: Footer) -> Iterator[tuple[Struct, Struct]]:
    """Give the fields of all columns and of their metadata."""
    for group in footer.row_groups:
        raw = read_row_group(footer.data, group.described_at)
        yield from zip(raw.columns, raw.metas, strict=True)


def number(struct: Struct, field: int, value: int) -> list[Patch]:
    return thrift.changes(struct, {field: thrift.write_integer(value)})


def add_field(footer: Footer, end: int, field: int, kind: int, value: bytes) -> Patch:
    """Write one more field before the stop byte at `end`."""
    return (end, end, bytes([kind]) + thrift.write_integer(field) + value)


def in_first_column(field: int, value: int) -> Callable[[], list[Patch]]:
    return lambda: number(next(metas(load(SOURCE)))[1], field, value)


def _group_rows(value: int) -> list[Patch]:
    footer = load(SOURCE)
    return number(read_row_group(footer.data, footer.row_groups[0].described_at).fields, ids.NUM_ROWS, value)


def _at_end_of_first_column(field: int, kind: int, value: bytes) -> list[Patch]:
    footer = load(SOURCE)
    raw = read_row_group(footer.data, footer.row_groups[0].described_at)
    end = max(span[3] for span in raw.columns[0].values())
    return [add_field(footer, end, field, kind, value)]


def _another_path() -> list[Patch]:
    pairs = list(metas(load(SOURCE)))
    data = load(SOURCE).data
    start, end = pairs[1][1][ids.PATH][2:]
    return [(*pairs[0][1][ids.PATH][2:], data[start:end])]


lies: dict[str, tuple[Callable[[], list[Patch]], str]] = {
    "negative offset": (in_first_column(ids.DATA_PAGE, -5), "row group 0|Row group 0"),
    "offset in the magic": (in_first_column(ids.DATA_PAGE, 2), "Row group 0"),
    "offset beyond the file": (in_first_column(ids.DATA_PAGE, 1 << 40), "Row group 0"),
    "offset of 64 bits": (in_first_column(ids.DATA_PAGE, (1 << 63) - 1), "Row group 0"),
    "dictionary behind the column": (in_first_column(ids.DICTIONARY_PAGE, 4_000), "Row group 0"),
    "no bytes": (in_first_column(ids.COMPRESSED_SIZE, 0), "Row group 0"),
    "negative size": (in_first_column(ids.COMPRESSED_SIZE, -1), "Row group 0"),
    "size into the next column": (in_first_column(ids.COMPRESSED_SIZE, 400), "share the bytes"),
    "size beyond the file": (in_first_column(ids.COMPRESSED_SIZE, 1 << 62), "Row group 0"),
    "negative rows": (lambda: _group_rows(-1), "-1 rows"),
    "rows that do not add up": (lambda: _group_rows(11), "40 rows, its row groups 41"),
    "rows that overflow": (lambda: _group_rows((1 << 63) - 1), "40 rows"),
    "rows of the file": (lambda: number(load(SOURCE).fields, 3, 39), "39 rows, its row groups 40"),
    "data elsewhere": (lambda: _file_path(b"other.parquet"), "another file"),
    "encrypted file": (lambda: [_at_end_of_footer(8, 12, b"\0")], "encrypted"),
    "encrypted column": (lambda: _at_end_of_first_column(8, 12, b"\0"), "encrypted"),
    "columns in another order": (_another_path, "not those of the schema"),
    "no row groups": (lambda: thrift.changes(load(SOURCE).fields, {4: None}), "no list of row groups"),
    "no schema": (lambda: thrift.changes(load(SOURCE).fields, {2: None}), "no schema"),
    "empty schema": (lambda: thrift.changes(load(SOURCE).fields, {2: thrift.write_list(12, [])}), "no schema"),
    "a row group without columns": (lambda: _row_groups(b"\x19\x0c\x16\x00\x16\x50\x00"), "0 columns, and the schema"),
}


def _at_end_of_footer(field: int, kind: int, value: bytes) -> Patch:
    footer = load(SOURCE)
    return add_field(footer, len(footer.data) - 1, field, kind, value)


def _file_path(path: bytes) -> list[Patch]:
    footer = load(SOURCE)
    first = next(metas(footer))[0]
    _, head, start, _ = first[ids.FILE_OFFSET]
    return [(head, start, b"\x18" + thrift.write_binary(path) + b"\x16")]


def _row_groups(*groups: bytes) -> list[Patch]:
    return thrift.changes(load(SOURCE).fields, {4: thrift.write_list(thrift.STRUCT, list(groups))})


@pytest.mark.parametrize("lie", lies.values(), ids=lies.keys())
def test_lies_are_refused(lie: tuple[Callable[[], list[Patch]], str]) -> None:
    patches, said = lie
    with pytest.raises(ParquetError, match=said):
        load(with_footer(SOURCE, patches()))


def test_an_empty_file_path_is_this_file() -> None:
    assert read(cut(with_footer(SOURCE, _file_path(b"")), 1 << 20)[0]).equals(read(SOURCE))


@pytest.mark.parametrize(
    ("tail", "size", "said"),
    [
        (b"PAR1", 4, "too few"),
        (b"\x00\x00\x00\x00PARE", 1_000, "encrypted"),
        (b"\x00\x00\x00\x00PAR2", 1_000, "not Parquet, or was cut off"),
        (b"\x00\x00\x00\x00PAR1", 1_000, "0 bytes"),
        (b"\xe0\x03\x00\x00PAR1", 1_000, "992 bytes"),
        (b"\xff\xff\xff\xffPAR1", 1 << 40, f"more than {MAX_FOOTER_BYTES}"),
    ],
)
def test_tails_that_are_refused(tail: bytes, size: int, said: str) -> None:
    with pytest.raises(ParquetError, match=said):
        tail_length(tail, size)


def test_the_footer_is_described() -> None:
    footer = load(SOURCE)
    assert footer.num_rows == 40
    assert footer.columns == ("int 0", "text 1", "struct 2")
    assert [group.num_rows for group in footer.row_groups] == [10] * 4
    assert footer.row_groups[0].first == 4
    assert all(group.size == group.end - group.first for group in footer.row_groups)
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


@settings(deadline=None, max_examples=30)
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


MUTABLE = [
    SOURCE,
    write(table_of([*flat_columns, *nested_columns], 9), row_group_size=4, store_schema=False),
    write_with_duckdb(table_of(["int", "text"], 3_000), 2048),
    write_with_polars(table_of(["int", "text"], 30), 10),
    write_with_fastparquet(table_of(["int", "text"], 30), 10),
]


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(MUTABLE),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.sampled_from("xxdi"), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_damaged_footers_are_refused_or_still_valid(source: bytes, damage: list[tuple[int, str, int]]) -> None:
    footer = load(source)
    data = bytearray(footer.data)
    for place, how, byte in damage:
        place %= len(data)
        data[place : place + (how != "i")] = b"" if how == "d" else bytes([byte])
    start = time.process_time()
    with suppress(ParquetError):
        damaged = Footer.parse(bytes(data), footer.data_end)
        names = clean_names(damaged.columns)
        for groups in plan_row_groups(damaged, 2_000, names):
            layout = partition_footer(damaged, groups, names)
            assert layout.size <= len(source) * 2
            verify_footer(layout.footer, layout.num_rows, names)
        verify_footer(whole_footer(damaged, names), damaged.num_rows, names)
    assert time.process_time() - start < 2


def _bombs() -> dict[str, bytes]:
    name = b"\x48" + thrift.write_binary(b"x")
    leaf = b"\x15\x02\x38" + thrift.write_binary(b"x") + b"\x00"
    long_group = b"\x48" + thrift.write_binary(b"x" * (1 << 20)) + b"\x15" + thrift.write_integer(20_000) + b"\x00"
    root = name + b"\x15" + thrift.write_integer(1) + b"\x00"
    return {
        "deep schema": thrift.write_list(12, [root] * 5_000),
        "wide schema": thrift.write_list(12, [b"\x00"] * 200_000),
        "children": thrift.write_list(12, [name + b"\x15" + thrift.write_integer(1 << 60) + b"\x00", leaf]),
        "long paths": thrift.write_list(12, [root, long_group, *[leaf] * 20_000]),
        "two trees": thrift.write_list(12, [root, leaf, leaf]),
    }


@pytest.mark.parametrize("schema", _bombs().values(), ids=_bombs().keys())
def test_bombs_are_refused_quickly_in_little_memory(schema: bytes) -> None:
    data = b"\x15\x02\x19" + schema + b"\x16\x00\x19\x0c\x00"
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ParquetError):
        Footer.parse(data, 1 << 30)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 4
    assert peak < 64 << 20


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
