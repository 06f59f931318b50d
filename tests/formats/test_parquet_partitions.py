"""Partitions of real files: other readers find the same rows in them, and not one page has changed."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parquet_files import (
    assemble,
    columns_of,
    cut,
    flat_columns,
    load,
    nested_columns,
    page_hashes,
    read,
    read_elsewhere,
    table_of,
    write,
    write_options,
    write_with_duckdb,
    write_with_fastparquet,
    write_with_polars,
)

from kumo_async.formats import parquet_columns
from kumo_async.formats.key_values import Changes
from kumo_async.formats.names import clean_names
from kumo_async.formats.pandas_metadata import rewritten_pandas
from kumo_async.formats.parquet import partition_footer, verify_footer, whole_footer

relaxed = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])

nasty_names = st.one_of(
    st.text(max_size=8), st.sampled_from(["a.b", " ", "", "list", "element", "имя", "x" * 200, "a\0b", '"', "\\"])
)


def _check_parts(source: bytes, parts: list[bytes], names: list[str] | None = None) -> None:
    rows = read(source)
    expected = rows.rename_columns(names) if names else rows
    found = pa.concat_tables(map(read, parts))
    assert found.schema.equals(expected.schema, check_metadata=not names)
    # Values, not arrays: pyarrow makes a dictionary for each row group, and equal ones are not always the same.
    assert [column.to_pylist() for column in found.columns] == [column.to_pylist() for column in expected.columns]
    assert list(chain.from_iterable(map(columns_of, parts))) == columns_of(source)
    assert list(chain.from_iterable(map(page_hashes, parts))) == page_hashes(source)


@relaxed
@given(
    st.lists(st.sampled_from([*flat_columns, *nested_columns]), min_size=1, max_size=5),
    st.integers(1, 120),
    write_options,
    st.integers(1, 30_000),
    st.data(),
)
def test_partitions_are_the_source(
    kinds: list[str], rows: int, options: dict[str, Any], target: int, data: st.DataObject
) -> None:
    old = data.draw(st.lists(nasty_names, min_size=len(kinds), max_size=len(kinds)))
    source = write(table_of(kinds, rows, old), **options)
    names = data.draw(st.sampled_from([None, clean_names(old)]))

    _check_parts(source, cut(source, target, names), names)
    if names:
        footer = load(source)
        whole = source[: footer.data_end] + whole_footer(footer, names)
        verify_footer(whole[footer.data_end :], rows, names)
        _check_parts(source, [whole], names)
        assert load(whole).columns == tuple(names)


@settings(relaxed, max_examples=30)
@given(
    st.lists(st.sampled_from([*flat_columns]), min_size=1, max_size=5),
    st.integers(2, 60),
    write_options,
    st.integers(1, 20_000),
    st.sampled_from(["duckdb", "polars", "fastparquet"]),
)
def test_other_readers_find_the_same_rows(
    kinds: list[str], rows: int, options: dict[str, Any], target: int, reader: str
) -> None:
    # fastparquet has its troubles with the second data page format and with columns of nothing but nulls.
    if reader == "fastparquet":
        options = options | {"data_page_version": "1.0", "version": "2.6", "compression": "snappy"}
        kinds = [kind for kind in kinds if kind != "nulls"] or ["int"]
    source = write(table_of(kinds, rows), **options)
    names = clean_names(load(source).columns)
    assert read_elsewhere(cut(source, target, names), reader) == read_elsewhere([source], reader)


@pytest.mark.parametrize(
    ("writer", "rows", "target"),
    [
        (lambda table: write_with_duckdb(table, 2048), 5_000, 50_000),
        (lambda table: write_with_polars(table, 20), 100, 5_000),
        (lambda table: write_with_fastparquet(table, 20), 100, 12_000),
    ],
    ids=["duckdb", "polars", "fastparquet"],
)
def test_files_of_other_writers(writer: Callable[[pa.Table], bytes], rows: int, target: int) -> None:
    table = table_of([kind for kind in flat_columns if kind != "nulls"], rows)
    source = writer(table)
    footer = load(source)
    names = clean_names(footer.columns)

    parts = cut(source, target, names)

    assert len(parts) > 2
    _check_parts(source, parts, names)
    assert all(len(load(part).row_groups) >= 1 for part in parts)
    # Small gaps are taken along: a row group is one piece of the file, not one for each column.
    assert all(len(group.ranges) == 1 for group in footer.row_groups)


def test_the_usual_column_and_the_general_one_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of([*flat_columns, *nested_columns], 90)
    sources = [write(table, row_group_size=40, write_page_index=index, use_dictionary=index) for index in (True, False)]
    usual = [cut(source, 30_000) for source in sources]
    matched = []
    match = parquet_columns._match_usual
    monkeypatch.setattr(parquet_columns, "_match_usual", lambda data, pos: matched.append(match(data, pos)))
    assert [cut(source, 30_000) for source in sources] == usual
    assert sum(found is not None for found in matched) > len(matched) / 2


def test_page_indexes_are_kept_in_partitions_and_in_whole_files() -> None:
    source = write(table_of(["int", "text"], 50), row_group_size=20, write_page_index=True)
    (part,) = cut(source, 1 << 20, ["a", "b"])
    footer = load(source)
    whole = source[: footer.data_end] + whole_footer(footer, ["a", "b"])

    for file in (part, whole):
        column = pq.read_metadata(io.BytesIO(file)).row_group(2).column(1)
        assert column.has_offset_index
        assert column.has_column_index
        assert read(file).column_names == ["a", "b"]


def _bloom_filters(file: bytes) -> list[bytes]:
    metadata = pq.read_metadata(io.BytesIO(file))
    columns = [metadata.row_group(number).column(0) for number in range(metadata.num_row_groups)]
    return [file[column.bloom_filter_offset :][: column.bloom_filter_length] for column in columns]


def test_bloom_filters_travel() -> None:
    options: dict[str, Any] = {"bloom_filter_options": {"int 0": {"ndv": 20, "fpp": 0.1}}}
    source = write(table_of(["int", "text"], 50), row_group_size=10, **options)
    parts = cut(source, 1_800)
    assert len(parts) > 1
    filters = _bloom_filters(source)
    assert len(set(filters)) == 5
    assert list(chain.from_iterable(map(_bloom_filters, parts))) == filters


def test_no_name_changes_nothing() -> None:
    source = write(table_of(["int", "struct"], 50), row_group_size=20)
    footer = load(source)
    assert whole_footer(footer, footer.columns) == source[footer.data_end :]


def test_names_that_do_not_fit_are_refused() -> None:
    footer = load(write(table_of(["int"], 5)))
    for call in (lambda: whole_footer(footer, ["a", "b"]), lambda: partition_footer(footer, range(1), [])):
        with pytest.raises(ValueError, match="names for 1 columns"):
            call()


def test_arrow_and_pandas_metadata_follow_a_rename() -> None:
    frame = pd.DataFrame({"a b": pd.Categorical(["x", "y"]), "c": [1, 2]}, index=pd.Index([5, 6], name="i d"))
    table = pa.Table.from_pandas(frame)
    fields = [table.schema.field(0).with_metadata({"unit": "m"}), *list(table.schema)[1:]]
    source = write(table.cast(pa.schema(fields, metadata=table.schema.metadata)))

    (part,) = cut(source, 1 << 20, ["a_b", "c", "i_d"])

    schema = read(part).schema
    assert schema.names == ["a_b", "c", "i_d"]
    assert schema.field(0).metadata[b"unit"] == b"m"
    assert pa.types.is_dictionary(schema.field(0).type)
    assert pq.read_table(io.BytesIO(part)).to_pandas().equals(frame.rename(columns={"a b": "a_b"}))
    pandas = json.loads(schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["i_d"]
    assert [column["field_name"] for column in pandas["columns"]] == ["a_b", "c", "i_d"]
    inner = pq.read_metadata(io.BytesIO(part)).metadata[b"ARROW:schema"]
    assert b"a b" not in base64.b64decode(inner)


@pytest.mark.parametrize("broken", [b"", b"!!", b"AAAA", base64.b64encode(b"\xff\xff\xff\xff" + b"\0" * 60)])
def test_an_arrow_schema_that_cannot_be_read_is_dropped_by_a_rename_only(broken: bytes) -> None:
    source = write(table_of(["int"], 5, ["a b"]), {"ARROW:schema": broken, "keep": b"me"}, store_schema=False)
    footer = load(source)
    unchanged = assemble(source, partition_footer(footer, range(1)))
    assert load(unchanged).key_value_metadata == footer.key_value_metadata
    assert pq.read_metadata(io.BytesIO(cut(source, 1 << 20, ["a_b"])[0])).metadata == {b"keep": b"me"}


def test_an_arrow_schema_of_other_columns_is_dropped_by_a_rename() -> None:
    other = pa.schema([("x", "int8"), ("y", "int8")]).serialize().to_pybytes()
    source = write(table_of(["int"], 5, ["a b"]), {"ARROW:schema": base64.b64encode(other)}, store_schema=False)
    (part,) = cut(source, 1 << 20, ["a_b"])
    assert pq.read_metadata(io.BytesIO(part)).metadata is None
    assert read(part).column_names == ["a_b"]


def test_pandas_metadata_is_renamed_by_position() -> None:
    columns = [{"name": "a b", "field_name": "a b"}, {"name": None, "field_name": "_i"}, {"name": "a b"}, {"name": "z"}]
    document = {"columns": columns, "index_columns": ["_i", {"kind": "range"}], "creator": {"library": "pyarrow"}}
    changes = Changes(["a b", "a b", "_i"], ["a_b", "a_b_1", "i"])
    renamed = rewritten_pandas(json.dumps(document).encode(), changes)
    new = [{"name": "a_b", "field_name": "a_b"}, {"name": None, "field_name": "i"}, {"name": "a_b_1"}, {"name": "z"}]
    assert json.loads(renamed or b"") == document | {"columns": new, "index_columns": ["i", {"kind": "range"}]}


def test_labels_of_several_levels_become_one_level_of_new_names() -> None:
    frame = pd.DataFrame(
        [[1, 2], [3, 4]], columns=pd.MultiIndex.from_tuples([("u", "p"), ("u", "q")], names=["x", "y"])
    )
    sink = io.BytesIO()
    frame.to_parquet(sink)
    (part,) = cut(sink.getvalue(), 1 << 20, ["u_p", "u_q"])
    found = pd.read_parquet(io.BytesIO(part))
    assert list(found.columns) == ["u_p", "u_q"]
    assert found.to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("labels", [[1.5, 2.5], [-1, 2], pd.to_datetime(["2024-01-01", "2024-02-01"])])
def test_labels_that_are_no_text_become_the_new_names(labels: Any) -> None:
    table = pa.Table.from_pandas(pd.DataFrame([[1, 2], [3, 4]], columns=labels))
    names = clean_names(table.column_names)
    (part,) = cut(write(table), 1 << 20, names)
    assert list(pq.read_table(io.BytesIO(part)).to_pandas().columns) == names


@pytest.mark.parametrize(
    "document", ["", "[]", "{", "[" * 100_000, '{"columns": 7}', '{"columns": [7, {}, {"name": []}]}']
)
def test_odd_pandas_metadata_does_no_harm(document: str) -> None:
    table = table_of(["int"], 5, ["a b"]).replace_schema_metadata({"pandas": document})
    (part,) = cut(write(table), 1 << 20, ["a_b"])
    assert pq.ParquetFile(io.BytesIO(part)).schema_arrow.names == ["a_b"]
