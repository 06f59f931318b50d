"""Columns, types and sample rows of what was stored."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from kumoapi.json_serde import from_json
from kumoapi.source_table import SourceTableDataResponse
from local_client import CSV, PARQUET, VALIDATE, Client, running
from local_files import parquet


async def look(client: Client, name: str, rows: int = 0, connector: str = PARQUET) -> Any:
    answer = await client.data(name, connector=connector, rows=rows)
    assert answer.status == 200, answer.text
    (table,) = answer.json
    return from_json(table, SourceTableDataResponse)


async def head(client: Client, name: str, rows: int = 5, connector: str = PARQUET) -> pd.DataFrame:
    """Read sample rows exactly as the official SDK does."""
    table = await look(client, name, rows, connector)
    return pd.read_json(io.StringIO(table.sample_rows), orient="table")


@pytest.mark.parametrize(
    ("kind", "dtype", "stype"),
    [
        (pa.bool_(), "bool", "categorical"),
        (pa.int8(), "byte", "numerical"),
        (pa.int16(), "int16", "numerical"),
        (pa.int32(), "int32", "numerical"),
        (pa.int64(), "int64", "numerical"),
        (pa.float32(), "float32", "numerical"),
        (pa.float64(), "float64", "numerical"),
        (pa.string(), "string", "text"),
        (pa.binary(), "binary", "categorical"),
        (pa.date32(), "date", "timestamp"),
        (pa.timestamp("ms"), "time", "timestamp"),
        (pa.timestamp("us", "Europe/Berlin"), "time", "timestamp"),
        (pa.decimal128(18, 2), "float64", "numerical"),
        (pa.list_(pa.int8()), "intlist", "sequence"),
        (pa.list_(pa.float32()), "floatlist", "sequence"),
        (pa.dictionary(pa.int32(), pa.string()), "string", "text"),
        (pa.uint8(), "unsupported", "unsupported"),
        (pa.null(), "unsupported", "unsupported"),
        (pa.time64("us"), "unsupported", "unsupported"),
        (pa.duration("s"), "unsupported", "unsupported"),
        (pa.large_string(), "unsupported", "unsupported"),
        (pa.list_(pa.string()), "unsupported", "unsupported"),
        (pa.list_(pa.uint8()), "unsupported", "unsupported"),
        (pa.struct([("a", pa.int8())]), "unsupported", "unsupported"),
    ],
    ids=str,
)
async def test_every_type_has_its_name_and_even_unsupported_ones_have_sample_rows(
    kind: pa.DataType, dtype: str, stype: str
) -> None:
    table = pa.table({"a": pa.nulls(2, kind)})
    async with running() as client:
        await client.upload("users", parquet(table))
        (column,) = (await look(client, "users")).cols
        assert (column.name, column.dtype, column.stype, column.is_primary) == ("a", dtype, stype, False)
        assert (await head(client, "users"))["a"].isna().all()


VALUES: list[tuple[pa.Array, list[object]]] = [
    (pa.array([1, -5], pa.int8()), [1, -5]),
    (pa.array([2**62 + 1, -(2**63)]), [2**62 + 1, -(2**63)]),
    (pa.array([2**62 + 1, None]), [2**62 + 1, None]),
    (pa.array([1, None]), [1, None]),
    (pa.array([0.1, float("nan"), None]), [0.1, None, None]),
    (pa.array([float("inf"), -float("inf")]), [float("inf"), -float("inf")]),
    (pa.array([1.5, None], pa.float32()), [1.5, None]),
    (pa.array([True, None]), [True, None]),
    (pa.array([True, False]), [True, False]),
    (pa.array(["00501", 'quote " and \n', "\u00e9", None]), ["00501", 'quote " and \n', "\u00e9", None]),
    (pa.array(["2024-01-01", "1e5", "true", "null"]), ["2024-01-01", "1e5", "true", "null"]),
    (pa.array([b"abc", b"\xff", None]), ["abc", "\\xff", None]),
    (pa.array([dt.date(2024, 2, 29), None]), [pd.Timestamp("2024-02-29"), None]),
    (pa.array([dt.date(9999, 12, 31)]), ["9999-12-31"]),
    (
        pa.array([1577934245123456789, None], pa.timestamp("ns")),
        [pd.Timestamp("2020-01-02 03:04:05.123456789"), None],
    ),
    (pa.array([dt.datetime(2020, 1, 2, 3, 4, 5, 123456)]), [pd.Timestamp("2020-01-02 03:04:05.123456")]),
    (pa.array([dt.datetime(1, 1, 1)], pa.timestamp("s")), ["0001-01-01T00:00:00.000"]),
    (
        pa.array([dt.datetime(2020, 7, 1, 12)], pa.timestamp("us", "Europe/Berlin")),
        [pd.Timestamp("2020-07-01 14:00", tz="Europe/Berlin")],
    ),
    (pa.array([dt.datetime(2020, 7, 1)], pa.timestamp("ms", "+02:00")), [pd.Timestamp("2020-07-01", tz="UTC")]),
    (pa.array([Decimal("1.25"), None]), [1.25, None]),
    (pa.array([[1, 2], None, []]), [[1, 2], None, []]),
    (pa.array([[0.5, 1.0]], pa.list_(pa.float32())), [[0.5, 1.0]]),
    (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    (pa.array([{"x": dt.date(2024, 1, 1)}]), [{"x": "2024-01-01"}]),
    (pa.array([2**64 - 1, None], pa.uint64()), [str(2**64 - 1), None]),
]


@pytest.mark.parametrize(("array", "expected"), VALUES, ids=lambda value: str(getattr(value, "type", "")))
async def test_sample_rows_give_back_the_values(array: pa.Array, expected: list[object]) -> None:
    async with running() as client:
        await client.upload("users", parquet({"a": array}))
        values = (await head(client, "users"))["a"].tolist()
        assert [
            None if not isinstance(value, list | dict) and pd.isna(value) else value for value in values
        ] == expected


async def test_odd_and_repeated_names_have_their_rows() -> None:
    names = ["index", "level_0", "a b", "", "a", "a", "a_1", "\u00e9", "date", "created_at"]
    table = pa.Table.from_arrays([pa.array([number]) for number in range(len(names))], names=names)
    async with running() as client:
        await client.upload("users", parquet(table))
        assert [column.name for column in (await look(client, "users")).cols] == names
        frame = await head(client, "users")
        assert frame.iloc[0].tolist() == list(range(len(names)))
        assert len(set(frame.columns)) == len(names)


async def test_partitions_are_read_as_one_table_in_their_order() -> None:
    async with running() as client:
        for number in (10, 2, 1, 10_000):
            body = parquet({"a": [number] * 3})
            await client.upload(f"users.parquet/part_{number:04d}.parquet", body)
        assert (await head(client, "users", 10))["a"].tolist() == [1, 1, 1, 2, 2, 2, 10, 10, 10, 10_000]
        assert (await head(client, "users", 4))["a"].tolist() == [1, 1, 1, 2]
        assert (await head(client, "users", 1000)).shape == (12, 1)
        assert (await head(client, "users.parquet/part_0002.parquet"))["a"].tolist() == [2, 2, 2]


async def test_no_rows_are_sent_unless_asked_for_and_a_table_may_have_none() -> None:
    async with running() as client:
        await client.upload("users", parquet({"a": pa.array([], pa.int64())}))
        assert (await look(client, "users")).sample_rows is None
        assert (await head(client, "users")).shape == (0, 1)


async def test_several_tables_or_all_are_described_in_one_call() -> None:
    async with running() as client:
        for name in ("b", "a"):
            await client.upload(name, parquet({name: [1]}))
        assert [table["table_name"] for table in (await client.data("b", "a")).json] == ["b", "a"]
        table = {"s3_root_dir": "", "connector_id": PARQUET, "source_type": "S3"}
        answer = await client.post("/source_tables/get_table_data", {"source_table_request": table})
        assert [table["table_name"] for table in answer.json] == ["a", "b"]
        assert (await client.data("a", "c")).status == 404


async def test_a_file_that_cannot_be_read_is_refused_without_its_content() -> None:
    async with running() as client:
        await client.upload("users", b"secret value")
        await client.upload("users", b"a,b\n1,2\nsecret\n", connector=CSV)
        for connector in (PARQUET, CSV):
            answer = await client.data("users", connector=connector)
            assert answer.status == 400
            assert "cannot be read" in answer.json["detail"]
            assert "secret" not in answer.text


async def csv_head(body: str | bytes, rows: int = 5) -> tuple[dict[str, str], dict[str, list[object]]]:
    async with running() as client:
        await client.upload("users", body if isinstance(body, bytes) else body.encode(), connector=CSV)
        columns = {column.name: str(column.dtype) for column in (await look(client, "users", 0, CSV)).cols}
        frame = await head(client, "users", rows, CSV)
        return columns, {name: [None if pd.isna(v) else v for v in frame[name]] for name in frame.columns}


async def test_csv_types_are_inferred_where_nothing_is_lost() -> None:
    body = (
        "int,float,bool,day,moment,zip,long,time,text,empty,na\n"
        "1,0.5,true,2024-01-31,2024-01-31 01:02:03,00501,12345678901234567890,12:30:00,x,,NA\n"
        '-2,,false,2024-02-01,2024-02-01T00:00:00,10001,5,13:30:00,"a ""b""\n,c",,1\n'
    )
    columns, values = await csv_head(body)
    assert columns == {
        "int": "int64",
        "float": "float64",
        "bool": "bool",
        "day": "date",
        "moment": "time",
        "zip": "string",
        "long": "string",
        "time": "string",
        "text": "string",
        "empty": "string",
        "na": "string",
    }
    assert values["zip"] == ["00501", "10001"]
    assert values["long"] == ["12345678901234567890", "5"]
    assert values["text"] == ["x", 'a "b"\n,c']
    assert values["float"] == [0.5, None]
    assert values["day"] == [pd.Timestamp("2024-01-31"), pd.Timestamp("2024-02-01")]
    assert values["empty"] == [None, None]
    assert values["na"] == ["NA", "1"]


@pytest.mark.parametrize(
    ("body", "columns", "values"),
    [
        (b'\xef\xbb\xbf"a",b\r\n1,x\r\n', {"a": "int64", "b": "string"}, {"a": [1], "b": ["x"]}),
        ("a,b\n1,x", {"a": "int64", "b": "string"}, {"a": [1], "b": ["x"]}),
        ("a,b\n", {"a": "string", "b": "string"}, {"a": [], "b": []}),
        ("a,b", {"a": "string", "b": "string"}, {"a": [], "b": []}),
        ('"a\nb",c\n1,2\n', {"a\nb": "int64", "c": "int64"}, {"a\nb": [1], "c": [2]}),
        ("a,b\n0,0.5\n-0.25,00.5\n", {"a": "float64", "b": "string"}, {"a": [0.0, -0.25], "b": ["0.5", "00.5"]}),
    ],
)
async def test_csv_files_of_many_kinds_are_read(
    body: str | bytes, columns: dict[str, str], values: dict[str, list[object]]
) -> None:
    assert await csv_head(body) == (columns, values)


async def test_of_a_large_csv_only_the_first_block_is_read() -> None:
    # In the second block there is something that could not be read at all.
    good = b"a,b\n" + b'1,"x\n"\n' * 200_000
    columns, values = await csv_head(good + b"1\n", 3)
    assert columns == {"a": "int64", "b": "string"}
    assert values == {"a": [1, 1, 1], "b": ["x\n"] * 3}


async def test_more_of_a_csv_is_read_when_the_first_block_has_too_few_rows() -> None:
    row = b"1," + b"x" * 10_000 + b"\n"
    _, values = await csv_head(b"a,b\n" + row * 300, 250)
    assert len(values["a"]) == 250


async def test_csv_partitions_are_read_as_one_table_with_one_set_of_types() -> None:
    async with running() as client:
        await client.upload("users.csv/part_0001.csv", b"a,b\n1,10001", connector=CSV)
        await client.upload("users.csv/part_0002.csv", b"a,b\n2,00501\n", connector=CSV)
        await client.upload("users.csv/part_0003.csv", b"a,b\nx,1\n", connector=CSV)
        frame = await head(client, "users", 2, CSV)
        assert frame.to_dict("list") == {"a": [1, 2], "b": ["10001", "00501"]}
        assert (await head(client, "users", 3, CSV))["a"].tolist() == ["1", "2", "x"]


async def test_validate_knows_tables_partitions_and_what_is_not_there() -> None:
    async with running() as client:
        await client.upload("users.parquet/part_0001.parquet", b"x")
        for name, there in [("users", True), ("users.parquet/part_0001.parquet", True), ("user", False), ("%", False)]:
            answer = (await client.ask(VALIDATE, table_name=name)).json
            assert answer["is_valid"] is there
            assert bool(answer["msg"]) is not there
        assert (await client.ask(VALIDATE, CSV, table_name="users")).json["is_valid"] is False
