"""What is evened out before pyarrow reads CSV: escapes directly behind closing quotes become two."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kumo_async.formats.csv_arrow import doubled
from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.record_states import State, moves

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


@pytest.mark.parametrize("pattern", [b"\\", b'"\\', b',"', b',"\\', b',""\\', b'1,"\\"a\\" b"\n', b"\\,", b'"a"\\x,'])
@pytest.mark.parametrize("begin", [b"", b'"', b"x"])
def test_in_linear_time(begin: bytes, pattern: bytes) -> None:
    data = begin + pattern * (200_000 // len(pattern))
    assert doubled(data, DIALECTS[0]) == obvious(data, DIALECTS[0])
