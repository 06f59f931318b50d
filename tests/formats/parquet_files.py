"""Parquet files as bytes for the tests: written by four libraries, cut by our code, read by four."""

from __future__ import annotations

import hashlib
import importlib
import io
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from kumo_async.formats.parquet import (
    MAGIC,
    Footer,
    PageIndexes,
    PartitionLayout,
    page_index_ranges,
    partition_footer,
    plan_row_groups,
    tail_length,
    verify_footer,
)

fastparquet: Any = importlib.import_module("fastparquet")  # it has no types


def load(file: bytes) -> Footer:
    """Read the footer of a whole file, as a source does."""
    length = tail_length(file[-8:], len(file))
    start = len(file) - 8 - length
    return Footer.parse(file[start:-8], start)


def assemble(file: bytes, layout: PartitionLayout) -> bytes:
    """Build a partition's bytes, as the transfer does."""
    return b"".join([MAGIC, *(file[start:end] for start, end in layout.ranges), layout.offset_indexes, layout.footer])


def page_indexes(file: bytes, footer: Footer, row_groups: range) -> PageIndexes:
    """Read the page indexes of some row groups."""
    ranges = page_index_ranges(footer.row_groups[row_groups.start : row_groups.stop])
    return PageIndexes([(start, file[start:end]) for start, end in ranges])


def cut(file: bytes, target: int, names: Sequence[str] | None = None) -> list[bytes]:
    """Cut a file into partitions, checking each one's size and footer."""
    footer = load(file)
    parts = []
    for groups in plan_row_groups(footer, target, names):
        layout = partition_footer(footer, groups, names, page_indexes(file, footer, groups))
        verify_footer(layout.footer, layout.num_rows, names or footer.columns)
        part = assemble(file, layout)
        assert len(part) == layout.size
        assert len(part) <= target or sum(footer.row_groups[group].num_rows > 0 for group in groups) <= 1
        parts.append(part)
    return parts


def read(file: bytes) -> pa.Table:
    """Read with pyarrow, without threads: there are many small files."""
    return pq.ParquetFile(io.BytesIO(file)).read(use_threads=False)


def columns_of(file: bytes) -> list[dict[str, Any]]:
    """Say what a footer says about every column of every row group, save for where it is and its name."""
    metadata = pq.read_metadata(io.BytesIO(file))
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    found = []
    for group in groups:
        for position in range(group.num_columns if group.num_rows else 0):
            described = group.column(position).to_dict()
            for key in (
                "file_offset",
                "file_path",
                "path_in_schema",
                "data_page_offset",
                "dictionary_page_offset",
                "bloom_filter_offset",
            ):
                described.pop(key, None)
            described["sorting"] = group.sorting_columns
            found.append(described)
    return found


def page_hashes(file: bytes) -> list[str]:
    """Hash the pages of every column as they lie in the file."""
    metadata = pq.read_metadata(io.BytesIO(file))
    hashes = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for position in range(group.num_columns if group.num_rows else 0):
            column = group.column(position)
            start = column.dictionary_page_offset or column.data_page_offset
            hashes.append(hashlib.sha256(file[start : start + column.total_compressed_size]).hexdigest())
    return hashes


def read_elsewhere(parts: Sequence[bytes], reader: str) -> list[Any]:
    """Read files with another library; gives what can be compared with `==`, rows in order."""
    if reader == "polars":
        return [row for part in parts for row in pl.read_parquet(io.BytesIO(part)).rows()]
    if reader == "fastparquet":
        frames = [fastparquet.ParquetFile(io.BytesIO(part)).to_pandas() for part in parts]
        # A file whose integers have nulls comes as floats, so one partition may differ from the next in that.
        return [tuple(map(_plain, row)) for frame in frames for row in frame.itertuples(index=False)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"part_{number:04}.parquet" for number in range(len(parts))]
        for path, part in zip(paths, parts, strict=True):
            path.write_bytes(part)
        with duckdb.connect() as database:
            return [row for path in paths for row in database.sql(f"from '{path}'").fetchall()]


def _plain(value: Any) -> str:
    return repr(float(value)) if isinstance(value, int | float | np.number) else repr(value)


_START = datetime(2024, 1, 1)

flat_columns: dict[str, Any] = {
    "int": lambda n: [None if i % 7 == 3 else i * 1_000_003 for i in range(n)],
    "float": lambda n: [i / 3 for i in range(n)],
    "bool": lambda n: [i % 3 == 0 for i in range(n)],
    "text": lambda n: [f"value {i % 13}" * (i % 5) for i in range(n)],
    "dictionary": lambda n: pa.array([f"{i % 3}" for i in range(n)]).dictionary_encode(),
    "time": lambda n: pa.array([_START + timedelta(hours=i) for i in range(n)], pa.timestamp("us")),
    "long text": lambda n: ["x" * 200 + str(i) for i in range(n)],
    "nulls": lambda n: pa.array([None] * n, pa.string()),
}
nested_columns: dict[str, Any] = {
    "decimal": lambda n: pa.array([Decimal(i) / 100 for i in range(n)], pa.decimal128(10, 2)),
    "list": lambda n: [list(range(i % 4)) for i in range(n)],
    "embedding": lambda n: pa.array([[float(i)] * 3 for i in range(n)], pa.list_(pa.float32(), 3)),
    "struct": lambda n: [{"a b": i, "list": [{"x": i}, {"x": None}]} for i in range(n)],
    "map": lambda n: pa.array([[(f"k{i}", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
}


def table_of(kinds: Sequence[str], rows: int, names: Sequence[str] | None = None) -> pa.Table:
    """Make a table with one column of each kind."""
    makers = flat_columns | nested_columns
    arrays = [pa.array(made) if isinstance(made := makers[kind](rows), list) else made for kind in kinds]
    return pa.table(arrays, names=list(names or [f"{kind} {place}" for place, kind in enumerate(kinds)]))


def write(table: pa.Table, metadata: dict[str, bytes] | None = None, **options: Any) -> bytes:
    """Write with pyarrow, with entries of the file's own metadata if there are any to add."""
    sink = io.BytesIO()
    row_group_size = options.pop("row_group_size", None)
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.write_table(table, row_group_size)
        if metadata:
            writer.add_key_value_metadata(metadata)
    return sink.getvalue()


def write_with_duckdb(table: pa.Table, row_group_size: int, codec: str = "snappy") -> bytes:
    """Write with DuckDB, which adds Bloom filters of its own accord."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as database:
        database.register("source", table)
        path = Path(folder) / "file.parquet"
        options = f"format parquet, row_group_size {row_group_size}, compression {codec}"
        database.execute("set threads = 1")
        database.execute(f"copy (select * from source) to '{path}' ({options})")
        return path.read_bytes()


def write_with_polars(table: pa.Table, row_group_size: int) -> bytes:
    """Write with Polars."""
    sink = io.BytesIO()
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(sink, row_group_size=row_group_size)
    return sink.getvalue()


def write_with_fastparquet(table: pa.Table, row_group_size: int) -> bytes:
    """Write with fastparquet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.parquet"
        starts = list(range(0, table.num_rows, row_group_size))
        fastparquet.write(str(path), table.to_pandas(), row_group_offsets=starts)
        return path.read_bytes()


write_options: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "row_group_size": st.integers(1, 60),
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip", "brotli", "lz4"]),
        "use_dictionary": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "version": st.sampled_from(["1.0", "2.6"]),
        "write_page_index": st.booleans(),
        "write_statistics": st.booleans(),
        "store_schema": st.booleans(),
        "data_page_size": st.sampled_from([None, 64]),
        "sorting_columns": st.sampled_from([None, [pq.SortingColumn(0, descending=True, nulls_first=False)]]),
    }
)
