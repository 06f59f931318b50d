"""How many fields each record has, by the delimiters outside of quotes that stand before its end.

With delimiters and ends as bits no delimiter needs to be looked at by itself. Of many short rows it is enough to know
that all have the same number of fields: then every so many ends of fields one ends a row, and no other does.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kumo_async.formats.record_words import Offsets, Words, flags, last_position, positions

__all__ = ["are_regular", "count_behind", "count_fields"]

_LONG: Final = 40  # bytes from which on it takes less time to count the fields of each row than to prove them equal


def count_fields(ends: Words, delimiters: Words, before: int) -> Offsets:
    """Count the fields of records.

    Args:
        ends: Where the records end.
        delimiters: The delimiters outside of quotes.
        before: The delimiters of the first record that stand before the piece.
    """
    at = positions(ends)
    words = at >> 6
    counts = np.bitwise_count(delimiters)
    below = delimiters[words] & ((np.uint64(1) << (at & 63).astype(np.uint64)) - np.uint64(1))
    until = (np.cumsum(counts, dtype=np.int64) - counts)[words] + np.bitwise_count(below)
    return np.asarray(np.diff(until, prepend=-before) + 1, np.int64)


def count_behind(ends: Words, delimiters: Words, before: int) -> int:
    """Count the delimiters behind the last end; where there is none, `before` of them and all."""
    last = last_position(ends)
    if last < 0:
        return before + int(np.bitwise_count(delimiters).sum())
    word = last >> 6
    return (int(delimiters[word]) >> (last & 63)).bit_count() + int(np.bitwise_count(delimiters[word + 1 :]).sum())


def are_regular(rows: Words, delimiters: Words, before: int, columns: int) -> bool:
    """Whether each row has `columns` fields.

    Args:
        rows: Where the rows end; blank lines, in which there are no delimiters, are not among them.
        delimiters: The delimiters outside of quotes.
        before: The delimiters of the first row that stand before the piece.
        columns: The number of fields.
    """
    count = int(np.bitwise_count(rows).sum())
    if count * _LONG < rows.size * 64:
        return bool((count_fields(rows, delimiters, before) == columns).all())
    # Of the ends of fields every `columns`-th has to end a row, and those have to be all rows. What is behind the last
    # row belongs to one that has not ended.
    expected = positions(delimiters | rows)[columns - 1 - before :: columns][:count]
    return before < columns and expected.size == count and bool(flags(rows)[expected].all())
