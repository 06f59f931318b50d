"""The states of a reader of CSV data, and how each byte moves it from one to the next."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect

__all__ = ["CR", "FRESH", "LF", "State", "moves"]

LF: Final = 10
CR: Final = 13


class State(IntEnum):
    """What a reader knows of the data behind the next byte."""

    RECORD = 0  # nothing of the record was seen yet
    FIELD = 1  # behind a delimiter
    PLAIN = 2  # within an unquoted field, or in the text behind a closing quote
    QUOTED = 3
    CLOSED = 4  # behind a quote in a quoted field: it closes the field unless another quote follows
    ESCAPED = 5  # the next byte is literal, then PLAIN
    QUOTED_ESCAPED = 6  # the next byte is literal, then QUOTED
    CR = 7  # behind a CR: the record has ended, but an LF would still belong to it


FRESH: Final = frozenset({State.RECORD, State.FIELD, State.CR})  # a quote opens a field here


@lru_cache(maxsize=8)
def moves(dialect: CsvDialect) -> list[list[State]]:
    """The state machine: for each state, in their order, the next state for each byte."""
    outside = {LF: State.RECORD, CR: State.CR, dialect.delimiter[0]: State.FIELD}
    escapes = {dialect.escape[0]: State.ESCAPED} if dialect.escape else {}
    quotes = {dialect.quote[0]: State.QUOTED} if dialect.quote else {}
    closes = {dialect.quote[0]: State.CLOSED} if dialect.quote else {}
    fresh = _row(State.PLAIN, outside | escapes | quotes)
    return [
        fresh,
        fresh,
        _row(State.PLAIN, outside | escapes),
        _row(State.QUOTED, closes | dict.fromkeys(escapes, State.QUOTED_ESCAPED)),
        _row(State.PLAIN, outside | quotes),
        _row(State.PLAIN, {}),
        _row(State.QUOTED, {}),
        fresh,
    ]


def _row(default: State, moves: dict[int, State]) -> list[State]:
    return [moves.get(byte, default) for byte in range(256)]
