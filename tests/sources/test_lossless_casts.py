"""Columns that another type holds without loss: nulls as text, decimals whose values fit into 18 digits."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from datafusion import SessionContext
from hypothesis import given
from hypothesis import strategies as st
from parquet_files import fastparquet, load
from parquet_uploads import joined, small

import kumo_async
from kumo_async.formats.decimals import Digits
from kumo_async.local import LocalDataPlane

WritesParquet = Callable[..., Path]
Connector = kumo_async.FileUploadConnector


def decimals(*values: str | None, precision: int = 38, scale: int = 2, bits: int = 128) -> pa.Array:
    kind = pa.decimal128(precision, scale) if bits == 128 else pa.decimal256(precision, scale)
    return pa.array([value and Decimal(value) for value in values], kind)


async def test_a_column_of_nulls_becomes_text(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet
) -> None:
    path = write_parquet(pa.table({"nothing": pa.nulls(5), "id": range(5)}), row_group_size=2)
    planned = await parquet.plan_async("t", path)
    report = await parquet.upload_async("t", path)
    assert any("'nothing' from null to string" in warning for warning in report.warnings)
    assert planned.warnings == report.warnings
    (file,) = plane.table_files("t", "parquet")
    assert joined([file]).schema.types == [pa.string(), pa.int64()]
    rows = [(None, number) for number in range(5)]
    content = file.read_bytes()
    path.with_name("found.parquet").write_bytes(content)
    assert [tuple(row.values()) for row in joined([file]).to_pylist()] == rows
    assert pl.read_parquet(io.BytesIO(content)).rows() == rows
    assert duckdb.execute(f"from '{path.with_name('found.parquet')}'").fetchall() == rows
    found = SessionContext().read_parquet(path.with_name("found.parquet")).to_pylist()
    assert [tuple(row.values()) for row in found] == rows
    assert fastparquet.ParquetFile(io.BytesIO(content)).to_pandas()["nothing"].isna().all()


@pytest.mark.parametrize(
    ("column", "target"),
    [
        (decimals("1.25", None, "-9999999999999999.99"), pa.decimal128(18, 2)),
        (decimals("12.5", "-3.25", precision=38, scale=18), pa.decimal128(18, 2)),
        (decimals("0.125", precision=20, scale=20), pa.decimal128(18, 3)),
        (decimals("123456789012345678", precision=38, scale=0), pa.decimal128(18, 0)),
        (decimals("1.5", precision=60, scale=30, bits=256), pa.decimal128(18, 1)),
        (decimals("1.5", precision=40, scale=3, bits=256), pa.decimal128(18, 3)),
        (decimals(None, None), pa.decimal128(18, 2)),
        (decimals("0", None, scale=38), pa.decimal128(18, 1)),
    ],
    ids=["scale", "fraction", "scale over 18", "18 digits", "256 bits, scale over 18", "256 bits", "nulls", "zero"],
)
@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("validate", ["fast", "full"])
async def test_decimals_whose_values_fit_become_narrower(
    plane: LocalDataPlane,
    parquet: Connector,
    write_parquet: WritesParquet,
    column: pa.Array,
    target: pa.DataType,
    statistics: bool,
    validate: Any,
) -> None:
    path = write_parquet(pa.table({"a price": column}), row_group_size=1, write_statistics=statistics)
    report = await parquet.upload_async("t", path, options=small(None, validate=validate))
    assert any(f"'a price' from {column.type} to {target}" in warning for warning in report.warnings)
    found = joined(plane.table_files("t", "parquet"))
    assert found.schema.types == [target]
    assert found.column(0).to_pylist() == column.to_pylist()


@pytest.mark.parametrize("scale", [0, 10, 18])
@pytest.mark.parametrize("statistics", [True, False])
async def test_decimals_that_do_not_fit_are_refused_before_anything_is_sent(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet, statistics: bool, scale: int
) -> None:
    long = "1" * 19 if scale == 0 else "123456789.1234567891"
    column = decimals("1", "2", "3", long, scale=scale)
    path = write_parquet(pa.table({"price": column}), row_group_size=2, write_statistics=statistics)
    with pytest.raises(
        kumo_async.SourceError, match=r"'price' is decimal128\(38, \d+\).*row group 1.*18 digits"
    ) as raised:
        await parquet.upload_async("t", path)
    assert long not in f"{raised.value} {raised.value.__cause__}"
    assert "cast it to double or string" in str(raised.value)
    assert plane.calls == []


async def test_an_option_refuses_these_casts(parquet: Connector, write_parquet: WritesParquet) -> None:
    path = write_parquet(pa.table({"nothing": pa.nulls(1), "price": decimals("1")}))
    with pytest.raises(kumo_async.SourceError) as raised:
        await parquet.upload_async("t", path, options=kumo_async.UploadOptions(on_unsupported="error"))
    remedies = {column.name: column.remedy for column in raised.value.columns or ()}
    assert remedies.keys() == {"nothing", "price"}
    assert "cast it to string" in remedies["nothing"]
    assert "cast it to decimal128(18, 2)" in remedies["price"]
    assert all("on_unsupported" in remedy for remedy in remedies.values())


async def test_sums_of_duckdb_and_its_nulls_go_up(plane: LocalDataPlane, parquet: Connector, tmp_path: Path) -> None:
    query = "select range as id, sum(range::decimal(10, 2)) as total, null as nothing from range(9) group by range"
    duckdb.execute(f"copy ({query} order by id) to '{tmp_path}/t.parquet' (format parquet)")
    await parquet.upload_async("t", tmp_path / "t.parquet")
    found = joined(plane.table_files("t", "parquet"))
    assert found.column("total").to_pylist() == [Decimal(number) for number in range(9)]
    assert found.schema.field("total").type.precision == 18


@given(st.lists(st.decimals(-(10**12), 10**12, places=12), min_size=1, max_size=6), st.integers(12, 30))
def test_the_target_holds_every_value_or_there_is_none(values: list[Decimal], scale: int) -> None:
    column = pa.array(values, pa.decimal256(60, scale))
    target = Digits().with_values(column, 18).target(scale, 18)
    digits = [value.normalize().as_tuple() for value in values]
    after = max(max(0, -int(found.exponent)) for found in digits)
    before = max(max(0, len(found.digits) + int(found.exponent)) if any(found.digits) else 0 for found in digits)
    assert (target is not None) == (before + after <= 18)
    if target is not None:
        assert column.cast(target).to_pylist() == column.to_pylist() == values


async def test_statistics_that_lie_are_found_while_values_are_cast(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet
) -> None:
    path = write_parquet(pa.table({"id": [1, 2], "price": decimals("1", "1" * 20)}), use_dictionary=False)
    stored = [int("1" * 20 + "00"), 100]
    source, small_value = path.read_bytes(), stored[1].to_bytes(16, "big")
    large = stored[0].to_bytes(16, "big")
    start = load(source).data_end
    path.write_bytes(source[:start] + source[start:].replace(large, small_value))
    with pytest.raises(kumo_async.SourceError, match="column 'price'") as raised:
        await parquet.upload_async("t", path)
    assert "1" * 20 not in f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"
    assert plane.table_files("t", "parquet") == []
    with pytest.raises(kumo_async.SourceError, match=r"'price' .*row group 0"):
        await parquet.upload_async("t", path, options=kumo_async.UploadOptions(validate="full"))


@pytest.mark.parametrize("validate", ["fast", "full"])
async def test_decimals_and_nulls_of_polars_go_up(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, validate: Any
) -> None:
    prices = pl.Series(["1.25", None, "-3.50"]).cast(pl.Decimal(38, 2))
    frame = pl.DataFrame({"price": prices, "nothing": pl.Series([None] * 3, dtype=pl.Null), "id": range(3)})
    frame.write_parquet(tmp_path / "t.parquet")
    await parquet.upload_async("t", tmp_path / "t.parquet", options=small(None, validate=validate))
    (file,) = plane.table_files("t", "parquet")
    assert joined([file]).schema.types == [pa.decimal128(18, 2), pa.string(), pa.int64()]
    assert pl.read_parquet(file).rows() == frame.rows()
