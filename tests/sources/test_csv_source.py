"""CSV files through the public API: cut between records, and not a byte changed."""

from __future__ import annotations

import csv as python_csv
import io
from pathlib import Path

import pytest

import kumo_async
from kumo_async.local import LocalDataPlane

NASTY = 'id,"last, first",note\r\n' + "".join(
    f'{number},"O""Brien, {number}","line one\r\nline two"\r\n' for number in range(400)
)


def parsed(text: str) -> list[list[str]]:
    return list(python_csv.reader(io.StringIO(text, newline="")))


def stored(plane: LocalDataPlane, name: str) -> list[bytes]:
    return [file.read_bytes() for file in plane.table_files(name, "csv")]


@pytest.mark.parametrize("size", [1, 50, 100, 333, 5_000, 10**9])
async def test_records_are_never_cut_in_two(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, size: int
) -> None:
    text = NASTY if size >= 100 else "".join(NASTY.splitlines(keepends=True)[:21])
    path = tmp_path / "nasty.csv"
    path.write_bytes(text.encode())
    options = kumo_async.UploadOptions(partition_threshold=0, partition_size=size)
    report = await csv.upload_async("nasty", path, options=options)
    files = stored(plane, "nasty")
    rows = [row for file in files for row in parsed(file.decode())[1:]]
    assert rows == parsed(text)[1:]
    assert report.rows == len(rows)
    assert report.renamed_columns == {"last, first": "last__first"}
    assert [partition.rows for partition in report.partitions] == [len(parsed(file.decode())) - 1 for file in files]
    assert {file.split(b"\r\n")[0] for file in files} == {b"id,last__first,note"}


async def test_the_data_bytes_are_the_sources(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    data = b"00501,NA,0.10\n99999999999999999999,=cmd(),'x\n" * 1000 + b"1,2,3"
    (tmp_path / "zip.csv").write_bytes(b"zip code,b,c\n" + data)
    options = kumo_async.UploadOptions(partition_threshold=0, partition_size=5_000)
    await csv.upload_async("zip", tmp_path / "zip.csv", options=options)
    files = stored(plane, "zip")
    assert len(files) > 5
    assert b"".join(file.removeprefix(b"zip_code,b,c\n") for file in files) == data


async def test_a_small_file_travels_as_it_is(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(b"id;x\n1;2,5\n")
    report = await csv.upload_async("a", tmp_path / "a.csv")
    assert stored(plane, "a") == [b"id;x\n1;2,5\n"]
    assert (report.rows, report.bytes) == (1, 11)


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbfid,x\n1,2\n", b"\n\nid,x\n1,2\n", b"\xef\xbb\xbf\r\n\nid,x\n1,2\n"],
    ids=["byte order mark", "blank lines", "both"],
)
async def test_what_stands_before_the_header_is_dropped(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    await csv.upload_async("a", tmp_path / "a.csv")
    assert stored(plane, "a") == [b"id,x\n1,2\n"]


async def test_names_that_differ_by_case_only_are_numbered_and_reported(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(b"user id,USER.ID,x\n1,2,3\n")
    report = await csv.upload_async("a", tmp_path / "a.csv")
    assert stored(plane, "a") == [b"user_id,USER_ID_1,x\n1,2,3\n"]
    assert report.renamed_columns == {"user id": "user_id", "USER.ID": "USER_ID_1"}
    assert any("'USER.ID' became 'USER_ID_1', since 'user id' comes first" in told for told in report.warnings)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"id,x\n", "no rows"),
        (b"id,x", "no rows"),
        (b"id,x\n\n\n", "no rows"),
        (b"\n\n", "header|empty|no rows"),
        (b'id,x\n1,"2\n', "quote"),
        (b"only\n1\n", "single column"),
        (b"\x1f\x8b\x08" + bytes(30), "gzip"),
        (b"PAR1" + bytes(30), "Parquet"),
        ("id,x\n1,ä\n".encode("utf-16"), "UTF-16"),
        (b"id,\xe4\n1,2\n", "byte 3|offset 3|UTF-8"),
    ],
)
async def test_what_cannot_be_a_table_is_refused(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(kumo_async.SourceError, match=words) as caught:
        await csv.upload_async("bad", path)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    assert [call for call in plane.calls if call.call != "validate"] == []
