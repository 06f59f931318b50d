"""Which bytes of a piece lie within quotes, and where a quoted field is not closed as RFC 4180 says."""

from __future__ import annotations

from typing import Final, NamedTuple

from kumo_async.formats.record_words import (
    Words,
    add,
    ahead,
    alternate,
    behind,
    first_position,
    last_position,
    parities,
    runs_from,
)

__all__ = ["Fields", "Starts", "find_fields", "last_opening"]

_NEAR: Final = 256  # words that are looked at together for the last opening quote, which is most often near the end


class Fields(NamedTuple):
    """The quoted fields of a piece; right up to the first text after a closing quote.

    Attributes:
        inside: The bytes within them; of the quotes themselves those after which the data is within one.
        closing: The quotes that close one, if no other quote follows.
        text: The position of the first text after a closing quote; -1 if there is none.
        literals: Whether there may be quotes outside of quoted fields that open none.
    """

    inside: Words
    closing: Words
    text: int
    literals: bool


class Starts(NamedTuple):
    """Where fields begin, and what looks like that within quotes.

    Attributes:
        separators: The delimiters and newlines, without those that are escaped.
        skipped: The spaces with which fields begin, where those are skipped; None where there are none.
        fresh: Whether a field begins with the first byte of the piece.
    """

    separators: Words
    skipped: Words | None
    fresh: bool

    @property
    def before(self) -> Words:
        """The bytes after which a quote opens a field."""
        return self.separators if self.skipped is None else self.separators | self.skipped


def find_fields(quotes: Words, starts: Starts, *, inside: bool) -> Fields:
    """Find the quoted fields of a piece.

    Args:
        quotes: Its quotes, without those that are escaped.
        starts: Where a quote may open a field.
        inside: Whether the piece begins within a quoted field.
    """
    within = parities(quotes, odd=inside)
    opening = quotes & within
    near = starts.before | quotes
    literals = bool((opening & ~behind(near, first=starts.fresh)).any())
    if literals:
        within, closing = _find_among_literals(quotes, starts, inside=inside)
    else:
        # Every second quote opens a field, or stands right after the one that closed it, which is how a quote is
        # doubled: no quote is a literal.
        closing = quotes ^ opening
    allowed = near if starts.skipped is None else starts.separators | quotes
    return Fields(within, closing, first_position(behind(closing) & ~allowed), literals)


def last_opening(quotes: Words, starts: Starts, fields: Fields, *, inside: bool) -> int:
    """Find the last quote that opens a field, -1 if none does; from what `find_fields` was given and returned."""
    before = starts.before
    for end in range(quotes.size, 0, -_NEAR):
        # From a word further left, which itself is looked at in the next round, since it lacks what is left of it.
        near = slice(max(end - _NEAR - 1, 0), end)
        begins = behind(before[near], first=starts.fresh)
        found = quotes[near] & begins & ~behind(fields.inside[near], first=inside)
        if near.start:
            found[0] = 0
        if (last := last_position(found)) >= 0:
            return near.start * 64 + last
    return -1


def _find_among_literals(quotes: Words, starts: Starts, *, inside: bool) -> tuple[Words, Words]:
    """Find what lies within quotes where some are literals, and those that close, by the runs of adjacent quotes.

    An even run never changes the state: it is doubled quotes, an empty field, or literals. An odd one closes a quoted
    field; from outside it opens one where a field begins, and is literal elsewhere. So an odd run where a field may
    begin toggles, any other resets to outside, and the state is the parity of the toggles since the last reset. A run
    does that at its last quote.
    """
    beginning = runs_from(quotes, quotes & ~behind(quotes) & behind(starts.before, first=starts.fresh))
    lasts = quotes & ~ahead(quotes)
    odd = lasts & alternate(quotes)
    toggles, resets = odd & beginning, odd & ~beginning
    parity = parities(toggles, odd=inside)
    # From each reset at which the parity of all toggles is odd, a carry runs to the next one: so far it has to be the
    # other way round. At the next one it says whether that held before it.
    carried = add(~resets, behind(parity & resets))
    within = (parity ^ ~carried) & ~resets
    return within, (lasts & beginning | resets & (parity ^ carried)) & ~within
