"""Partitions that are copied and partitions that are encoded have one schema: paths, levels, types, labels, entries."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datafusion import SessionContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parquet_edits import with_footer
from parquet_files import fastparquet, load, page_hashes
from parquet_uploads import hashes, joined, small

import kumo_async
from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import META_DATA, read_row_group
from kumo_async.formats.parquet_footer import SCHEMA
from kumo_async.formats.thrift import write_binary, write_integer, write_list
from kumo_async.local import LocalDataPlane

Connector = kumo_async.FileUploadConnector

REQUIRED, OPTIONAL, REPEATED = 0, 1, 2
INT32, INT64 = 1, 2
LIST = 3
ROWS = 20_000


def element(
    name: str, repetition: int, *, kind: int | None = None, children: int = 0, label: int | None = None
) -> bytes:
    """Encode an element of a schema: a leaf of a physical type, or a group."""
    fields = [(1, kind), (3, repetition), (4, name), (5, children or None), (6, label)]
    encoded, last = b"", 0
    for number, value in fields:
        if value is not None:
            is_text = isinstance(value, str)
            encoded += bytes([(number - last) << 4 | (8 if is_text else 5)])
            encoded += write_binary(value.encode()) if isinstance(value, str) else write_integer(value)
            last = number
    return encoded + b"\0"


@dataclass(frozen=True)
class Form:
    """A way in which writers have described a list.

    Attributes:
        elements: The elements of the schema.
        path: The path of the leaf.
        nullable: Whether the list and its items can be missing: pages depend on that alone.
    """

    elements: list[bytes]
    path: list[str]
    nullable: tuple[bool, bool]


def three_levels(group: str, leaf: str, outer: int = OPTIONAL, inner: int = OPTIONAL, label: int = LIST) -> Form:
    elements = [
        element("arr", outer, children=1, label=label),
        element(group, REPEATED, children=1),
        element(leaf, inner, kind=INT64),
    ]
    return Form(elements, ["arr", group, leaf], (outer == OPTIONAL, inner == OPTIONAL))


def two_levels(leaf: str, outer: int = OPTIONAL) -> Form:
    elements = [element("arr", outer, children=1, label=LIST), element(leaf, REPEATED, kind=INT64)]
    return Form(elements, ["arr", leaf], (outer == OPTIONAL, False))


FORMS = {
    "list.element": three_levels("list", "element"),
    "Arrow of old": three_levels("list", "item"),
    "Spark's legacy and Hive": three_levels("bag", "array"),
    "Thrift and Avro": three_levels("bag", "array_element"),
    "other names": three_levels("x y", "wert"),
    "required items": three_levels("bag", "array", inner=REQUIRED),
    "required list": three_levels("bag", "array", outer=REQUIRED),
    "all required": three_levels("list", "element", REQUIRED, REQUIRED),
    "two levels": two_levels("array"),
    "Thrift of two levels": two_levels("arr_tuple"),
    "two levels, required": two_levels("element", REQUIRED),
    "no list at all": Form([element("arr", REPEATED, kind=INT64)], ["arr"], (False, False)),
}


def mixed(table: pa.Table, **options: Any) -> bytes:
    """Write a large row group between two small ones."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        for start, stop in ((0, 100), (100, table.num_rows - 100), (table.num_rows - 100, table.num_rows)):
            writer.write_table(table.slice(start, stop - start))
    return sink.getvalue()


def with_list(form: Form) -> bytes:
    """Write lists beside numbers, and describe them as another writer does over the same pages."""
    outer, inner = form.nullable
    gaps: list[Any] = [None if outer else [], [7, None] if inner else [7]]
    values = [gaps[row % 2] if row % 5 == 0 else list(range(row, row + row % 4)) for row in range(ROWS)]
    kind = pa.list_(pa.field("element", pa.int64(), inner))
    schema = pa.schema([pa.field("arr", kind, outer), pa.field("value", pa.float64())])
    source = mixed(pa.table({"arr": values, "value": NOISE}, schema=schema), store_schema=False)
    footer = load(source)
    root, *_, value = thrift.structs(footer.data, footer.fields, SCHEMA, 10)
    kept = [thrift.spliced(footer.data, each, {}) for each in (root, value)]
    new = write_list(thrift.STRUCT, [kept[0], *form.elements, kept[1]])
    path = write_list(thrift.BINARY, [write_binary(name.encode()) for name in form.path])
    patches = thrift.changes(footer.fields, {SCHEMA: new})
    for group in footer.row_groups:
        column = read_row_group(footer.data, group.described_at).columns[0]
        patches += thrift.changes(thrift.scan(footer.data, column[META_DATA][2])[0], {3: path})
    return with_footer(source, patches)


NOISE = np.random.default_rng(1).random(ROWS)


def described(file: Path) -> tuple[Any, ...]:
    """What a footer says of the columns, all that readers could compare."""
    footer = load(file.read_bytes())
    found = pq.ParquetFile(file)
    paths = [found.metadata.row_group(n).column(0).path_in_schema for n in range(found.num_row_groups)]
    types = [found.metadata.row_group(n).column(0).physical_type for n in range(found.num_row_groups)]
    elements = footer.data[slice(*footer.fields[SCHEMA][2:])]
    return elements, footer.key_value_metadata, set(paths), set(types), found.schema_arrow


async def uploaded(plane: LocalDataPlane, parquet: Connector, path: Path, source: bytes, size: int) -> list[Path]:
    path.write_bytes(source)
    await parquet.upload_async("t", path, options=small(size))
    files = plane.table_files("t", "parquet")
    assert len(files) > 2
    return files


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
async def test_lists_of_every_writer_have_one_schema_copied_and_encoded(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, form: Form
) -> None:
    source = with_list(form)
    files = await uploaded(plane, parquet, tmp_path / "t.parquet", source, 100_000)
    first, *others = map(described, files)
    assert first[2] == {".".join(form.path)}
    assert all(other == first for other in others)
    expected = pq.ParquetFile(io.BytesIO(source)).read()
    assert joined(files).equals(expected.combine_chunks())
    # The small row groups are the source's own.
    assert hashes(files[:1])[:2] == page_hashes(source)[:2]
    assert hashes(files[-1:])[-2:] == page_hashes(source)[-2:]
    check_readers(tmp_path, files, expected)


def check_readers(folder: Path, files: list[Path], expected: pa.Table) -> None:
    """Read all partitions as one table, as a reader of a folder does."""
    (folder / "table").mkdir()
    for number, file in enumerate(files):
        (folder / "table" / f"{number:04}.parquet").write_bytes(file.read_bytes())
    rows = [tuple(row.values()) for row in expected.to_pylist()]
    with duckdb.connect() as database:
        assert database.sql(f"from '{folder}/table/*.parquet'").fetchall() == rows
    assert SessionContext().read_parquet(folder / "table").to_arrow_table().num_rows == len(rows)
    assert pl.read_parquet(folder / "table" / "*.parquet").rows() == rows


COLUMNS: dict[str, Any] = {
    "date": pa.array([date(2020, 1, 1)] * ROWS),
    "date64": pa.array([date(2020, 1, 1)] * ROWS, pa.date64()),
    **{f"time {unit}": pa.array([1_000] * ROWS, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    "zone": pa.array([1] * ROWS, pa.timestamp("ms", "Europe/Berlin")),
    **{f"decimal {n}": pa.array([Decimal(1)] * ROWS, pa.decimal128(n, 0)) for n in (1, 9, 10, 18)},
    "int8": pa.array([1] * ROWS, pa.int8()),
    "uint8": pa.array([1] * ROWS, pa.uint8()),
    "uint64": pa.array([1] * ROWS, pa.uint64()),
    "text": pa.array(["x"] * ROWS, pa.large_string()),
    "bytes": pa.array([b"x"] * ROWS, pa.binary_view()),
    "dictionary": pa.array(["x"] * ROWS).dictionary_encode(),
    "embedding": pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float32(), 2)),
    "large list": pa.array([[1]] * ROWS, pa.large_list(pa.uint8())),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"] * ROWS)),
    "bool": pa.array([True, None] * (ROWS // 2)),
}
WRITING: dict[str, dict[str, Any]] = {
    "usual": {},
    "bare": {"store_schema": False},
    "old": {"version": "1.0", "store_schema": False},
    "old names of items": {"use_compliant_nested_type": False},
    "decimals as integers": {"store_decimal_as_integer": True},
    "INT96": {"use_deprecated_int96_timestamps": True},
    "INT96, bare": {"use_deprecated_int96_timestamps": True, "store_schema": False},
}


@pytest.mark.parametrize("writing", WRITING.values(), ids=WRITING.keys())
async def test_columns_of_every_type_have_one_schema(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, writing: dict[str, Any]
) -> None:
    table = pa.table({**COLUMNS, "value": NOISE})
    fields = [field.with_nullable(number % 2 == 0 or field.name == "bool") for number, field in enumerate(table.schema)]
    source = mixed(table.cast(pa.schema(fields)), **writing)
    files = await uploaded(plane, parquet, tmp_path / "t.parquet", source, 100_000)
    first, *others = map(described, files)
    assert all(other[:1] + other[1:4] == first[:1] + first[1:4] for other in others)
    assert all(other[4].equals(first[4], check_metadata=True) for other in others)
    assert hashes(files[:1])[:4] == page_hashes(source)[:4]
    expected = pq.ParquetFile(io.BytesIO(source), coerce_int96_timestamp_unit="us").read()
    found = pa.concat_tables([pq.ParquetFile(file, coerce_int96_timestamp_unit="us").read() for file in files])
    for values, wanted in zip(found.columns, expected.columns, strict=True):
        plain = wanted.type.storage_type if isinstance(wanted.type, pa.BaseExtensionType) else wanted.type
        if pa.types.is_dictionary(plain):
            assert values.to_pylist() == wanted.to_pylist()
        else:
            assert values.equals(wanted.cast(plain).cast(values.type))


async def test_decimals_of_another_width_are_encoded_everywhere(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    values = ", ".join(["range::decimal(9, 2) as price", "random() as value"])
    duckdb.execute(f"copy (select {values} from range({ROWS})) to '{tmp_path}/a.parquet' (format parquet)")
    table = pq.read_table(tmp_path / "a.parquet")
    source = mixed(table.set_column(0, "price", table["price"].cast(pa.decimal256(9, 2))), store_schema=False)
    files = await uploaded(plane, parquet, tmp_path / "t.parquet", source, 100_000)
    first, *others = map(described, files)
    assert all(other == first for other in others)
    assert joined(files).to_pydict() == table.to_pydict()


async def test_int96_beside_copied_row_groups_keeps_every_bit(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    times = pa.array(np.arange(ROWS) * 1_000_003 - 5 * 10**17, pa.timestamp("ns"))
    source = mixed(pa.table({"time": times, "value": NOISE}), use_deprecated_int96_timestamps=True)
    path = tmp_path / "t.parquet"
    path.write_bytes(source)
    report = await parquet.upload_async("t", path, options=small(100_000))
    files = plane.table_files("t", "parquet")
    assert len(files) > 2
    assert report.warnings == ()
    assert joined(files).column("time").combine_chunks().equals(times)
    for file in files:
        column = pq.read_metadata(file).row_group(0).column(0)
        assert column.physical_type == "INT96"
        assert column.statistics is None or not column.statistics.has_min_max
    frames = [fastparquet.ParquetFile(io.BytesIO(file.read_bytes())).to_pandas() for file in files]
    assert [value for frame in frames for value in frame["value"]] == NOISE.tolist()
    assert [value for frame in frames for value in frame["time"].astype("int64")] == times.cast("int64").to_pylist()


@given(
    st.sampled_from(sorted(FORMS)),
    st.sampled_from(["arr", "a r r", "_arr", "a.b"]),
    st.sampled_from([70_000, 90_000, 150_000]),
)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_renamed_lists_have_one_schema(form: str, name: str, size: int) -> None:
    given_form = FORMS[form]
    elements = [part.replace(write_binary(b"arr"), write_binary(name.encode())) for part in given_form.elements[:1]]
    renamed = Form([*elements, *given_form.elements[1:]], [name, *given_form.path[1:]], given_form.nullable)
    source = with_list(renamed)
    with TemporaryDirectory() as folder:
        async with LocalDataPlane(root=Path(folder, "plane")) as plane:
            client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
            parquet = kumo_async.FileUploadConnector("parquet", client=client)
            files = await uploaded(plane, parquet, Path(folder, "t.parquet"), source, size)
            first, *others = map(described, files)
            assert all(other == first for other in others)
            assert all(file.stat().st_size <= size for file in files)
            new = "arr" if name != "a.b" and name != "a r r" else name.replace(".", "_").replace(" ", "_")
            assert first[2] == {".".join([new, *given_form.path[1:]])}
            expected = pq.ParquetFile(io.BytesIO(source)).read()
            assert joined(files).column(0).to_pylist() == expected.column(0).to_pylist()


Writes = Callable[..., Path]


@pytest.mark.parametrize("index", [True, False])
async def test_page_indexes_and_statistics_stay_under_another_schema(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, index: bool
) -> None:
    table = pa.table({"when": pa.array([datetime(2020, 1, 1)] * ROWS, pa.timestamp("ms")), "value": NOISE})
    source = mixed(table, write_page_index=index, store_schema=False)
    files = await uploaded(plane, parquet, tmp_path / "t.parquet", source, 100_000)
    for file in files:
        column = pq.read_metadata(file).row_group(0).column(1)
        assert column.has_column_index is index
        assert column.statistics.has_min_max
    path = tmp_path / "one.parquet"
    for file in files:
        path.write_bytes(file.read_bytes())
        found = duckdb.execute(f"select count(*) from '{path}' where value >= 0").fetchall()
        assert found == [(pq.read_metadata(path).num_rows,)]
