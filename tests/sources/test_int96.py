"""Timestamps of 96 bits that have to be encoded: the same instants, or refused; never other ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parquet_edits import metas, with_footer
from parquet_files import load

import kumo_async
from kumo_async.formats import thrift
from kumo_async.formats.parquet import whole_footer
from kumo_async.formats.parquet_columns import META_DATA
from kumo_async.formats.parquet_int96 import instants, int96_as_bytes
from kumo_async.local import LocalDataPlane

WritesParquet = Callable[..., Path]
Connector = kumo_async.FileUploadConnector

EPOCH = 2_440_588
DAY = 86_400 * 10**9


def packed(day: int, nanoseconds: int) -> bytes:
    return struct.pack("<qI", nanoseconds, day)


@pytest.fixture
def write_int96(write_parquet: WritesParquet) -> Callable[..., Path]:
    """Return a function that writes some raw timestamps beside a column that has to be cast."""

    def write(values: list[bytes | None], *, dictionary: bool = False, nulls: bool = False) -> Path:
        at = [datetime(2024, 1, 1) + timedelta(days=n) for n in range(len(values))]
        times = [None if value is None else day for value, day in zip(values, at, strict=True)]
        table = pa.table({"a time": pa.array(times, pa.timestamp("us")), "n": pa.array([1] * len(values), pa.uint32())})
        options = {"use_deprecated_int96_timestamps": True, "use_dictionary": dictionary, "compression": "none"}
        path = write_parquet(table, row_group_size=4, **options)
        source = path.read_bytes()
        for value, day in zip(values, at, strict=True):
            if value is not None:
                old = packed(EPOCH + (day - datetime(1970, 1, 1)).days, 0)
                assert source.count(old) == 1
                source = source.replace(old, value)
        path.write_bytes(source)
        return path

    return write


@pytest.mark.parametrize("dictionary", [True, False])
async def test_julian_day_0_is_the_same_instant_or_refused(
    plane: LocalDataPlane, parquet: Connector, write_int96: Callable[..., Path], dictionary: bool
) -> None:
    raw = [packed(0, 0), None, packed(0, 5 * 10**9), packed(EPOCH, 0), packed(1, 0), packed(EPOCH - 1, DAY - 1000)]
    path = write_int96(raw, dictionary=dictionary)
    await parquet.upload_async("t", path)
    (file,) = plane.table_files("t", "parquet")
    found = pq.read_table(file).column(0).cast("int64").to_pylist()
    first = -EPOCH * 86_400 * 10**6
    assert found == [first, None, first + 5 * 10**6, 0, first + 86_400 * 10**6, -1]
    assert pl.read_parquet(file.read_bytes()).get_column("a_time").cast(pl.Int64).to_list() == found
    path.with_name("found.parquet").write_bytes(file.read_bytes())
    rows = duckdb.execute(f"select epoch_us(a_time) from '{path.with_name('found.parquet')}'").fetchall()
    assert [value for (value,) in rows] == found


@pytest.mark.parametrize(
    "value",
    [packed(2**32 - 1, 0), packed(2**31, 0), packed(EPOCH, -DAY - 1), packed(EPOCH, DAY + 1), packed(EPOCH, 2**63 - 1)],
    ids=["last day", "day 2^31", "before the day", "after the day", "far after the day"],
)
async def test_what_is_no_instant_of_microseconds_is_refused(
    plane: LocalDataPlane, parquet: Connector, write_int96: Callable[..., Path], value: bytes
) -> None:
    path = write_int96([packed(EPOCH, 0)] * 4 + [packed(EPOCH, 1), value])
    with pytest.raises(kumo_async.SourceError, match=r"'a_time' has INT96 timestamps in row group 1"):
        await parquet.upload_async("t", path)
    assert plane.table_files("t", "parquet") == []


@given(
    st.lists(st.none() | st.tuples(st.integers(0, 5_373_484), st.integers(-DAY, DAY)), max_size=20),
    st.integers(0, 3),
)
def test_instants_are_those_of_the_bytes(values: list[tuple[int, int] | None], offset: int) -> None:
    array = pa.array([value and packed(*value) for value in values], pa.binary(12))[offset:]
    expected = [value and (value[0] - EPOCH) * 86_400 * 10**6 + value[1] // 1000 for value in values][offset:]
    assert instants(array).cast("int64").to_pylist() == expected


@pytest.mark.parametrize("day", [EPOCH + 106_751_992, EPOCH + 2**31, 2**32 - 1])
def test_instants_beyond_microseconds_are_none(day: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        instants(pa.array([packed(day, 0)], pa.binary(12)))


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("store_schema", [True, False])
def test_the_footer_has_them_read_as_they_are(write_parquet: WritesParquet, groups: int, store_schema: bool) -> None:
    times: Any = np.arange(60) * 10**12
    table = pa.table(
        {"x": range(60), "t": pa.array(times, pa.timestamp("ns")), "u": pa.array(times, pa.timestamp("ns"))}
    )
    options = {"use_deprecated_int96_timestamps": True, "store_schema": store_schema}
    path = write_parquet(table, row_group_size=60 // groups, **options)
    footer = load(path.read_bytes())
    as_bytes = int96_as_bytes(footer)
    path.write_bytes(path.read_bytes()[: footer.data_end] + whole_footer(as_bytes, footer.columns))
    found = pq.read_table(path)
    assert found.schema.types == [pa.int64(), pa.binary(12), pa.binary(12)]
    assert instants(found.column("t").combine_chunks()).cast("int64").to_pylist() == (times // 1000).tolist()
    # What was derived without reading the row groups again is what reading them gives.
    again = load(path.read_bytes())
    assert (again.row_groups, again.schema) == (as_bytes.row_groups, as_bytes.schema)


async def test_a_column_that_says_it_has_other_pages_is_refused_where_it_is_encoded(
    plane: LocalDataPlane, parquet: Connector, write_int96: Callable[..., Path]
) -> None:
    path = write_int96([packed(EPOCH, 0)] * 4)
    source = path.read_bytes()
    (column, _), *_ = metas(load(source))
    meta, _ = thrift.scan(load(source).data, column[META_DATA][2])
    path.write_bytes(with_footer(source, thrift.changes(meta, {1: thrift.write_integer(1)})))
    with pytest.raises(kumo_async.SourceError, match="has other pages"):
        await parquet.upload_async("t", path)
    assert plane.calls == []
