"""The dialect of a CSV file, from its first block and as far as it was not given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kumo_async.formats.csv_dialect import BOM, SEPARATOR_LINE, CsvDialect
from kumo_async.formats.csv_readings import DELIMITERS
from kumo_async.formats.csv_sniff import ESCAPES, QUOTES, sniff

__all__ = ["Detection", "detect"]


class Detection(NamedTuple):
    """What was detected.

    Attributes:
        dialect: The dialect.
        doubts: What else would fit as well, and read other records; in sentences without a value of the data.
    """

    dialect: CsvDialect
    doubts: tuple[str, ...] = ()


def detect(
    block: bytes,
    complete: bool,
    *,
    delimiter: bytes | None = None,
    quote: bytes | None = None,
    escape: bytes | None = None,
) -> Detection:
    r"""Detect the dialect of a CSV file, as far as it is not known.

    The delimiter is the one, of ``,`` ``;`` tab and ``|``, that occurs in the header and gives the most rows as many
    fields as the header has; where several do, the one that leaves the fewest other delimiters in the fields, the
    commas of decimal numbers and of prose aside. A first line such as ``sep=;``, which Excel knows, tells it.

    The quote is ``"`` unless all records are alike with ``'`` and it plainly quotes fields, or there are fields that
    begin with ``"`` and none that ends with it, too. A backslash is an escape where quoted fields would be broken
    without it, or where it stands nowhere but before quotes, delimiters and itself.

    Args:
        block: The first bytes of the file; about 256 KiB of them are looked at.
        complete: Whether these bytes are the whole file, so that the last record is a whole one.
        delimiter: The delimiter, where it is known.
        quote: The quote, where it is known; ``b""`` where the file knows no quoting.
        escape: The escape, where it is known; ``b""`` where there is none.

    Returns:
        The dialect, that of RFC 4180 if nothing speaks for another, as with one column; and what else it may be.

    Example:
        >>> detect(b"name;price\nnut;0,50\nbolt;1,75\n", complete=True).dialect
        CsvDialect(delimiter=b';', quote=b'"', escape=None, skip_initial_space=False)
        >>> detect(b"a;b|c\n1;2|3\n", complete=True).doubts
        ("with delimiter='|' its first records are alike as well",)
    """
    block = block.removeprefix(BOM)
    if told := SEPARATOR_LINE.match(block):
        delimiter, block = delimiter or told[1], block[told.end() :]
    # What is given leaves less to choose from: no byte has two meanings.
    taken = b"".join(filter(None, (delimiter, quote, escape)))
    guess = sniff(
        block.decode("latin-1"),
        complete,
        _candidates(delimiter, DELIMITERS, taken),
        _candidates(quote, QUOTES, taken),
        _candidates(escape, ESCAPES, taken),
    )
    found = CsvDialect(guess.delimiter.encode(), guess.quote.encode() or None, guess.escape.encode() or None)
    return Detection(found, guess.doubts)


def _candidates(given: bytes | None, known: Sequence[str], taken: bytes) -> tuple[str, ...]:
    if given is not None:
        return (given.decode(),)
    return tuple(each for each in known if not each or each.encode() not in taken)
