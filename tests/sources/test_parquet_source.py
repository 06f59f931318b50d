"""Parquet files through the public API: only names change, and what cannot be a table is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kumo_async
from kumo_async.local import LocalDataPlane
from kumo_async.sources.names import accept_names

WritesParquet = Callable[..., Path]


@pytest.mark.parametrize("cut", [False, True])
async def test_names_change_in_the_footer_alone(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    cut: bool,
) -> None:
    path = write_parquet(numbers.rename_columns(["user.id", "_value"]), row_group_size=20_000)
    options = kumo_async.UploadOptions(partition_threshold=0 if cut else 10**9, partition_size=400_000)
    report = await parquet.upload_async("numbers", path, options=options)
    assert report.renamed_columns == {"user.id": "user_id", "_value": "value"}
    files = plane.table_files("numbers", "parquet")
    assert len(files) == (3 if cut else 1)
    rows = pa.concat_tables([pq.read_table(file) for file in files])
    assert rows.equals(numbers.rename_columns(["user_id", "value"]))
    source = path.read_bytes()
    for file in files:
        pages = file.read_bytes()[4 : -8 - int.from_bytes(file.read_bytes()[-8:-4], "little")]
        assert pages in source
        assert duckdb.execute(f"select count(user_id) from '{file}'").fetchall()


async def test_names_in_other_scripts_are_numbered_and_said(
    parquet: kumo_async.FileUploadConnector, write_parquet: WritesParquet, caplog: pytest.LogCaptureFixture
) -> None:
    report = await parquet.upload_async("t", write_parquet(pa.table({"имя": ["a"], "id": [1]})))
    assert report.renamed_columns == {"имя": "auto_named_0"}
    assert "имя" in report.warnings[0]
    assert "имя" in caplog.text


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"id": [1, 2], "ID": [1, 2], "s": [{"x": 1}, {"x": 2}], "t": pa.array([1, 2], pa.duration("s"))},
            ["'s' is struct<x: int64>: make each", "'t' is duration[s]: cast"],
        ),
        (
            {name: pa.array([1, 2**64 - 1], pa.uint64()) for name in ("u", "v", "user id")},
            [f"{name!r} is uint64: it has values over 2^63 - 1 in row group 1" for name in ("u", "v", "user id")],
        ),
        (
            {
                "s": [{"x": 1, "y": [1]}, {"x": 2, "y": []}],
                "u": pa.array([1, 2**64 - 1], pa.uint64()),
                "m": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.uint64())),
                "fits": pa.array([1, 2], pa.uint64()),
                "l": pa.array([[], [2**63]], pa.list_(pa.uint64())),
                "U": [1, 2],
            },
            [
                "'s' is struct<x: int64, y: list<element: int64>>: make each",
                "'u' is uint64: it has values over 2^63 - 1 in row group 1",
                "'m' is map<string, uint64",
                "'l' is list<element: uint64>: it has values over 2^63 - 1 in row group 1",
            ],
        ),
    ],
    ids=["types", "values", "types and values"],
)
async def test_all_that_is_wrong_with_columns_is_said_at_once(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    write_parquet: WritesParquet,
    columns: dict[str, Any],
    words: list[str],
) -> None:
    with pytest.raises(kumo_async.SourceError) as caught:
        await parquet.upload_async("t", write_parquet(pa.table(columns), row_group_size=1))
    message = str(caught.value)
    assert [each for each in words if each not in message] == []
    refused = caught.value.columns or ()
    assert all(f"{column.name!r} is {column.type}: {column.remedy}." in message for column in refused)
    assert len(refused) == sum(" is " in each for each in words)
    assert plane.calls == []


@pytest.mark.parametrize(
    ("names", "moved"),
    [
        (["user id", "user_id"], "'user_id' became 'user_id_1', since 'user id' became 'user_id'"),
        (["", "auto_named_0"], "'auto_named_0' became 'auto_named_0_1', since '' became 'auto_named_0'"),
        (["user_id", "user id"], None),
    ],
)
def test_a_fine_name_that_another_column_took_is_said(names: list[str], moved: str | None) -> None:
    warnings = accept_names("t.csv", names).warnings
    assert [warning for warning in warnings if "were fine" in warning] == (
        [] if moved is None else [f"Columns whose own names were fine have others now: {moved}."]
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"id,x\n1,2\n", "not a Parquet file"),
        (b"PARE" + bytes(100) + b"PARE", "encrypted"),
        (b"\x1f\x8b\x08" + bytes(30), "gzip"),
        (b"PAR1", "too few|PAR1"),
        (b"PAR1" + bytes(100), "cut off"),
        (b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1", "footer"),
        (b"PAR1" + bytes(100) + b"\x20\0\0\0PAR1", "footer"),
    ],
)
async def test_what_is_no_parquet_is_refused(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(content)
    with pytest.raises(kumo_async.SourceError, match=words) as caught:
        await parquet.upload_async("bad", path)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert plane.calls == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pa.table({"a": pa.array([], pa.int64())}), "no rows"),
    ],
)
async def test_tables_that_kumo_cannot_take_are_refused(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    write_parquet: WritesParquet,
    table: pa.Table,
    words: str,
) -> None:
    with pytest.raises(kumo_async.SourceError, match=words):
        await parquet.upload_async("bad", write_parquet(table))
    assert plane.calls == []


async def test_names_that_differ_by_case_only_are_numbered_and_reported_as_they_are_in_the_file(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, write_parquet: WritesParquet
) -> None:
    path = write_parquet(pa.table({"user id": [1], "User.ID": [2], "x": [3]}))
    report = await parquet.upload_async("t", path)
    assert report.renamed_columns == {"user id": "user_id", "User.ID": "User_ID_1"}
    assert report.warnings == (
        "Column names that differ by case only were numbered: 'User.ID' became 'User_ID_1', since 'user id' comes "
        "first.",
    )
    (file,) = plane.table_files("t", "parquet")
    assert pq.read_table(file).to_pydict() == {"user_id": [1], "User_ID_1": [2], "x": [3]}


async def test_the_ending_may_be_in_capitals(
    parquet: kumo_async.FileUploadConnector, numbers: pa.Table, write_parquet: WritesParquet
) -> None:
    assert (await parquet.upload_async("t", write_parquet(numbers, "T.PARQUET"))).rows == numbers.num_rows
