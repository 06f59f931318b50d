"""Types of columns: which are taken as they are, relabelled, cast or refused, and what a refusal says."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import load, read, write

from kumo_async.formats.parquet import whole_footer
from kumo_async.formats.parquet_retype import arrow_schema, retyped
from kumo_async.formats.types import Action, decide, refusal, refused_columns

text, numbers = pa.string(), pa.list_(pa.int64())

KEPT = [
    pa.bool_(),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    *(pa.string(), pa.binary(), pa.date32(), pa.date64()),
    *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
    pa.timestamp("us", "Europe/Berlin"),
    pa.decimal128(18, 4),
    *(pa.list_(item) for item in (pa.int8(), pa.int64(), pa.float32(), pa.float64())),
    pa.list_(pa.float32(), 3),
    pa.dictionary(pa.int32(), text),
    pa.dictionary(pa.int8(), text, ordered=True),
]
RELABELLED = [
    (pa.large_string(), text),
    (pa.string_view(), text),
    (pa.large_binary(), pa.binary()),
    (pa.binary_view(), pa.binary()),
    (pa.large_list(pa.int64()), numbers),
    (pa.list_view(pa.int64()), numbers),
    (pa.large_list_view(pa.int64()), numbers),
    (pa.dictionary(pa.uint32(), text), pa.dictionary(pa.int32(), text)),
    (pa.dictionary(pa.int32(), pa.large_string()), pa.dictionary(pa.int32(), text)),
    (pa.dictionary(pa.int8(), pa.int64()), pa.int64()),
    (pa.decimal256(18, 2), pa.decimal128(18, 2)),
    (pa.json_(), text),
]
RETYPED = [
    (pa.uint8(), pa.int16()),
    (pa.uint16(), pa.int32()),
    (pa.uint64(), pa.int64()),
    (pa.list_(pa.uint8()), pa.list_(pa.int16())),
]
CAST = [
    (pa.uint32(), pa.int64()),
    (pa.float16(), pa.float32()),
    (pa.binary(4), pa.binary()),
    (pa.list_(pa.uint32()), numbers),
    (pa.list_(pa.float16(), 2), pa.list_(pa.float32(), 2)),
    (pa.null(), text),
    (pa.decimal128(19, 2), pa.decimal128(18, 2)),
    (pa.decimal256(40, 20), pa.decimal128(18, 18)),
]
REFUSED = [
    (pa.struct({"x": pa.int64()}), "flatten"),
    (pa.map_(text, text), "JSON"),
    (pa.list_(text), "join it to one string"),
    (pa.list_(pa.bool_()), "list<int8>"),
    (pa.list_(numbers), "JSON text"),
    (pa.large_list(pa.struct({"x": text})), "second table"),
    (pa.list_(pa.date32()), "its items"),
    (pa.time32("ms"), "integer"),
    (pa.time64("us"), "integer"),
    (pa.duration("s"), "number"),
    (pa.dictionary(pa.int32(), pa.time32("s")), "string"),
    (pa.month_day_nano_interval(), "string"),
    (pa.dense_union([pa.field("x", pa.int64())]), "members"),
    (pa.run_end_encoded(pa.int32(), text), "run_end_decode"),
]


def decided(source: Any, *, allow_casts: bool = True) -> tuple[Action, Any]:
    (column,) = decide(pa.schema({"a": source}), allow_casts=allow_casts)
    return column.action, column.target


def same(found: Any, wanted: Any) -> bool:
    # Lists with differently named items are equal to Arrow.
    return bool(found == wanted)


@pytest.mark.parametrize("source", KEPT, ids=str)
def test_what_kumo_takes_is_kept(source: Any) -> None:
    for allow_casts in (True, False):
        assert decided(source, allow_casts=allow_casts) == (Action.KEEP, source)


@pytest.mark.parametrize(
    ("action", "source", "target"),
    [
        *((Action.RELABEL, *pair) for pair in RELABELLED),
        *((Action.RETYPE, *pair) for pair in RETYPED),
        *((Action.CAST, *pair) for pair in CAST),
    ],
    ids=str,
)
def test_other_types_become_ones_that_keep_every_value(action: Action, source: Any, target: Any) -> None:
    found, type_found = decided(source)
    assert found is action
    assert same(type_found, target)
    strict = decided(source, allow_casts=False)[0]
    assert strict is (Action.RELABEL if action is Action.RELABEL else Action.REFUSE)


@pytest.mark.parametrize(("source", "remedy"), REFUSED, ids=lambda value: str(value))
def test_what_no_cast_keeps_is_refused_with_a_remedy(source: Any, remedy: str) -> None:
    columns = decide(pa.schema({"a": source}))
    assert columns[0].action is Action.REFUSE
    message = refusal("f.parquet", refused_columns(columns))
    assert remedy in message
    assert str(source) in message
    assert "f.parquet" in message


@pytest.mark.parametrize("count", [1, 200, 1_000])
def test_one_message_names_all_of_them_up_to_a_bound(count: int) -> None:
    schema = pa.schema([pa.field(f"c{number}", pa.time32("s")) for number in range(count)])
    refused = refused_columns(decide(schema))
    message = refusal("f.parquet", refused)
    assert [column.name for column in refused] == schema.names
    assert {column.type for column in refused} == {"time32[s]"}
    assert all(f"'c{number}' is time32[s]: cast it" in message for number in range(min(count, 200)))
    assert message.count(" is time32[s]") == min(count, 200)
    assert ("800 more; in Python the error's `columns` has all" in message) is (count == 1_000)


@pytest.mark.parametrize(("source", "target"), [*RELABELLED, *RETYPED], ids=str)
def test_the_footer_alone_changes_the_type(source: Any, target: Any) -> None:
    sample: list[Any] = [1, None, 2] if pa.types.is_integer(target) or pa.types.is_decimal(target) else ["1", None, "2"]
    if pa.types.is_list(target):
        sample = [[1], None, [2, None]]
    array: Any = pa.array(sample, source.storage_type if isinstance(source, pa.BaseExtensionType) else source)
    if isinstance(source, pa.BaseExtensionType):
        array = pa.ExtensionArray.from_storage(source, array)
    file = write(pa.table({"a": array, "b": [1, 2, 3]}))
    footer = load(file)
    new, _ = retyped(footer, decide(arrow_schema(footer)))
    relabelled = file[: footer.data_end] + whole_footer(new, footer.columns)
    found = pq.ParquetFile(io.BytesIO(relabelled)).schema_arrow.field("a").type
    assert same(found, target)
    assert read(relabelled)["a"].to_pylist() == read(file)["a"].to_pylist()
    assert read(relabelled)["b"].to_pylist() == [1, 2, 3]
    # What was derived without reading the row groups again is what reading them gives.
    again = load(relabelled)
    assert (again.row_groups, again.schema) == (new.row_groups, new.schema)
