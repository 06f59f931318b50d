"""What is evened out before pyarrow reads CSV: escapes directly behind closing quotes become two."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kumo_async.formats.csv_arrow import doubled
from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.record_states import FRESH, State, moves

DIALECTS = [
    CsvDialect(b",", b'"', b"\\"),
    CsvDialect(b"^", b"]", b"-"),
    CsvDialect(b"\\", b".", b"*"),
]


def obvious(data: bytes, dialect: CsvDialect) -> bytes:
    """The slow, obvious way: byte by byte through the state machine."""
    states, state = moves(dialect), State.RECORD
    result = bytearray()
    for byte in data:
        if state is State.CLOSED and dialect.escape == bytes([byte]):
            result.append(byte)
        result.append(byte)
        state = states[state][byte]
    return bytes(result)


def with_nulls(data: bytes, dialect: CsvDialect, null: bytes) -> bytes:
    """The same with an escape more in each field that is the null value."""
    states, state = moves(dialect), State.RECORD
    result, ends = bytearray(), {dialect.delimiter, b"\r", b"\n", b""}
    for at, byte in enumerate(data):
        is_null = data.startswith(null, at) and data[at + len(null) :][:1] in ends and state in FRESH
        if is_null or (state is State.CLOSED and dialect.escape == bytes([byte])):
            result.append(byte)
        result.append(byte)
        state = State.PLAIN if is_null else states[state][byte]
    return bytes(result)


@given(st.sampled_from(DIALECTS), st.lists(st.sampled_from("dqqeenrx"), max_size=30).map("".join))
@example(DIALECTS[0], "qxqeqdqeqxqeq")
@example(DIALECTS[0], "qqqeqedqqe")
@example(DIALECTS[0], "edqxqenqrq")
def test_as_the_state_machine_says(dialect: CsvDialect, text: str) -> None:
    assert dialect.quote
    assert dialect.escape
    table = {"d": dialect.delimiter, "q": dialect.quote, "e": dialect.escape, "n": b"\n", "r": b"\r", "x": b"x"}
    data = b"".join(table[letter] for letter in text)
    assert doubled(data, dialect) == obvious(data, dialect)


NULL = [(dialect, dialect.escape + b"N") for dialect in (*DIALECTS, CsvDialect(b"\t", None, b"\\")) if dialect.escape]


@given(st.sampled_from(NULL), st.lists(st.sampled_from("ddqeeNnrx"), max_size=30))
def test_null_values_are_told_by_the_whole_field(null: tuple[CsvDialect, bytes], letters: list[str]) -> None:
    dialect, value = null
    table = {"d": dialect.delimiter, "q": dialect.quote or b"x", "e": dialect.escape, "n": b"\n", "r": b"\r", "N": b"N"}
    data = b"".join(table.get(letter) or b"x" for letter in letters)
    assert doubled(data, dialect, [value]) == with_nulls(data, dialect, value)


@pytest.mark.parametrize("pattern", [b"\\", b'"\\', b',"', b',"\\', b',""\\', b'1,"\\"a\\" b"\n', b"\\,", b'"a"\\x,'])
@pytest.mark.parametrize("begin", [b"", b'"', b"x"])
def test_in_linear_time(begin: bytes, pattern: bytes) -> None:
    data = begin + pattern * (200_000 // len(pattern))
    assert doubled(data, DIALECTS[0]) == obvious(data, DIALECTS[0])
