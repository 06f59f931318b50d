"""Footers that say what is not so where other readers do not look: accepted, and right in what is sent."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_edits import metas, number, with_footer
from parquet_files import cut, load, read, read_elsewhere, write
from parquet_uploads import joined, small

import kumo_async
from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet import ParquetError, whole_footer
from kumo_async.formats.parquet_columns import read_row_group
from kumo_async.formats.parquet_footer import NUM_ROWS, ROW_GROUPS, SCHEMA
from kumo_async.formats.parquet_row_groups import EXTENSION_HEADS, MOST_SHARING, SHARING_FLOOR
from kumo_async.formats.thrift import Patch
from kumo_async.local import LocalDataPlane

Connector = kumo_async.FileUploadConnector

TABLE = pa.table({"a": range(9_000), "b": [f"x{n % 7}" for n in range(9_000)]})
SOURCE = write(TABLE, row_group_size=3_000, write_page_index=True)
COLUMNS = range(6)


def longer(column: int, by: int = 23) -> bytes:
    """Let the footer say that a column has more bytes than its pages."""
    footer = load(SOURCE)
    meta = list(metas(footer))[column][1]
    size = thrift.integer(footer.data, meta, ids.COMPRESSED_SIZE)
    return with_footer(SOURCE, number(meta, ids.COMPRESSED_SIZE, size + by))


def with_rows(rows: int) -> bytes:
    """Let the footer say that the file has so many rows."""
    return with_footer(SOURCE, number(load(SOURCE).fields, NUM_ROWS, rows))


def twice(times: int = 2, source: bytes = SOURCE) -> bytes:
    """List the first row group several times, as Parquet.jl does."""
    footer = load(source)
    first = footer.row_groups[0]
    described = footer.data[first.described_at : first.described_at + first.described_by]
    groups = thrift.write_list(thrift.STRUCT, [described] * times)
    rows = thrift.write_integer(times * first.num_rows)
    return with_footer(source, thrift.changes(footer.fields, {ROW_GROUPS: groups, NUM_ROWS: rows}))


ODD: dict[str, tuple[bytes, pa.Table]] = {
    "a column that is said to be longer": (longer(1), TABLE),
    "the last column is said to be longer": (longer(5), TABLE),
    "all of the next column too": (longer(0, 5_000), TABLE),
    "no rows": (with_rows(0), TABLE),
    "other rows": (with_rows(9_001), TABLE),
    "two row groups over the same pages": (twice(), pa.concat_tables([TABLE.slice(0, 3_000)] * 2)),
}


@pytest.mark.parametrize("size", [None, 20_000])
@pytest.mark.parametrize("validate", ["fast", "full"])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_it_is_uploaded_as_it_is_read_elsewhere(
    plane: LocalDataPlane,
    parquet: Connector,
    tmp_path: Path,
    odd: tuple[bytes, pa.Table],
    validate: str,
    size: int | None,
) -> None:
    source, table = odd
    path = tmp_path / "t.parquet"
    path.write_bytes(source)
    assert read(source).equals(table)

    report = await parquet.upload_async("t", path, options=small(size, validate=validate))

    files = plane.table_files("t", "parquet")
    assert report.rows == table.num_rows
    assert joined(files).equals(table.combine_chunks())
    parts = [file.read_bytes() for file in files]
    assert read_elsewhere(parts, "duckdb") == list(zip(*table.to_pydict().values(), strict=True))
    # Polars believes what the file says of its rows.
    assert sum(pl.read_parquet(io.BytesIO(part)).height for part in parts) == table.num_rows
    assert all(load(part).num_rows == pq.read_metadata(io.BytesIO(part)).num_rows for part in parts)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("target", [1, 20_000, 1 << 20])
@pytest.mark.parametrize("names", [None, ["c", "d"]])
def test_each_column_may_be_said_to_be_longer(column: int, target: int, names: list[str] | None) -> None:
    parts = cut(longer(column), target, names)
    assert pa.concat_tables(map(read, parts)).equals(TABLE.rename_columns(names or TABLE.column_names))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(COLUMNS), st.integers(0, 400)), max_size=6), st.sampled_from([1, 20_000]))
def test_columns_may_overlap(lengths: list[tuple[int, int]], target: int) -> None:
    footer = load(SOURCE)
    described = list(metas(footer))
    patches: dict[int, list[Patch]] = {}
    for column, by in lengths:
        meta = described[column][1]
        size = thrift.integer(footer.data, meta, ids.COMPRESSED_SIZE)
        patches[column] = number(meta, ids.COMPRESSED_SIZE, size + by)
    parts = cut(with_footer(SOURCE, [patch for each in patches.values() for patch in each]), target)
    assert pa.concat_tables(map(read, parts)).equals(TABLE)


def test_a_column_that_is_said_to_end_after_the_file_is_refused_with_a_remedy() -> None:
    with pytest.raises(ParquetError, match=r"Row group 2 has a column.*Write the file again, for example duckdb"):
        load(longer(5, len(SOURCE)))


def test_row_groups_over_the_same_pages_do_not_multiply_what_is_sent() -> None:
    large = write(pa.table({"a": range(2_000_000)}), use_dictionary=False, compression="none", store_schema=False)
    footer = load(large)
    most = max(SHARING_FLOOR, MOST_SHARING * footer.data_end) // footer.row_groups[0].size
    assert load(twice(most, write(pa.table({"a": [1]})))).num_rows == most
    rows = footer.row_groups[0].num_rows
    assert load(twice(most, large)).num_rows == most * rows
    with pytest.raises(ParquetError, match=r"share bytes.*Write the file again"):
        load(twice(most + 1, large))


def test_planning_row_groups_over_the_same_pages_takes_no_longer() -> None:
    times = 20_000
    parts = cut(twice(times, write(pa.table({"a": [1]}), store_schema=False)), 1 << 20)
    assert sum(load(part).num_rows for part in parts) == times


EXTENSION = b"\x08\xff\xff\x01" + thrift.write_binary(b"an extension's bytes")
"""As the appendix of the specification appends it to a struct, in place of its end."""


def _at_end(*spans: thrift.Struct) -> list[Patch]:
    ends = [max(span[3] for span in struct.values()) for struct in spans]
    return [(end, end, EXTENSION) for end in ends]


def _of_file() -> list[Patch]:
    return _at_end(load(SOURCE).fields)


def _of_schema() -> list[Patch]:
    footer = load(SOURCE)
    return _at_end(*thrift.structs(footer.data, footer.fields, SCHEMA, 10))


def _of_row_groups() -> list[Patch]:
    footer = load(SOURCE)
    return _at_end(*(read_row_group(footer.data, group.described_at).fields for group in footer.row_groups))


def _of_columns() -> list[Patch]:
    return _at_end(*(column for column, _ in metas(load(SOURCE))))


def _of_metadata() -> list[Patch]:
    ends = [column[ids.META_DATA][3] - 1 for column, _ in metas(load(SOURCE))]
    return [(end, end, EXTENSION) for end in ends]


def _everywhere() -> list[Patch]:
    return [*_of_file(), *_of_schema(), *_of_row_groups(), *_of_columns(), *_of_metadata()]


EXTENDED: list[Callable[[], list[Patch]]] = [
    _of_file,
    _of_schema,
    _of_row_groups,
    _of_columns,
    _of_metadata,
    _everywhere,
]


@pytest.mark.parametrize("patches", EXTENDED, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("names", [None, ["c", "d"]])
def test_the_extension_of_the_format_is_left_out_of_footers_that_are_rewritten(
    patches: Callable[[], list[Patch]], names: list[str] | None
) -> None:
    source = with_footer(SOURCE, patches())
    assert b"an extension's bytes" in source
    assert read(source).equals(TABLE)

    footer = load(source)
    parts = cut(source, 20_000, names)

    assert pa.concat_tables(map(read, parts)).equals(TABLE.rename_columns(names or ["a", "b"]))
    assert len(parts) == 3
    assert not footer.corrected
    assert footer.data == load(SOURCE).data
    assert parts == cut(SOURCE, 20_000, names)
    assert b"an extension's bytes" not in whole_footer(footer, ["c", "d"])


async def test_a_file_with_the_extension_goes_up_as_it_is(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(with_footer(SOURCE, _everywhere()))
    await parquet.upload_async("t", path, options=small(None, validate="full"))
    assert plane.table_files("t", "parquet")[0].read_bytes() == path.read_bytes()


def test_an_extension_that_thrift_itself_wrote_is_left_out_too() -> None:
    zigzag = EXTENSION_HEADS[1] + thrift.write_binary(b"an extension's bytes")
    patches = [(start, end, zigzag) for start, end, _ in _everywhere()]
    assert zigzag[:4] == b"\x08\xfe\xff\x03"
    assert load(with_footer(SOURCE, patches)).data == load(SOURCE).data


@pytest.mark.parametrize("validate", ["fast", "full"])
async def test_columns_with_fewer_values_than_rows_are_refused_from_the_footer(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, validate: str
) -> None:
    source = write(pa.table({"a": [1, 2, 3]}))
    footer = load(source)
    group = read_row_group(footer.data, footer.row_groups[0].described_at)
    path = tmp_path / "t.parquet"
    lie = [*number(footer.fields, NUM_ROWS, 1_000), *number(group.fields, ids.NUM_ROWS, 1_000)]
    path.write_bytes(with_footer(source, lie))
    with pytest.raises(kumo_async.SourceError, match=r"3 values in column 'a' of row group 0, which has 1000 rows\. "):
        await parquet.upload_async("t", path, options=small(None, validate=validate))
    assert not plane.table_files("t", "parquet")
