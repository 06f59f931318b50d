r"""Whether a record holds a backslash before a quote, which may be why its fields are not as many as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kumo_async.formats.records import RecordEnds

__all__ = ["EscapedQuotes"]


class EscapedQuotes:
    r"""Remembers of the record that has not ended whether a backslash stands before a quote in it.

    Args:
        quote: The quote; None where there is none, or where the dialect has an escape anyway.

    Example:
        >>> hints = EscapedQuotes(b'"')
        >>> hints.found(b'1,"say \\"hi\\""', 0, 14)
        True
    """

    def __init__(self, quote: bytes | None) -> None:
        self._pair = None if quote is None else b"\\" + quote
        self._open = False  # whether it was found in the record that has not ended
        self._last = b""  # the last byte of that record, where it may be the first of a pair

    def found(self, block: bytes | bytearray, start: int, end: int) -> bool:
        """Tell of the record that is ``block[start:end]``, and of what was kept of it if it began before the block."""
        if self._pair is None:
            return False
        carried = start < 0 and (self._open or self._last + block[:1] == self._pair)
        return carried or block.find(self._pair, max(start, 0), end) >= 0

    def keep(self, block: bytes | bytearray, ends: RecordEnds, offset: int) -> None:
        """Look at what the next block will go on with; only that, so that it costs nothing.

        Args:
            block: The bytes of a block.
            ends: The ends of the records in it.
            offset: The offset in bytes of the block.
        """
        if block:
            start = ends.end - offset if ends.end >= 0 else -1
            self._open = self.found(block, start, len(block))
            self._last = bytes(block[-1:]) if start < len(block) else b""
