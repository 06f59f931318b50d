"""Text in other encodings than UTF-8 is converted as a stream, and what cannot be is refused with its place."""

from __future__ import annotations

import codecs
from itertools import pairwise
from pathlib import Path

import pytest
from csv_partitions import csv_options, cut, parsed, partitions_of, spool_files
from hypothesis import given, settings
from hypothesis import strategies as st

import kumo_async
from kumo_async import CsvOptions, SourceError, UploadOptions
from kumo_async.formats.recode import EncodingError, to_utf8
from kumo_async.local import LocalDataPlane

ENCODINGS = [
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-8-sig",
    "latin-1",
    "cp1252",
    "iso8859-15",
    "cp437",
    "shift_jis",
    "gb18030",
    "iso2022_jp",
    "utf-7",
]
TEXT = 'naïve,"b ""c"""\r\n' + "".join(f'{number},"ü, {number}\r\nß"\r\n' for number in range(200))
ASIAN = {"shift_jis", "gb18030", "iso2022_jp"}


def text_for(encoding: str) -> str:
    if encoding in ASIAN:
        return TEXT.replace("ï", "イ").replace("ü", "日本").replace("ß", "ソ")
    return TEXT.replace("ß", "\N{BOX DRAWINGS DOUBLE HORIZONTAL}") if encoding == "cp437" else TEXT


@pytest.mark.parametrize("size", [None, 1, 100, 999, 10**9])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_arrives_as_utf8(tmp_path: Path, encoding: str, size: int | None) -> None:
    text = text_for(encoding)
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    found = cut(path, size, csv=CsvOptions(encoding=encoding), validate="full")
    expected = parsed(text.encode())
    assert [row for _, content in found for row in parsed(content)[1:]] == expected[1:]
    assert sum(rows or 0 for rows, _ in found) == 200
    header = found[0][1][: found[0][1].index(b"\n") + 1]
    assert b"".join(content.removeprefix(header) for _, content in found) == text.encode().split(b"\n", 1)[1]


@pytest.mark.parametrize("order", ["le", "be"])
def test_a_byte_order_mark_is_dropped(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.csv"
    mark = codecs.BOM_UTF16_LE if order == "le" else codecs.BOM_UTF16_BE
    path.write_bytes(mark + "id,x\n1,ä\n".encode(f"utf-16-{order}"))
    expected = [(1, "id,x\n1,ä\n".encode())]
    assert cut(path, None, csv=CsvOptions(encoding="utf-16")) == expected
    assert cut(path, None, csv=CsvOptions(encoding=f"utf-16-{order}")) == expected
    with pytest.raises(SourceError, match=r"UTF-16 by its byte order mark.*pass encoding='utf-16'"):
        cut(path, None)


@settings(max_examples=200)
@given(
    st.sampled_from([name for name in ENCODINGS if name != "utf-8-sig"]),
    st.text(max_size=30),
    st.binary(max_size=4),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_conversion_is_what_python_makes_of_the_whole(
    encoding: str, text: str, more: bytes, borders: list[int]
) -> None:
    data = text.encode(encoding, "ignore") + more
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    blocks = iter([data[start:end] for start, end in pairwise(edges)])
    try:
        expected = data.decode(encoding).encode()
    except UnicodeError as error:
        start = getattr(error, "start", None)
        with pytest.raises(EncodingError) as caught:
            b"".join(to_utf8(blocks, encoding))
        # Codecs that keep a state tell of a cut-off end in their own ways.
        if start is not None and not more.startswith(b"\x1b") and encoding not in {*ASIAN, "utf-7"}:
            assert caught.value.offset in (start, start - start % 2, start - start % 4)
    else:
        # A stream that ends within its byte order mark is nothing to Python, and a fault here or there.
        assert b"".join(to_utf8(blocks, encoding)) == expected


WORDS = "Müller Köln Straße größer als je zuvor"


@pytest.mark.parametrize(
    ("text", "encoding", "proposal"),
    [
        pytest.param(f"id,name\n1,{WORDS}\n", "latin-1", "encoding='cp1252') (or 'latin-1', which is", id="umlauts"),
        pytest.param(f"id,name\n1,{WORDS}\n", "cp1252", "encoding='cp1252') (or 'latin-1', which is", id="Excel"),
        pytest.param(f"id,name\n1,„{WORDS}“ 5 €\n", "cp1252", "encoding='cp1252').", id="Excel, with its own signs"),
        pytest.param(f"id,name\n1,{WORDS}\n", "utf-16-le", "encoding='utf-16-le')", id="UTF-16"),
        pytest.param(f"id,name\n1,{WORDS}\n", "utf-16-be", "encoding='utf-16-be')", id="UTF-16, big-endian"),
        pytest.param(f"id,name\n1,{WORDS}\n", "utf-32-le", "encoding='utf-32-le')", id="UTF-32"),
        pytest.param("id,name\n1,Привет мир и люди\n", "cp1251", "Pass its encoding, as csv=", id="another script"),
        pytest.param("id,name\n1,日本語の文字列です\n", "shift_jis", "Pass its encoding, as csv=", id="Japanese"),
    ],
)
@pytest.mark.parametrize("at_end", [False, True])
def test_the_encoding_that_fits_the_bytes_is_proposed(
    tmp_path: Path, text: str, encoding: str, proposal: str, at_end: bool
) -> None:
    path = tmp_path / "a.csv"
    header, row = text.split("\n", 1)
    # Also where it comes late, after what is ASCII in both; and UTF-16 has NULs from the beginning.
    plain = "1,2\n" * 300_000 if at_end and not encoding.startswith("utf") else ""
    path.write_bytes(f"{header}\n{plain}{row}".encode(encoding))
    with pytest.raises(SourceError) as caught:
        cut(path, None)
    assert proposal in str(caught.value)


def test_a_single_place_that_is_no_utf8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,name\n1,Köln\n2,größer\n3,x".encode() + b"\xfc\n")
    with pytest.raises(SourceError, match="The text around it is UTF-8, so correct that place"):
        cut(path, None)


@pytest.mark.parametrize("validate", ["fast", "full"])
@pytest.mark.parametrize(
    ("content", "offset", "words"),
    [
        ("id,x\n1,ä\n".encode("latin-1"), 7, "record 1 is not UTF-8"),
        ("id,ä\n1,2\n".encode("latin-1"), 3, "header is not UTF-8"),
        ("id,x\n1,2\n".encode("utf-16"), 0, "UTF-16"),
        ("id,x\n1,2\n".encode("utf-16-le"), 1, "NUL at byte 1"),
    ],
)
async def test_what_is_not_utf8_is_refused_with_its_place(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    content: bytes,
    offset: int,
    words: str,
    validate: str,
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        await csv.upload_async("a", tmp_path / "a.csv", options=UploadOptions(validate=validate))  # type: ignore[arg-type]
    assert "encoding=" in str(caught.value)
    assert f"byte {offset}" in str(caught.value) or offset == 0
    assert [call for call in plane.calls if call.call not in ("validate", "list")] == []


@pytest.mark.parametrize(
    ("encoding", "content", "words"),
    [
        ("cp1252", b"a,b\n1,\x81\n", "not cp1252 at byte 6"),
        ("ascii", b"a,b\n1,\xe4\n", "not ascii at byte 6"),
        ("utf-16", b"a,b\n1,2\n", "not utf-16 at byte 0.*utf-16-le"),
        ("utf-16-le", "a,b\n1,2\n".encode("utf-16-le") + b"\x00", "at byte 16"),
        ("utf-16-le", "a,b\n1,2\n".encode("utf-16-le") + b"\x00\xd8", "at byte 16"),
    ],
)
def test_the_wrong_encoding_is_refused_with_its_place(
    tmp_path: Path, encoding: str, content: bytes, words: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        cut(path, None, csv=CsvOptions(encoding=encoding))
    chain = caught.value.__cause__
    assert isinstance(chain, EncodingError)
    assert chain.__cause__ is None  # a UnicodeDecodeError would hold the data


def test_a_bad_byte_far_behind_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    head = b"a,b\n" + b"1,2\n" * 300_000
    path.write_bytes(head + b"1,\xe4\n" + b"1,2\n" * 10)
    for size in (None, 100_000):
        with pytest.raises(SourceError, match=f"record 300001 is not UTF-8 at byte {len(head) + 2}"):
            cut(path, size)


async def test_what_is_converted_needs_as_much_disk_as_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.sources.csv_content._SPOOL_SIZE", 50_000)
    path = tmp_path / "a.csv"
    path.write_bytes(("a,b\n" + "1,ä\n" * 500_000).encode("latin-1"))
    options = UploadOptions(csv=CsvOptions(encoding="latin-1"), partition_threshold=300_000, spool_dir=tmp_path)
    held = []
    async with kumo_async.sources.open_source(path, "csv", options) as source:
        assert source.size > 300_000
        async for partition in source.partitions(200_000):
            assert 0 < partition.size <= 200_000
            held.append(sum(link.stat().st_size for link in spool_files(tmp_path)))
    assert len(held) > 10
    assert max(held) < 2_000_000
    assert spool_files(tmp_path) == []


async def test_the_spool_is_private_and_gone_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100 + b"1,\x81\n")
    with pytest.raises(SourceError):
        await partitions_of(path, None, csv_options(encoding="cp1252"))
    path.write_bytes(b"a,b\n1,2\n")
    options = UploadOptions(csv=CsvOptions(encoding="cp1252"), spool_dir=tmp_path)
    async with kumo_async.sources.open_source(path, "csv", options):
        assert [link.stat().st_mode & 0o777 for link in spool_files(tmp_path)] == [0o600]
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]
    assert spool_files(tmp_path) == []


async def test_a_large_file_is_uploaded_in_partitions(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    text = "näme,x\n" + "".join(f"{number},ü\n" for number in range(50_000))
    (tmp_path / "a.csv").write_bytes(text.encode("utf-16"))
    options = UploadOptions(csv=CsvOptions(encoding="utf-16"), partition_threshold=100_000, partition_size=90_000)
    report = await csv.upload_async("a", tmp_path / "a.csv", options=options)
    assert report.rows == 50_000
    files = [file.read_bytes() for file in plane.table_files("a", "csv")]
    assert len(files) > 3
    assert b"".join(file.removeprefix(b"n_me,x\n") for file in files) == text.encode().split(b"\n", 1)[1]
