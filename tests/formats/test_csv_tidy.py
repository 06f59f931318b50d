"""Records are changed as their options say, whatever stands in them and wherever blocks are cut."""

from __future__ import annotations

import csv
import io
import re
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kumo_async.formats import csv_tidy
from kumo_async.formats.csv_dialect import CsvDialect, read_records
from kumo_async.formats.csv_tidy import Tidy, TidyError

SPACED = CsvDialect(skip_initial_space=True)
ESCAPED = CsvDialect(b";", b"'", b"\\", skip_initial_space=True)
UNQUOTED = CsvDialect(b"\t", None, b"\\", skip_initial_space=True)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
BORDERS = st.lists(st.integers(0, 200), max_size=6)


def blocks(data: bytes, borders: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(min(border, len(data)) for border in borders), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def changed(tidy: Tidy, text: str, borders: Sequence[int] = ()) -> str:
    return b"".join(tidy.apply(blocks(text.encode(), borders))).decode()


def rows(text: str, dialect: CsvDialect) -> list[list[str]]:
    return [row for row in read_records(io.StringIO(text, newline=""), dialect) if row]


def written(records: Sequence[Sequence[str]], end: str, *, quoted: bool) -> list[str]:
    """The records as texts, one by one, without the end of the last one."""
    out = []
    # Python's writer quotes only the line end that it was told.
    quoted = quoted or any("\r" in field or "\n" in field for record in records for field in record)
    for record in records:
        line = io.StringIO(newline="")
        csv.writer(line, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator=end).writerow(record)
        out.append(line.getvalue())
    return [*out[:-1], out[-1].removesuffix(end)]


@settings(max_examples=300)
@given(st.text(" ,;\t\"'\\\n\rab", max_size=40), st.sampled_from([SPACED, ESCAPED, UNQUOTED]), BORDERS)
@example(' "a, b" , "', SPACED, [])
@example("a\\, b\n", CsvDialect(escape=b"\\", skip_initial_space=True), [2])
@example('1,\r\n "x"\r', SPACED, [4, 11])
def test_without_spaces_a_plain_reader_reads_the_same(text: str, dialect: CsvDialect, borders: list[int]) -> None:
    try:
        expected = rows(text, dialect)
    except csv.Error:
        expected = None
    tidy = Tidy(dialect)
    found = changed(tidy, text, borders)
    assert found == changed(tidy, text)
    if expected is None:
        return
    # A line of nothing but spaces stays one, so that it is still a record of one field.
    assert unspaced(rows(found, tidy.result)) == unspaced(expected)


def unspaced(records: list[list[str]]) -> list[list[str]]:
    return [[""] if len(record) == 1 and not record[0].strip(" ") else record for record in records]


FIELDS = st.text("# ,\"'\n\ra", max_size=6)
COMMENTS = st.text(" ,\"'\\#a", max_size=8).map("#{}".format)
RECORDS = st.lists(st.lists(FIELDS, min_size=1, max_size=4), min_size=1, max_size=6)


@settings(max_examples=300)
@given(RECORDS, st.lists(st.tuples(st.integers(0, 6), COMMENTS), max_size=5), ENDS, st.booleans(), BORDERS)
@example([["a\n# b", "c"]], [(0, '# x, "'), (1, "#")], "\n", False, [4])
def test_comments_between_records_are_left_out(
    records: list[list[str]], comments: list[tuple[int, str]], end: str, quoted: bool, borders: list[int]
) -> None:
    # A first field that begins as a comment does has to be in quotes.
    plain = written(records, end, quoted=quoted or any(record[0].startswith("#") for record in records))
    text = list(plain)
    for place, comment in sorted(comments, reverse=True):
        if place < len(plain):
            text.insert(place, comment + end)
    assert changed(Tidy(CsvDialect(), comment=b"#"), "".join(text), borders) == "".join(plain)


@settings(max_examples=300)
@given(RECORDS, ENDS, st.booleans(), st.integers(1, 5), BORDERS)
@example([["a"], ["b", "c\n"]], "\r\n", False, 3, [1, 2])
@example([[""], ["a"]], "\n", False, 2, [])
def test_short_records_get_empty_fields_at_their_ends(
    records: list[list[str]], end: str, quoted: bool, columns: int, borders: list[int]
) -> None:
    text = "".join(written(records, end, quoted=quoted))
    found = rows(changed(Tidy(CsvDialect(), columns=columns), text, borders), CsvDialect())
    assert found == [row + [""] * (columns - len(row)) for row in rows(text, CsvDialect())]


@pytest.mark.parametrize(
    ("tidy", "text", "expected"),
    [
        pytest.param(
            Tidy(CsvDialect(), columns=3), "1\n\n2,3\n4,5,6,7\r\n", "1,,\n\n2,3,\n4,5,6,7\r\n", id="blank, long"
        ),
        pytest.param(Tidy(CsvDialect(), columns=2), "1\r\n2\r", "1,\r\n2,\r", id="line ends"),
        pytest.param(
            Tidy(CsvDialect(escape=b"\\"), columns=2), "1\\\r\n2\\\\\r\n", "1\\\r,\n2\\\\,\r\n", id="escaped CR"
        ),
        pytest.param(Tidy(CsvDialect(), columns=2), '1\n"x" y\n', '1,\n"x" y\n', id="up to a fault"),
        pytest.param(Tidy(CsvDialect(), columns=2), '1\n"x\n2', '1,\n"x\n2', id="up to an open quote"),
        pytest.param(Tidy(SPACED, columns=2), ' 1\n  \n2, "x" \n', '1,\n  ,\n2,"x" \n', id="spaces, then fields"),
        pytest.param(Tidy(CsvDialect(), start=4, comment=b"#"), "a,b\n#\n1,2\n# end", "1,2\n", id="after the header"),
        pytest.param(Tidy(CsvDialect(), comment=b"#"), '1,"\n# x\n"\n #\n', '1,"\n# x\n"\n #\n', id="no comments"),
        pytest.param(Tidy(CsvDialect(), comment=b"#"), '#"\n1,2\n#"', "1,2\n", id="quotes in comments"),
        pytest.param(Tidy(CsvDialect(quote=None), comment=b"#"), '1,"\n#x\n2,"\n', '1,"\n2,"\n', id="no quoting"),
    ],
)
def test_by_example(tidy: Tidy, text: str, expected: str) -> None:
    assert changed(tidy, text) == expected
    assert changed(tidy, text, range(len(text))) == expected


def test_a_record_that_is_too_long_is_refused_and_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tidy, "MOST_BYTES", 1 << 20)
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b'1,"'
        while read < 1 << 30:
            read += 1 << 16
            yield b"x" * (1 << 16)

    tracemalloc.start()
    with pytest.raises(TidyError, match="longer than the 1,048,576 bytes"):
        list(Tidy(CsvDialect(), columns=2).apply(endless()))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert read < 4 << 20


@pytest.mark.parametrize(
    "line", [b'"\n', b'1,"\n', b"#\n", b"1\\\n", b' "', b'"",', b"' ' \\", b'# "\n1\n', b'""', b"\r"]
)
def test_it_takes_linear_time(line: bytes) -> None:
    """One block or thousands, and none of a pattern's repetitions goes back."""
    tidy = Tidy(CsvDialect(escape=b"\\", skip_initial_space=True), comment=b"#", columns=2)
    seconds = []
    for size in (1 << 17, 1 << 19):
        text = line * (size // len(line))
        start = time.process_time()
        for step in (1 << 10, 1 << 17):
            assert (
                re.sub(rb"[,\s]", b"", b"".join(tidy.apply([text[at : at + step] for at in range(0, size, step)]))) or 1
            )
        seconds.append(time.process_time() - start)
    assert seconds[1] < 16 * max(seconds[0], 0.02)
