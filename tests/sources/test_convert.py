"""Whatever is in the fields, and wherever blocks end: each column has the first type that keeps all of its values."""

from __future__ import annotations

import csv
import io
import itertools
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from converted import JUDGES, converted, type_of, value_of, values_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kumo_async import SourceError
from kumo_async.formats.csv_texts import DOUBLE, possible_types

NUMBERS = ["0", "-0", "1", "00501", "007.5", "+1", " 1", "1 ", "0x1F", "9007199254740993", "9223372036854775807"]
NUMBERS += ["9223372036854775808", "-9223372036854775808", "12345678901234567890", "1" + "0" * 22, "0.10", "-.5", "5."]
NUMBERS += [
    "0.12345678901234567890",
    "0.30000000000000004",
    "1e5",
    "1E-7",
    "1e400",
    "1e-400",
    "nan",
    "Inf",
    "-infinity",
]
NUMBERS += [
    "9999999999999999",
    "9007199254740992",
    "1_000",
    "1,5",
    "0.1000000000000000055511151231257827",
    "-0.0",
    "1e",
]
#: As programs print the same numbers, and as ids are written that only look like numbers.
PRINTED = ["0.10000000000000001", "1.00000000000000006e-01", "1.000000000000000056e-01", "0.30000000000000002"]
PRINTED += [
    "1.5e+00",
    "0.000000e+00",
    "1E+02",
    "1.0E10",
    "1e+21",
    "1e16",
    "1.5e+300",
    "2.5e-320",
    "1.5E-05",
    "1.5e+002",
]
PRINTED += [
    "32E0134",
    "55E0001",
    "1E2",
    "10E1",
    "10e1",
    "1e05",
    "1.5E05",
    "1E0",
    "0E0",
    "0e7",
    "0.0E0",
    "0.1e+01",
    ".5e+01",
]
PRINTED += [
    "1234567890123456800",
    "9007199254740993.0",
    "Nan",
    "+inf",
    "1,000",
    "1.000,5",
    "5\n",
    "1e999999999",
    "1e-0",
]
MOMENTS = ["2020-02-29", "2021-02-29", "1600-01-01", "9999-12-31", " 2020-01-01", "2020-1-1", "2020-01-01 10:00"]
MOMENTS += ["2020-01-01T10:00:00", "1600-01-01 00:00:00", "2020-01-01 10:00:00.5", "2020-01-01 10:00:00.123456789"]
MOMENTS += [
    "2020-01-01 10:00:00Z",
    "2020-01-01T10:00:00.25Z",
    "2020-01-01 10:00:00+02:00",
    "10:00:00",
    "2020-01-01 24:00",
]
MOMENTS += ["2262-04-11 23:00:00", "2262-04-12 00:00:00", "1677-09-22", "2020-01-01 10:00:00 "]
WORDS = ["true", "False", "TRUE", "NA", "null", "NaN", "yes", "t", "", " ", "x"]

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
KINDS: list[st.SearchStrategy[str]] = [
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: f"{value:.3f}"),
    st.builds(
        format, st.floats(), st.sampled_from([".17g", ".16e", ".18e", ".6E", ".25g", "g", "+.3f", ",.2f", ".1f"])
    ),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{0,3})?[eE][-+]?[0-9]{1,4}", fullmatch=True),
    st.sampled_from(PRINTED),
    st.dates().map(str),
    st.datetimes().map(str),
    st.booleans().map(str),
    st.sampled_from(NUMBERS),
    st.sampled_from(MOMENTS),
    st.sampled_from(WORDS),
    st.sampled_from(["a,b", ";", "\t", "|", '"', '""', "'", "\\", "\n", "\r\n", "\r", "\ufeff", "\\\\", '"\\', "\\n"]),
    text,
]


@dataclass(frozen=True)
class Table:
    """A table of texts and nulls, and how it is written."""

    rows: list[list[str | None]]
    quoted: list[bool]
    dialect: dict[str, Any]
    terminator: str

    @property
    def data(self) -> bytes:
        quotes = iter(self.quoted * len(self.rows) * 4)
        lines = [self._line(["a", "b", "c"][: len(self.rows[0])], iter([False] * 3))]
        lines += [self._line(row, quotes) for row in self.rows]
        return self.terminator.join([*lines, ""]).encode()

    def _line(self, row: Any, quotes: Any) -> str:
        delimiter: str = self.dialect["delimiter"]
        return delimiter.join(self._field(value, next(quotes)) for value in row)

    def _field(self, value: str | None, quoted: bool) -> str:
        quote, escape = self.dialect["quotechar"], self.dialect.get("escapechar")
        if value is None:
            return ""
        special = [self.dialect["delimiter"], quote, "\n", "\r", escape or "\n"]
        if not quoted and value and not any(character in value for character in special):
            return value
        value = value.replace(escape, escape * 2) if escape else value
        return f"{quote}{value.replace(quote, quote * 2)}{quote}"

    @property
    def options(self) -> dict[str, Any]:
        names = {"delimiter": "delimiter", "quotechar": "quote", "escapechar": "escape"}
        return {names[name]: value for name, value in self.dialect.items()}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    dialect = {"delimiter": draw(st.sampled_from(",;\t|")), "quotechar": draw(st.sampled_from("\"'"))}
    if draw(st.booleans()):
        dialect["escapechar"] = "\\"
    count = draw(st.integers(2, 3))
    size = draw(st.integers(1, 6))
    # Of one kind each, mostly, or there would hardly ever be a column that is no string.
    values = [st.one_of(st.none(), draw(st.sampled_from(KINDS))) for _ in range(count)]
    drawn = [draw(st.lists(value, min_size=size, max_size=size)) for value in values]
    quoted = draw(st.lists(st.booleans(), min_size=1, max_size=7))
    terminator = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    return Table([list(row) for row in zip(*drawn, strict=True)], quoted, dialect, terminator)


def check(table: Table, block: int, size: int | None) -> None:
    texts = [[value or "" for value in row] for row in table.rows]
    read = csv.reader(io.StringIO(table.data.decode(), newline=""), **table.dialect)
    assert [row for row in read if row][1:] == texts
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(table.data)
        found = converted(path, block=block, size=size, **table.options)
    for column, values in zip(found.columns, zip(*table.rows, strict=True), strict=True):
        kind = type_of(values)
        assert str(column.type).replace("[ms", "[s") == kind, values
        assert values_of(column) == [value_of(value, kind) for value in values]


@settings(max_examples=300)
@given(tables(), st.sampled_from([1, 9, 30, 10**6]), st.sampled_from([None, 1]))
@example(Table([["\ufeff", "\ufeff1"], ["1", "\ufeff"]], [False], {"delimiter": ",", "quotechar": '"'}, "\n"), 1, 1)
def test_values_survive_in_the_first_type_that_keeps_them(table: Table, block: int, size: int | None) -> None:
    check(table, block, size)


@pytest.mark.parametrize("block", [1, 10**6])
def test_any_pair_of_values_has_one_type(tmp_path: Path, block: int) -> None:
    # A column for each pair, so that one file has them all.
    pairs = list(itertools.combinations_with_replacement([*NUMBERS, *MOMENTS, *WORDS, *PRINTED], 2))
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        file.write(",".join(f"c{n}" for n in range(len(pairs))) + "\n")
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(zip(*pairs, strict=True))
    found = converted(path, block=block)
    kinds = [type_of(pair) for pair in pairs]
    assert {*kinds} == {*JUDGES, "string"}
    for column, pair, kind in zip(found.columns, pairs, kinds, strict=True):
        assert (pair, str(column.type).replace("[ms", "[s")) == (pair, kind)
        assert values_of(column) == [value_of(value, kind) for value in pair]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'a,b\n1,""\n,\n', {"a": [1, None], "b": ["", None]}),
        (b'a,b\n"1",x\n"",y\n', {"a": ["1", ""], "b": ["x", "y"]}),
        (b"a,b\nNA,null\n1,nan\n", {"a": ["NA", "1"], "b": ["null", "nan"]}),
        (b"a,b\n,\n,\n", {"a": [None, None], "b": [None, None]}),
        (b"a,a\n1,x\n", {"a": [1], "a_1": ["x"]}),
        (b"\xef\xbb\xbf\n\na,b c\r\n1,\xef\xbb\xbfx", {"a": [1], "b_c": ["\ufeffx"]}),
    ],
)
def test_what_is_null_and_what_is_not(tmp_path: Path, data: bytes, expected: dict[str, list[Any]]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    for block in (1, 10**6):
        assert converted(path, block=block).to_pydict() == expected


@pytest.mark.parametrize("escape", ["", "\\"])
@pytest.mark.parametrize("last", [b"", b"NA", b"\n", b"NA\r", b"7", b'""'])
def test_the_last_field_of_a_file_is_null_like_any_other(tmp_path: Path, last: bytes, escape: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n"x",1\n"y",' + last)
    value = {b"7": [1, 7], b'""': ["1", ""]}.get(last, [1, None])
    found = converted(path, null_values=["", "NA"], escape=escape)
    assert found.to_pydict() == {"a": ["x", "y"], "b": value}


def test_null_values_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n1,NA\nNA,"NA"\n,x\n')
    assert converted(path, null_values=["", "NA"]).to_pydict() == {"a": [1, None, None], "b": [None, "NA", "x"]}
    assert converted(path, null_values=["NA"]).to_pydict() == {"a": ["1", None, ""], "b": [None, "NA", "x"]}


def test_types_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"zip code,price,when,n,kind\n00501,9.50,2020-01-01T01:00:00+02:00,1,x\n10001,0.1,,2,y\n")
    types = {
        "zip code": "int64",
        "price": "decimal128(9, 2)",
        "when": "timestamp[us, tz=UTC]",
        "n": pa.float32(),
        "kind": pa.dictionary(pa.int32(), pa.string()),
    }
    found = converted(path, types=types)
    assert [str(field.type) for field in found.schema][:4] == [
        "int64",
        "decimal128(9, 2)",
        "timestamp[us, tz=UTC]",
        "float",
    ]
    assert found["zip_code"].to_pylist() == [501, 10001]
    assert [str(value) for value in found["price"].to_pylist()] == ["9.50", "0.10"]
    assert found["when"].cast("int64").to_pylist() == [1_577_833_200_000_000, None]
    assert found["kind"].to_pylist() == ["x", "y"]
    assert converted(path, types={"zip_code": "string"})["zip_code"].to_pylist() == ["00501", "10001"]


@pytest.mark.parametrize("block", [1, 4 * 1024**2])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("1e400", pa.float64()),
        ("-1e400", pa.float64()),
        ("1e39", pa.float32()),
        ('"1e39"', pa.float32()),
        ("1" + "0" * 400, pa.float64()),
    ],
)
def test_a_number_beyond_its_given_type_is_refused(tmp_path: Path, number: str, kind: Any, block: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"a,b\n-inf,x\nInfinity,x\n1.5,x\n{number},x\n".encode())
    words = f"record 4, which begins at byte 28, has a value in column 'a' that is not of type {kind}"
    with pytest.raises(SourceError, match=re.escape(words)):
        converted(path, types={"a": kind}, block=block)


DIGITS = st.text("0123456789", max_size=20)
DECIMALS = st.tuples(
    st.sampled_from(["", "-"]),
    st.sampled_from(["", "0", "1", "9007199254740993"]) | st.integers(0).map(str),
    st.just("") | DIGITS.map(".{}".format) | st.integers(0, 340).map(lambda zeros: "." + "0" * zeros + "25"),
    st.just("") | st.integers(-340, 340).map("e{}".format) | st.integers(0, 99).map("E+{:03}".format),
).map("".join)


@given(st.lists(DECIMALS.filter(re.compile(r"-?\.?[0-9]").match), min_size=1, max_size=3))
@example(["1.234567890123456e-99", "0.123456789012345" + "0" * 90])
@example(["4.9e-324", "1e-323", "2.5e-308", "1.7976931348623157e308", "1.0"])
@example(["9007199254740993.0", "1.5"])
@example(["123456789012345678e0", "1.5"])
def test_a_double_is_what_keeps_every_digit(texts: list[str]) -> None:
    kept = (possible_types(pa.array(texts)) & DOUBLE) != 0
    assert kept.tolist() == list(map(JUDGES["double"], texts))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "+02:00"])
def test_timestamps_of_any_time_zone_can_be_given(tmp_path: Path, zone: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1970-01-01T02:00:00+02:00,1\n1970-01-01T00:00:01Z,1\n")
    found = converted(path, types={"a": f"timestamp[us, tz={zone}]"})
    assert found["a"].type == pa.timestamp("us", zone)
    assert found["a"].cast("int64").to_pylist() == [0, 1_000_000]


def test_infinities_can_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n-inf,INF\nInfinity,1\n,\n")
    found = converted(path, types={"a": "float", "b": "double"})
    assert found.to_pydict() == {"a": [-float("inf"), float("inf"), None], "b": [float("inf"), 1, None]}


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_null_value_may_begin_with_the_escape(tmp_path: Path, quote: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\tb\tc\n1\t\\N\tx\\\ty\n\\N\t2\t\\N\n3\t4\t\\Nn\n7\t\\N\t\\N")
    found = converted(path, delimiter="\t", quote=quote, escape="\\", null_values=["\\N"])
    assert found.to_pydict() == {
        "a": [1, None, 3, 7],
        "b": [None, 2, 4, None],
        "c": ["x\ty", None, "Nn", None],
    }


@pytest.mark.parametrize("escape", ["", "\\"])
def test_text_after_a_closing_quote_is_refused(tmp_path: Path, escape: str) -> None:
    path = tmp_path / "a.csv"
    for text in (b"\\", b"\\x", b"x", b" ", b"\t"):
        path.write_bytes(b'a,b\n1,2\n"x"' + text + b",3\n")
        with pytest.raises(SourceError, match=r"record 2 has text at byte 11, after the quote that closes .* byte 8"):
            converted(path, escape=escape)


def test_two_backslashes_in_quotes_stay_two(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b"], ["", "\\\\"], ["", "\\\\"]])
    assert converted(path, escape="")["b"].to_pylist() == ["\\\\"] * 2


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (b'a,b\n"x,y"\n', {"quote": ""}, ['"x', 'y"']),
        (b'a,b\n"x,2\\,3\n', {"quote": "", "escape": "\\"}, ['"x', "2,3"]),
        (b'a1b\n"x1y"12\n', {"delimiter": "1"}, ["x1y", 2]),
        ("a;ü\n1;ß\n".encode("cp1252"), {"encoding": "cp1252"}, [1, "ß"]),
        (b"1,x\n", {"header": False, "column_names": ["n", "s"]}, [1, "x"]),
    ],
)
def test_every_option_of_csv_is_known(
    tmp_path: Path, data: bytes, options: dict[str, Any], expected: list[Any]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    assert list(converted(path, **options).to_pylist()[0].values()) == expected
