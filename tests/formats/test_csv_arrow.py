"""pyarrow reads what the strict `csv` module reads; and the escapes of null values become two before."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oracle import Oracle

from kumo_async.formats.csv_arrow import BlockReader, doubled
from kumo_async.formats.csv_dialect import CsvDialect

DIALECTS = [
    CsvDialect(b",", b'"', b"\\"),
    CsvDialect(b"^", b"]", b"-"),
    CsvDialect(b"\\", b".", b"*"),
    CsvDialect(b"\t", None, b"\\"),
]


def with_nulls(data: bytes, dialect: CsvDialect, null: bytes) -> bytes:
    """The slow, obvious way: byte by byte, with an escape more in each field that is the null value."""
    result, ends = bytearray(), {dialect.delimiter, b"\r", b"\n", b""}
    begins, quoted, literal = True, False, False
    for at in range(len(data)):
        byte = data[at : at + 1]
        if begins and data.startswith(null, at) and data[at + len(null) :][:1] in ends:
            result += byte
        result += byte
        if literal:
            begins = literal = False
        elif byte == dialect.escape:
            begins, literal = False, True
        elif byte == dialect.quote and (begins or quoted):
            # A doubled quote closes and opens.
            begins, quoted = False, not quoted
        elif not quoted and byte == dialect.quote and data[at - 1 : at] == dialect.quote:
            quoted = True
        else:
            begins = not quoted and byte in ends
    return bytes(result)


@given(st.sampled_from(DIALECTS), st.lists(st.sampled_from("ddqeeNnrx"), min_size=1, max_size=30))
@example(DIALECTS[0], "qqeNqndeNdxeN")
@example(DIALECTS[0], "qdeNdqdeN")
@example(DIALECTS[0], "ndeNrneNdeedeN")
def test_null_values_are_told_by_the_whole_field(dialect: CsvDialect, letters: str) -> None:
    assert dialect.escape
    table = {"d": dialect.delimiter, "q": dialect.quote or b"x", "e": dialect.escape, "n": b"\n", "r": b"\r", "N": b"N"}
    data = b"".join(table.get(letter) or b"x" for letter in letters)
    assume(Oracle(dialect).read(data).broken is None)
    null = dialect.escape + b"N"
    assert doubled(data, dialect, [null]) == with_nulls(data, dialect, null)


READ = [
    CsvDialect(),
    CsvDialect(escape=b"\\"),
    CsvDialect(b";", b"'"),
    CsvDialect(b"\t", None),
    CsvDialect(b"\t", None, b"\\"),
]


@st.composite
def records(draw: st.DrawFn) -> tuple[CsvDialect, bytes]:
    """Records of three fields, which strict readers take, out of what is special in a dialect."""
    dialect = draw(st.sampled_from(READ))
    quote, escape = dialect.quote or b'"', dialect.escape or b"\\"
    tokens = [
        quote,
        quote * 2,
        escape,
        escape * 2,
        b" ",
        b"  ",
        b"x",
        b"'",
        b"\n",
        b"\r\n",
        dialect.delimiter,
        b"\xc3\xa9",
    ]
    text = st.lists(st.sampled_from(tokens), max_size=5).map(b"".join)
    field = st.one_of(text, text.map(lambda inner: quote + inner + quote), st.just(b'"\\\\"'))
    rows = draw(st.lists(st.lists(field, min_size=3, max_size=3).map(dialect.delimiter.join), min_size=1, max_size=4))
    return dialect, draw(st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])).join([*rows, b""])


@settings(max_examples=600)
@given(records())
@example((CsvDialect(), b'a,"\\\\","\\"\n'))
def test_pyarrow_reads_what_the_strict_csv_module_reads(sample: tuple[CsvDialect, bytes]) -> None:
    dialect, data = sample
    oracle = Oracle(dialect).read(data)
    assume(oracle.broken is None)
    assume(oracle.fields and all(len(row) == 3 for row in oracle.fields))
    expected = strictly(data, dialect)
    assert [[value.decode() for value in row] for row in oracle.fields] == expected
    reader = BlockReader(("a", "b", "c"), dialect, ())
    found = reader.read(data, dict.fromkeys("abc", pa.string()), list("abc"))
    assert [list(row.values()) for row in found.to_pylist()] == expected


def strictly(data: bytes, dialect: CsvDialect) -> list[list[str]]:
    reader = csv.reader(
        io.StringIO(data.decode(), newline=""),
        delimiter=dialect.delimiter.decode(),
        quotechar=dialect.quote.decode() if dialect.quote else None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape.decode() if dialect.escape else None,
        strict=True,
    )
    return [row for row in reader if row]


@pytest.mark.parametrize("pattern", [b"\\N", b",\\N", b'"\\N",', b"\\N\n", b",\\N\\"])
def test_in_linear_time(pattern: bytes) -> None:
    data = pattern * (200_000 // len(pattern))
    assert doubled(data, DIALECTS[0], [b"\\N"]) == with_nulls(data, DIALECTS[0], b"\\N")
