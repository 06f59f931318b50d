"""Whatever in a file's metadata repeats a column that was renamed or cast: rewritten, or dropped with a note."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parquet_edits import metas, with_footer
from parquet_files import load, write
from parquet_uploads import joined, small

import kumo_async
from kumo_async.formats import thrift
from kumo_async.formats.key_values import NameIndex
from kumo_async.formats.parquet import Footer
from kumo_async.formats.parquet_columns import META_DATA
from kumo_async.formats.thrift import STRUCT, write_binary, write_list
from kumo_async.local import LocalDataPlane

Connector = kumo_async.FileUploadConnector

SPARK = "org.apache.spark.sql.parquet.row.metadata"


def spark_field(name: str, kind: Any, **metadata: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


def spark_schema(*fields: dict[str, Any]) -> str:
    """A schema as Spark writes it: `StructType.json`, without blanks."""
    return json.dumps({"type": "struct", "fields": list(fields)}, separators=(",", ":"))


def as_spark_does(table: pa.Table, *fields: dict[str, Any], **more: str) -> bytes:
    """Write a table with Spark's entries of the metadata, and without Arrow's."""
    entries = {"org.apache.spark.version": "3.5.1", SPARK: spark_schema(*fields), **more}
    metadata = {key: value.encode() for key, value in entries.items()}
    return write(table, metadata, store_schema=False, row_group_size=100)


async def stored(
    plane: LocalDataPlane, parquet: Connector, path: Path, source: bytes, size: int | None = None
) -> tuple[list[Path], kumo_async.UploadReport]:
    path.write_bytes(source)
    report = await parquet.upload_async("t", path, options=small(size))
    return plane.table_files("t", "parquet"), report


def entries(file: Path) -> dict[bytes, bytes]:
    return dict(pq.read_metadata(file).metadata or {})


@pytest.mark.parametrize("size", [None, 4_000])
async def test_the_schema_of_spark_has_the_new_names(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, size: int | None
) -> None:
    table = pa.table({"user id": range(500), "full.name": ["x"] * 500, "plain": [1.5] * 500})
    fields = [spark_field("user id", "long"), spark_field("full.name", "string"), spark_field("plain", "double")]
    source = as_spark_does(table, *fields)
    files, report = await stored(plane, parquet, tmp_path / "t.parquet", source, size)
    assert (len(files) > 1) == (size is not None)
    for file in files:
        found = entries(file)
        names = [field["name"] for field in json.loads(found[SPARK.encode()])["fields"]]
        assert names == pq.read_schema(file).names == ["user_id", "full_name", "plain"]
        assert found[b"org.apache.spark.version"] == b"3.5.1"
    assert report.warnings == ()


async def test_the_schema_of_spark_has_the_new_types(plane: LocalDataPlane, parquet: Connector, tmp_path: Path) -> None:
    price = pa.array([1, 2], pa.decimal128(38, 0))
    table = pa.table({"price": price, "id": [1, 2], "list": pa.array([[1], []], pa.list_(pa.uint32()))})
    array = {"type": "array", "elementType": "long", "containsNull": True}
    fields = [spark_field("price", "decimal(38,0)"), spark_field("id", "long"), spark_field("list", array)]
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", as_spark_does(table, *fields))
    types = {field["name"]: field["type"] for field in json.loads(entries(file)[SPARK.encode()])["fields"]}
    assert types == {"price": "decimal(18,0)", "id": "long", "list": array}
    assert pq.read_schema(file).field("price").type == pa.decimal128(18, 0)
    assert len(report.warnings) == 1


async def test_what_spark_says_of_a_column_besides_goes_where_it_names_one(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    fields = [
        spark_field("user id", "long", ml_attr={"name": "user id"}),
        spark_field("b", "long", comment="of user id"),
        spark_field("c", "long", comment="free"),
    ]
    source = as_spark_does(pa.table({"user id": [1], "b": [1], "c": [1]}), *fields)
    (file,), _ = await stored(plane, parquet, tmp_path / "t.parquet", source)
    found = json.loads(entries(file)[SPARK.encode()])["fields"]
    assert [field["metadata"] for field in found] == [{}, {}, {"comment": "free"}]


OTHERS: dict[str, str] = {
    "geo": json.dumps({"version": "1.0.0", "primary_column": "user id", "columns": {"user id": {"encoding": "WKB"}}}),
    "huggingface": json.dumps({"info": {"features": {"user id": {"dtype": "int64", "_type": "Value"}}}}),
    "parquet.avro.schema": json.dumps({"type": "record", "fields": [{"name": "user id", "type": "long"}]}),
    "iceberg.schema": json.dumps({"type": "struct", "fields": [{"id": 1, "name": "user id", "type": "long"}]}),
    "spark of old": "StructType(List(StructField(user id,LongType,true)))",
    "unicode": '{"n": "user\\u0020id"}',
    "base64": base64.b64encode(pa.schema({"user id": pa.int64()}).serialize().to_pybytes()).decode(),
    "r": "A\n3\n262658\n197888\n5\nUTF-8\n531\n2\n16\n1\n262153\n7\nuser id\n",
    "unit of user id": "kg",
    "list": "user id,b",
}
KEPT = {"writer.model.name": "example", "note": "for the user with id", "empty": "", "json": '{"user": "id"}'}


@pytest.mark.parametrize("size", [None, 4_000])
@pytest.mark.parametrize("store_schema", [True, False])
async def test_entries_of_other_forms_go_where_a_renamed_column_stands_in_them(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, store_schema: bool, size: int | None
) -> None:
    table = pa.table({"user id": range(300), "b": np.random.default_rng(1).random(300)})
    metadata = {key: value.encode() for key, value in (OTHERS | KEPT).items()}
    source = write(table, metadata, store_schema=store_schema, row_group_size=50)
    files, report = await stored(plane, parquet, tmp_path / "t.parquet", source, size)
    (note,) = report.warnings
    assert all(repr(key) in note for key in OTHERS)
    for file in files:
        found = entries(file)
        found.pop(b"ARROW:schema", None)
        assert found == {key.encode(): value.encode() for key, value in KEPT.items()}
        # No place of the footer has the name, in whatever form.
        assert b"user id" not in file.read_bytes()


async def test_entries_go_where_a_cast_column_stands_in_them(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    features = {"n": {"dtype": "uint32", "_type": "Value"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}).encode(), "other": b"me"}
    source = write(pa.table({"n": pa.array([1], pa.uint32()), "id": [1]}), metadata)
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", source)
    assert entries(file).keys() == {b"other", b"ARROW:schema"}
    assert any("'huggingface'" in warning for warning in report.warnings)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.large_list(pa.int64())], ids=str)
async def test_what_is_only_made_regular_drops_nothing(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, kind: pa.DataType
) -> None:
    source = write(pa.table({"n": pa.array([None], kind)}), {"geo": b'{"columns": {"n": 1}}'})
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", source)
    assert entries(file)[b"geo"] == b'{"columns": {"n": 1}}'
    assert report.warnings == ()


async def test_nothing_changes_where_no_column_does(plane: LocalDataPlane, parquet: Connector, tmp_path: Path) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), metadata={"k": "id"})], metadata={"huggingface": "id"})
    source = write(pa.table({"id": [1]}, schema=schema), {"geo": b"id", SPARK: b"{ }"})
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", source)
    assert file.read_bytes() == source
    assert report.warnings == ()


async def test_metadata_of_arrows_schema_and_fields_follow_the_rule(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    fields = [
        pa.field("user id", pa.int64(), metadata={"unit": "m", "source": "user id"}),
        pa.field("b", pa.int64(), metadata={"of": "user id", "unit": "s"}),
    ]
    schema = pa.schema(fields, metadata={"huggingface": '{"features": {"user id": 1}}', "who": "me"})
    source = write(pa.table({"user id": [1], "b": [2]}, schema=schema))
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", source)
    found = pq.read_schema(file)
    assert found.metadata == {b"who": b"me"}
    assert [field.metadata for field in found] == [{b"unit": b"m"}, {b"unit": b"s"}]
    assert "'huggingface'" in report.warnings[0]
    assert "'source'" in report.warnings[0]


async def test_pandas_reads_renamed_and_cast_columns_as_they_are_now(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    frame = pd.DataFrame(
        {
            "user id": pd.array([1, None], dtype="UInt32"),
            "plain": pd.array([1, 2], dtype="uint8"),
            "nothing": [None, None],
            "arrow": pd.array([1, None], dtype="uint32[pyarrow]"),
            "half": np.array([1.5, 2.5], np.float16),
        },
        index=pd.Index(["x", "y"], name="key one"),
    )
    frame.attrs = {"about": "user id"}
    sink = io.BytesIO()
    frame.to_parquet(sink)
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", sink.getvalue())
    found = pd.read_parquet(io.BytesIO(file.read_bytes()))
    assert found.index.name == "key_one"
    assert found.dtypes.astype(str).to_dict() | {"nothing": ""} == {
        "user_id": "Int64",
        "plain": "int16",
        "nothing": "",
        "arrow": "int64[pyarrow]",
        "half": "float32",
    }
    assert found["user_id"].tolist() == [1, pd.NA]
    assert found["nothing"].isna().all()
    assert b"user id" not in file.read_bytes()
    assert "'PANDAS_ATTRS'" in " ".join(report.warnings) or b"PANDAS_ATTRS" not in sink.getvalue()


async def test_encoded_partitions_keep_the_same_entries_as_copied_ones(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    random = np.random.default_rng(1).random(40_000)
    table = pa.table({"user id": random})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        for start, stop in ((0, 100), (100, 39_900), (39_900, 40_000)):
            writer.write_table(table.slice(start, stop - start))
        fields = spark_schema(spark_field("user id", "double"))
        writer.add_key_value_metadata({SPARK: fields, "geo": "user id", "keep": "me"})
    files, _ = await stored(plane, parquet, tmp_path / "t.parquet", sink.getvalue(), 100_000)
    assert len(files) > 2
    found = [entries(file) for file in files]
    assert all(each == found[0] for each in found)
    assert found[0].keys() == {b"ARROW:schema", SPARK.encode(), b"keep"}
    assert joined(files).column(0).to_pylist() == random.tolist()


async def test_a_table_that_is_all_encoded_keeps_the_entries_of_the_file(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    table = pa.table({"n": pa.array([1], pa.uint32()), "user id": [1]})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SPARK: spark_schema(spark_field("user id", "long")), "keep": "me"})
    (file,), _ = await stored(plane, parquet, tmp_path / "t.parquet", sink.getvalue())
    assert entries(file)[b"keep"] == b"me"
    assert json.loads(entries(file)[SPARK.encode()])["fields"][0]["name"] == "user_id"


async def test_polars_reads_what_is_renamed_under_its_own_entries(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    sink = io.BytesIO()
    pl.DataFrame({"user id": [1], "n": ["x"]}).write_parquet(sink, metadata={"columns": "user id"})
    (file,), report = await stored(plane, parquet, tmp_path / "t.parquet", sink.getvalue())
    assert pl.read_parquet(file).columns == ["user_id", "n"]
    assert "'columns'" in report.warnings[0]
    assert b"user id" not in load(file.read_bytes()).data
    # Polars writes a copy of what the footer says of a column after its pages, and its place as a file offset.
    assert pq.read_metadata(io.BytesIO(sink.getvalue())).row_group(0).column(0).file_offset > 0
    assert pq.read_metadata(file).row_group(0).column(0).file_offset == 0


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ('{"a": 1}', "a", True),
        ('{"ab": 1}', "a", False),
        ("x_a", "a", False),
        ('{"a": ""}', "", True),
        ('{"a": " "}', "", False),
        ("100 %", "%", False),
        ('["%"]', "%", True),
        ("['.']", ".", True),
        ("a.b.c", "a.b", True),
        ("ab a-b", "a-b", True),
        ("xa-by", "a-b", False),
        ('{"n": "\\u0438\\u043c\\u044f"}', "имя", True),
        ('{"n": "a\\"b"}', 'a"b', True),
        ("[" * 100_000, "a", False),
        ("9" * 10_000, "a", False),
    ],
)
def test_where_a_name_stands_in_a_value(text: str, name: str, found: bool) -> None:
    assert NameIndex([name]).stand_in(text.encode()) is found


@given(st.text(min_size=1), st.text(), st.binary(max_size=20))
def test_a_name_in_json_is_found_however_it_is_written(name: str, other: str, noise: bytes) -> None:
    for ascii_only in (True, False):
        document = json.dumps({"columns": [{other: 1}, {name: noise.hex()}]}, ensure_ascii=ascii_only)
        assert NameIndex([name, "x" * 50]).stand_in(document.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("value", [b"a" * 10**6, b"a b " * 250_000, b'{"a b":' * 100_000, b"[" * 10**6])
def test_many_names_and_large_values_take_no_time_to_speak_of(value: bytes) -> None:
    NameIndex(f"c {number}" for number in range(2_000)).stand_in(value)
    assert NameIndex(["y"]).stand_in(b"x" * (16 * 1024 * 1024 + 1))


@pytest.mark.parametrize("size", [None, 2_000])
async def test_entries_of_single_columns_go_with_their_old_names(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, size: int | None
) -> None:
    source = write(pa.table({"user id": range(300), "plain": range(300)}), row_group_size=100)
    footer = load(source)
    entry = write_list(STRUCT, [b"\x18" + write_binary(b"unit") + b"\x18" + write_binary(b"user id: kg") + b"\0"])
    patches = []
    for _, meta in metas(footer):
        # Between the size, field 7, and the place of the first page, field 9, which then is one field further.
        _, head, start, _ = meta[9]
        patches.append((head, start, b"\x19" + entry + bytes([footer.data[head] - 0x10])))
    files, _ = await stored(plane, parquet, tmp_path / "t.parquet", with_footer(source, patches), size)
    assert joined(files).column_names == ["user_id", "plain"]
    found = [8 in meta for file in files for _, meta in full_metas(load(file.read_bytes()))]
    assert found == [False, True] * 3


def full_metas(footer: Footer) -> Iterator[tuple[thrift.Struct, thrift.Struct]]:
    """Give the fields of all columns and all fields of their metadata."""
    for column, _ in metas(footer):
        yield column, thrift.scan(footer.data, column[META_DATA][2])[0]
