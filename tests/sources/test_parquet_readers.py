"""Partitions of every way of making them, in four readers: equal content, and statistics that are there and right."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import fastparquet

import kumo_async
from kumo_async.local import LocalDataPlane

ROWS = 6_000
DAY = dt.date(2020, 1, 1)
RANDOM = np.random.default_rng(3)

BASE: dict[str, pa.Array] = {
    "id": pa.array(np.arange(ROWS)),
    "number": pa.array(RANDOM.random(ROWS)),
    "text": pa.array([None if i % 11 == 0 else f"t {i % 900} é" for i in range(ROWS)]),
    "flag": pa.array([i % 3 == 0 for i in range(ROWS)]),
    "day": pa.array([DAY + dt.timedelta(days=i % 4000) for i in range(ROWS)]),
    "time": pa.array(np.arange(ROWS) * 10**6, pa.timestamp("us")),
    "price": pa.array([Decimal(i) / 100 for i in range(ROWS)], pa.decimal128(12, 2)),
    "kind": pa.array([f"k{i % 7}" for i in range(ROWS)]).dictionary_encode(),
    "bytes": pa.array([bytes([i % 256, i // 256]) for i in range(ROWS)]),
}
RETYPED = {
    "u8": pa.array(RANDOM.integers(0, 256, ROWS), pa.uint8()),
    "u16": pa.array(RANDOM.integers(0, 65536, ROWS), pa.uint16()),
    "u64": pa.array(RANDOM.integers(0, 2**62, ROWS), pa.uint64()),
    "large": pa.array([f"x{i}" for i in range(ROWS)], pa.large_string()),
}
CAST = {
    "u32": pa.array(RANDOM.integers(0, 2**32, ROWS), pa.uint32()),
    "half": pa.array(RANDOM.random(ROWS).astype(np.float16)),
    "fixed": pa.array([i.to_bytes(3, "big") for i in range(ROWS)], pa.binary(3)),
}
CASES: dict[str, tuple[dict[str, pa.Array], dict[str, Any]]] = {
    "copied": (BASE, {"row_group_size": 500}),
    "retyped": ({**BASE, **RETYPED}, {"row_group_size": 500}),
    "encoded": ({**BASE, **RETYPED, **CAST}, {"row_group_size": 500}),
    "giant row group": (BASE, {"row_group_size": ROWS}),
    "giant row group, v2": (BASE, {"row_group_size": ROWS, "data_page_version": "2.0", "compression": "zstd"}),
    "v2": (BASE, {"row_group_size": 500, "data_page_version": "2.0", "compression": "zstd"}),
}


def plain(value: Any) -> Any:
    """Make the readers' values comparable: each has its own types for times, decimals and what is missing."""
    if value is None or value is pd.NaT or value != value:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dt.date):
        return pd.Timestamp(value).isoformat()
    return float(value) if isinstance(value, int | float | Decimal) else value


def by_pyarrow(path: Path) -> dict[str, list[Any]]:
    return dict(pq.ParquetFile(io.BytesIO(path.read_bytes())).read().to_pydict())


def by_polars(path: Path) -> dict[str, list[Any]]:
    return pl.read_parquet(path).to_dict(as_series=False)


def by_duckdb(path: Path) -> dict[str, list[Any]]:
    with duckdb.connect() as database:
        found = database.sql(f"from '{path}'")
        return dict(zip(found.columns, map(list, zip(*found.fetchall(), strict=True)), strict=True))


def by_fastparquet(path: Path) -> dict[str, list[Any]]:
    # It has no decimals: floats stand for them, 0.35000000000000003 for 0.35.
    frame = fastparquet.ParquetFile(io.BytesIO(path.read_bytes())).to_pandas().round({"price": 2})
    return {name: frame[name].tolist() for name in frame.columns}


async def uploaded(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, path: Path, folder: Path
) -> list[Path]:
    """Upload in partitions of at most 100 KB, and return them as files of their own."""
    options = kumo_async.UploadOptions(partition_threshold=0, partition_size=100_000)
    await parquet.upload_async("t", path, options=options)
    paths = []
    for number, file in enumerate(plane.table_files("t", "parquet")):
        paths.append(folder / f"{number}.parquet")
        paths[-1].write_bytes(file.read_bytes())
    return paths


def check_statistics(path: Path) -> None:
    """Compare what the footer says of each column of each row group with its values."""
    metadata, file = pq.read_metadata(io.BytesIO(path.read_bytes())), pq.ParquetFile(io.BytesIO(path.read_bytes()))
    for number in range(metadata.num_row_groups):
        group, table = metadata.row_group(number), file.read_row_group(number)
        for place, name in enumerate(table.column_names):
            found, values = group.column(place).statistics, table[name].to_pylist()
            there = [value for value in values if value is not None]
            assert found is not None, name
            assert found.has_min_max, name
            assert (plain(found.min), plain(found.max)) == (plain(min(there)), plain(max(there))), name
            assert found.null_count == len(values) - len(there), name


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_partitions_are_the_same_in_all_readers(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    tmp_path: Path,
    case: tuple[dict[str, pa.Array], dict[str, Any]],
) -> None:
    columns, writing = case
    path = tmp_path / "source.parquet"
    pq.write_table(pa.table(columns), path, **writing)
    paths = await uploaded(plane, parquet, path, tmp_path)
    assert len(paths) > 1
    readers: list[Callable[[Path], dict[str, list[Any]]]] = [by_pyarrow, by_polars, by_duckdb, by_fastparquet]
    for reader in readers:
        found = [reader(part) for part in paths]
        for name, values in columns.items():
            rows = [plain(value) for part in found for value in part[name]]
            assert rows == [plain(value) for value in values.to_pylist()], (reader.__name__, name)
    for part in paths:
        check_statistics(part)
