"""What a record scanner knows of the data before the next byte."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["CR", "FRESH", "LF", "State"]

LF: Final = 10
CR: Final = 13


class State(IntEnum):
    """What the bytes so far say about the next one.

    A whole piece can be looked at from one of the first four, in which the next byte means what it is by itself. The
    others depend on the next byte alone, and lead back to one of the four.
    """

    RECORD = 0  # nothing of the record was seen yet
    FIELD = 1  # after a delimiter, or after spaces that are skipped: a field begins
    PLAIN = 2  # within an unquoted field
    QUOTED = 3
    CLOSED = 4  # after a quote in a quoted field: it closes the field unless another quote follows
    ESCAPED = 5  # the next byte is literal, then PLAIN
    QUOTED_ESCAPED = 6  # the next byte is literal, then QUOTED
    CR = 7  # after a CR: the record has ended, but an LF would still belong to it


FRESH: Final = frozenset({State.RECORD, State.FIELD})  # a quote opens a field here
