"""The record scanner's fast way: one bit for each byte of a piece, 64 of them in a word.

Whether a byte lies within quotes is the parity of the quotes before it, and with quotes as bits a word takes six shifts
to know it of 64 bytes (simdjson's way, https://arxiv.org/abs/1902.08318). So a byte costs no more than its comparison
with the few that matter. It holds only while each quote opens or closes a field, and each CR stands before an LF:
`BitScanner` proves that of each piece, and leaves the others to `record_marks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect
    from kumo_async.formats.record_marks import Bytes, Flags, Offsets

__all__ = ["BitScanner", "PieceBits", "Words", "last_position", "parities", "positions"]

Words = NDArray[np.uint64]

_LF: Final = 10
_CR: Final = 13
_WORD: Final = np.dtype("<u8")
_SHIFTS: Final = (2, 4, 8, 16, 32)
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


class BitScanner:
    """Finds the ends of records in pieces of CSV data without escapes.

    Arguments:
        dialect: How the data separates and quotes its fields.
        size: The size of the largest piece in bytes.
    """

    def __init__(self, dialect: CsvDialect, size: int) -> None:
        self._quote, self._delimiter = dialect.quote, dialect.delimiter[0]
        # A new array for each comparison would cost more than the comparison: its pages come from the system each time.
        self._flags: Flags = np.empty(size, np.bool_)

    def scan(
        self, piece: bytes | bytearray, *, inside: bool, fresh: bool, empty: bool, separate: bool = False
    ) -> PieceBits | None:
        """Find the ends of the records in a piece, or return None where that takes more than this knows.

        Arguments:
            piece: The piece, not empty.
            inside: Whether it begins within a quoted field.
            fresh: Whether a quote as its first byte opens a field.
            empty: Whether it begins with a new record.
            separate: Whether to find the delimiters outside of quotes, too.
        """
        data = np.frombuffer(piece, np.uint8)
        lines = self._pack(data, _LF)
        returns = self._pack(data, _CR) if b"\r" in piece else None
        if self._quote is None or self._quote not in piece:
            # The whole piece lies on one side of the quotes.
            bits = None if inside else _bits(lines, returns, data, None, empty=empty)
            return bits._replace(separators=self._pack(data, self._delimiter)) if bits and separate else bits
        delimiters = self._pack(data, self._delimiter)
        separators = lines | delimiters
        if returns is not None:
            separators |= returns
        fields = _find_fields(self._pack(data, self._quote[0]), separators, inside=inside, fresh=fresh)
        if fields is None:
            return None
        outside = ~fields.inside
        bits = _bits(lines & outside, None if returns is None else returns & outside, data, fields, empty=empty)
        return bits._replace(separators=delimiters & outside) if bits and separate else bits

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
