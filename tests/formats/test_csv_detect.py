"""Detected dialects, on files that others wrote and that are hard; see `csv_corpus` and `csv_hard` in benchmarks."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from csv_corpus import Dialect, Labelled, corpus
from csv_detect import judge, ours
from csv_hard import hard
from kumo_async.formats.csv_detect import Detection, detect
from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.records import RecordScanner

CASES = sorted([*corpus(6), *hard(6)], key=lambda case: case.kind)
KINDS = {kind: list(cases) for kind, cases in groupby(CASES, key=lambda case: case.kind)}


@pytest.mark.parametrize("kind", KINDS)
def test_files_whose_dialect_is_known(kind: str) -> None:
    missed = [f"{case.name}: {ours(case.text)}" for case in KINDS[kind] if not judge(case, ours(case.text)).right]
    assert not missed


def test_there_are_many_of_them() -> None:
    assert len(CASES) > 1500
    assert len(KINDS) > 40


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        pytest.param("a;b|c\n1;2|3\n4;5|6\n", "with delimiter='|'", id="two delimiters"),
        pytest.param("a,b|c\n1,2|3\n4,5|6\n", "with delimiter=','", id="decimal commas, but not in the header"),
        pytest.param("name,what\nnut,'Doe'\nbolt,x\n", 'with quote="\'"', id="quotes that keep nothing together"),
        pytest.param("id,text\n1,'a\n2,b'\n", 'with quote="\'"', id="apostrophes or a newline"),
        pytest.param("id,text\n1,a\\\n2\\,b\n3,c\n", "with escape='\\\\'", id="an escaped newline"),
    ],
)
def test_what_is_not_certain_is_told(text: str, doubt: str) -> None:
    assert [told for told in detect(text.encode(), complete=True).doubts if told.startswith(doubt)]


def test_what_is_given_is_not_doubted() -> None:
    block = b"a,b|c\n1,2|'3'\n4,5|6\n"
    assert detect(block, complete=True, delimiter=b"|", quote=b'"', escape=b"") == Detection(CsvDialect(b"|"))


WORDS = st.sampled_from(
    r"""nut bolt Müller 名前 it's 'tis o' 5" 6' "hi" 'hi' a,b a;b a|b 1,5 48.1,11.5 10:30:01,250 1.234,50 -- ; , | " '
    https://x.io/?a=1|b=2;c C:\dir\ \ \n [1,2] {"a":"b,c"} {'k':1} <a|b>""".split()  # noqa: SIM905
)
KINDS_OF_COLUMNS = [
    st.lists(WORDS, min_size=1, max_size=6).map(" ".join),
    st.lists(WORDS, min_size=1, max_size=3).map("\n".join),
    st.lists(st.sampled_from(["a", "b", "c d"]), min_size=1, max_size=3).map(", ".join),
    st.integers(-9999, 99999).map(str),
    st.decimals(0, 9999, places=2).map(lambda number: str(number).replace(".", ",")),
    st.datetimes().map(lambda at: at.isoformat(" ").replace(".", ",")),
    st.sampled_from(["", "", "x", "it's", "a;b"]),
    WORDS,
]
NAMES = st.sampled_from(["id", "name", "a, b", "x;y", "Ort", "it's", "price |", "T, °C", '5"'])
DIALECTS = st.sampled_from([Dialect(d, q, e) for d in ",;\t|" for q in "\"'" for e in ("", "\\")])


@st.composite
def written_tables(draw: st.DrawFn) -> Labelled:
    columns = draw(st.lists(st.sampled_from(KINDS_OF_COLUMNS), min_size=2, max_size=5))
    header = draw(st.lists(NAMES, min_size=len(columns), max_size=len(columns)))
    rows = draw(st.lists(st.tuples(*columns), min_size=3, max_size=12))
    dialect = draw(DIALECTS)
    return Labelled("", "", dialect.write([header, *rows], quote_all=draw(st.booleans())), dialect)


def ends(text: str, found: Dialect) -> list[int]:
    quote, escape = (part.encode() or None for part in (found.quote, found.escape))
    scanner = RecordScanner(CsvDialect(found.delimiter.encode(), quote, escape))
    return [int(end) for part in (scanner.feed(text.encode()), scanner.finish()) for end in part.offsets]


@settings(max_examples=300)
@given(written_tables())
@example(Labelled("", "", "'x |'|T, C\n0|0,00\n0|0,00\n0|0,00\n", Dialect("|", "'")))
@example(Labelled("", "", 'a,b\n0,x\n0,"\n0,"\n0,x\n', Dialect(",", "'")))
@example(Labelled("", "", "a|b|c\nx|'y\nz\\''|x\n'|\nx'|x|x\n", Dialect("|", "'", "\\")))
@example(Labelled("", "", "a;b\n1;'x\ny'\n2;'z'\n3;'q, r'\n", Dialect(";", "'")))
def test_no_table_is_read_in_a_wrong_dialect_without_notice(case: Labelled) -> None:
    detection, found = detect(case.text.encode(), complete=True), ours(case.text)
    if judge(case, found).silent and not detection.doubts:
        # The values that a quote or an escape is a part of are for the reader to tell: no byte of them is changed.
        assert found.delimiter == case.dialect.delimiter
        assert ends(case.text, found) == ends(case.text, case.dialect)
