"""Whatever a Parquet writer produces: the union of the partitions is the source, and four readers open them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parquet_files import (
    page_hashes,
    read_elsewhere,
    write,
    write_options,
    write_with_duckdb,
    write_with_fastparquet,
    write_with_polars,
)
from parquet_uploads import joined, small

import kumo_async
from kumo_async.formats.names import clean_names
from kumo_async.formats.types import decide
from kumo_async.local import LocalDataPlane
from kumo_async.sources import encode, stretches

numbers = st.integers(-100, 100)
TYPES: dict[Any, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int8(): numbers,
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 255),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.uint64(): st.integers(0, 2**63 - 1),
    pa.float16(): numbers.map(lambda n: np.float16(n / 4)),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=20),
    pa.large_string(): st.text(max_size=20),
    pa.string_view(): st.sampled_from(["a", "longer than twelve bytes"]),
    pa.binary(): st.binary(max_size=20),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.integers(-(2**50), 2**50),
    pa.decimal128(18, 3): st.decimals(-1000, 1000, places=3),
    pa.list_(pa.int32()): st.lists(numbers, max_size=4),
    pa.large_list(pa.uint32()): st.lists(st.integers(0, 2**32 - 1), max_size=4),
    pa.list_(pa.float32(), 2): st.lists(numbers.map(float), min_size=2, max_size=2),
    pa.dictionary(pa.uint16(), pa.large_string()): st.sampled_from(["red", "green", "blue"]),
}
_NAMES = st.lists(st.sampled_from(["a", "a b", "_c", "d.e", "имя", "plain"]), min_size=1, max_size=4, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 80))
    arrays = []
    names = draw(_NAMES)
    for _ in names:
        kind = draw(st.sampled_from(list(TYPES)))
        some = draw(st.lists(st.none() | TYPES[kind], min_size=1, max_size=8))
        arrays.append(as_array((some * rows)[:rows], kind))
    return pa.table(arrays, names=names)


def as_array(values: list[Any], kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def wanted(table: pa.Table) -> pa.Table:
    """The table with Kumo's names and types."""
    fields = [pa.field(n, c.target) for n, c in zip(clean_names(table.column_names), decide(table.schema), strict=True)]
    return table.rename_columns(clean_names(table.column_names)).cast(pa.schema(fields)).combine_chunks()


@asynccontextmanager
async def uploaded(file: bytes, size: int | None) -> AsyncIterator[list[Path]]:
    """Upload a file to a plane of its own, and give its partitions."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "t.parquet")
        path.write_bytes(file)
        async with LocalDataPlane(root=Path(folder, "plane")) as plane:
            client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
            await kumo_async.FileUploadConnector("parquet", client=client).upload_async("t", path, options=small(size))
            yield plane.table_files("t", "parquet")


@pytest.fixture(autouse=True, scope="module")
def split_small_row_groups() -> Iterator[None]:
    """Row groups of 64 KiB are never split, and hypothesis' files are smaller than that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "LEAST_BYTES", 64)
        patch.setattr(stretches, "LEAST_BYTES", 64)
        yield


def same(found: pa.Table, expected: pa.Table) -> bool:
    # Dictionaries may have their values in another order, and the items of a list another name.
    plain = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in expected.schema]
    schema = pa.schema(plain)
    return bool(found.cast(schema).combine_chunks().equals(expected.cast(schema).combine_chunks()))


@given(table=tables(), writing=write_options, size=st.none() | st.integers(600, 6_000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_union_of_the_partitions_is_the_source(
    table: pa.Table, writing: dict[str, Any], size: int | None
) -> None:
    if writing["version"] == "1.0" and any(pa.types.is_uint32(field.type) for field in table.schema):
        writing = writing | {"version": "2.6"}  # version 1.0 has no uint32, and pyarrow writes int64
    file = write(table, **writing)
    source = pq.ParquetFile(io.BytesIO(file)).read()
    async with uploaded(file, size) as files:
        found = joined(files)
        assert all(pq.read_metadata(path).num_rows for path in files)
        assert same(found, wanted(source))
        if writing["store_schema"]:
            assert found.schema.types == wanted(source).schema.types
        if not any(column.action == "cast" for column in decide(source.schema)) and size is None:
            assert page_hashes(files[0].read_bytes()) == page_hashes(file)


def plain_table(rows: int = 3_000) -> pa.Table:
    random = np.random.default_rng(1)
    return pa.table(
        {
            "id": np.arange(rows),
            "value": random.random(rows),
            "text": [f"text {n % 50}" for n in range(rows)],
            "flag": [n % 3 == 0 for n in range(rows)],
        }
    )


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("writer", [write_with_duckdb, write_with_polars, write_with_fastparquet])
async def test_files_of_other_writers(writer: Any, cast: bool) -> None:
    table = plain_table(5_000)
    if cast:
        table = table.append_column("count", pa.array(range(5_000), pa.uint32()))
    file = writer(table, 2_500)
    expected = wanted(pq.ParquetFile(io.BytesIO(file)).read())
    async with uploaded(file, 20_000) as files:
        assert len(files) > 3
        assert same(joined(files), expected)
        parts = [path.read_bytes() for path in files]
    rows = [tuple(row.values()) for row in expected.to_pylist()]
    for reader in ("duckdb", "polars"):
        assert read_elsewhere(parts, reader) == rows
    assert len(read_elsewhere(parts, "fastparquet")) == len(rows)


async def test_strings_of_pandas_and_polars_are_made_regular_in_the_footer_alone() -> None:
    table = plain_table().cast(pa.schema({"id": "int64", "value": "double", "text": pa.large_string(), "flag": "bool"}))
    for file in (write(table, row_group_size=500), write_with_polars(table, 500), pandas_file(table)):
        async with uploaded(file, 16_000) as files:
            assert len(files) > 1
            assert joined(files).schema.field("text").type == pa.string()
            found = [page for path in files for page in page_hashes(path.read_bytes())]
            assert found == page_hashes(file)


def pandas_file(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    table.to_pandas().to_parquet(sink, row_group_size=500)
    return sink.getvalue()


async def test_int96_beside_copied_partitions_stays_int96() -> None:
    rows = 4_000
    times = pa.array([datetime(9999, 12, 31, 1, 2, 3)] * rows, pa.timestamp("us"))
    table = pa.table({"time": times, "value": np.random.default_rng(1).random(rows)})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, use_deprecated_int96_timestamps=True) as writer:
        for start, stop in ((0, 500), (500, 3_500), (3_500, 4_000)):
            writer.write_table(table.slice(start, stop - start))
    async with uploaded(sink.getvalue(), 8_000) as files:
        kinds = {pq.read_metadata(path).row_group(0).column(0).physical_type for path in files}
        found = [pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read() for path in files]
    assert kinds == {"INT96"}
    assert len(found) > 4
    assert pa.concat_tables(found).combine_chunks().equals(table)
