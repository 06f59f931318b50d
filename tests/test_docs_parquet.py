"""Each row of the table in docs/parquet.md is true: one case for each, and none without."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import page_hashes
from parquet_uploads import hashes, small

import kumo_async
from kumo_async.local import LocalDataPlane

TABLE = re.findall(
    r"(?m)^\| (\d+) \| (.+?) \| (.+?) \|$", (Path(__file__).parent.parent / "docs" / "parquet.md").read_text()
)


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it.

    Attributes:
        table: What is written, or the file's bytes as they are.
        refused: What the refusal says; None where the table is accepted.
        names: The columns' names in Kumo, where they change.
        types: The columns' types in Kumo, where they change.
        copied: Whether all pages are those of the source.
    """

    table: pa.Table | bytes
    refused: str | None = None
    names: list[str] | None = None
    types: list[Any] | None = None
    copied: bool = True
    writing: dict[str, Any] = field(default_factory=dict)
    options: kumo_async.UploadOptions = field(default_factory=kumo_async.UploadOptions)
    name: str = "t.parquet"


def of(kind: Any, *values: Any) -> pa.Table:
    return pa.table({"a": pa.array(values, kind)})


def written(table: pa.Table, **writing: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **writing)
    return sink.getvalue()


def damaged() -> bytes:
    file = bytearray(written(pa.table({"a": np.random.default_rng(1).random(5_000)}), compression="gzip"))
    file[len(file) // 2 : len(file) // 2 + 9] = bytes(9)
    return bytes(file)


text, words = pa.string(), pa.array(["x", "y"])
random = pa.table({"a": np.random.default_rng(1).random(40_000)})
year_9999 = pa.table({"a": pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))})
refused_types = {
    "struct": pa.array([{"x": 1}]),
    "map": pa.array([[("k", 1)]], pa.map_(text, pa.int64())),
    "texts": pa.array([["x"]]),
    "flags": pa.array([[True]]),
    "time": pa.array([1], pa.time32("s")),
    "duration": pa.array([1], pa.duration("s")),
    "decimal": pa.array([10**18], pa.decimal128(19, 0)),
}

CASES: dict[int, list[Case]] = {
    1: [Case(of(pa.int64()), "no rows"), Case(pa.table({}), "no (columns|rows)"), Case(b"", "empty")],
    2: [Case(random, copied=False, options=small())],
    3: [Case(of(pa.int64(), *range(2_000)), writing={"row_group_size": 1}, options=small())],
    4: [
        Case(pa.table({"a b": [[1], [2, 3]], "d": words.dictionary_encode()}), names=["a_b", "d"]),
        Case(of(pa.list_(pa.float32(), 2), [1, 2])),
    ],
    5: [
        Case(pa.table(refused_types), "(?s)" + ".*".join(f"'{name}' is .+: .+" for name in refused_types)),
        Case(of(pa.null(), None), types=[text], copied=False),
        Case(of(pa.decimal128(38, 4), 15), types=[pa.decimal128(18, 4)], copied=False),
        Case(of(pa.decimal128(38, 18), 15), types=[pa.decimal128(18, 0)], copied=False),
    ],
    6: [
        *(Case(of(kind, 1), types=[t]) for kind, t in ((pa.uint8(), pa.int16()), (pa.uint16(), pa.int32()))),
        Case(of(pa.uint64(), 2**63 - 1), types=[pa.int64()]),
        Case(of(pa.uint64(), 2**63), "row group 0"),
        Case(of(pa.uint32(), 2**32 - 1), types=[pa.int64()], copied=False),
    ],
    7: [
        *(Case(of(kind, "x"), types=[text]) for kind in (pa.large_string(), pa.string_view())),
        *(Case(of(kind, b"x"), types=[pa.binary()]) for kind in (pa.large_binary(), pa.binary_view())),
        Case(of(pa.large_list(pa.int64()), [1]), types=[pa.list_(pa.int64())]),
        Case(of(pa.list_view(pa.int64()), [1]), types=[pa.list_(pa.int64())]),
    ],
    8: [
        Case(of(pa.float16(), np.float16(1.5)), types=[pa.float32()], copied=False),
        Case(of(pa.list_(pa.float16()), [np.float16(1)]), types=[pa.list_(pa.float32())], copied=False),
    ],
    9: [
        Case(year_9999, types=[pa.timestamp("us")], writing={"use_deprecated_int96_timestamps": True}),
        Case(
            year_9999.append_column("b", pa.array([1], pa.uint32())),
            types=[pa.timestamp("us"), pa.int64()],
            writing={"use_deprecated_int96_timestamps": True},
            copied=False,
        ),
    ],
    10: [
        Case(pa.table([words, words], names=["a", "a"]), names=["a", "a_1"]),
        Case(pa.table([words] * 3, names=["a", "A", "a_1"]), names=["a", "A_2", "a_1"]),
        Case(pa.table([words, words], names=["user id", "User.ID"]), names=["user_id", "User_ID_1"]),
    ],
    11: [
        Case(
            pa.table([words] * 4, names=["a.b", "a c", "_d", "__index_level_0__"]),
            names=["a_b", "a_c", "d", "index_level_0"],
        )
    ],
    12: [Case(pa.table({"имя": words}), names=["auto_named_0"])],
    13: [
        Case(written(random)[:-100], "cut off"),
        Case(b"id,x\n1,2\n", "not a Parquet file"),
        Case(b"\x1f\x8b\x08" + bytes(30), "gzip"),
    ],
    14: [Case(damaged(), "'a' of row group 0", options=kumo_async.UploadOptions(validate="full"))],
    15: [Case(b"PARE" + bytes(100) + b"PARE", "encrypted")],
    16: [Case(random, name="T.PARQUET")],
    30: [Case(pa.table({f"c{number}": [number] for number in range(5_000)}))],
}


def test_every_row_has_a_case_and_every_case_a_row() -> None:
    assert [int(number) for number, _, _ in TABLE] == [*range(1, 17), 30] == list(CASES)


@pytest.mark.parametrize(
    ("words", "case"),
    [
        pytest.param(words, case, id=f"{number}-{place}")
        for number, _, words in TABLE
        for place, case in enumerate(CASES.get(int(number), []))
    ],
)
async def test_what_the_table_says_happens(
    words: str, case: Case, plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / case.name
    path.write_bytes(case.table if isinstance(case.table, bytes) else written(case.table, **case.writing))
    if case.refused is not None:
        assert "refused" in words or "found" in words
        with pytest.raises(kumo_async.SourceError, match=case.refused):
            await parquet.upload_async("t", path, options=case.options)
        assert plane.table_files("t", "parquet") == []
        return
    report = await parquet.upload_async("t", path, options=case.options)
    files = plane.table_files("t", "parquet")
    table = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    check_content(case, table, files)
    assert (hashes(files) == page_hashes(path.read_bytes())) is case.copied
    assert report.rows == table.num_rows
    assert set(report.renamed_columns.values()) == set(case.names or []) - set(table.column_names)


def check_content(case: Case, table: pa.Table, files: list[Path]) -> None:
    # What pyarrow makes of INT96 is no part of the file, so it is told to make microseconds.
    found = [pq.ParquetFile(file, coerce_int96_timestamp_unit="us").read() for file in files]
    union = pa.concat_tables(found)
    assert union.column_names == (case.names or table.column_names)
    assert union.schema.types == (case.types or table.schema.types)
    for place in range(min(table.num_columns, 20)):
        assert union.column(place).to_pylist() == table.column(place).to_pylist()


async def test_damaged_pages_are_not_looked_for_by_default(
    parquet: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(damaged())
    assert (await parquet.upload_async("t", path)).rows == 5_000
