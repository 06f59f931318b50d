"""The checks of records against the slow, obvious reader, wherever the blocks happen to be split."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterable
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import Oracle

from kumo_async.formats import records
from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.record_checks import CheckError, RecordChecker
from kumo_async.formats.records import RecordError, RecordScanner

DIALECTS = [
    CsvDialect(),
    CsvDialect(b";", b"'"),
    CsvDialect(escape=b"\\"),
    CsvDialect(quote=None),
    CsvDialect(quote=None, escape=b"\\"),
]
ALIKE = [CsvDialect(), *DIALECTS[2:]]


@st.composite
def samples(draw: st.DrawFn) -> tuple[CsvDialect, bytes]:
    dialect = draw(st.sampled_from(DIALECTS))
    quote, escape = dialect.quote or b'"', dialect.escape or b"\\"
    rows = [b"a,b\n", b"1,2\r\n", b'"x,y",z\r', b"\n"]
    rows = [row.replace(b",", dialect.delimiter).replace(b'"', quote) for row in rows]
    bad = [b"\0", b"\xff", b"\xc3", "é".encode(), "日".encode(), "𝄞".encode(), b"\xed\xa0\x80"]
    tokens = [*rows, *bad, b"x", b"\r", b"\n", quote, quote * 2, escape, dialect.delimiter]
    kinds = draw(st.lists(st.sampled_from(tokens), min_size=1, max_size=7, unique=True))
    return dialect, draw(st.lists(st.sampled_from(rows + kinds), max_size=25).map(b"".join))


def first_fault(dialect: CsvDialect, data: bytes, columns: int) -> tuple[int, int] | None:
    """Record number and offset of the first fault, found one record after the other."""
    found = Oracle(dialect).read(data)
    number = start = 0
    for end, blank in zip(found.ends, found.blank, strict=True):
        if not blank:
            bad = bad_byte(data[start:end])
            if bad is not None:
                return number + 1, start + bad
            if len(found.fields[number]) != columns:
                return number + 1, start
            number += 1
        start = end
    if found.broken is None:
        return None
    bad = bad_byte(data[start : found.text], ended=False)
    return number + 1, found.broken if bad is None else start + bad


def bad_byte(record: bytes, *, ended: bool = True) -> int | None:
    found = [record.find(0)] if 0 in record else []
    try:
        codecs.getincrementaldecoder("utf-8")().decode(record, ended)
    except UnicodeDecodeError as error:
        found.append(error.start)
    return min(found, default=None)


def check(dialect: CsvDialect, blocks: list[bytes], columns: int, offset: int) -> tuple[int, int] | None:
    error = fault(dialect, blocks, columns, offset)
    return None if error is None else (error.record, error.offset)


def fault(dialect: CsvDialect, blocks: list[bytes], columns: int, offset: int = 0) -> CheckError | None:
    data = b"".join(blocks)
    scanner = RecordScanner(dialect, offset, count_fields=True)
    checker = RecordChecker(dialect, columns, offset, ahead=lambda at: data[at - offset :])
    try:
        for block in (*filter(None, blocks), b""):
            try:
                ends = scanner.feed(block) if block else scanner.finish()
            except RecordError as error:
                checker.refuse(block, error)
            checker.check(block, ends, final=not block)
    except CheckError as error:
        return error
    return None


@settings(max_examples=300)
@given(samples(), st.lists(st.integers(0, 200), max_size=6), st.integers(1, 9), st.integers(1, 3))
@example((CsvDialect(), b"a,b\r\xff"), [4], 9, 2)
@example((CsvDialect(), b"a,\xe2\n"), [3], 9, 2)
def test_the_first_fault_is_told_wherever_blocks_are_split(
    sample: tuple[CsvDialect, bytes], borders: list[int], piece: int, columns: int
) -> None:
    dialect, data = sample
    expected = first_fault(dialect, data, columns)
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    for blocks in ([data], [data[a:b] for a, b in pairwise(edges)], [bytes([byte]) for byte in data]):
        with patch.object(records, "_PIECE", piece):
            found = check(dialect, blocks, columns, offset=1000)
        assert (found and (found[0], found[1] - 1000)) == expected


def assert_told(dialect: CsvDialect, data: bytes, columns: int, borders: Iterable[int]) -> None:
    expected = first_fault(dialect, data, columns)
    for border in borders:
        assert check(dialect, [data[:border], data[border:]], columns, 0) == expected


#: Random bytes out of small alphabets, in which every kind of byte stands behind every other.
SMALL = st.lists(st.sampled_from(b',"\n\r\\ab '), min_size=1, max_size=5, unique=True).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), max_size=40).map(bytes)
)


@settings(max_examples=300)
@given(st.sampled_from(ALIKE), SMALL, st.integers(1, 4))
def test_the_first_fault_is_told_wherever_there_is_one_border(dialect: CsvDialect, data: bytes, columns: int) -> None:
    assert_told(dialect, data, columns, range(len(data) + 1))


#: Rows of two fields, or of six, as short as can be and longer than a word of 64 bits.
ROWS = {
    2: [b"1,2\n", b"1,2\r\n", b",\r", b'"","x"\n', b"1,2\n\n", b'5" disk,"a ""b"""\n', b"x" * 150 + b",\n"],
    6: [b",,,,,\n", b'"",,",\n",,"""",\r\n', b"x" * 70 + b",,,," + b"y" * 70 + b",\n"],
}
#: What is put between them: fields too few or too many, blank lines, half a record.
AMONG = [b"", b"\n", b"\r\n\r\n", b"x\n", b'""\n', b",,\n", b",,,,,,\n", b",", b"x", b'"', b'"\n', b"\0", b"\xff"]


@settings(max_examples=300)
@given(st.data(), st.sampled_from(list(ROWS)), st.sampled_from([CsvDialect(), CsvDialect(escape=b"\\")]))
def test_one_fault_among_rows_that_are_all_alike(draw: st.DataObject, columns: int, dialect: CsvDialect) -> None:
    row = draw.draw(st.sampled_from(ROWS[columns]))
    before, behind = (row * draw.draw(st.integers(0, 30)) for _ in range(2))
    data = before + draw.draw(st.sampled_from(AMONG)) + behind + draw.draw(st.sampled_from(AMONG))
    near = range(max(len(before) - 5, 0), min(len(before) + 12, len(data)))
    assert_told(dialect, data, columns, [0, *near, len(data)])


@settings(max_examples=200)
@given(st.lists(st.sampled_from([b",", b"\n", b"xy", b"z" * 70, b'","']), max_size=150).map(b"".join), st.data())
def test_whether_rows_are_regular_agrees_with_their_counts(data: bytes, draw: st.DataObject) -> None:
    scanner, border = RecordScanner(CsvDialect(), count_fields=True), draw.draw(st.integers(0, len(data)))
    found = []
    with contextlib.suppress(RecordError):
        found += [scanner.feed(data[:border])]
        found += [scanner.feed(data[border:])]
    for ends in found:
        assert ends.fields is not None
        counts = (ends.fields if ends.blank is None else ends.fields[~ends.blank]).tolist()
        for columns in {1, 2, 3, *counts}:
            assert ends.are_regular(columns) == all(count == columns for count in counts)


@settings(max_examples=200)
@given(samples(), st.lists(st.integers(0, 200), max_size=6))
def test_fields_are_counted_as_the_oracle_counts_them(sample: tuple[CsvDialect, bytes], borders: list[int]) -> None:
    dialect, data = sample
    scanner = RecordScanner(dialect, count_fields=True)
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    counts: list[int] = []
    found = []
    try:
        for start, end in pairwise(edges):
            found.append(scanner.feed(data[start:end]))
        found += [scanner.finish()]
    except RecordError as error:
        found += [error.ends]
    for ends in found:
        assert ends.fields is not None
        assert ends.fields.size == ends.offsets.size
        counts += (ends.fields if ends.blank is None else ends.fields[~ends.blank]).tolist()
    assert counts == [len(row) for row in Oracle(dialect).read(data).fields][: len(counts)]
    assert len(counts) == scanner.rows


def test_a_huge_record_of_delimiters_is_counted_in_flat_memory() -> None:
    scanner = RecordScanner(CsvDialect(), count_fields=True)
    for _ in range(64):
        scanner.feed(b"," * 100_000)
    fields = scanner.feed(b"\n").fields
    assert fields is not None
    assert fields.tolist() == [6_400_001]


@given(st.binary(max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_utf8_is_what_python_takes_for_it(data: bytes, borders: list[int]) -> None:
    data = data.replace(b"\0", b"x").replace(b"\n", b"x").replace(b"\r", b"x")
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    blocks = [data[start:end] for start, end in pairwise(edges)]
    bad = bad_byte(data)
    assert check(CsvDialect(b"\x01", None), blocks, data.count(1) + 1, 0) == (None if bad is None else (1, bad))


def test_faults_are_told_in_words_without_the_data() -> None:
    for data, words in (
        (b"1,2\n3,4,5\n", "record 2, which begins at byte 4, has 3 fields instead of 2"),
        (b"1,2\n\n3\n", "record 2, which begins at byte 5, has 1 field instead of 2"),
        (b"1,secret\0\n", "record 1 holds a NUL at byte 8"),
        (b"1,2\n3,\xe4\n", "record 2 is not UTF-8 at byte 6"),
    ):
        scanner, checker = RecordScanner(CsvDialect(), count_fields=True), RecordChecker(CsvDialect(), 2)
        with pytest.raises(CheckError) as caught:
            checker.check(data, scanner.feed(data))
        assert str(caught.value) == words


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([b"1,2\n", b"3,4\r", b'5,"\\"\n', b"6,\\\r\n", b'"7,"', b"8", b"\n", b"\\", b'"'])).map(
        b"".join
    ),
    st.lists(st.integers(0, 60), max_size=8),
)
@example(b'5,"\\"\r7\n', [6, 7])
@example(b"1,2\\\n3\n", [4, 5])
def test_an_escape_is_named_where_the_record_is_right_with_it(data: bytes, borders: list[int]) -> None:
    edges = [0, *sorted(min(border, len(data)) for border in borders), len(data)]
    error = fault(CsvDialect(), [data[start:end] for start, end in pairwise(edges)], 2)
    if error is None or "instead of 2" not in str(error):
        return
    found = Oracle(CsvDialect()).read(data)
    length = next(end for end in found.ends if end > error.offset) - error.offset
    fields = Oracle(CsvDialect()).read(data[error.offset :]).fields[0]
    continued = len(fields) == 1 and re.search(rb"(?<!\\)(\\\\)*\\[\r\n]\Z", data[: error.offset])
    right = is_right(CsvDialect(escape=b"\\"), data[error.offset :], length)
    named = bool(continued) or (b"\\" in data[error.offset :][:length] and right)
    assert ("escape='\\\\'" in error.remedy) == named


def is_right(dialect: CsvDialect, data: bytes, length: int) -> bool:
    """Whether all records that begin within so many bytes have two fields."""
    found, rows = Oracle(dialect).read(data), 0
    for start, end, blank in zip([0, *found.ends], found.ends, found.blank, strict=False):
        if not blank and start < length:
            if len(found.fields[rows]) != 2:
                return False
            rows += 1
        if end >= length:
            return rows > 0
    return False


#: What is wrong with records of two fields, what is said to be done about it, and what is not.
REMEDIES = [
    pytest.param(b"1,'Smith, J'\n", 'quote="\'"', "''", id="apostrophes"),
    pytest.param(b"1,'tis, they said\n", "Mend the record", "quote=", id="an apostrophe"),
    pytest.param(b'1, "Smith, J"\n', "skip_initial_space=True", "quote=", id="a space before the quote"),
    pytest.param(b"1,a\\,b\n", "escape='\\\\'", "quote=", id="an escaped delimiter"),
    pytest.param(b"1,C:\\x,b\n", "Mend the record", "escape=", id="backslashes that escape nothing"),
    pytest.param(b"1,a\\\nb\n", "escape='\\\\'", "title", id="an escaped line end"),
    pytest.param(b"1\\\n5,b\n", "escape='\\\\'", "title", id="an escaped line end in the first field"),
    pytest.param(b"(20 rows)\n", "title, a total or a remark", "escape=", id="a footer"),
    pytest.param(b'"a\n2,b\n3,c"\n', "Remove the line", "quote=''", id="too few fields in quotes"),
    pytest.param(b'1,"a\n2,b",c\n', "Mend the record", "quote=''", id="lines of other lengths in quotes"),
    pytest.param(b'1,"he said \\"hi\nthere\\", and left"\n', "escape='\\\\'", "quote=''", id="escaped quotes"),
    pytest.param(b'1,"99 Problems" by X\n', "quote=''", "escape=", id="quotes as plain text"),
    pytest.param(b'1,"Foo\n2,x\n3,"Bar\n', "quote=''", "escape=", id="quotes as plain text, some lines apart"),
    pytest.param(b'"1","LAND " CO."\n', "Double each quote", "quote=''", id="a quote within a quoted record"),
    pytest.param(b'1,"a" \n', "Remove the blanks", "quote=", id="a space after the quote"),
    pytest.param(b'"a"  ,1\n', "Remove the blanks", "Double", id="spaces after the quote"),
    pytest.param(b'1,"a b\n2,c\n', "quote=''", "escape=", id="a quote that is not closed"),
    pytest.param(b'"1","a b\n2,c\n', "double it", "quote=''", id="one in a quoted record"),
]


@pytest.mark.parametrize(("record", "remedy", "other"), REMEDIES)
def test_the_right_remedy_is_named_wherever_blocks_are_split(record: bytes, remedy: str, other: str) -> None:
    before, after = b"7,8\n" * 20, b"" if "not closed" in remedy or record.endswith(b"2,c\n") else b"7,8\n" * 20
    data = before + record + after
    for border in range(len(before) - 2, len(before) + len(record) + 2):
        error = fault(CsvDialect(), [data[:border], data[border:]], 2)
        assert error is not None
        assert error.record in (21, 22)
        assert remedy in error.remedy
        assert other not in error.remedy


@pytest.mark.parametrize(
    ("record", "remedy"),
    [
        (b'"C:\\",1\n', "escape=''"),
        (b"C:\\,1\n", "escape=''"),
        (b'"a"\\,1\n', "Double each quote"),
        (b"1,2,3\n", "Mend the record"),
    ],
)
def test_a_given_escape_may_be_none(record: bytes, remedy: str) -> None:
    error = fault(CsvDialect(escape=b"\\"), [b"7,8\n" + record + b"7,8\n" * 9], 2)
    assert error is not None
    assert error.record == 2
    assert remedy in error.remedy


def test_what_is_tried_is_bounded() -> None:
    for record in (b'1,"' + b"x" * 10**6 + b'"y\n', b"1,'" + b"x, " * 10**6 + b"'\n", b'1, "' + b"x\n" * 10**6):
        error = fault(CsvDialect(), [b"7,8\n" + record + b"7,8\n"], 2)
        assert error is not None
        assert error.record in (2, 3)
