from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kumo_async.formats.csv_dialect import CsvDialect, Header, HeaderError, read_header, write_header
from kumo_async.formats.csv_sniff import sniff

PLAIN = CsvDialect()
DIALECTS = [
    PLAIN,
    CsvDialect(b";"),
    CsvDialect(b"\t", b"'"),
    CsvDialect(b"|", escape=b"\\"),
    CsvDialect(quote=None, escape=b"\\"),
    CsvDialect(skip_initial_space=True),
    CsvDialect(quote=None, escape=b"\\", skip_initial_space=True),
]


@pytest.mark.parametrize("delimiter", [b"", b",,", b"\n", b"\r", b"\0", b"\xa7", b'"x', "é".encode()])
def test_dialects_that_cannot_be(delimiter: bytes) -> None:
    with pytest.raises(ValueError, match="must"):
        CsvDialect(delimiter)


def test_the_bytes_of_a_dialect_must_differ() -> None:
    with pytest.raises(ValueError, match="delimiter, quote, escape must differ"):
        CsvDialect(b",", b'"', b'"')


def test_a_space_has_no_second_meaning_where_it_is_skipped() -> None:
    for dialect in (CsvDialect(b" "), CsvDialect(quote=b" "), CsvDialect(escape=b" ")):
        with pytest.raises(ValueError, match="must not be a space"):
            replace(dialect, skip_initial_space=True)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        pytest.param("\ufeffa;b\n\n1;2\n", ";", id="byte order mark, blank line"),
        pytest.param("name;price\nnut;0,50\nbolt;1,75\n", ";", id="decimal comma"),
        pytest.param("price;tax\n1,5;0,2\n1,7;0,3\n", ";", id="decimal comma in each field"),
        pytest.param("Preis, EUR;Menge, kg\n1,50;2,5\n3,00;4,0\n", ";", id="decimal comma, comma in header"),
        pytest.param("id,text\n1,a; b; c\n2,c; d; e\n", ",", id="semicolons in text"),
        pytest.param("id,tags;more\n1,a;b\n2,c;d\n", ",", id="semicolons in header and text"),
        pytest.param("id\ttext\n1\ta, b, c\n2\td, e, f\n", "\t", id="commas in text"),
        pytest.param('id;"a,b,c"\n1;"d,e,f"\n2;"g,h,i"\n', ";", id="commas in quotes"),
        pytest.param("id;last, first\n1;Smith, J\n2;Doe, A\n", ";", id="prose in header and text"),
        pytest.param('id,"a;b"\n1,"c;d\n;;;"\n', ",", id="semicolons and newlines in quotes"),
        pytest.param("a,b,c|d\n1,2,3|4\n", ",", id="the header has more commas"),
        pytest.param("a|b|c,d\n1|2|3,4\n", "|", id="the header has more pipes"),
        pytest.param("a,b\n1,2\n3\n4,5,6\n", ",", id="ragged"),
        pytest.param("word\nnut\nbolt\n", ",", id="one column"),
        pytest.param("price\n1,5\n2,5\n", ",", id="one column, decimal comma"),
        pytest.param("a;b", ";", id="header only"),
        pytest.param("\ufeffsep=;\r\na,b;c\r\n1,2;3\r\n", ";", id="told to Excel"),
        pytest.param("sep=~\na~b\n1~2\n", "~", id="told to Excel, and odd"),
        pytest.param("Name, Vorname;Alter\nMeier, Hans;42\nKurz, Eva;33\n", ";", id="a comma in every name"),
        pytest.param("Name, Vorname;Ort\nMeier, Hans;Ulm, DE\nKurz, Eva;Wien, AT\n", ";", id="and place"),
        pytest.param("Artikel;Preis\nA;1,50 €\nB;2,75 €\n", ";", id="prices with their currency"),
        pytest.param("city\tnote\nUlm\ta, b\nWien\td, e\nBonn\tx, y\n", "\t", id="commas of prose"),
        pytest.param("ts|level|text\n0:00,1|INFO|on; ok\n0:01,4|WARN|12,5 s; x\n", "|", id="a log"),
        pytest.param("name;where\nA;48.1,11.5,3\nB;52.5,13.4,4\n", ";", id="coordinates"),
        pytest.param("'id','name'\n'1','Ada'\n'2','Bob'\n", ",", id="single quotes around everything"),
        pytest.param("id,t,u\n1,rock 'n' roll,'s\n2,'n','m\n", ",", id="apostrophes at both ends"),
        pytest.param("id, name, city\n1, Bob, Ulm\n2, Eve, Bonn\n", ",", id="a space behind each comma"),
        pytest.param("id,tags\n1,a|b|c\n2,d|e|f\n", ",", id="lists in fields"),
        pytest.param("", ",", id="nothing"),
        pytest.param("\r\n\r\n", ",", id="blank lines"),
        pytest.param("id,name\n1,'Smith, J'\n2,'Doe, A'\n", ",", id="single quotes"),
        pytest.param("id;'a;b'\n1;'Smith; J'\n", ";", id="single quotes in the header"),
        pytest.param("id,name\n1,'Smith'\n2,'Doe'\n", ",", id="single quotes that keep nothing together"),
        pytest.param("id,name\n1,O'Brien\n2,'tis\n", ",", id="apostrophes"),
        pytest.param("id,a,b\n1,'tis,done'\n2,x,y\n", ",", id="apostrophes around a delimiter"),
        pytest.param("id,name\n1,'Smith, J'\n2,\"Doe, A\"\n", ",", id="both quotes"),
    ],
)
def test_detect(text: str, delimiter: str) -> None:
    assert sniff(text.encode(), complete=True).dialect == CsvDialect(delimiter.encode())


def test_detect_leaves_out_the_record_that_the_block_cuts() -> None:
    block = b"id;a,b\n1;2,5\n2;3,5\n" + b"3"
    assert sniff(block, complete=False).dialect == CsvDialect(b";")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("1;" + "x" * 300_000 + "\n", id="a field longer than the csv module reads"),
        pytest.param("1;2,5\n" * 100_000, id="many rows"),
        pytest.param('1;"2,5\n' + "x\n" * 100_000, id="an open quote"),
    ],
)
def test_detect_reads_a_sample(rows: str) -> None:
    assert sniff(f"a;b\n1;2\n{rows}".encode(), complete=False).dialect == CsvDialect(b";")


def test_detect_many_columns() -> None:
    header = ";".join(f"column {number}, mean" for number in range(20_000))
    row = ";".join(f"{number},5" for number in range(20_000))
    assert sniff(f"{header}\n{row}\n{row}\n".encode(), complete=False).dialect == CsvDialect(b";")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_detect_what_duckdb_writes(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    text = "'Nut; ' || i || ', | \"large\"' || chr(10)"
    query = f"select i as id, {text} as text, i / 7 as x, null as nothing from range(5000) t(i)"
    duckdb.execute(f"copy ({query}) to '{path}' (header, delimiter '{delimiter}')")
    assert sniff(path.read_bytes()[: 1 << 16], complete=False).dialect == CsvDialect(delimiter.encode())


@pytest.mark.parametrize(
    ("block", "dialect", "header"),
    [
        pytest.param(b"a,b\n1,2\n", PLAIN, Header(("a", "b"), 0, 4, b"\n", True), id="LF"),
        pytest.param(b"a,b\r\n1,2\r\n", PLAIN, Header(("a", "b"), 0, 5, b"\r\n", True), id="CRLF"),
        pytest.param(b"a,b\r1,2\r", PLAIN, Header(("a", "b"), 0, 4, b"\r", True), id="CR"),
        pytest.param(b"a,b", PLAIN, Header(("a", "b"), 0, 3, b"\n", False), id="no terminator"),
        pytest.param(b"a,b\r", PLAIN, Header(("a", "b"), 0, 4, b"\r", False), id="header only"),
        pytest.param(b"a,b\n\n\r\n", PLAIN, Header(("a", "b"), 0, 4, b"\n", False), id="only blank lines follow"),
        pytest.param(b"\xef\xbb\xbfa,b\n1", PLAIN, Header(("a", "b"), 3, 7, b"\n", True), id="byte order mark"),
        pytest.param(
            b"\xef\xbb\xbf\n\r\na,b\n1", PLAIN, Header(("a", "b"), 6, 10, b"\n", True), id="leading blank lines"
        ),
        pytest.param(b"sep=,\r\na,b\n1", PLAIN, Header(("a", "b"), 7, 11, b"\n", True), id="told to Excel"),
        pytest.param(b'"a,b","c\nd"\n1', PLAIN, Header(("a,b", "c\nd"), 0, 12, b"\n", True), id="quoted"),
        pytest.param(
            b'"a ""b""";5" c\n1', CsvDialect(b";"), Header(('a "b"', '5" c'), 0, 15, b"\n", True), id="quotes"
        ),
        pytest.param(b'"a",b\n', CsvDialect(quote=None), Header(('"a"', "b"), 0, 6, b"\n", False), id="no quoting"),
        pytest.param(
            b"a\\,b,c\\\r\n1", CsvDialect(escape=b"\\"), Header(("a,b", "c\r"), 0, 9, b"\n", True), id="an escaped CR"
        ),
        pytest.param("größe,名\n".encode(), PLAIN, Header(("größe", "名"), 0, 12, b"\n", False), id="UTF-8"),
        pytest.param(b",\n1", PLAIN, Header(("", ""), 0, 2, b"\n", True), id="empty names"),
    ],
)
def test_read_header(block: bytes, dialect: CsvDialect, header: Header) -> None:
    assert read_header(block, dialect, complete=True) == header


def test_of_what_lies_behind_the_block_data_is_expected() -> None:
    assert read_header(b"a,b\n", PLAIN, complete=False).has_data


@pytest.mark.parametrize(
    ("block", "complete", "offset", "message"),
    [
        pytest.param(b"", True, None, "the file is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf\r\n\n", True, None, "the file is empty", id="blank"),
        pytest.param(b"\n" * 10, False, 10, "does not end within the first 10 bytes", id="blank block"),
        pytest.param(b"\na,b", False, 1, "does not end within the first 4 bytes", id="longer than the block"),
        pytest.param(
            b'"a" x,b\n1,2\n', True, 0, "text at byte 3, after the quote .* pass quote=''", id="text after a quote"
        ),
        pytest.param(b'a,"b\n1,2\n', True, 2, "the quote that opens at byte 2 is not closed", id="open quote"),
        pytest.param(b'a,"b\n1,2\n', False, 0, "does not end within the first 9 bytes", id="open quote in a block"),
        pytest.param(
            b"\nid,gr\xf6\xdfe\n", True, 6, r"at byte 6: pass csv=.*\(encoding='cp1252'\) \(or 'latin-1'", id="Latin-1"
        ),
        pytest.param(
            "a,b\n".encode("utf-16"), True, 0, "UTF-16 by its byte order mark.*encoding='utf-16'", id="UTF-16"
        ),
        pytest.param(b"\xfe\xff\0a\0\n", True, 0, "UTF-16 by its byte order mark", id="UTF-16 BE"),
        pytest.param(
            "a,b\n".encode("utf-32"), True, 0, "UTF-32 by its byte order mark.*encoding='utf-32'", id="UTF-32"
        ),
        pytest.param("a,b\n".encode("utf-16-le"), True, 1, "at byte 1: pass csv=.*encoding='utf-16-le'", id="no mark"),
        pytest.param(b"id,a\0b\n1,2\n", True, 4, "NUL at byte 4: remove it", id="NUL"),
        pytest.param(b"a," + b"x" * 200_000, True, 0, "longer than 131,072 characters", id="a huge name"),
    ],
)
def test_headers_that_cannot_be_read(block: bytes, complete: bool, offset: int | None, message: str) -> None:
    with pytest.raises(HeaderError, match=message) as error:
        read_header(block, PLAIN, complete)
    assert error.value.offset == offset
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize(
    ("names", "dialect", "written"),
    [
        pytest.param(["a", "b c", ""], PLAIN, b"a,b c,\n", id="plain"),
        pytest.param(["a,b", "c;d"], PLAIN, b'"a,b",c;d\n', id="delimiter"),
        pytest.param(["a,b", "c;d"], CsvDialect(b";"), b'a,b;"c;d"\n', id="another delimiter"),
        pytest.param(['a "b"', "c\nd"], PLAIN, b'"a ""b""","c\nd"\n', id="quotes and newlines"),
        pytest.param([""], PLAIN, b'""\n', id="one empty name"),
        pytest.param(["\ufeffa", "\ufeffb"], PLAIN, b'"\xef\xbb\xbfa",\xef\xbb\xbfb\n', id="byte order mark"),
        pytest.param(["a,b", "\\"], CsvDialect(quote=None, escape=b"\\"), b"a\\,b,\\\\\n", id="escapes"),
        pytest.param(["a,\\"], CsvDialect(escape=b"\\"), b'"a,\\\\"\n', id="quotes and escapes"),
    ],
)
def test_write_header(names: list[str], dialect: CsvDialect, written: bytes) -> None:
    assert write_header(names, dialect, b"\n") == written


@pytest.mark.parametrize("names", [["a,b"], ["a\nb"], [""]])
def test_headers_that_cannot_be_written(names: list[str]) -> None:
    with pytest.raises(HeaderError, match="cannot be written without quotes"):
        write_header(names, CsvDialect(quote=None), b"\n")


NAMES = st.lists(
    st.text(st.one_of(st.sampled_from(",;\t|\"'\\\r\n\ufeff "), st.characters(codec="utf-8", exclude_characters="\0"))),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300)
@given(NAMES, st.sampled_from(DIALECTS), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
@example(["a\r"], DIALECTS[4], b"\n", True)
def test_what_is_written_is_read(names: list[str], dialect: CsvDialect, terminator: bytes, mark: bool) -> None:
    assume(dialect.quote or not (names == [""] or names[0].startswith("\ufeff")))
    written = write_header(names, dialect, terminator)
    start = 3 * mark
    header = read_header(b"\xef\xbb\xbf" * mark + written + b"1", dialect, complete=True)
    assert header == Header(tuple(names), start, start + len(written), terminator, has_data=True)


@settings(max_examples=200)
@given(NAMES, st.booleans())
def test_what_python_writes_is_read_and_the_reverse(names: list[str], quote_all: bool) -> None:
    assume(not names[0].startswith("\ufeff"))
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerow(names)
    block = out.getvalue().encode()
    assert read_header(block, PLAIN, complete=True).names == tuple(names)
    written = write_header(names, PLAIN, b"\r\n").decode()
    assert next(csv.reader(io.StringIO(written, newline=""))) == names


@pytest.mark.parametrize(
    ("block", "options", "start", "names"),
    [
        pytest.param(b'A "title\n\na,b\n1,2\n', {"skip_rows": 1}, 10, ("a", "b"), id="a title with a quote"),
        pytest.param(b"\xef\xbb\xbfx\r\ny\ra,b\n", {"skip_rows": 2}, 8, ("a", "b"), id="line ends of all kinds"),
        pytest.param(b"x\nsep=;\na;b\n", {"skip_rows": 1}, 8, ("a;b",), id="told to Excel after the title"),
        pytest.param(b'# a, "b\n\n#\r\na,b\n', {"comment": b"#"}, 12, ("a", "b"), id="comments"),
        pytest.param(b"x\n# y\na#,b\n", {"skip_rows": 1, "comment": b"#"}, 6, ("a#", "b"), id="title and comment"),
        pytest.param(b"a,b\n1,2\n", {"skip_rows": 1}, 4, ("1", "2"), id="the header itself"),
    ],
)
def test_lines_before_the_header_are_skipped(
    block: bytes, options: dict[str, Any], start: int, names: tuple[str, ...]
) -> None:
    header = read_header(block, PLAIN, complete=True, **options)
    assert (header.start, header.names) == (start, names)


def test_more_lines_than_there_are_cannot_be_skipped() -> None:
    with pytest.raises(HeaderError, match="skip_rows=3 is more than the 2 lines"):
        read_header(b"a,b\n1,2\n3,4", PLAIN, complete=True, skip_rows=3)
    with pytest.raises(HeaderError, match="the file is empty"):
        read_header(b"a,b\n1,2\n", PLAIN, complete=True, skip_rows=2)
