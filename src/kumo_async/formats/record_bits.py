"""The record scanner's way through a piece: one bit for each byte of it, 64 of them in a word.

What an escape makes literal is left out of all bits beforehand. Whether a byte lies within quotes is the parity of the
quotes before it. So a byte costs little more than its comparison with the few that matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kumo_async.formats.record_quotes import Fields, Starts, find_fields, last_opening
from kumo_async.formats.record_states import CR, FRESH, LF, State
from kumo_async.formats.record_words import (
    WORD,
    Words,
    ahead,
    alternate,
    behind,
    first_position,
    has,
    runs_from,
)

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect
    from kumo_async.formats.record_words import Flags

__all__ = ["BitScanner", "PieceBits"]

_SPACE: Final = 32
_STRIDE: Final = 1 << 18  # bytes that are compared at once: what comes of that stays in the processor's cache
#: States after a piece in which text may yet be found after the quote that closes a field of it, or none closes it.
_HANGING: Final = frozenset({State.QUOTED, State.CLOSED, State.QUOTED_ESCAPED})


class PieceBits(NamedTuple):
    """What is known of a piece.

    Attributes:
        text: The position of the first text after a closing quote; -1 if there is none. Where there is one, all else
            is wrong: it is right for the piece that ends before it.
        ends: The last byte of each record, but for a CR at the very end of the piece: an LF may follow.
        rows: The same without the records that are blank lines.
        blank: Whether a CR at the very end ends a blank line.
        state: The state after it.
        opened: The position where the quoted field opens that goes on or was just closed; -1 if none opens in it.
        spaced: The position of the first quote that opens no field since spaces stand before it; -1 if there is none.
        delimiters: The delimiters outside of quotes; None where nobody asked for them.
    """

    text: int
    ends: Words
    rows: Words
    blank: bool
    state: State
    opened: int
    spaced: int
    delimiters: Words | None


class _Marks(NamedTuple):
    """The bytes that matter, wherever they stand; None where nobody needs them, or a piece has none of them."""

    lines: Words
    returns: Words | None
    delimiters: Words | None
    quotes: Words | None
    spaces: Words | None

    def without(self, literal: Words) -> _Marks:
        kept = ~literal
        return _Marks(self.lines & kept, *(None if words is None else words & kept for words in self[1:]))

    @property
    def separators(self) -> Words:
        assert self.delimiters is not None
        separators = self.lines | self.delimiters
        return separators if self.returns is None else separators | self.returns


class _Escapes(NamedTuple):
    """The escapes in force, and the bytes that they make literal."""

    force: Words
    literal: Words


class BitScanner:
    """Finds the ends of records in pieces of CSV data.

    Args:
        dialect: How the data separates and quotes its fields.

    Attributes:
        seek_spaced: Whether to look for quotes that open no field since spaces stand before them.
    """

    def __init__(self, dialect: CsvDialect) -> None:
        self._quote, self._escape, self._delimiter = dialect.quote, dialect.escape, dialect.delimiter[0]
        self._skip = dialect.skip_initial_space
        self._after = {LF: State.RECORD, CR: State.CR, self._delimiter: State.FIELD}
        self.seek_spaced = not self._skip and b" " not in (dialect.delimiter, dialect.quote, dialect.escape)
        # A new array for each comparison would cost more than the comparison: its pages come from the system each time.
        self._flags: Flags = np.empty(_STRIDE, np.bool_)

    def scan(self, piece: bytes | bytearray, state: State, *, separate: bool = False) -> PieceBits:
        """Find the ends of the records in a piece.

        Args:
            piece: The piece, not empty.
            state: The state before it, one in which the next byte has no other meaning than by itself.
            separate: Whether to find the delimiters outside of quotes, too.
        """
        escapes, marks = self._find_escapes(piece), self._mark(piece, separate=separate)
        if escapes is not None:
            marks = marks.without(escapes.literal)
        starts = _find_starts(marks, state)
        fields = _find_fields(marks, starts, state)
        outside = _Marks(
            marks.lines, marks.returns, marks.delimiters if separate else None, None, starts and starts.skipped
        )
        if fields is not None:
            outside = outside.without(fields.inside)
        ends = _find_ends(outside.lines, outside.returns, len(piece) - 1, empty=state is State.RECORD)
        after = self._state(piece, fields, escapes, outside.spaces)
        text = opened = spaced = -1
        if fields is not None and starts is not None and marks.quotes is not None:
            text = fields.text if fields.text < len(piece) else -1
            if after in _HANGING:
                opened = last_opening(marks.quotes, starts, fields, inside=state is State.QUOTED)
            if fields.literals and self.seek_spaced:
                spaced = self._find_spaced(piece, marks.quotes, starts, fields)
        return PieceBits(text, *ends, after, opened, spaced, outside.delimiters)

    def _find_escapes(self, piece: bytes | bytearray) -> _Escapes | None:
        if self._escape is None or self._escape not in piece:
            return None
        force = alternate(self._pack(piece, self._escape[0]))
        return _Escapes(force, behind(force))

    def _mark(self, piece: bytes | bytearray, *, separate: bool) -> _Marks:
        quotes = self._pack(piece, self._quote[0]) if self._quote is not None and self._quote in piece else None
        spaces = self._pack(piece, _SPACE) if self._skip and b" " in piece else None
        returns = self._pack(piece, CR) if b"\r" in piece else None
        needed = separate or quotes is not None or spaces is not None
        delimiters = self._pack(piece, self._delimiter) if needed else None
        return _Marks(self._pack(piece, LF), returns, delimiters, quotes, spaces)

    def _pack(self, piece: bytes | bytearray | memoryview, byte: int) -> Words:
        data = np.frombuffer(piece, np.uint8)
        packed = np.zeros(-(-data.size // 64) * 8, np.uint8)
        for start in range(0, data.size, _STRIDE):
            near = data[start : start + _STRIDE]
            bits = np.packbits(np.equal(near, byte, out=self._flags[: near.size]), bitorder="little")
            packed[start // 8 : start // 8 + bits.size] = bits
        return packed.view(WORD)

    def _find_spaced(self, piece: bytes | bytearray, quotes: Words, starts: Starts, fields: Fields) -> int:
        # In the first quarter of a piece: who writes spaces before quotes does so more than once.
        near = slice(_STRIDE // 64)
        spaces = self._pack(memoryview(piece)[:_STRIDE], _SPACE) & ~fields.inside[near]
        candidates = quotes[near] & behind(spaces)
        if not candidates.any():
            return -1
        initial = runs_from(spaces, spaces & behind(starts.separators[near], first=starts.fresh))
        return first_position(candidates & behind(initial))

    def _state(
        self, piece: bytes | bytearray, fields: Fields | None, escapes: _Escapes | None, skipped: Words | None
    ) -> State:
        """The state after a piece, by what its last byte is."""
        last = len(piece) - 1
        inside = fields is not None and has(fields.inside, last)
        if escapes is not None and has(escapes.force, last):
            return State.QUOTED_ESCAPED if inside else State.ESCAPED
        if inside:
            return State.QUOTED
        if fields is not None and has(fields.closing, last):
            return State.CLOSED
        if skipped is not None and has(skipped, last):
            return State.FIELD
        literal = escapes is not None and has(escapes.literal, last)
        return State.PLAIN if literal else self._after.get(piece[-1], State.PLAIN)


def _find_starts(marks: _Marks, state: State) -> Starts | None:
    """Find where fields begin; None where nothing depends on that."""
    if marks.quotes is None and marks.spaces is None:
        return None
    separators, spaces, fresh = marks.separators, marks.spaces, state in FRESH
    skipped = None if spaces is None else runs_from(spaces, spaces & behind(separators, first=fresh))
    return Starts(separators, skipped, fresh)


def _find_fields(marks: _Marks, starts: Starts | None, state: State) -> Fields | None:
    """Find the quoted fields; None where the whole piece lies outside of them."""
    inside = state is State.QUOTED
    if marks.quotes is not None and starts is not None:
        return find_fields(marks.quotes, starts, inside=inside)
    none = np.zeros_like(marks.lines)
    return Fields(~none, none, -1, literals=False) if inside else None


def _find_ends(lines: Words, returns: Words | None, last: int, *, empty: bool) -> tuple[Words, Words, bool]:
    """Turn newlines outside of quotes into three of `PieceBits`; a CR and an LF after it end one record."""
    if returns is None:
        return lines, lines & ~behind(lines, first=empty), False
    ends = lines | returns & ~ahead(lines)
    certain = ~np.uint64(has(returns, last) << (last & 63))
    ends[last >> 6] &= certain
    starts = behind(ends, first=empty)
    return ends, ends & ~(starts | behind(returns & starts)), has(returns & starts, last)
