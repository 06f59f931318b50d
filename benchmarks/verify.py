"""Whether what arrives is what was sent: rows and column sums of tables that were uploaded in partitions.

    python benchmarks/verify.py            # lineitem and flights, Parquet and CSV, each over 1000 MiB
    python benchmarks/verify.py --small    # the same with small files and partitions, in seconds

Tables go through the public interface into the embedded data plane. Then each partition is opened by itself, with
pyarrow and with DuckDB, and what all partitions of a table have together is compared with what its source has.
`flights` is small by itself: its rows are repeated until its files are over the threshold.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

import kumo_async
from data import MIB, add_data_option, flights, free_space, lineitem, scratch, tpchgen, write_flights
from kumo_async.local import LocalDataPlane

__all__ = ["Reader", "check_same", "duckdb_reader", "pyarrow_reader"]

#: What is known of a file's content: the rows, and for each column something that adds up over files.
Contents = Counter[str]

Reader = Callable[[Path], Contents]

_SMALL = kumo_async.UploadOptions(partition_threshold=0, partition_size=2 * MIB)
_NULLS = ["NA", ""]


def check_same(source: Path, partitions: Sequence[Path]) -> int:
    """Check that the partitions have what the source has, and return its rows.

    Raises:
        AssertionError: If they have not; says for which reader and column.
    """
    rows = 0
    for reader in (pyarrow_reader(source), duckdb_reader(source)):
        expected, found = reader(source), Contents()
        for partition in partitions:
            found.update(reader(partition))
        wrong = {name for name in expected.keys() | found.keys() if expected[name] != found[name]}
        assert not wrong, f"{source.name}, {reader.__qualname__}: {', '.join(sorted(wrong))}"
        rows = expected["rows"]
    return rows


def pyarrow_reader(source: Path) -> Reader:
    """Return a function that adds up each column with pyarrow, in the types that it has in the source.

    Numbers, dates and times add up to their sum, and texts to their length in bytes.
    """

    def read_with_pyarrow(path: Path) -> Contents:
        contents = Contents()
        for batch in _batches(path, types):
            contents["rows"] += batch.num_rows
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                contents[f"sum of {name}"] += pc.sum(_countable(column)).as_py() or 0
                contents[f"nulls of {name}"] += column.null_count
        return contents

    types = _csv_types(source) if source.suffix == ".csv" else {}
    return read_with_pyarrow


def _csv_types(source: Path) -> dict[str, pa.DataType]:
    # Sums of decimals are exact in any order.
    with pacsv.open_csv(source, convert_options=_conversion({})) as reader:
        return {f.name: pa.decimal128(18, 4) if pa.types.is_floating(f.type) else f.type for f in reader.schema}


def _conversion(types: dict[str, pa.DataType]) -> pacsv.ConvertOptions:
    return pacsv.ConvertOptions(column_types=types, null_values=_NULLS, strings_can_be_null=True)


def _batches(path: Path, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".csv":
        with pacsv.open_csv(path, convert_options=_conversion(types)) as reader:
            yield from reader
    else:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches()


def _countable(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_string_view(column.type):
        return pc.binary_length(column.cast(pa.string()))
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64())
    return column


def duckdb_reader(source: Path) -> Reader:
    """Return a function that adds up each column with DuckDB, in the types that it has in the source.

    Numbers add up to their sum, and all else to the sum of its hashes.
    """
    relation = "SELECT * FROM read_parquet($1)"
    if source.suffix == ".csv":
        guess = f"SELECT * FROM read_csv($1, header = true, nullstr = {_NULLS})"
        columns = {name: kind for name, kind, *_ in _query(f"DESCRIBE {guess}", source)}
        relation = f"SELECT * FROM read_csv($1, header = true, nullstr = {_NULLS}, columns = {columns})"
    described = _query(f"DESCRIBE {relation}", source)
    sums = {f"sum of {name}": _sum(name, kind) for name, kind, *_ in described}
    nulls = {f"nulls of {name}": f'count(*) - count("{name}")' for name, *_ in described}
    wanted = {"rows": "count(*)", **sums, **nulls}

    def read_with_duckdb(path: Path) -> Contents:
        (row,) = _query(f"SELECT {', '.join(wanted.values())} FROM ({relation})", path)
        return Contents(dict(zip(wanted, row, strict=True)))

    return read_with_duckdb


def _query(query: str, path: Path) -> list[tuple[Any, ...]]:
    # The connection that all of a process share would keep the file open.
    with duckdb.connect() as connection:
        return connection.execute(query, [str(path)]).fetchall()


def _sum(name: str, kind: str) -> str:
    if kind == "DOUBLE":
        return f'coalesce(sum("{name}"::DECIMAL(18, 4)), 0)'
    if kind in ("INTEGER", "BIGINT") or kind.startswith("DECIMAL"):
        return f'coalesce(sum("{name}"), 0)'
    return f'coalesce(sum(hash("{name}")), 0)'


async def _verify(source: Path, root: Path, options: kumo_async.UploadOptions | None) -> None:
    begin = time.monotonic()
    async with LocalDataPlane(root=root) as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        file_type = source.suffix[1:]
        connector = kumo_async.FileUploadConnector(file_type, client=client)
        report = await asyncio.to_thread(connector.upload, "table", source, options=options)
        assert await connector.table_names_async() == ["table"]
        partitions = plane.table_files("table", file_type)
        assert len(partitions) == len(report.partitions) > 1
        rows = await asyncio.to_thread(check_same, source, partitions)
    assert rows == report.rows
    size = sum(partition.size for partition in report.partitions) / MIB
    print(
        f"{source.name}: {size:,.0f} MiB, {len(partitions)} partitions, {rows:,} rows: the same as the source's for "
        f"pyarrow {pa.__version__} and DuckDB {duckdb.__version__} ({time.monotonic() - begin:.0f} s)"
    )


def _sources(options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    tables: dict[str, Callable[[str], Path]] = {
        "lineitem": lambda file_type: lineitem(options.data, file_type, 1),
        "flights": lambda file_type: flights(options.data, file_type, 1),
    }
    if options.small:
        tables = {
            "lineitem": lambda file_type: tpchgen(folder, file_type, 0.05, *_small_row_groups(file_type)),
            "flights": lambda file_type: write_flights(folder / f"flights.{file_type}", row_group_rows=20_000),
        }
    for table in options.table:
        for file_type in options.format:
            yield tables[table](file_type)


def _small_row_groups(file_type: str) -> list[str]:
    return ["--row-group-bytes", "1MB"] if file_type == "parquet" else []


def main(arguments: Sequence[str] | None = None) -> None:
    """Verify what the command line asks for."""
    parser = argparse.ArgumentParser(description="Compare uploaded tables with their sources.")
    parser.add_argument("--table", nargs="+", choices=["lineitem", "flights"], default=["lineitem", "flights"])
    parser.add_argument("--format", nargs="+", choices=["parquet", "csv"], default=["parquet", "csv"])
    parser.add_argument("--small", action="store_true", help="small files and partitions")
    add_data_option(parser)
    options: Any = parser.parse_args(arguments)
    free_space(options.data, 0.2 if options.small else 1.5)
    with scratch(options.data) as folder:
        for number, source in enumerate(_sources(options, folder)):
            asyncio.run(_verify(source, folder / f"plane-{number}", _SMALL if options.small else None))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
