"""Footers that are damaged or made to deceive: refused with a reason, quickly, in little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_edits import SOURCE, add_field, metas, number, with_footer
from parquet_files import (
    cut,
    flat_columns,
    load,
    nested_columns,
    page_indexes,
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
from kumo_async.formats.parquet_columns import read_row_group
from kumo_async.formats.thrift import Patch


def in_first_column(field: int, value: int) -> Callable[[], list[Patch]]:
    return lambda: number(next(metas(load(SOURCE)))[1], field, value)


def _group_rows(value: int) -> list[Patch]:
    footer = load(SOURCE)
    return number(read_row_group(footer.data, footer.row_groups[0].described_at).fields, ids.NUM_ROWS, value)


def _values_of_list(value: int) -> list[Patch]:
    return number(list(metas(load(SOURCE)))[3][1], ids.NUM_VALUES, value)


def _all_rows(value: int) -> list[Patch]:
    """Have each row group and each of its columns declare so many rows."""
    footer = load(SOURCE)
    raws = [read_row_group(footer.data, group.described_at) for group in footer.row_groups]
    groups = [patch for raw in raws for patch in number(raw.fields, ids.NUM_ROWS, value)]
    return groups + [patch for raw in raws for meta in raw.metas for patch in number(meta, ids.NUM_VALUES, value)]


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
    "size beyond the file": (in_first_column(ids.COMPRESSED_SIZE, 1 << 62), "Row group 0"),
    "negative rows": (lambda: _group_rows(-1), "-1 rows"),
    "more rows than values": (lambda: _group_rows(11), "10 values in column 'int 0' of row group 0, which has 11 rows"),
    "rows that overflow": (lambda: _group_rows((1 << 63) - 1), "10 values in column 'int 0'"),
    "fewer rows than values": (lambda: _group_rows(9), "10 values in column 'int 0' of row group 0, which has 9 rows"),
    "fewer values than rows": (in_first_column(ids.NUM_VALUES, 3), "3 values in column 'int 0' of row group 0"),
    "too few values of a list": (lambda: _values_of_list(9), "9 values in column 'struct 2' of row group 0"),
    "negative values": (in_first_column(ids.NUM_VALUES, -1), "-1 values"),
    "row groups that overflow": (lambda: _all_rows(1 << 62), "rows together"),
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


MUTABLE = [
    SOURCE,
    write(table_of([*flat_columns, *nested_columns], 9), row_group_size=4, store_schema=False),
    write_with_duckdb(table_of(["int", "text"], 3_000), 2048),
    write_with_polars(table_of(["int", "text"], 30), 10),
    write_with_fastparquet(table_of(["int", "text"], 30), 10),
]


@settings(max_examples=400)
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
    tracemalloc.start()
    with suppress(ParquetError):
        damaged = Footer.parse(bytes(data), footer.data_end)
        names = clean_names(damaged.columns)
        for groups in plan_row_groups(damaged, 2_000, names):
            layout = partition_footer(damaged, groups, names, page_indexes(source, damaged, groups))
            assert layout.size <= len(source) * 2
            verify_footer(layout.footer, layout.num_rows, names)
        verify_footer(whole_footer(damaged, names), damaged.num_rows, names)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - start < 2
    assert peak < 8 << 20


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


def _many(kind: int, count: int, element: bytes) -> bytes:
    return bytes([0xF0 | kind]) + _varint(count) + element * count


def _varint(number: int) -> bytes:
    # A signed number is written as twice itself.
    return thrift.write_binary(b"\0" * number)[:-number]


_N = 2_000_000
_unknown: dict[str, tuple[int, bytes]] = {
    "lists": (9, _many(9, _N, b"\0")),
    "structs": (9, _many(12, _N, b"\0")),
    "numbers": (9, _many(6, _N, b"\0")),
    "texts": (9, _many(8, _N, b"\0")),
    "pairs": (11, _varint(_N) + b"\x88" + bytes(2 * _N)),
    "lists of lists": (9, _many(9, 20, _many(9, _N // 20, b"\0"))),
    "fields": (12, b"\x11" * (_N * 2 // 3) + b"\0"),
}


@pytest.mark.parametrize("place", ["footer", "column", "metadata"])
@pytest.mark.parametrize("unknown", _unknown.values(), ids=_unknown.keys())
def test_unknown_fields_of_very_many_values_are_refused(unknown: tuple[int, bytes], place: str) -> None:
    source = load(SOURCE)
    column, meta = next(metas(source))
    places = {"footer": source.fields, "column": column, "metadata": meta}
    end = max(span[3] for span in places[place].values())
    data = thrift.splice(source.data, 0, len(source.data), [add_field(source, end, 300, *unknown)])
    with pytest.raises(ParquetError, match="more values in unknown fields"):
        Footer.parse(data, source.data_end)


def test_unknown_fields_of_many_values_are_kept() -> None:
    value = _many(12, 500_000, b"\x15\2\0")
    source = with_footer(SOURCE, [_at_end_of_footer(300, 9, value)])
    (part,) = cut(source, 1 << 30)
    assert value in part


def test_unknown_fields_share_their_allowance() -> None:
    source = load(SOURCE)
    patches = [
        add_field(source, max(span[3] for span in column.values()), 300, 9, _many(9, 150_000, b"\0"))
        for column, _ in metas(source)
    ]
    with pytest.raises(ParquetError, match="more values in unknown fields"):
        load(with_footer(SOURCE, patches))


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (b"\x19" + _many(12, 1_000_000, b"\x3c\0\0") + b"\x26\0\0", "1000000 columns, and the schema"),
        (b"\x19\x4c" + (b"\x3c" + b"\x16\2" * 30_000 + b"\0\0") * 4 + b"\x26\0\0", "30000 fields"),
    ],
    ids=["columns", "fields"],
)
def test_row_groups_of_very_many_parts_are_refused_in_little_memory(group: bytes, said: str) -> None:
    source = load(SOURCE)
    data = thrift.splice(source.data, 0, len(source.data), _row_groups(group))
    tracemalloc.start()
    with pytest.raises(ParquetError, match=said):
        Footer.parse(data, source.data_end)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
