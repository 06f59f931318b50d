"""The record scanner's way through a piece: one bit for each byte of it, 64 of them in a word.

Whether a byte lies within quotes is the parity of the quotes before it, and what an escape makes literal is left out of
all bits beforehand. So a byte costs little more than its comparison with the few that matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kumo_async.formats.record_quotes import Fields, find_fields
from kumo_async.formats.record_states import CR, FRESH, LF, State, moves
from kumo_async.formats.record_words import WORD, Words, ahead, alternate, behind, has, last_position

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect
    from kumo_async.formats.record_words import Flags

__all__ = ["BitScanner", "PieceBits"]

_ROUNDS: Final = 64  # guesses which escapes are plain characters; all together they take a quarter as long as a walk


class PieceBits(NamedTuple):
    """What is known of a piece.

    Attributes:
        ends: The last byte of each record, but for a CR at the very end of the piece: an LF may follow.
        rows: The same without the records that are blank lines.
        blank: Whether a CR at the very end ends a blank line.
        opened: The position where the last quoted field in it opens, -1 if none does.
        state: The state behind it.
        delimiters: The delimiters outside of quotes; None where nobody asked for them.
    """

    ends: Words
    rows: Words
    blank: bool
    opened: int
    state: State
    delimiters: Words | None


class _Marks(NamedTuple):
    """The bytes that matter, wherever they stand; None where nobody needs them, or a piece has none of them."""

    lines: Words
    returns: Words | None
    delimiters: Words | None
    quotes: Words | None

    def without(self, literal: Words) -> _Marks:
        kept = ~literal
        returns, delimiters, quotes = (None if words is None else words & kept for words in self[1:])
        return _Marks(self.lines & kept, returns, delimiters, quotes)

    @property
    def separators(self) -> Words:
        assert self.delimiters is not None
        separators = self.lines | self.delimiters
        return separators if self.returns is None else separators | self.returns


class _Escapes(NamedTuple):
    """The escapes in force, and the bytes that they make literal."""

    force: Words
    literal: Words


class _Reading(NamedTuple):
    """What is left of the marks without those that are literal, and why; None where there is no quote or no escape."""

    marks: _Marks
    fields: Fields | None
    escapes: _Escapes | None


class BitScanner:
    """Finds the ends of records in pieces of CSV data.

    Args:
        dialect: How the data separates and quotes its fields.
        size: The size of the largest piece in bytes.
    """

    def __init__(self, dialect: CsvDialect, size: int) -> None:
        self._quote, self._escape, self._delimiter = dialect.quote, dialect.escape, dialect.delimiter[0]
        self._moves = moves(dialect)
        # A new array for each comparison would cost more than the comparison: its pages come from the system each time.
        self._flags: Flags = np.empty(size, np.bool_)

    def scan(self, piece: bytes | bytearray, state: State, *, separate: bool = False) -> PieceBits | None:
        """Find the ends of the records in a piece, or return None where only the state machine knows them.

        Args:
            piece: The piece, not empty.
            state: The state before it, one in which the next byte has no other meaning than by itself.
            separate: Whether to find the delimiters outside of quotes, too.
        """
        found = self._read(piece, state, self._mark(piece, separate=separate))
        if found is None:
            return None
        marks, fields, _ = found
        opened = -1 if fields is None else last_position(fields.opening)
        marks = _Marks(marks.lines, marks.returns, marks.delimiters if separate else None, None)
        if fields is not None:
            marks = marks.without(fields.inside)
        ends = _find_ends(marks.lines, marks.returns, len(piece) - 1, empty=state is State.RECORD)
        return PieceBits(*ends, opened, self._state(piece, found), marks.delimiters)

    def _read(self, piece: bytes | bytearray, state: State, marks: _Marks) -> _Reading | None:
        if self._escape is None or self._escape not in piece:
            return _Reading(marks, _find_fields(marks, state), None)
        return _resolve(self._pack(piece, self._escape[0]), marks, state)

    def _mark(self, piece: bytes | bytearray, *, separate: bool) -> _Marks:
        quotes = self._pack(piece, self._quote[0]) if self._quote is not None and self._quote in piece else None
        returns = self._pack(piece, CR) if b"\r" in piece else None
        delimiters = self._pack(piece, self._delimiter) if separate or quotes is not None else None
        return _Marks(self._pack(piece, LF), returns, delimiters, quotes)

    def _pack(self, piece: bytes | bytearray, byte: int) -> Words:
        data = np.frombuffer(piece, np.uint8)
        packed = np.packbits(np.equal(data, byte, out=self._flags[: data.size]), bitorder="little")
        if packed.size % 8:
            packed = np.concatenate((packed, np.zeros(-packed.size % 8, np.uint8)))
        return packed.view(WORD)

    def _state(self, piece: bytes | bytearray, found: _Reading) -> State:
        """The state behind a piece, by what its last byte is."""
        last, byte, (_, fields, escapes) = len(piece) - 1, piece[-1:], found
        before = State.QUOTED if fields is not None and has(fields.inside, last) else State.PLAIN
        if escapes is not None and has(escapes.literal, last):
            return before
        if escapes is not None and byte == self._escape and not has(escapes.force, last):
            return before
        if byte == self._quote and fields is not None:
            return State.CLOSED if has(fields.closing, last) else before
        return self._moves[before][piece[-1]]


def _find_fields(marks: _Marks, state: State) -> Fields | None:
    """Find the quoted fields; None where the whole piece lies outside of them."""
    inside = state is State.QUOTED
    if marks.quotes is not None:
        return find_fields(marks.quotes, marks.separators, inside=inside, fresh=state in FRESH)
    none = np.zeros_like(marks.lines)
    return Fields(~none, none, none) if inside else None


def _resolve(escapes: Words, marks: _Marks, state: State) -> _Reading | None:
    """Leave out what escapes make literal; one directly behind a closing quote is a plain character and makes nothing.

    Which quotes close hangs on the escapes before them. So this guesses, and looks whether what follows from the guess
    agrees with it: then the first plain escape is rightly guessed, therefore the second one, and so on. Each round gets
    at least one more right, most often nearly all; None where that takes too many.
    """
    heads = escapes & ~behind(escapes)
    plain = None
    for _ in range(_ROUNDS):
        force = alternate(escapes if plain is None else escapes & ~plain)
        literal = behind(force)
        left = marks.without(literal)
        fields = _find_fields(left, state)
        guessed, plain = plain, None if fields is None else heads & behind(fields.closing)
        if plain is None or (not plain.any() if guessed is None else np.array_equal(guessed, plain)):
            return _Reading(left, fields, _Escapes(force, literal))
    return None


def _find_ends(lines: Words, returns: Words | None, last: int, *, empty: bool) -> tuple[Words, Words, bool]:
    """Turn newlines outside of quotes into the first values of `PieceBits`; a CR and an LF behind it end one record."""
    if returns is None:
        return lines, lines & ~behind(lines, first=empty), False
    ends = lines | returns & ~ahead(lines)
    certain = ~np.uint64(has(returns, last) << (last & 63))
    ends[last >> 6] &= certain
    starts = behind(ends, first=empty)
    return ends, ends & ~(starts | behind(returns & starts)), has(returns & starts, last)
