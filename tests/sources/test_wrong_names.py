"""Files that are not what their names say: refused before anything is sent, and called what they are."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.orc as orc
import pytest

import kumo_async
from kumo_async.local import LocalDataPlane

TEXT = b"id,name\n1,nut\n2,bolt\n"
PAGE = b'<!DOCTYPE html>\n<html lang="en">\n<head><title>Sign in</title></head>\n<body>Sign in, now</body>\n</html>\n'
XML = b"<?xml version='1.0'?>\n<rows>\n<row>1, 2</row>\n</rows>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a2146" * 8 + b"\nsize 12345\n"
PULL = "it is a Git LFS pointer, not the file itself. Fetch the file with `git lfs pull`."
FETCH = "it is an HTML page. It may be a login or error page that was saved in its place: fetch it again."
CONVERT = "Convert it, or give it its right name."


def orc_file() -> bytes:
    out = io.BytesIO()
    orc.write_table(pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.parquet", TEXT, f"it is text, such as CSV. {CONVERT}"),
        ("a.parquet", b"a\0b" * 99, f"it is some other text or data. {CONVERT}"),
        ("a.parquet", orc_file(), f"it is an ORC file. {CONVERT}"),
        ("a.parquet", b"ORC" + TEXT * 9 + orc_file()[-40:], f"it is an ORC file. {CONVERT}"),
        ("a.parquet", PAGE, FETCH),
        ("a.parquet", XML, f"it is an XML file. {CONVERT}"),
        ("a.parquet", POINTER, PULL),
        ("a.parquet", b"x", f"it is text, such as CSV. {CONVERT}"),
        ("a.csv", orc_file(), f"it is an ORC file. {CONVERT}"),
        ("a.csv", PAGE, FETCH),
        ("a.csv", PAGE.replace(b"\n", b" "), FETCH),
        ("a.csv", XML, f"it is an XML file. {CONVERT}"),
        ("a.csv", XML.replace(b"\n", b" "), f"it is an XML file. {CONVERT}"),
        ("a.csv", POINTER, PULL),
        ("a.csv.gz", POINTER, PULL),
        ("a.csv.gz", PAGE, FETCH),
    ],
    ids=map(str, range(16)),
)
async def test_it_is_called_what_it_is(
    plane: LocalDataPlane, client: kumo_async.KumoClient, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    connector = kumo_async.FileUploadConnector(name.split(".")[1], client=client)
    with pytest.raises(kumo_async.SourceError) as raised:
        await connector.upload_async("t", tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)
    assert str(raised.value).endswith(words)
    assert plane.calls == []


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        b"<html>,b\n1,2\n",
        b"<xml>,b\n1,2\n",
        b"<?xml?>;b\n1;2\n",
        b"<!doctype html>\tb\n1\t2\n",
        b"ORC,b\n1,2\n",
        b"version https://git-lfs.github.com/spec/v1,b\n1,2\n",
    ],
    ids=map(str, range(6)),
)
async def test_a_csv_file_that_begins_alike_is_uploaded(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, content: bytes, header: bool
) -> None:
    await _upload(csv, tmp_path / "a.csv", content, header)


@pytest.mark.parametrize("value", [b"<html><p>moved</p></html>", b'<?xml version="1.0"?><row/>', b"[0.1 0.2]", b"[]"])
async def test_a_first_row_may_be_markup_or_begin_like_json(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, value: bytes
) -> None:
    await _upload(csv, tmp_path / "a.csv", value + b",1\n" + value + b",2\n", header=False)


async def _upload(csv: kumo_async.FileUploadConnector, path: Path, content: bytes, header: bool) -> None:
    path.write_bytes(content)
    options = kumo_async.CsvOptions() if header else kumo_async.CsvOptions(header=False, column_names=["a", "b"])
    report = await csv.upload_async("t", path, options=kumo_async.UploadOptions(csv=options))
    assert report.rows == (1 if header else 2)
