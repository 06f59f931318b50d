"""What is checked in a CSV file, when, and what an error says."""

from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from csv_partitions import cut

import kumo_async
from kumo_async import SourceError, UploadOptions
from kumo_async.local import LocalDataPlane
from kumo_async.sources import open_source
from kumo_async.upload.plan import partition_size

MIB = 1024**2
#: Far more than what the fast check looks at.
ROWS = b"a,b\n" + b"1,2\n" * 600_000


def sent(plane: LocalDataPlane) -> list[str]:
    return [call.call for call in plane.calls if call.call not in ("validate", "list")]


@pytest.mark.parametrize("validate", ["fast", "full"])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (b"1,2\n3\n", "record 2, which begins at byte 8, has 1 field instead of 2"),
        (b"1,2\r\n\r\n3,4,5\r\n", "record 2, which begins at byte 11, has 3 fields instead of 2"),
        (b"1,2\r3\r", "record 2, which begins at byte 8, has 1 field instead of 2"),
        (b'1,"2,3\n4"\n5,6,7', "record 2, which begins at byte 14, has 3 fields instead of 2"),
        (b"1,2\n \n", "record 2, which begins at byte 8, has 1 field instead of 2"),
        (b"1,secret\0\n", "record 1 holds a NUL at byte 12"),
        (b"1,2\n3,secret\xe4\n", "record 2 is not UTF-8 at byte 16"),
        (b"1,2\n3,\xed\xa0\x80\n", "record 2 is not UTF-8 at byte 10"),
        (b'1,2\n"secret,\n', "record 2 never ends: the quote that opens at byte 8 is not closed"),
        (b"1,2\n3,4\xc3", "record 2 is not UTF-8 at byte 11"),
    ],
)
async def test_a_fault_in_the_first_block_is_refused_before_anything_is_sent(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    rows: bytes,
    words: str,
    validate: Literal["fast", "full"],
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"a,b\n" + rows)
    for threshold in (0, 10**9):
        options = UploadOptions(validate=validate, partition_threshold=threshold)
        for call in (csv.plan_async, csv.upload_async):
            with pytest.raises(SourceError, match=words) as caught:
                await call("bad", path, options=options)
            assert str(path) in str(caught.value)
            assert "secret" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert sent(plane) == []


@pytest.mark.parametrize(
    ("fault", "validate"),
    [(b"1,2,3\n", "full"), *((fault, way) for fault in (b"1,\0\n", b"1,\xff\n") for way in ("fast", "full"))],
)
async def test_a_fault_far_behind_is_found_before_anything_is_visible(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    fault: bytes,
    validate: Literal["fast", "full"],
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    await csv.upload_async("a", path)
    path.write_bytes(ROWS + fault + b"1,2\n")
    whole = UploadOptions(validate=validate)
    for options in (whole, replace(whole, partition_threshold=0, partition_size=MIB)):
        with pytest.raises(SourceError, match=f"record 600001.* byte {len(ROWS)}|record 600001.* byte {len(ROWS) + 2}"):
            await csv.upload_async("a", path, options=options)
        assert await csv.has_table_async("a")
        assert [file.read_bytes() for file in plane.table_files("a", "csv")] == [b"a,b\n1,2\n"]


def test_fields_far_behind_are_counted_by_a_full_check_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(ROWS + b"1,2,3\n" + ROWS[4:])
    assert sum(rows or 0 for rows, _ in cut(path, MIB)) == 1_200_001
    with pytest.raises(SourceError, match="record 600001"):
        cut(path, MIB, validate="full")


@pytest.mark.parametrize("validate", ["fast", "full"])
@pytest.mark.parametrize("threshold", [0, 10**9])
async def test_a_quote_that_never_ends_is_found_wherever_it_opens(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, validate: Literal["fast", "full"], threshold: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(ROWS + b'"1,2\n' + b"1,2\n" * 100_000)
    options = UploadOptions(validate=validate, partition_threshold=threshold, partition_size=MIB)
    with pytest.raises(SourceError, match=f"record 600001 never ends: the quote that opens at byte {len(ROWS)}"):
        await csv.upload_async("a", path, options=options)
    assert not await csv.has_table_async("a")


def test_sound_files_pass_a_full_check(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content, rows in (
        (b"a,b\r1,2\r\r3,4\r", 2),
        (b"a,b\n\n\n1,2\n\n3,4\n\n", 2),
        (b"a,b\r\n1,2\n3,4\r5,6", 3),
        ('a,b\n"é,日",𝄞\n'.encode(), 1),
        (b'a,b\n"x",""\n,\n', 2),
        (ROWS, 600_000),
    ):
        path.write_bytes(content)
        assert cut(path, None, validate="full") == [(rows, content)]


async def test_one_object_is_sent_while_it_is_scanned(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 5_000_000)
    async with open_source(path, "csv", UploadOptions()) as source:
        partitions = source.partitions(None)
        partition = await anext(partitions)
        assert partition.rows is None
        assert partition.size == path.stat().st_size
        assert [more async for more in partitions] == []
        assert await partition.row_count() == 5_000_000


async def test_rows_are_told_once_they_are_counted(csv: kumo_async.FileUploadConnector, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 5_000_000)
    seen: list[int] = []

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStored):
                seen.append(event.rows)

    report = await csv.upload_async("a", path, observer=Watch())
    assert seen == [report.rows] == [5_000_000]


async def test_a_file_without_rows_is_refused_before_anything_is_sent(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"\n" * 20_000_000)
    for threshold in (0, 10**9):
        with pytest.raises(SourceError, match="no rows"):
            await csv.upload_async("a", path, options=UploadOptions(partition_threshold=threshold))
    assert sent(plane) == []


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("text", [b"a,b", b"a,b\n", b"a,b\r\n\r\n"])
async def test_a_plan_is_made_of_no_file_without_rows(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, text: bytes, ending: str
) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(gzip.compress(text) if ending == "csv.gz" else text)
    with pytest.raises(SourceError, match="no rows"):
        await csv.plan_async("a", path)


def test_a_header_beyond_the_first_mib_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b",".join(b"column_%07d" % number for number in range(80_000)) + b"\n")
    with pytest.raises(SourceError, match="does not end within the first 1,048,576 bytes"):
        cut(path, None)


@pytest.mark.parametrize("columns", [5_000, 20_000])
def test_thousands_of_columns(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "a.csv"
    header = b",".join(b"column %d" % number for number in range(columns)) + b"\n"
    row = b",".join(b'"%d, ""x"""' % number for number in range(columns)) + b"\n"
    path.write_bytes(header + row * 20)
    found = cut(path, 1_000_000, validate="full")
    assert sum(rows or 0 for rows, _ in found) == 20
    assert b"".join(content.split(b"\n", 1)[1] for _, content in found) == row * 20
    path.write_bytes(header + row + row[:-1] + b",\n")
    with pytest.raises(SourceError, match=f"record 2.*{columns + 1:,} fields instead of {columns:,}"):
        cut(path, None)


async def test_a_field_of_a_gib_is_one_partition_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b'a,b\n1,"')
        for _ in range(1024):
            file.write(b"x" * MIB)
        file.write(b'"\n2,3\n')
    tracemalloc.start()
    try:
        async with open_source(path, "csv", UploadOptions(partition_threshold=0)) as source:
            found = [(partition.size, partition.rows) async for partition in source.partitions(100 * MIB)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    path.unlink()
    assert found == [(1024**3 + 9, 1), (8, 1)]
    assert peak < 32 * MIB


async def test_partitions_grow_for_what_a_compressed_file_will_come_to(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number * 7919 % 10_007) for number in range(800_000))
    path.write_bytes(gzip.compress(text, compresslevel=1))
    async with open_source(path, "csv", UploadOptions(partition_threshold=2 * MIB)) as source:
        assert 0.8 * len(text) < source.size < 1.5 * len(text)
    # That estimate is what partitions are made to fit for, as the exact size of a plain file is.
    options = UploadOptions()
    target = partition_size(30 * 10**9, "csv", auto_partition=True, partition_size_mb=100, options=options)
    assert target is not None
    assert 127 * target >= 30 * 10**9


async def test_too_many_partitions_of_a_compressed_file_are_warned_of(
    csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 300))
    options = UploadOptions(partition_threshold=0, partition_size=12)
    report = await csv.upload_async("a", path, options=options)
    assert len(report.partitions) == 150
    assert "Upload it as Parquet instead" in report.warnings[-1]


@pytest.mark.parametrize("validate", ["fast", "full"])
def test_a_late_escape_is_named(tmp_path: Path, validate: Literal["fast", "full"]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(ROWS + b'1,"say \\"hi, you\\""\n' + ROWS[4:])
    for size in (None, MIB):
        with pytest.raises(SourceError, match=r"record 600001 has text at byte .*\. Pass .*escape='"):
            cut(path, size, validate=validate)
        assert cut(path, size, validate="full", csv=kumo_async.CsvOptions(escape="\\"))
