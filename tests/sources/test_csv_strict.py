"""Quotes are taken as RFC 4180 says, wherever in a file they stand and however it is sent; anything else is refused."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from converted import converted
from csv_partitions import cut, parsed

import kumo_async
from kumo_async import CsvOptions, SourceError

MIB = 1024**2
#: More than what is looked at to begin with, and more than what the fast check counts.
PLAIN = b"".join(b"%d,2\n" % number for number in range(400_000))


def _compressed(path: Path, data: bytes) -> Path:
    path = path.with_name("a.csv.gz")
    path.write_bytes(gzip.compress(data, 1))
    return path


def _recoded(path: Path, data: bytes) -> Path:
    path.write_bytes(data.decode().encode("utf-16"))
    return path


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


Way = Callable[[Path, bytes, dict[str, Any]], int]


def _cut(write: Callable[[Path, bytes], Path], size: int | None, **options: Any) -> Way:
    def rows(path: Path, data: bytes, csv: dict[str, Any]) -> int:
        given = CsvOptions(**csv, encoding="utf-16" if write is _recoded else None)
        return sum(rows or 0 for rows, _ in cut(write(path, data), size, csv=given, **options))

    return rows


#: Every way that the rows of a file go, and how many there are then.
WAYS: dict[str, Way] = {
    "fast": _cut(_written, None),
    "full": _cut(_written, None, validate="full"),
    "partitions": _cut(_written, 30_000),
    "partitions, full": _cut(_written, 100_000, validate="full"),
    "compressed": _cut(_compressed, 200_000),
    "recoded": _cut(_recoded, None),
    "convert": lambda path, data, csv: converted(_written(path, data), **csv).num_rows,
}


@pytest.fixture(params=list(WAYS))
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., int]:
    """The number of rows that come out of a file, some way or another."""

    def count(data: bytes, **csv: Any) -> int:
        return WAYS[request.param](tmp_path / "a.csv", data, csv)

    return count


def refused(rows: Callable[..., int], data: bytes, words: str, **csv: Any) -> str:
    with pytest.raises(SourceError, match=words) as caught:
        rows(data, **csv)
    return str(caught.value)


def test_a_quote_as_text_is_found_where_it_opens_a_field(rows: Callable[..., int]) -> None:
    names = {100_005: '"Candidatus Foo', 101_009: '"Candidatus Bar'}
    lines = [f"{number}\t{names.get(number, 'Some name')}\n" for number in range(1, 120_001)]
    data = "".join(["id\tname\n", *lines]).encode()
    opened, text = data.index(b'"'), data.rindex(b'"') + 1
    words = f"record 100005 has text at byte {text}, after the quote that closes the field which opens at byte {opened}"
    assert "quote=''" in refused(rows, data, words)
    assert rows(data, quote="") == 120_000


@pytest.mark.parametrize("said", ['he said \\"hi\nthere\\" and left', 'he said \\"hi\nthere\\", and left'])
def test_an_escaped_quote_far_behind_names_the_escape(rows: Callable[..., int], said: str) -> None:
    plain = "".join(f'"{number}","plain words here"\n' for number in range(80_000))
    head, rest = plain[: plain.index('"60000"')], plain[plain.index('"60000"') :]
    data = f'"id","body"\n{head}"60000","{said}"\n{rest}'.encode()
    assert "csv=CsvOptions(escape='\\\\')" in refused(rows, data, "record 60001 has text at byte .*, after the quote")
    assert rows(data, escape="\\") == 80_001


@pytest.mark.parametrize("size", [None, 400, 1000])
def test_no_partition_begins_within_a_field_with_escaped_quotes(tmp_path: Path, size: int | None) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'"id","t"\n' + b'"1","plain"\n"2","a \\"x\ny\\", b"\n' * 100)
    for _, content in cut(path, size, csv=CsvOptions(escape="\\")):
        assert {len(row) for row in parsed(content, escapechar="\\", strict=True)} == {2}


@pytest.mark.parametrize(
    ("record", "remedy"),
    [
        pytest.param('"1","PERDIDO LAND " CATTLE CO."\n"2","LEWIS"\n', "Double each quote", id="in a quoted field"),
        pytest.param('1,"99 Problems" by X\n2,"Yesterday"\n', "quote=''", id="in front"),
        pytest.param('1,"MEGA SERVICE\n2,"OTHER SPA"\n3,C\n', "quote=''", id="never closed"),
        pytest.param('1,"Nice" he said\n2,"Keep ur problems\n3,x\n4,"HI BABE\n', "quote=''", id="messages"),
        pytest.param('1,"a" \n', "Remove the blanks", id="a blank after the quote"),
        pytest.param('1,"a"\t\n', "Remove the blanks", id="a tab after the quote"),
        pytest.param('1,""""x\n', "Double each quote", id="after a quote in quotes"),
    ],
)
def test_text_after_a_closing_quote_is_refused_wherever_it_stands(
    rows: Callable[..., int], record: str, remedy: str
) -> None:
    for before, number in ((b"", 1), (PLAIN, 400_001)):
        for after in (b"", b"8,9\n"):
            data = b"a,b\n" + before + record.encode() + after
            assert remedy in refused(rows, data, f"record {number} has text at byte")


def test_swallowed_rows_are_refused(rows: Callable[..., int]) -> None:
    data = b'id;name;city\n1;"MEGA SERVICE;Rome\n2;"OTHER SPA";Milan\n3;C;Turin\n'
    message = refused(rows, data, "record 1 has text at byte 37, after the quote .* byte 15")
    assert "quote=''" in message


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("footer", [b"(400000 rows)", b"\x1a", b" ", b"'", b"1;2", b"1,2,3"])
def test_a_footer_is_refused(rows: Callable[..., int], footer: bytes, end: bytes) -> None:
    data = b"a,b\n" + PLAIN + footer + end
    message = refused(rows, data, f"record 400001, which begins at byte {len(PLAIN) + 4}, has [13] fields? instead")
    assert ("Remove the line" in message) == (b"," not in footer)


def test_a_footer_is_refused_where_a_block_ends_before_it(rows: Callable[..., int]) -> None:
    whole = PLAIN[: PLAIN.index(b"\n", MIB - 100) + 1]
    for missing in (0, 1, 2):
        plain = b"1" * (MIB - len(whole) - missing) + whole
        message = refused(rows, b"a,b\n" + plain + b"end\n", "has 1 field instead of 2")
        assert f"record {plain.count(10) + 1}," in message


@pytest.mark.parametrize("row", [0, 80_000, 150_000])
def test_an_escaped_line_end_names_the_escape(rows: Callable[..., int], row: int) -> None:
    lines = [f"{number}\tsome value\t7\n" for number in range(160_000)]
    for broken in (f"{row}\tsome\\\nvalue\t7\n", f"{row}\tsome value\t7\\\n8\n", f"{row}\\\n\tsome value\t7\n"):
        data = "".join(["a\tb\tc\n", *lines[:row], broken, *lines[row + 1 :]]).encode()
        message = refused(rows, data, f"record {row + 1 + (broken.find('7') < broken.find(chr(92)))}, which begins")
        assert "csv=CsvOptions(escape='\\\\')" in message
    assert rows(data, escape="\\") == 160_000


def test_backslashes_at_the_ends_of_lines_are_no_fault(rows: Callable[..., int]) -> None:
    assert rows(b"path,n\n" + b"1,C:\\dir\\\n2,D:\\\r\n" * 120_000) == 240_000


def test_quotes_in_text_are_text(rows: Callable[..., int]) -> None:
    lines = [b"5\" disc,it's", b"'em,goin'", b'"a ""b""","x,\ny"', b',""', b'\\,"\\\\"', b""]
    record = b"\n".join(lines)
    assert rows(b"a,b\n" + record * 30_000) == 150_000


async def test_a_quote_after_a_space_is_warned_of_wherever_it_stands(
    csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n" + PLAIN + b'1, "Socks"\n' * 300_000)
    for options in (
        kumo_async.UploadOptions(),
        kumo_async.UploadOptions(partition_threshold=0, partition_size=MIB),
    ):
        report = await csv.upload_async("a", path, options=options)
        warning, others = report.warnings[0], report.warnings[1:]
        assert re.match(r"Record 4\d{5} has a quote after spaces", warning)
        assert "csv=CsvOptions(skip_initial_space=True)" in warning
        assert not any("skip_initial_space" in other for other in others)
    path.write_bytes(b"a,b\n" + PLAIN + b'1,x "Socks"\n' * 300_000)
    assert (await csv.upload_async("a", path)).warnings == ()


def test_an_escaped_line_end_is_found_wherever_blocks_end(tmp_path: Path) -> None:
    for start in range(MIB - 12, MIB + 6):
        rows = b"1,2\n" * (start // 4 - 1)
        data = b"a,b\n" + rows + b"7" * (start % 4) + b"1,x\\\ny\n"
        with pytest.raises(SourceError, match=f"record {rows.count(10) + 2}, .*has 1 field") as caught:
            cut(_written(tmp_path / "a.csv", data + b"1,2\n" * MIB), None)
        assert "escape=" in str(caught.value)
