"""What a refusal of columns says: short however large the types are, with code that helps for every type."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kumo_async
from kumo_async.formats.types import Action, decide, refusal, refused_columns
from kumo_async.sources.names import accept_names

text = pa.string()


def nested(levels: int, fields: int) -> Any:
    kind: Any = pa.int64()
    for level in range(levels):
        kind = pa.struct({f"field_{level}_{number}": kind if number == 0 else text for number in range(fields)})
    return kind


@pytest.mark.parametrize("levels", [1, 30])
@pytest.mark.parametrize("wrapped", [lambda kind: kind, pa.list_, lambda kind: pa.map_(text, kind)])
def test_nested_types_are_cut_and_the_column_is_named(wrapped: Any, levels: int) -> None:
    schema = pa.schema({"order details": wrapped(nested(levels, 300))})
    refused = refused_columns(decide(schema))
    lines = refusal("f.parquet", refused).splitlines()
    assert max(map(len, lines)) < 500
    assert lines[1].startswith("  'order details' is ")
    assert str(schema.field(0).type)[:80] in lines[1]
    assert "…" in lines[1]
    # The whole type is in the error's attribute.
    assert refused[0].type == str(schema.field(0).type)


def test_long_names_are_cut() -> None:
    schema = pa.schema({"n" * 30_000: pa.time64("us"), "ü" * 30_000: pa.duration("s")})
    assert max(map(len, refusal("f.parquet", refused_columns(decide(schema))).splitlines())) < 700


async def test_the_whole_message_is_bounded(parquet: kumo_async.FileUploadConnector, tmp_path: Path) -> None:
    names = [f"{'wide' * 200} {number}" for number in range(300)]
    kinds = [nested(1, 40), pa.time64("us"), pa.uint32()]
    schema = pa.schema([pa.field(name, kinds[at % 3]) for at, name in enumerate(names)])
    pq.write_table(pa.Table.from_pylist([{}], schema=schema), tmp_path / "t.parquet")
    with pytest.raises(kumo_async.SourceError) as raised:
        await parquet.upload_async("t", tmp_path / "t.parquet")
    assert len(str(raised.value)) < 200_000
    assert max(map(len, str(raised.value).splitlines())) < 1_000
    assert len(raised.value.columns or ()) == 200


def test_warnings_of_long_names_are_bounded() -> None:
    names = [*("n " * 3_000 + str(number) for number in range(300)), "ü" * 30_000, *["twice " * 900] * 2]
    warnings = accept_names("t.csv", names).warnings
    assert warnings
    assert max(map(len, warnings)) < 250_000
    with pytest.raises(kumo_async.SourceError) as raised:
        accept_names("t.csv", ["a" * 30_000, "A" * 30_000])
    assert len(str(raised.value)) < 2_000


VALUES: list[tuple[Any, Any]] = [
    (pa.struct({"x": pa.int64()}), {"x": 1}),
    (pa.map_(text, text), [("k", "v")]),
    (pa.list_(text), ["x"]),
    (pa.large_list(pa.large_string()), ["x"]),
    (pa.list_(pa.bool_()), [True]),
    (pa.list_(pa.list_(pa.int64())), [[1]]),
    (pa.list_(pa.struct({"x": text})), [{"x": "y"}]),
    (pa.list_(pa.date32()), [1]),
    (pa.list_(pa.null()), [None]),
    (pa.list_(pa.string_view()), ["x"]),
    (pa.list_(pa.timestamp("us")), [1]),
    (pa.list_(pa.time32("s")), [1]),
    (pa.list_(pa.duration("s")), [1]),
    (pa.list_(pa.decimal128(5, 2)), [Decimal("1.5")]),
    (pa.time32("ms"), 1),
    (pa.time64("us"), 1),
    (pa.duration("s"), 1),
    (pa.month_day_nano_interval(), (1, 2, 3)),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda value: str(value))
def test_the_code_of_every_remedy_makes_a_column_that_is_taken(kind: Any, value: Any) -> None:
    table = pa.table({"a b": pa.array([value, None], kind), "id": [1, 2]})
    (refused,) = refused_columns(decide(table.schema))
    codes = re.findall(r"`(.+?)`", refused.remedy)
    assert codes
    for code in codes:
        frames = {"table": table}
        if "df" in code:
            frames["df"] = pl.from_arrow(table) if "unnest" in code else table.to_pandas()
        made = eval(code, {"json": json, "pyarrow": pa, "pa": pa, **frames})
        if isinstance(made, pl.DataFrame | pa.Table):
            schema = made.to_arrow().schema if isinstance(made, pl.DataFrame) else made.schema
        else:
            arrays = made if isinstance(made, pa.ChunkedArray) else pa.array(made)
            schema = pa.schema({"a": arrays.type})
        assert all(column.action is not Action.REFUSE for column in decide(schema)), code


def test_pandas_is_there_for_the_remedy_of_durations() -> None:
    assert pd.Series(pd.to_timedelta([1], "s")).dt.total_seconds().tolist() == [1.0]
