"""A converted file on its way to the service: partitions, reports, errors with record numbers, and nothing left."""

from __future__ import annotations

import asyncio
import csv as python_csv
import gzip
import traceback
from pathlib import Path
from typing import Any

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from csv_partitions import spool_files

import kumo_async
from kumo_async import ConfigurationError, CsvOptions, SourceError, UploadOptions
from kumo_async.formats.csv_types import common_types
from kumo_async.local import LocalDataPlane
from kumo_async.sources import convert_types

ROWS = 20_000
SECRET = "s3cr3t"


def rows_of(number: int) -> list[Any]:
    note = f'line {number}\n"quoted", or so' if number % 3 else ""
    return [number, f"{number * 7919 % 100_000:05d}", number / 7, note, f"2020-01-{number % 28 + 1:02d}"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        writer = python_csv.writer(file)
        writer.writerow(["id", "zip code", "share", "note", "day"])
        writer.writerows(rows_of(number) for number in range(ROWS))
    return path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_types, "BLOCK_BYTES", 20_000)


def convert(*, size: int | None = None, **values: Any) -> UploadOptions:
    cut: dict[str, Any] = {} if size is None else {"partition_threshold": 0, "partition_size": size}
    return UploadOptions(convert="parquet", **cut, **values)


TYPES = {"id": "int64", "zip_code": "string", "share": "double", "note": "string", "day": "date32[day]"}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [None, 1, 100_000, 10**9])
async def test_all_rows_arrive_in_order(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, table: Path, size: int | None, packed: bool
) -> None:
    if packed:
        data, table = table.read_bytes(), table.with_suffix(".csv.gz")
        table.write_bytes(gzip.compress(data[:1_000]) + gzip.compress(data[1_000:]))
    plans = []

    class Plans:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.UploadStarted):
                plans.append(event.plan)

    report = await parquet.upload_async("t", table, options=convert(size=size), observer=Plans())
    files = plane.table_files("t", "parquet")
    found = pa.concat_tables([pq.read_table(file) for file in files])
    assert found["id"].to_pylist() == list(range(ROWS))
    assert found["zip_code"].to_pylist() == [rows_of(number)[1] for number in range(ROWS)]
    assert found["share"].to_pylist() == [number / 7 for number in range(ROWS)]
    assert found["note"].to_pylist() == [rows_of(number)[3] or None for number in range(ROWS)]
    assert found["day"].cast("string").to_pylist() == [rows_of(number)[4] for number in range(ROWS)]
    assert report.column_types == plans[0].column_types == report.to_dict()["column_types"] == TYPES
    assert plans[0].rows == report.rows == ROWS
    assert report.renamed_columns == {"zip code": "zip_code"}
    assert "types: id int64, zip_code string, share double" in str(report)
    assert "types: id int64" in str(plans[0])
    if size == 100_000:
        assert len(files) > 5
        assert all(40_000 < partition.size <= size for partition in report.partitions[:-1])
    else:
        assert len(files) == 1 or size == 1


def test_thousands_of_types_are_not_all_printed() -> None:
    types = {f"c{number}": "int64" for number in range(5_000)}
    report = kumo_async.UploadReport(table="t", file_type="parquet", partitions=(), seconds=1, column_types=types)
    assert "c29 int64, and 4,970 more" in str(report)
    assert len(report.to_dict()["column_types"]) == 5_000


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("block", [1, 3_000, 10**7])
@pytest.mark.parametrize("at", [1, 2, 977, 3_000])
async def test_a_value_of_another_type_is_found_with_its_record(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    block: int,
    packed: bool,
) -> None:
    monkeypatch.setattr(convert_types, "BLOCK_BYTES", block)
    records = [f'"{number}\n",{number},x\n\n'.encode() for number in range(1, 3_001)]
    records[at - 1] = f'"y\n",{SECRET},x\n'.encode()
    head = b"text,some number,other\n"
    data = head + b"".join(records)
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    for size in (None, 1, 10_000):
        with pytest.raises(SourceError) as caught:
            await parquet.upload_async(
                "t", path, options=convert(size=size, csv=CsvOptions(types={"other": "string", "some number": "int64"}))
            )
        # Blank lines go with the row behind them, and the record begins behind those.
        offset = len(head) + len(b"".join(records[: at - 1]))
        words = (
            f"record {at}, which begins at byte {offset}, has a value in column 'some number' that is not of type int64"
        )
        assert words in str(caught.value)
        assert ("Bytes are counted in its text" in str(caught.value)) == packed
        assert SECRET not in "".join(traceback.format_exception(caught.value, chain=True))
        assert caught.value.__context__ is None
    assert [call for call in plane.calls if call.call == "start"] == []


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"1,2,3\n", "record 10001, which begins at byte 60004, has 3 fields"),
        (b"1,\0\n", "record 10001 holds a NUL at byte 60006"),
        (b"1,\xff\n", "record 10001 is not UTF-8 at byte 60006"),
        (b'1,"\n', "record 10001 never ends: the quote that opens at byte 60006"),
    ],
)
async def test_records_are_checked_everywhere(
    parquet: kumo_async.FileUploadConnector, tmp_path: Path, record: bytes, words: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,234\n" * 10_000 + record + b"1,2\n" * 10_000)
    with pytest.raises(SourceError, match=words):
        await parquet.upload_async("t", path, options=convert())


@pytest.mark.usefixtures("small_blocks")
async def test_the_first_fault_is_told(parquet: kumo_async.FileUploadConnector, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,x\n" * 10_000 + b"x,x\n" + b"1,x\n" * 600_000 + b"1\n")
    with pytest.raises(SourceError, match="record 610002, "):
        await parquet.upload_async("t", path, options=convert())
    with pytest.raises(SourceError, match="record 10001, "):
        await parquet.upload_async("t", path, options=convert(csv=CsvOptions(types={"a": "double"})))


@pytest.mark.parametrize(
    ("types", "words"),
    [
        ({"nope": "string"}, "column 'nope'"),
        ({"a": "text"}, "no type for column 'a'.*'string'"),
        ({"a": 7}, "no type for column 'a'"),
        ({"a": "uint8"}, "use int16"),
        ({"a": "time32[s]"}, "cast it to an integer"),
        ({"a": "decimal128(19, 0)"}, r"decimal\(18"),
        ({"a": pa.list_(pa.int64())}, "no column of CSV can be read as list"),
        ({"a": "decimal128(9, 12)"}, r"no column of Parquet can hold decimal128\(9, 12\)"),
        ({"a": "decimal128(9, -2)"}, r"no column of Parquet can hold decimal128\(9, -2\)"),
        ({"a": "timestamp[us, tz=Mars/Phobos]"}, "no time zone 'Mars/Phobos'.*'UTC'"),
        ({"a": pa.timestamp("ns", "+25:00")}, r"no time zone '\+25:00'"),
    ],
)
async def test_types_that_cannot_be_are_refused(
    parquet: kumo_async.FileUploadConnector, tmp_path: Path, types: dict[str, Any], words: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ConfigurationError, match=words):
        await parquet.upload_async("t", path, options=convert(csv=CsvOptions(types=types)))


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="convert must be"):
        UploadOptions(convert="csv")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"need UploadOptions\(convert"):
        UploadOptions(csv=CsvOptions(types={"a": "string"}))
    with pytest.raises(ConfigurationError, match=r"need UploadOptions\(convert"):
        UploadOptions(csv=CsvOptions(null_values=["NA"]))
    with pytest.raises(ConfigurationError, match=r"need UploadOptions\(convert"):
        UploadOptions(csv=CsvOptions(quoted_nulls=True))
    with pytest.raises(ConfigurationError, match="quoted_nulls must be"):
        CsvOptions(quoted_nulls="yes")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="must be a dict"):
        CsvOptions(types=["string"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="must be a list of texts"):
        CsvOptions(null_values="NA")


async def test_what_converts_and_what_does_not(
    csv: kumo_async.FileUploadConnector, parquet: kumo_async.FileUploadConnector, table: Path, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"convert='parquet'"):
        await parquet.upload_async("t", table)
    with pytest.raises(ConfigurationError, match="is for a parquet connector"):
        await csv.upload_async("t", table, options=convert())
    text = tmp_path / "a.txt"
    text.write_bytes(table.read_bytes())
    with pytest.raises(SourceError, match="it is text, such as CSV"):
        await parquet.upload_async("t", text)
    assert (await parquet.upload_async("t", text, options=convert())).rows
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    assert (await parquet.upload_async("t", tmp_path / "a.parquet", options=convert())).column_types == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "is empty"), (b"a,b\n", "no rows"), (b"a,b\n\n\n", "no rows"), (b"a\n1\n", "single column")],
)
async def test_what_is_no_table_is_refused(
    parquet: kumo_async.FileUploadConnector, tmp_path: Path, data: bytes, words: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=words):
        await parquet.upload_async("t", path, options=convert())


async def test_a_record_that_is_too_large_is_refused(
    parquet: kumo_async.FileUploadConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.sources.convert_blocks.MOST_BYTES", 5_000_000)
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n1,2\n1,"' + b"x" * 4_990_000 + b'"\n1,2\n')
    assert (await parquet.upload_async("t", path, options=convert())).rows == 3
    path.write_bytes(b'a,b\n1,2\n1,"' + b"x" * 5_000_000 + b'"\n1,2\n')
    with pytest.raises(SourceError, match="record 2 has 5,000,005 bytes, and at most 5,000,000"):
        await parquet.upload_async("t", path, options=convert())


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"2020-01-01", b"2020-01-02"), (b"\r\n7,", b"\r\nx,"), (b"2020-01-01", b"2020-01-01,1"), (b"", b"")],
)
async def test_a_file_that_changes_between_the_passes_makes_no_table(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, table: Path, old: bytes, new: bytes
) -> None:
    class Change:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.UploadStarted):
                table.write_bytes(table.read_bytes().replace(old, new) if old else b"id")

    with pytest.raises(kumo_async.SourceChangedError):
        await parquet.upload_async("t", table, options=convert(), observer=Change())
    assert plane.table_files("t", "parquet") == []


@pytest.mark.usefixtures("small_blocks")
async def test_the_first_pass_can_be_cancelled(
    parquet: kumo_async.FileUploadConnector, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    looked_at = []
    with anyio.CancelScope() as scope:

        def cancel(columns: Any, among: Any) -> Any:
            looked_at.append(len(columns[0]))
            loop.call_soon_threadsafe(scope.cancel)
            return common_types(columns, among)

        monkeypatch.setattr(convert_types, "common_types", cancel)
        await parquet.upload_async("t", table, options=convert(spool_dir=tmp_path))
    assert scope.cancelled_caught
    assert 0 < sum(looked_at) < ROWS
    assert spool_files(tmp_path) == []


@pytest.mark.usefixtures("small_blocks")
async def test_an_upload_that_is_cancelled_leaves_nothing(
    parquet: kumo_async.FileUploadConnector, table: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    with anyio.CancelScope() as scope:

        class Cancel:
            def on_event(self, event: kumo_async.Event) -> None:
                if isinstance(event, kumo_async.PartitionStored):
                    scope.cancel()

        options = convert(size=50_000, spool_dir=tmp_path)
        await parquet.upload_async("t", packed, options=options, observer=Cancel())
    assert scope.cancelled_caught
    assert spool_files(tmp_path) == []
    assert not await parquet.has_table_async("t")
