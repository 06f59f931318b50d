"""Bits of the bytes of a piece, 64 of them in a word: bit `n` of word `m` is that of byte `64 * m + n`.

What looks at every byte costs little with bits: a comparison packs them, and from there on a pass over a piece is one
over 64 times fewer words. The ways to spread a bit over its neighbours without a loop are simdjson's
(https://arxiv.org/abs/1902.08318): the parity of all bits before a place by six shifts, and the end of a run of bits by
the carry of an addition.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "WORD",
    "Bytes",
    "Flags",
    "Offsets",
    "Words",
    "add",
    "ahead",
    "alternate",
    "behind",
    "count_before",
    "first_position",
    "flags",
    "has",
    "last_position",
    "parities",
    "positions",
    "runs_from",
]

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Offsets = NDArray[np.int64]

WORD: Final = np.dtype("<u8")

_ONE: Final = np.uint64(1)
_TOP: Final = np.uint64(63)
_SHIFTS: Final = (2, 4, 8, 16, 32)
_EVEN: Final = np.uint64(0x5555_5555_5555_5555)  # positions 0, 2, 4 and so on
_ALL: Final = ~np.uint64(0)
_NEAR: Final = 256  # words that are looked at together for the last bit, which is most often near the end


def has(words: Words, position: int) -> bool:
    """Whether the bit of a position is set."""
    return bool(int(words[position >> 6]) >> (position & 63) & 1)


def flags(words: Words) -> Flags:
    """For each position whether its bit is set."""
    return np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_)


def positions(words: Words) -> Offsets:
    """The positions of all bits that are set."""
    # As flags, since numpy finds those much faster than bytes that are not zero.
    return np.flatnonzero(flags(words))


def first_position(words: Words) -> int:
    """The position of the first bit that is set; -1 if none is."""
    if not words.any():
        return -1
    at = int((words != 0).argmax())
    word = int(words[at])
    return at * 64 + (word & -word).bit_length() - 1


def count_before(words: Words, position: int) -> int:
    """How many bits before a position are set."""
    word = position >> 6
    rest = int(words[word]) & ((1 << (position & 63)) - 1)
    return int(np.bitwise_count(words[:word]).sum()) + rest.bit_count()


def last_position(words: Words) -> int:
    """The position of the last bit that is set; -1 if none is."""
    for start in range(words.size, 0, -_NEAR):
        used = np.flatnonzero(words[max(start - _NEAR, 0) : start])
        if used.size:
            at = max(start - _NEAR, 0) + int(used[-1])
            return at * 64 + int(words[at]).bit_length() - 1
    return -1


def behind(words: Words, *, first: bool = False) -> Words:
    """Move each bit to the next position; `first` becomes that of position 0."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _TOP
    moved[0] |= np.uint64(first)
    return moved


def ahead(words: Words) -> Words:
    """Move each bit to the position before."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _TOP
    return moved


def parities(words: Words, *, odd: bool = False) -> Words:
    """For each position whether the number of bits up to it, one more if `odd`, is odd."""
    found = words ^ (words << _ONE)
    for shift in _SHIFTS:
        found ^= found << np.uint64(shift)
    carries = np.bitwise_xor.accumulate(found >> _TOP)
    found[1:] ^= np.negative(carries[:-1])
    return ~found if odd else found


def add(words: Words, other: Words) -> Words:
    """Add two numbers of many words, the lowest first; what exceeds the last word is dropped."""
    total = words + other
    carries = total < words
    full = total == _ALL
    if full.any():
        # Through such a word goes the carry of the last one before it that is not full; full ones have none themselves.
        carries = carries[np.maximum.accumulate(np.where(full, 0, np.arange(full.size)))]
    total[1:] += carries[:-1]
    return total


def runs_from(words: Words, heads: Words) -> Words:
    """Of the runs of adjacent bits those that begin at one of `heads`, each of which has to begin one."""
    return words & ~add(words, heads)


def alternate(words: Words) -> Words:
    """Of each run of adjacent bits every second one, from the first on."""
    heads = words & ~behind(words)
    others = words ^ heads
    if not (others & behind(others)).any():  # no run is longer than two
        return heads
    even = runs_from(words, heads & _EVEN)
    return (words ^ even) & ~_EVEN | even & _EVEN
