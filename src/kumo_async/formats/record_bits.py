"""The record scanner's fast way: one bit for each byte of a piece, 64 of them in a word.

Whether a byte lies within quotes is the parity of the quotes before it, and with quotes as bits a word takes six shifts
to know it of 64 bytes (simdjson's way, https://arxiv.org/abs/1902.08318). So a byte costs no more than its comparison
with the few that matter. It holds only while each quote opens or closes a field, and each CR stands before an LF:
`BitScanner` proves that of each piece, and leaves the others to `record_marks`. What an escape makes literal is left
out of all bits beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect
    from kumo_async.formats.record_marks import Bytes, Flags, Offsets

__all__ = ["BitScanner", "PieceBits", "Words", "alternate", "last_position", "parities", "positions"]

Words = NDArray[np.uint64]

_LF: Final = 10
_CR: Final = 13
_WORD: Final = np.dtype("<u8")
_SHIFTS: Final = (2, 4, 8, 16, 32)
_SHORT_RUN: Final = 16  # escapes in a row that are told apart one by one
_NEAR: Final = 256  # words that are looked at together for the last bit, which is most often near the end


class PieceBits(NamedTuple):
    """What is known of a piece.

    Attributes:
        ends: The last byte of each record.
        rows: The same without the records that are blank lines.
        inside: Whether the piece ends within a quoted field.
        opened: The position where the last quoted field in it opens, -1 if none does.
        separators: The delimiters outside of quotes; None where nobody asked for them.
    """

    ends: Words
    rows: Words
    inside: bool
    opened: int
    separators: Words | None = None


class _Fields(NamedTuple):
    """The bytes within quoted fields, opening quotes included, and the quotes that open one."""

    inside: Words
    opening: Words


class _Escapes(NamedTuple):
    """The first escape of each run of them, and the bytes that escapes make literal."""

    heads: Words
    literal: Words


class BitScanner:
    """Finds the ends of records in pieces of CSV data.

    Arguments:
        dialect: How the data separates and quotes its fields.
        size: The size of the largest piece in bytes.
    """

    def __init__(self, dialect: CsvDialect, size: int) -> None:
        self._quote, self._escape, self._delimiter = dialect.quote, dialect.escape, dialect.delimiter[0]
        # A new array for each comparison would cost more than the comparison: its pages come from the system each time.
        self._flags: Flags = np.empty(size, np.bool_)

    def scan(
        self, piece: bytes | bytearray, *, inside: bool, fresh: bool, empty: bool, separate: bool = False
    ) -> PieceBits | None:
        """Find the ends of the records in a piece, or return None where that takes more than this knows.

        Arguments:
            piece: The piece, not empty; its first byte is not an escaped one.
            inside: Whether it begins within a quoted field.
            fresh: Whether a quote as its first byte opens a field.
            empty: Whether it begins with a new record.
            separate: Whether to find the delimiters outside of quotes, too.
        """
        data = np.frombuffer(piece, np.uint8)
        escapes = self._find_escapes(data) if self._escape is not None and self._escape in piece else None
        literal = None if escapes is None else escapes.literal
        lines = self._find(data, _LF, literal)
        returns = self._find(data, _CR, literal) if b"\r" in piece else None
        if self._quote is None or self._quote not in piece:
            # The whole piece lies on one side of the quotes.
            bits = None if inside else _bits(lines, returns, data, None, empty=empty)
            return bits._replace(separators=self._find(data, self._delimiter, literal)) if bits and separate else bits
        delimiters = self._find(data, self._delimiter, literal)
        separators = lines | delimiters
        if returns is not None:
            separators |= returns
        quotes = self._find(data, self._quote[0], literal)
        fields = _find_fields(quotes, separators, inside=inside, fresh=fresh)
        if fields is None or (escapes is not None and _behind_closing(escapes.heads, quotes, fields)):
            return None
        outside = ~fields.inside
        bits = _bits(lines & outside, None if returns is None else returns & outside, data, fields, empty=empty)
        return bits._replace(separators=delimiters & outside) if bits and separate else bits

    def _find(self, data: Bytes, byte: int, literal: Words | None) -> Words:
        found = self._pack(data, byte)
        return found if literal is None else found & ~literal

    def _find_escapes(self, data: Bytes) -> _Escapes:
        assert self._escape is not None
        escapes = self._pack(data, self._escape[0])
        heads = escapes & ~_behind(escapes, first=False)
        return _Escapes(heads, _behind(_in_force(escapes, heads), first=False))

    def _pack(self, data: Bytes, byte: int) -> Words:
        packed = np.packbits(np.equal(data, byte, out=self._flags[: data.size]), bitorder="little")
        if packed.size % 8:
            packed = np.concatenate((packed, np.zeros(-packed.size % 8, np.uint8)))
        return packed.view(_WORD)


def _find_fields(quotes: Words, separators: Words, *, inside: bool, fresh: bool) -> _Fields | None:
    """Find the quoted fields; None if some quote is a literal."""
    within = parities(quotes, inside=inside)
    opening = quotes & within
    begins = opening & _behind(separators, first=fresh)
    # A quote that opens where no field begins must stand directly behind one: that is how a quote is doubled.
    if (opening & ~(begins | _behind(quotes, first=False))).any():
        return None
    return _Fields(within, begins)


def _behind_closing(heads: Words, quotes: Words, fields: _Fields) -> bool:
    """Whether an escape stands directly behind a quote that closed a field: then it is a plain character."""
    return bool((heads & _behind(quotes, first=False) & ~fields.inside).any())


def _in_force(escapes: Words, heads: Words) -> Words:
    """The escapes that are not literal themselves: every second of each run, from its head on."""
    force = step = heads
    for _ in range(_SHORT_RUN // 2):
        step = _behind(_behind(step, first=False) & escapes, first=False) & escapes
        if not step.any():
            return force
        force = force | step
    flags = np.zeros(escapes.size * 64, np.uint8)
    flags[alternate(positions(escapes))[1]] = 1
    return np.packbits(flags, bitorder="little").view(_WORD)


def _bits(lines: Words, returns: Words | None, data: Bytes, fields: _Fields | None, *, empty: bool) -> PieceBits | None:
    starts = _behind(lines, first=empty)
    if returns is not None:
        if data[-1] == _CR or (_behind(returns, first=False) & ~lines).any():
            return None
        starts |= _behind(returns & starts, first=False)
    if fields is None:
        return PieceBits(lines, lines & ~starts, inside=False, opened=-1)
    last = data.size - 1
    inside = bool(int(fields.inside[last >> 6]) >> (last & 63) & 1)
    opened = last_position(fields.opening)
    return PieceBits(lines, lines & ~starts, inside, opened)


def alternate(escapes: Offsets) -> tuple[Offsets, Offsets]:
    """Of the positions of all escapes, those that begin a run, and those in force: every second from there."""
    is_head = np.diff(escapes, prepend=-2) != 1
    heads = np.flatnonzero(is_head)
    within = np.arange(escapes.size) - heads[np.cumsum(is_head) - 1]
    return escapes[heads], escapes[within & 1 == 0]


def positions(words: Words) -> Offsets:
    """The positions of all bits that are set."""
    # As flags, since numpy finds those much faster than bytes that are not zero.
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_))


def last_position(words: Words) -> int:
    """The position of the last bit that is set; -1 if none is."""
    for start in range(words.size, 0, -_NEAR):
        used = np.flatnonzero(words[max(start - _NEAR, 0) : start])
        if used.size:
            at = max(start - _NEAR, 0) + int(used[-1])
            return at * 64 + int(words[at]).bit_length() - 1
    return -1


def _behind(words: Words, *, first: bool) -> Words:
    """Move each bit to the next position; `first` becomes that of position 0."""
    moved = words << np.uint64(1)
    moved[1:] |= words[:-1] >> np.uint64(63)
    moved[0] |= np.uint64(first)
    return moved


def parities(quotes: Words, *, inside: bool) -> Words:
    """For each position whether the number of quotes up to it, plus one if the piece begins inside, is odd."""
    within = quotes ^ (quotes << np.uint64(1))
    for shift in _SHIFTS:
        within ^= within << np.uint64(shift)
    odd = np.bitwise_xor.accumulate(within >> np.uint64(63))
    within[1:] ^= np.negative(odd[:-1])
    return ~within if inside else within
