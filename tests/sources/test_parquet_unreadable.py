"""Columns whose type pyarrow cannot read: refused by name, beside all others that are to be changed."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parquet_edits import with_footer
from parquet_files import fastparquet, load, write

import kumo_async
from kumo_async.formats import thrift
from kumo_async.formats.arrow_wide import with_narrow_integers
from kumo_async.formats.parquet_footer import SCHEMA
from kumo_async.formats.parquet_schema import ParquetError
from kumo_async.formats.parquet_unreadable import decide_columns

NAME, DATE = 4, 6
Connector = kumo_async.FileUploadConnector

WIDE = pl.DataFrame(
    {
        "id": [1, 2],
        "big": pl.Series([1, None], dtype=pl.Int128),
        "bigger": pl.Series([1, 2**100], dtype=pl.UInt128),
        "many": pl.Series([[1], None], dtype=pl.List(pl.Int128)),
        "both": pl.Series([{"x": 1}, None], dtype=pl.Struct({"x": pl.Int128})),
        "wait": pl.Series([1, 2]).cast(pl.Duration("us")),
        "count": pl.Series([1, 2], dtype=pl.UInt64),
    }
)


async def refused(parquet: Connector, path: Path, **options: object) -> list[tuple[str, str]]:
    """The columns that the refusal of a file names, and their types."""
    with pytest.raises(kumo_async.SourceError) as raised:
        await parquet.upload_async("t", path, options=kumo_async.UploadOptions(**options))  # type: ignore[arg-type]
    columns = raised.value.columns or ()
    assert all(f"{column.name!r} is {column.type}: {column.remedy}." in str(raised.value) for column in columns)
    return [(column.name, column.type) for column in columns]


@pytest.mark.parametrize("validate", ["fast", "full"])
async def test_integers_of_128_bits_are_refused_by_name(parquet: Connector, tmp_path: Path, validate: str) -> None:
    WIDE.write_parquet(tmp_path / "t.parquet")
    assert await refused(parquet, tmp_path / "t.parquet", validate=validate) == [
        ("big", "int128"),
        ("bigger", "uint128"),
        ("many", "large_list<element: int128>"),
        ("both", "struct<x: int128>"),
        ("wait", "duration[us]"),
    ]


async def test_labels_that_do_not_go_with_their_type_are_refused_by_name(parquet: Connector, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"id": range(3), "code": ["ab", "cd", "ef"], "at": pd.to_timedelta([1, 2, 3], "s")})
    fastparquet.write(path, frame, fixed_text={"code": 2})
    kind = "unreadable (UTF8 can only annotate BYTE_ARRAY fields)"
    assert await refused(parquet, path) == [("code", kind), ("at", "time64[us]")]


async def test_labels_are_found_in_nested_fields_and_among_many_columns(parquet: Connector, tmp_path: Path) -> None:
    source = write(pa.table({f"c{number}": [number] for number in range(1_000)} | {"s": [{"x": 1, "y": 2}], "z": [1]}))
    footer = load(source)
    elements = thrift.structs(footer.data, footer.fields, SCHEMA, 2_000)
    # A date has 32 bits, and these have 64.
    patches = [(elements[at][NAME][3],) * 2 + (b"\x25" + thrift.write_integer(DATE),) for at in (8, 500, 1_002)]
    path = tmp_path / "t.parquet"
    path.write_bytes(with_footer(source, patches))
    assert [name for name, _ in await refused(parquet, path)] == ["c7", "c499", "s"]


async def test_intervals_are_refused_as_durations_are(parquet: Connector, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    duckdb.execute(f"copy (select 1 as id, interval 3 days as wait) to '{path}' (format parquet)")
    assert await refused(parquet, path) == [("wait", "interval")]


@pytest.mark.parametrize("columns", [{"a": [1], "b": [2]}, {}], ids=["two columns", "none"])
def test_a_schema_without_a_column_to_blame_is_refused_as_a_whole(columns: dict[str, list[int]]) -> None:
    source = write(pa.table(columns))
    (_, value), *_ = load(source).key_value_metadata
    assert value is not None
    with pytest.raises(ParquetError, match="pyarrow cannot read its schema"):
        decide_columns(load(source.replace(value, b"A" * len(value))))


@pytest.mark.parametrize("columns", [{"a": [1], "b": [2]}, {}], ids=["two columns", "none"])
def test_no_column_is_blamed_for_the_root_of_the_schema(columns: dict[str, list[int]]) -> None:
    source = write(pa.table(columns), store_schema=False)
    footer = load(source)
    root = thrift.structs(footer.data, footer.fields, SCHEMA, 3)[0]
    end = max(span[3] for span in root.values())
    # A label that no group of fields may have.
    patched = with_footer(source, [(end, end, b"\x15" + thrift.write_integer(DATE))])
    with pytest.raises(ParquetError, match="pyarrow cannot read its schema"):
        decide_columns(load(patched))


def wide_schema() -> bytes:
    """The schema of Arrow that Polars writes into a file."""
    sink = io.BytesIO()
    WIDE.write_parquet(sink)
    (_, value), *_ = load(sink.getvalue()).key_value_metadata
    return base64.b64decode(value or b"")


SCHEMA_OF_POLARS = wide_schema()


def test_integers_are_narrowed_and_nothing_else() -> None:
    narrowed, found = with_narrow_integers(SCHEMA_OF_POLARS)
    assert found == {1: "int128", 2: "uint128", 3: "int128", 4: "int128"}
    assert sum(a != b for a, b in zip(narrowed, SCHEMA_OF_POLARS, strict=True)) == 4
    kinds = ["int64", "int64", "uint64", "large_list<item: int64>", "struct<x: int64>", "duration[us]", "uint64"]
    assert [str(kind) for kind in pa.ipc.read_schema(pa.py_buffer(narrowed)).types] == kinds


@given(st.integers(0, len(SCHEMA_OF_POLARS) - 1), st.binary(min_size=1, max_size=8), st.integers(0, 400))
def test_damaged_schemas_are_left_alone_or_narrowed(at: int, damage: bytes, end: int) -> None:
    damaged = (SCHEMA_OF_POLARS[:at] + damage + SCHEMA_OF_POLARS[at + len(damage) :])[:end]
    narrowed, found = with_narrow_integers(damaged)
    assert len(narrowed) == len(damaged)
    assert bool(found) == (narrowed != damaged)
