"""The delimiter is detected, nothing else is, and a sample that speaks for another dialect is warned of."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.csv_sniff import Sniffed, sniff

APOSTROPHES = 'quote="\'"'
BACKSLASHES = "escape='\\\\'"
SPACES = "skip_initial_space=True"


def warned_of(text: str, **given_options: bytes) -> str:
    return " ".join(sniff(text.encode(), complete=True, **given_options).warnings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        pytest.param("a;b|c\n1;2|3\n4;5|6\n", "delimiter='|'", id="two delimiters"),
        pytest.param("a,b|c\n1,2|3\n4,5|6\n", "delimiter=','", id="decimal commas, but not in the header"),
        pytest.param("id,name\n1,'Smith, J'\n2,'Doe, A'\n", APOSTROPHES, id="apostrophes around delimiters"),
        pytest.param("id,name\n1,'Smith'\n2,'Doe'\n3,'Lee'\n", APOSTROPHES, id="apostrophes around a column"),
        pytest.param("'id','name'\n1,Smith\n", APOSTROPHES, id="apostrophes around the header"),
        pytest.param("id,name\n1,'Smith\nJ'\n2,Doe\n", APOSTROPHES, id="apostrophes around a newline"),
        pytest.param("id,text\n1,'a\n2,b'\n", APOSTROPHES, id="apostrophes or a newline"),
        pytest.param("name,what\nnut,'Doe'\nbolt,x\n", APOSTROPHES, id="apostrophes that keep nothing together"),
        pytest.param('id,t\n1,"say \\\\"hi\\\\""\n'.replace("\\\\", "\\"), BACKSLASHES, id="escaped quotes"),
        pytest.param("id\tt\n1\ta\\\nmore\n2\tb\n", BACKSLASHES, id="an escaped newline"),
        pytest.param("id,text\n1,a\\\n2\\,b\n3,c\n", BACKSLASHES, id="escapes after which records are alike"),
        pytest.param("id,text\n1,a\\,b\n2,c\n", BACKSLASHES, id="an escaped delimiter"),
        pytest.param('id,text\n1,"\\\\"\n2,"\\\\"\n', BACKSLASHES, id="two backslashes, which may mean one"),
        pytest.param('a, "b"\n1, "x, y"\n2, "z, w"\n', SPACES, id="spaces before quotes"),
        pytest.param('"Index", "Item"\n1, "Socks"\n', SPACES, id="spaces before quotes that keep nothing together"),
    ],
)
def test_signs_of_another_dialect_are_told_with_the_option_that_reads_it(text: str, remedy: str) -> None:
    found = sniff(text.encode(), complete=True)
    assert remedy in " ".join(found.warnings)
    assert (found.dialect.quote, found.dialect.escape, found.dialect.skip_initial_space) == (b'"', None, False)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("id,text\n1,rock 'n' roll\n2,it's\n3,'tis\n", id="apostrophes"),
        pytest.param("id,a,b\n1,'tis,it's\n2,x,y\n", id="apostrophes at a beginning"),
        pytest.param("id,text\n1,\"['a, b', 'c']\"\n", id="apostrophes in quotes"),
        pytest.param('"id","text"\n"1","it\'s"\n"2","x"\n', id="apostrophes where all is quoted"),
        pytest.param('id,text\n1,"it\'s"\n2,"\'tis"\n3,"\'q\'"\n', id="apostrophes where texts are quoted"),
        pytest.param("id,path\n1,C:\\data\\x\n2,D:\\\n", id="paths"),
        pytest.param('id,path\n1,"C:\\data\\"\n2,"x"\n', id="a path that ends with a backslash"),
        pytest.param('id,j\n1,"{""a"": ""x\\""y"", ""b"": ""\\n""}"\n', id="JSON"),
        pytest.param("id,re\n1,\\d+\\,\n".replace("\\,", ""), id="regular expressions"),
        pytest.param('id,"a ""b"""\n1,"x, ""y"", z"\n', id="doubled quotes"),
        pytest.param('id,t\n1, 5" wide\n2,a "b"\n', id="quotes in a field after spaces"),
        pytest.param("id,name\n1,\\N\n2,x\n", id="null values of databases"),
        pytest.param("id, name, city\n1, Bob, Ulm\n2, Eve, Bonn\n", id="spaces"),
        pytest.param("a,b\n1,2\n", id="numbers"),
    ],
)
def test_what_is_plain_is_not_warned_of(text: str) -> None:
    assert sniff(text.encode(), complete=True) == Sniffed(CsvDialect())


def test_apostrophes_are_text_and_no_record_is_lost_to_them() -> None:
    text = "word,count\n'em,3\nand,1\ngoin',4\nto,2\n'til,7\ndoin',9\nyes,5\n"
    assert sniff(text.encode(), complete=True).dialect == CsvDialect()


def test_what_is_given_is_used_and_not_doubted() -> None:
    block = b"a,b|c\n1,2|'3'\n4,5|'6'\n"
    given_all = sniff(block, complete=True, delimiter=b"|", quote=b'"', escape=b"")
    assert given_all == Sniffed(CsvDialect(b"|"))
    assert not sniff(b'a,b\n1, "x"\n', complete=True, skip_initial_space=True).warnings
    quoted = sniff(b"a;b\n'x;y';'z'\n", complete=True, quote=b"'", escape=b"\\")
    assert quoted == Sniffed(CsvDialect(b";", b"'", b"\\"))
    assert sniff(b"a;b\n1;2\n", complete=True, quote=b"").dialect.quote is None
    assert sniff(b"a|b;c\n1|2;3\n", complete=True, quote=b"|").dialect.delimiter == b";"


@pytest.mark.parametrize("told", [b'sep="\n', b"sep=\\\n"])
def test_what_excel_is_told_is_no_delimiter_where_it_has_another_meaning(told: bytes) -> None:
    assert sniff(told + b"a;b\n1;2\n", complete=True, escape=b"\\").dialect.delimiter == b";"


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
Rows = list[list[str]]


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    columns = draw(st.lists(st.sampled_from(KINDS_OF_COLUMNS), min_size=2, max_size=5))
    header = draw(st.lists(NAMES, min_size=len(columns), max_size=len(columns)))
    rows = draw(st.lists(st.tuples(*columns), min_size=1, max_size=12))
    return [header, *map(list, rows)]


@settings(max_examples=300)
@given(tables(), st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@example([["x |", "T, C"], ["0", "0,00"], ["0", "0,00"]], "|", csv.QUOTE_MINIMAL)
@example([["a", "b"], ["0", "x"], ["0", '"'], ["0", '"']], ",", csv.QUOTE_MINIMAL)
def test_a_table_that_python_writes_is_read_as_written_or_warned_of(rows: Rows, delimiter: str, quoting: int) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    found = sniff(out.getvalue().encode(), complete=True)
    assume(not found.warnings)
    assert found.dialect == CsvDialect(delimiter.encode())


@pytest.mark.parametrize("character", ["'", '"', "\\", " ", ",", "'a,", '\\"', ' "', "''", '\\,"'])
def test_a_look_takes_linear_time(character: str) -> None:
    # A pattern that goes back over what it has matched would not end.
    block = b"a,b\n1,'2" + character.encode() * (300_000 // len(character))
    assert sniff(block, complete=False).dialect.quote == b'"'
