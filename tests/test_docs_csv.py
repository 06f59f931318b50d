"""Each row of the table in docs/csv.md is true: one case for each, and none without."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

import kumo_async
from kumo_async import CsvOptions, UploadOptions
from kumo_async.local import LocalDataPlane
from kumo_async.upload.plan import partition_size, size_warnings

PAGE = (Path(__file__).parent.parent / "docs" / "csv.md").read_text()
TABLE = re.findall(r"(?m)^\| (\d+) \| (.+?) \| (.+?) \|$", PAGE)
CUT = UploadOptions(partition_threshold=0, partition_size=20)
FULL = UploadOptions(validate="full")
FAR = b"a,b\n" + b"1,2\n" * 300_000


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it.

    Attributes:
        content: The file.
        refused: What the refusal says; None where the table is accepted.
        sent: What Kumo has, the header once; the file itself unless given.
        header: The header of each partition, where there are several.
    """

    content: bytes
    refused: str | None = None
    sent: bytes | None = None
    header: bytes = b"a,b\n"
    options: UploadOptions = field(default_factory=UploadOptions)
    name: str = "t.csv"


def of(encoding: str) -> UploadOptions:
    return UploadOptions(csv=CsvOptions(encoding=encoding))


PLAIN = b"a,b\n1,2\n"
PACKED = {
    "t.csv.gz": gzip.compress(PLAIN),
    "t.csv.bz2": bz2.compress(PLAIN),
    "T.CSV.XZ": lzma.compress(PLAIN),
    "t.csv.ZST": pa.compress(PLAIN, codec="zstd", asbytes=True),
}
WIDE = b",".join(b"c%d" % number for number in range(20_000)) + b"\n" + b"," * 19_999 + b"\n"
QUOTED = b'a,b\n"1\n","2"""\n' * 9
BOMB = gzip.compress(b"a,b\n" + b"1,2\n" * (20 * 1024**2))

CASES: dict[int, list[Case]] = {
    1: [Case(b"", "empty"), Case(b"a,b\n", "no rows"), Case(b"a,b\n\n", "no rows"), Case(b"a\n1\n", "single column")],
    13: [Case(b"PAR1" + bytes(40), "Parquet"), Case(gzip.compress(PLAIN), "gzip"), Case(b'[{"a": 1}]', "JSON")],
    16: [
        *(Case(content, sent=PLAIN, name=name) for name, content in PACKED.items()),
        Case(PACKED["t.csv.gz"][:-3], "cut off", name="t.csv.gz"),
        Case(PACKED["t.csv.gz"] + b"x", "followed|cut off", name="t.csv.gz"),
        Case(BOMB, "250-fold", name="t.csv.gz"),
    ],
    17: [Case(b"\xef\xbb\xbf" + PLAIN, sent=PLAIN)],
    18: [
        Case("a,b\n1,ä\n".encode("utf-16"), sent="a,b\n1,ä\n".encode(), options=of("utf-16")),
        Case("a,b\n1,ä\n".encode("latin-1"), sent="a,b\n1,ä\n".encode(), options=of("latin-1")),
        Case("a,b\n1,ä\n".encode("latin-1"), "byte 6.*encoding="),
        Case("a,b\n1,ä\n".encode("utf-16"), "UTF-16.*encoding="),
    ],
    19: [Case(content, options=FULL) for content in (b"a,b\r\n1,2\r\n", b"a,b\r1,2\r", b'a,b\n1,2\r"\r\n",4\r\n')],
    20: [
        Case(b"a,b\n" + QUOTED, options=UploadOptions(partition_threshold=0, partition_size=size)) for size in (1, 30)
    ],
    21: [
        Case(b'"a","x,\ny"\n1,2\n', sent=b"a,x__y\n1,2\n"),
        Case(b'"a"," , "\n1,2\n', sent=b"a,auto_named_0\n1,2\n"),
        Case(b"\n\r\na,b\n1,2\n", sent=PLAIN),
    ],
    22: [
        *(Case(content) for content in (b"a;b\n1,5;2,5\n", b"a\tb\n1\t2\n", b"a|b\n1|2\n")),
        Case(b"a:b\n1:2\n", options=UploadOptions(csv=CsvOptions(delimiter=":"))),
    ],
    23: [Case(b"a,b\n1,2")],
    24: [
        Case(b"a,b\n1,2\n3\n", "record 2, which begins at byte 8"),
        Case(b"a,b\n1,\0\n", "record 1 holds a NUL at byte 6"),
        Case(b"a,b\n1,\xff\n", "record 1 is not UTF-8 at byte 6"),
        Case(FAR + b"1\n", "record 300001", options=FULL),
        Case(FAR + b'1,"\n', "record 300001 never ends: the quote that opens at byte 1200006"),
        Case(FAR + b"1\n", "record 300001"),
        Case(FAR + b"1\n" + FAR[4:] * 2),
    ],
    25: [Case(b"a b,b\n00501,NA\n0.10,12345678901234567890\n", sent=b"a_b,b\n00501,NA\n0.10,12345678901234567890\n")],
    30: [
        Case(WIDE),
        Case(b"a,b\n" + b'1,"' + b"\n" * 5_000 + b'"\n3,4\n', options=CUT),
        Case(b"a" * 1024**2 + b",b\n1,2\n", "1,048,576"),
    ],
    33: [Case(b"a,b\n" + b"1,2\n" * 260, options=CUT)],
}


def test_every_row_has_a_case_and_every_case_a_row() -> None:
    assert [int(number) for number, _, _ in TABLE] == [1, 13, *range(16, 26), 30, 33] == list(CASES)


@pytest.mark.parametrize(
    ("words", "case"),
    [
        pytest.param(words, case, id=f"{number}-{place}")
        for number, _, words in TABLE
        for place, case in enumerate(CASES[int(number)])
    ],
)
async def test_what_the_table_says_happens(
    words: str, case: Case, plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / case.name
    path.write_bytes(case.content)
    if case.refused is not None:
        assert "refused" in words
        with pytest.raises(kumo_async.SourceError, match=case.refused):
            await csv.upload_async("t", path, options=case.options)
        assert plane.table_files("t", "csv") == []
        return
    assert "accepted" in words or "dropped" in words or 'validate="full"' in words
    await csv.upload_async("t", path, options=case.options)
    first, *others = [file.read_bytes() for file in plane.table_files("t", "csv")]
    assert all(other.startswith(case.header) for other in others)
    assert b"".join([first, *(other.removeprefix(case.header) for other in others)]) == (case.sent or case.content)


def test_partitions_grow_and_a_warning_names_parquet() -> None:
    options = UploadOptions()
    for size, target in ((20 * 10**9, 20 * 10**9 / 127), (10**12, 1000 * 1024**2)):
        found = partition_size(size, "csv", auto_partition=True, partition_size_mb=100, options=options)
        assert found == -(-target // 1)
        assert "Parquet" in size_warnings(size, "csv", found)[0]
