"""The numpy passes of the record scanner: positions of quotes, escapes and newlines, and what they do to the state.

Every function here is pure and looks at one piece of data, as bytes and as an array over the same bytes. *Inside* is
whether the piece begins within a quoted field; *fresh* is whether a quote as its first byte would open one.

A *flip* is a position where the data goes into or out of a quoted field, so a newline ends a record exactly if the
number of flips before it, plus one when the piece begins inside, is even.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kumo_async.formats.record_bits import alternate, parities

__all__ = [
    "Bytes",
    "Ends",
    "Flags",
    "Flips",
    "Offsets",
    "find_ends",
    "find_escapes",
    "find_flips",
    "find_insides",
    "find_separators",
    "find_terminators",
    "is_inside",
]

Offsets = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

_LF: Final = 10
_CR: Final = 13


class Flips(NamedTuple):
    """The flips of a piece and the position where the last quoted field in it opens, -1 if none does."""

    at: Offsets
    opened: int


class Ends(NamedTuple):
    """The ends of records in a piece, one behind the terminators, and which of the records are blank lines."""

    at: Offsets
    blank: Flags


def find_flips(data: Bytes, quote: int, opens_after: Flags, *, inside: bool, fresh: bool) -> Flips:
    """Find the flips of a piece.

    Arguments:
        data: The piece, every escaped byte neutral.
        quote: The quote.
        opens_after: For each byte value whether a quote behind it opens a field: delimiters, newlines and no others.
        inside: Whether the piece begins within a quoted field.
        fresh: Whether a quote as its first byte opens a field.
    """
    quotes = np.flatnonzero(data == quote)
    opening = quotes[inside::2]
    before = data.take(opening - 1, mode="wrap")
    # If every second quote opens a field, or stands directly behind the one that closed it, which is how a quote is
    # doubled, then no quote is a literal, and each of them flips.
    begins = opens_after.take(before)
    proven = begins | (before == quote)
    if opening.size and opening[0] == 0:
        begins[0] = proven[0] = fresh
    if proven.all():
        return Flips(quotes, int(opening[-1 - np.argmax(begins[::-1])]) if begins.any() else -1)
    return _flips_of_runs(data, quotes, opens_after, inside=inside, fresh=fresh)


def _flips_of_runs(data: Bytes, quotes: Offsets, opens_after: Flags, *, inside: bool, fresh: bool) -> Flips:
    """Find the flips where some quotes are literals, by the runs of adjacent quotes.

    An even run never changes the state: it is doubled quotes, an empty field, or literals. An odd one closes a quoted
    field; from outside it opens one where a field begins, and is literal elsewhere. So a run at the beginning of a
    field toggles, any other resets to outside, and the state is the parity of the toggles since the last reset.
    """
    heads = np.flatnonzero(np.diff(quotes, prepend=-2) != 1)
    odd = (np.diff(heads, append=quotes.size) & 1).astype(np.bool_)
    runs = quotes[heads[odd]]
    toggles = opens_after.take(data.take(runs - 1, mode="wrap"))
    if runs.size and runs[0] == 0:
        toggles[0] = fresh
    count = np.cumsum(toggles)
    since = np.maximum.accumulate(np.where(toggles, -int(inside), count))
    states = np.concatenate(([int(inside)], (count - since) & 1))
    flips = runs[states[1:] != states[:-1]]
    opening = flips[inside::2]
    return Flips(flips, int(opening[-1]) if opening.size else -1)


def is_inside(flips: Offsets, at: Offsets, *, inside: bool) -> Flags:
    """For each position, none of them a quote's, whether it lies within a quoted field."""
    return ((np.searchsorted(flips, at) + inside) & 1).astype(np.bool_)


def find_insides(flips: Offsets, size: int, *, inside: bool) -> Flags:
    """For each byte of a piece of `size` bytes whether the number of flips up to it leaves it within a quoted field.

    What the flips themselves are called does not matter, since none of them is a delimiter or a newline.
    """
    marks = np.zeros(-(-size // 64) * 64, np.uint8)
    marks[flips] = 1
    words = parities(np.packbits(marks, bitorder="little").view("<u8"), inside=inside)
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:size].view(np.bool_)


def find_separators(data: Bytes, delimiter: int, insides: Flags | None) -> Offsets:
    """Positions of the delimiters outside of quotes: each of them begins another field."""
    delimiters = data == delimiter
    return np.flatnonzero(delimiters if insides is None else delimiters & ~insides)


def find_terminators(piece: bytes | bytearray, data: Bytes, insides: Flags | None) -> Offsets:
    """Positions of all bytes outside of quotes that end a record: each LF, and each CR if there are any."""
    lines = data == _LF
    if b"\r" in piece:
        lines |= data == _CR
    return np.flatnonzero(lines if insides is None else lines & ~insides)


def find_ends(data: Bytes, at: Offsets, *, empty: bool) -> Ends:
    """Turn terminators into ends; the CR and the LF of a CRLF make one end together.

    Arguments:
        data: The piece.
        at: The positions of its LF and CR outside of quotes.
        empty: Whether the piece begins with a new record, so that a terminator as its first byte ends a blank line.
    """
    is_cr = data.take(at) == _CR
    width: Offsets | int = 1
    if is_cr.any():
        paired = is_cr[:-1] & ~is_cr[1:] & (np.diff(at) == 1)
        width = 1 + np.concatenate(([False], paired))
        alone = np.concatenate((~paired, [True]))
        at, width = at[alone], width[alone]
    ends = at + 1
    return Ends(ends, np.diff(ends, prepend=0 if empty else -1) == width)


def find_escapes(data: Bytes, escape: int) -> tuple[Offsets, Offsets]:
    """Positions of the runs of escapes, and of the escapes in force: in a run they are every second, from the first."""
    return alternate(np.flatnonzero(data == escape))
