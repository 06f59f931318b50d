"""Which bytes of a piece lie within quotes, whatever the quotes mean that stand in it."""

from __future__ import annotations

from typing import NamedTuple

from kumo_async.formats.record_words import Words, add, ahead, alternate, behind, parities, runs_from

__all__ = ["Fields", "find_fields"]


class Fields(NamedTuple):
    """The quoted fields of a piece.

    Attributes:
        inside: The bytes within them; of the quotes themselves those behind which the data is within one.
        opening: The quotes that open one.
        effective: The quotes that are no literals; of those that are doubled within a field maybe only the last.
    """

    inside: Words
    opening: Words
    effective: Words

    @property
    def closing(self) -> Words:
        """The quotes that close one, if no other quote follows."""
        return self.effective & ~self.inside


def find_fields(quotes: Words, separators: Words, *, inside: bool, fresh: bool) -> Fields:
    """Find the quoted fields of a piece.

    Args:
        quotes: Its quotes, without those that are escaped.
        separators: Its delimiters and newlines, without those that are escaped: a quote behind one may open a field.
        inside: Whether the piece begins within a quoted field.
        fresh: Whether a quote as its first byte opens a field.
    """
    within = parities(quotes, odd=inside)
    opening = quotes & within
    begins = opening & behind(separators, first=fresh)
    # If every second quote opens a field, or stands directly behind the one that closed it, which is how a quote is
    # doubled, then no quote is a literal.
    if not (opening & ~(begins | behind(quotes))).any():
        return Fields(within, begins, quotes)
    return _find_among_literals(quotes, separators, inside=inside, fresh=fresh)


def _find_among_literals(quotes: Words, separators: Words, *, inside: bool, fresh: bool) -> Fields:
    """Find the quoted fields where some quotes are literals, by the runs of adjacent quotes.

    An even run never changes the state: it is doubled quotes, an empty field, or literals. An odd one closes a quoted
    field; from outside it opens one where a field begins, and is literal elsewhere. So an odd run where a field may
    begin toggles, any other resets to outside, and the state is the parity of the toggles since the last reset. A run
    does that at its last quote.
    """
    begins = quotes & ~behind(quotes) & behind(separators, first=fresh)
    beginning, lasts = runs_from(quotes, begins), quotes & ~ahead(quotes)
    odd = lasts & alternate(quotes)
    toggles, resets = odd & beginning, odd & ~beginning
    parity = parities(toggles, odd=inside)
    # From behind each reset at which the parity of all toggles is odd, a carry runs to the next one: so far it has to
    # be the other way round. At the next one it says whether that held before it.
    carried = add(~resets, behind(parity & resets))
    within = (parity ^ ~carried) & ~resets
    opening = begins & ~behind(within, first=inside)
    return Fields(within, opening, lasts & beginning | resets & (parity ^ carried))
