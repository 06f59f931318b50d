"""What a footer says of texts and bytes beyond what Arrow can write: all partitions of a table are of one type."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_edits import with_footer
from parquet_files import load, page_hashes
from parquet_uploads import hashes, joined, small

import kumo_async
from kumo_async.formats import thrift
from kumo_async.formats.parquet_footer import SCHEMA
from kumo_async.local import LocalDataPlane

CONVERTED, LOGICAL = 6, 10
ROWS = 30_000
LABELS = {
    "enum": (4, b"\x4c\0\0", pa.string()),
    "enum of an old writer": (4, None, pa.string()),
    "json": (19, b"\xcc\0\0", pa.string()),
    "bson": (20, b"\xdc\0\0", pa.binary()),
    "geometry": (None, b"\x0c\x22\0\0", pa.binary()),
    "geography": (None, b"\x0c\x24\0\0", pa.binary()),
}


def labelled(converted: int | None, logical: bytes | None) -> bytes:
    """Write a large row group between two small ones, with a first column that is said to be something special."""
    random = np.random.default_rng(1).random(ROWS)
    table = pa.table({"a": [f"v{number % 7}" for number in range(ROWS)], "b": random})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        for start, stop in ((0, 100), (100, ROWS - 100), (ROWS - 100, ROWS)):
            writer.write_table(table.slice(start, stop - start))
    footer = load(sink.getvalue())
    leaf = thrift.structs(footer.data, footer.fields, SCHEMA, 10)[1]
    values = {CONVERTED: None if converted is None else thrift.write_integer(converted), LOGICAL: logical}
    return with_footer(sink.getvalue(), thrift.changes(leaf, values))


@pytest.mark.parametrize("size", [None, 100_000])
@pytest.mark.parametrize(("converted", "logical", "kind"), LABELS.values(), ids=LABELS.keys())
async def test_encoded_partitions_are_of_the_type_of_copied_ones(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    tmp_path: Path,
    converted: int | None,
    logical: bytes | None,
    kind: pa.DataType,
    size: int | None,
) -> None:
    source = labelled(converted, logical)
    path = tmp_path / "t.parquet"
    path.write_bytes(source)
    report = await parquet.upload_async("t", path, options=small(size, on_unsupported="error"))
    files = plane.table_files("t", "parquet")
    assert (len(files) == 1) == (size is None)
    assert report.warnings == ()
    assert joined(files).schema.types == [kind, pa.float64()]
    assert joined(files).column(0).cast(pa.string()).to_pylist() == [f"v{number % 7}" for number in range(ROWS)]
    first = pq.ParquetFile(files[0]).schema
    assert all(pq.ParquetFile(file).schema.equals(first) for file in files)
    with duckdb.connect() as database:
        found = {database.sql(f"select a from read_parquet('{file}')").types[0].id for file in files}
    assert found == {"varchar" if kind == pa.string() else "blob"}
    assert hashes(files[:1])[:2] == page_hashes(source)[:2]


@pytest.mark.parametrize("kind", [pa.uint8(), pa.uint16(), pa.uint64(), pa.list_(pa.uint64())], ids=str)
async def test_signed_numbers_are_the_same_copied_and_encoded(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, tmp_path: Path, kind: pa.DataType
) -> None:
    values = [[1]] * ROWS if pa.types.is_list(kind) else [1] * ROWS
    table = pa.table({"a": pa.array(values, kind), "b": np.random.default_rng(1).random(ROWS)})
    with pq.ParquetWriter(tmp_path / "t.parquet", table.schema) as writer:
        writer.write_table(table.slice(0, 100))
        writer.write_table(table.slice(100))
    await parquet.upload_async("t", tmp_path / "t.parquet", options=small(100_000))
    copied, *encoded = (pq.ParquetFile(file).schema for file in plane.table_files("t", "parquet"))
    assert len(encoded) > 1
    assert all(schema.equals(copied) for schema in encoded)
