"""The passes over words of bits, against numbers of Python, which have as many bits as are needed."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.formats import record_words
from kumo_async.formats.record_words import WORD, Words

SIZE = 5 * 64
MASK = (1 << SIZE) - 1

#: Numbers in which long runs of equal bits, over several words, are as common as short ones.
NUMBERS = st.lists(st.tuples(st.booleans(), st.sampled_from([1, 2, 3, 31, 62, 63, 64, 65, 66, 130])), max_size=20).map(
    lambda runs: int("0" + "".join(str(int(bit)) * length for bit, length in runs), 2) & MASK
)


def packed(number: int) -> Words:
    return np.frombuffer(number.to_bytes(SIZE // 8, "little"), WORD).copy()


def number(words: Words) -> int:
    return int.from_bytes(words.tobytes(), "little")


def bits(number: int) -> list[int]:
    return [position for position in range(SIZE) if number >> position & 1]


@given(NUMBERS, NUMBERS)
def test_a_carry_runs_through_any_number_of_words(one: int, other: int) -> None:
    assert number(record_words.add(packed(one), packed(other))) == (one + other) & MASK
    assert number(record_words.add(packed(MASK), packed(other))) == (MASK + other) & MASK


@given(NUMBERS, st.booleans())
def test_bits_move_by_one_position(one: int, first: bool) -> None:
    assert number(record_words.behind(packed(one), first=first)) == (one << 1 | first) & MASK
    assert number(record_words.ahead(packed(one))) == one >> 1


@given(NUMBERS)
def test_where_bits_are_set(one: int) -> None:
    assert record_words.positions(packed(one)).tolist() == bits(one)
    assert record_words.last_position(packed(one)) == one.bit_length() - 1
    assert record_words.first_position(packed(one)) == (one & -one).bit_length() - 1
    counts = [record_words.count_before(packed(one), position) for position in range(SIZE)]
    assert counts == [(one & ((1 << position) - 1)).bit_count() for position in range(SIZE)]
    assert [position for position in range(SIZE) if record_words.has(packed(one), position)] == bits(one)


@given(NUMBERS, st.booleans())
def test_parities(one: int, odd: bool) -> None:
    expected = sum(((one & ((2 << position) - 1)).bit_count() + odd & 1) << position for position in range(SIZE))
    assert number(record_words.parities(packed(one), odd=odd)) == expected


@given(NUMBERS, st.lists(st.booleans(), min_size=SIZE, max_size=SIZE))
def test_runs_of_bits(one: int, chosen: list[bool]) -> None:
    runs = [[at for _, at in run] for _, run in groupby(enumerate(bits(one)), lambda pair: pair[1] - pair[0])]
    taken = [run for run, take in zip(runs, chosen, strict=False) if take]
    heads = sum(1 << run[0] for run in taken)
    assert number(record_words.runs_from(packed(one), packed(heads))) == sum(1 << at for run in taken for at in run)
    assert number(record_words.alternate(packed(one))) == sum(1 << at for run in runs for at in run[::2])
