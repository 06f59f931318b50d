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

from kumo_async.formats.identify import FileKind, identify

TEXT = b"id,name\n1,nut\n2,bolt\n"
TABLE = pa.table({"id": [1, 2, 3]})


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(TEXT), FileKind.GZIP),
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
        (TEXT.decode().encode("utf-16"), FileKind.UTF16),
        (b"\xfe\xff\0i\0d", FileKind.UTF16),
        (TEXT.decode().encode("utf-32"), FileKind.UTF32),
        (b"\0\0\xfe\xff\0\0\0i", FileKind.UTF32),
        (b"FEA1" + bytes(4), FileKind.FEATHER),
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
        b"ORC,TROLL\n1,2\n",
        b"PAR1,PAR2\n1,2\n",
        b"BZh,FEA1\n1,2\n",
        b"[id],[name]\n1,nut\n",
        b"{id},{name}\n1,nut\n",
        b"\x00\x01\x02",
    ],
)
def test_text_and_the_unknown(data: bytes) -> None:
    assert identify(data) is None


def test_a_kind_is_a_phrase_for_a_message() -> None:
    assert f"it is {identify(gzip.compress(TEXT))}" == "it is a gzip file"
    assert all(" " in kind for kind in FileKind)
