from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from kumo_async.formats.identify import FileKind, identify, tell

TEXT = b"id,name\n1,nut\n2,bolt\n"
#: Without the time, which would be in the names of the tests.
GZIPPED = gzip.compress(TEXT, mtime=0)
TABLE = pa.table({"id": [1, 2, 3]})


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
LOGIN = b"""<!DOCTYPE html>
<html lang="en">
<head><meta name="keywords" content="sign in, single sign-on"><title>Sign in</title></head>
<body>Please sign in, then go on.</body>
</html>
"""


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (GZIPPED, FileKind.GZIP),
        (pa.compress(TEXT, codec="zstd", asbytes=True), FileKind.ZSTD),
        (bz2.compress(TEXT), FileKind.BZIP2),
        (lzma.compress(TEXT), FileKind.XZ),
        (zipped("data.csv"), FileKind.ZIP),
        (zipped(), FileKind.ZIP),
        (zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), FileKind.EXCEL),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), FileKind.EXCEL),
        (bytes.fromhex("04224d18") + TEXT, FileKind.LZ4),
        (b"Obj\x01\x04\x16avro.schema", FileKind.AVRO),
        (b"\x89HDF\r\n\x1a\n" + bytes(8), FileKind.HDF5),
        (b"%PDF-1.7\n", FileKind.PDF),
        (b'{"id": 1}\n{"id": 2}\n', FileKind.JSON),
        (b'\xef\xbb\xbf\n [\n  {"id": 1}]', FileKind.JSON),
        (b'{\r\n  "id": 1\r\n}', FileKind.JSON),
        (b'[{"id": 1},\n {"id": 2}]', FileKind.JSON),
        (b"[1, 2]\n[3, 4]\n", FileKind.JSON),
        (b'{"name": "' + b"x" * 9000, FileKind.JSON),
        (b'{"id": 1, "is_new": fals', FileKind.JSON),
        (b"[" * 9000, FileKind.JSON),
        (TEXT.decode().encode("utf-16"), FileKind.UTF16),
        (b"\xfe\xff\0i\0d", FileKind.UTF16),
        (TEXT.decode().encode("utf-32"), FileKind.UTF32),
        (b"\0\0\xfe\xff\0\0\0i", FileKind.UTF32),
        (b"FEA1" + bytes(4), FileKind.FEATHER),
        (LOGIN, FileKind.HTML),
        (b"\xef\xbb\xbf\r\n " + LOGIN.lower(), FileKind.HTML),
        (LOGIN.replace(b"\n", b" "), FileKind.HTML),
        (b'<HTML class="a,b;c" dir=ltr hidden>moved, <a>here</a></HTML>', FileKind.HTML),
        (b"<html><head>", FileKind.HTML),
        (b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/x.dtd">\n', FileKind.HTML),
        (b'<!doctype html><html lang="' + b"x" * 9000, FileKind.HTML),
        (b"<?xml version='1.0' encoding='utf-8'?>\n<rows/>", FileKind.XML),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', FileKind.XML),
        (POINTER, FileKind.GIT_LFS),
        (POINTER.replace(b"\n", b"\r\n"), FileKind.GIT_LFS),
        (b"PAR1", FileKind.PARQUET),
        (b"PAR1\x15\x04\x15\x10", FileKind.PARQUET),
        (b"PARE\x10\0\0\0", FileKind.ENCRYPTED_PARQUET),
    ],
    ids=lambda value: value.name if isinstance(value, FileKind) else "",
)
def test_by_the_first_bytes(data: bytes, kind: FileKind) -> None:
    assert identify(data[:4096]) is kind


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (pq.write_table, FileKind.PARQUET),
        (orc.write_table, FileKind.ORC),
        (feather.write_feather, FileKind.ARROW),
    ],
    ids=["PARQUET", "ORC", "ARROW"],
)
def test_what_pyarrow_writes(write: Callable[[pa.Table, Path], object], kind: FileKind, tmp_path: Path) -> None:
    write(TABLE, tmp_path / "data")
    data = (tmp_path / "data").read_bytes()
    assert identify(data[:64]) is kind
    assert identify(data[:64], data[-8:]) is kind


def test_databases(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "data.sqlite")
    connection.execute("create table t (id integer)")
    connection.close()
    assert identify((tmp_path / "data.sqlite").read_bytes()[:64]) is FileKind.SQLITE


def test_parquet_may_tell_only_at_its_end_that_it_is_encrypted() -> None:
    assert identify(b"PAR1\x15\x04\x15", b"....PAR1") is FileKind.PARQUET
    assert identify(b"PAR1\x15\x04\x15", b"....PARE") is FileKind.ENCRYPTED_PARQUET


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TEXT,
        b"\xef\xbb\xbf" + TEXT,
        "größe,名\n".encode(),
        "größe\n".encode("latin-1"),
        b"[0.1 0.2],5\n[0.3 0.4],6\n",
        b"[1];5\n[2];6\n",
        b'{"a": 1}|5\n{"a": 2}|6\n',
        b"[0],[1],[2]\n",
        b"ORC,TROLL\n1,2\n",
        b"PAR1,PAR2\n1,2\n",
        b"BZh,FEA1\n1,2\n",
        b"[id],[name]\n1,nut\n",
        b"{id},{name}\n1,nut\n",
        b"\x00\x01\x02",
        b"<xml>,b\n1,2\n",
        b"<html>,b\n1,2\n",
        b"<html>\tb\n1\t2\n",
        b"<html> | b\n1 | 2\n",
        b"<html>\x01b\n",
        b"<html>;<body>\n1;2\n",
        b"<html,b>\n1,2>\n",
        b"<html a,b>\n1,2\n",
        b"<htmlx> b\n",
        b'"<html>",b\n1,2\n',
        b"<!doctype html>,b\n1,2\n",
        b"<!doctype>,html\n1,2\n",
        b"<?xml?>,b\n1,2\n",
        b"<?xml version>,b\n1,2\n",
        b"version https://git-lfs.github.com/spec/v1,b\n1,2\n",
        b"version https://git-lfs.github.com/spec/v1\n1 2\n",
        b"version,oid\n1,2\n",
    ],
)
def test_text_and_the_unknown(data: bytes) -> None:
    assert identify(data) is None


@pytest.mark.parametrize("compression", ["uncompressed", "zlib", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("values", [[], [7] * 9, ["a long text, and plain " * 9] * 99, [None, "x"], [1.5]], ids=len)
def test_orc_files_of_every_kind(values: list[object], compression: str, tmp_path: Path) -> None:
    table = pa.table({"value": pa.array(values, None if values else pa.int64())})
    orc.write_table(table, tmp_path / "data", compression=compression)
    data = (tmp_path / "data").read_bytes()
    assert identify(data[:64]) is FileKind.ORC
    assert identify(b"ORC" + TEXT, data[-8:]) is FileKind.ORC  # as without an index, where the first column follows


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (TEXT, "it is text, such as CSV. Convert it, or give it its right name."),
        ("größe,名".encode()[:-1], "it is text, such as CSV. Convert it, or give it its right name."),
        ("größe\n".encode("latin-1"), "it is some other text or data. Convert it, or give it its right name."),
        (b"a\0b", "it is some other text or data. Convert it, or give it its right name."),
        (GZIPPED, "it is a gzip file. Convert it, or give it its right name."),
        (POINTER, "it is a Git LFS pointer, not the file itself. Fetch the file with `git lfs pull`."),
    ],
    ids=str,
)
def test_what_to_do_about_it(data: bytes, words: str) -> None:
    assert tell(data) == words


def test_a_kind_is_a_phrase_for_a_message() -> None:
    assert f"it is {identify(GZIPPED)}" == "it is a gzip file"
    assert all(" " in kind for kind in FileKind)
