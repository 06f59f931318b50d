"""Whether the quoted fields of CSV text are well-formed: closed, and with nothing behind the closing quote."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Quoting", "find_quoting", "is_only_before", "without_escapes"]


class Quoting(NamedTuple):
    """How many fields begin with a quote.

    Attributes:
        good: Those that end with it, too.
        bad: Those that go on behind the next quote, or have none.
        inline: Those of the bad ones whose next quote is in the same line.
        kept: Those of the good ones that hold a delimiter or a newline, and so had to be quoted.
        doubled: Those of the good ones that hold a quote, which is doubled.
    """

    good: int = 0
    bad: int = 0
    inline: int = 0
    kept: int = 0
    doubled: int = 0


def find_quoting(text: str, whole: bool, delimiter: str, quote: str, escape: str) -> Quoting:
    r"""Count the quoted fields of a text.

    Args:
        text: The text.
        whole: Whether the data ends with it, so that a quote which is not closed by then never is.
        delimiter: What separates fields.
        quote: What they are quoted with.
        escape: What makes the next character literal; empty for none.

    Example:
        >>> find_quoting("a,b\n'x, y',z\n'tis,1\n's,2\n", True, ",", "'", "")
        Quoting(good=1, bad=1, inline=0, kept=1, doubled=0)
    """
    good = bad = inline = kept = doubled = 0
    special = re.compile(f"[{re.escape(delimiter)}\r\n]")
    for match in _pattern(delimiter, quote, escape).finditer(text):
        if match["good"] is not None:
            good += 1
            kept += special.search(match["inner"]) is not None
            doubled += quote * 2 in match["inner"]
        elif match["bad"] is not None or whole:
            bad += 1
            inline += match["bad"] is not None and not {"\r", "\n"} & set(match["inner"])
    return Quoting(good, bad, inline, kept, doubled)


def without_escapes(text: str, escape: str) -> str:
    r"""Return a text without escapes and what they stand before.

    Example:
        >>> without_escapes(r"say \"hi\", C:\data", "\\")
        'say hi, C:ata'
    """
    return re.sub(f"{re.escape(escape)}.", "", text, flags=re.DOTALL)


def is_only_before(text: str, escape: str, specials: str) -> bool:
    r"""Whether an escape stands nowhere but before characters that it can make literal, itself among them.

    Example:
        >>> is_only_before(r"say \"hi\", \\", "\\", '",'), is_only_before(r"C:\data", "\\", '",')
        (True, False)
    """
    every, special = re.escape(escape), re.escape(escape + specials)
    return re.search(f"{every}(?:[^{special}])", re.sub(f"{every}[{special}]", "", text)) is None


def _pattern(delimiter: str, quote: str, escape: str) -> re.Pattern[str]:
    ends, quote = re.escape(delimiter) + r"\r\n", re.escape(quote)
    plain, escaped = (f"[^{quote}{re.escape(escape)}]", f"|{re.escape(escape)}.") if escape else (f"[^{quote}]", "")
    # Possessive, so that no text takes more than linear time.
    inner = f"(?P<inner>(?:{plain}++|{quote}{quote}{escaped})*+)"
    return re.compile(
        rf"(?:^|(?<=[{ends}])){quote}{inner}(?:{quote}(?:(?P<good>(?=[{ends}]|\Z))|(?P<bad>))|\Z)", re.DOTALL
    )
