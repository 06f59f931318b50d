r"""What to do about a record that is not fit: the option that reads it right, if there is one.

A wrong remedy would be worse than none. So each option was tried before it is named: all records that begin within the
bytes of the faulty one have to be right with it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kumo_async.formats.record_ends import JoinedEnds, RecordEnds
from kumo_async.formats.records import RecordError, RecordScanner

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect

__all__ = ["TRIED", "Neighbourhood", "Remedies", "Surroundings"]

#: How much is read with another dialect, from the beginning of a record on, in bytes.
TRIED: Final = 1 << 16
#: How much before a record is looked at for a line end that may be escaped, in bytes.
_BEFORE: Final = 64

_OTHERWISE: Final = "; or mend the record, or pass the file's dialect if it is not the one in use"
_ESCAPE: Final = "Pass csv=CsvOptions(escape='\\\\') if a backslash makes what follows it literal, as it may here"
_NO_ESCAPE: Final = "Pass csv=CsvOptions(escape='') if the escape is plain text in this file, as it may be here"
_APOSTROPHES: Final = 'Pass csv=CsvOptions(quote="\'") if apostrophes quote fields, as they may here'
_SPACES: Final = "Pass csv=CsvOptions(skip_initial_space=True), with which a quote after spaces opens a field, too"
_NO_QUOTES: Final = "pass csv=CsvOptions(quote='') if quotes are plain text in this file, as they may be here"
_COMMENT: Final = "Pass csv=CsvOptions(comment='#') if lines that begin with # are comments"
_SHORT: Final = "pass csv=CsvOptions(short_rows='fill') if empty fields were left off at its end"
_BLANKS: Final = "Remove the blanks after the closing quote"
_DOUBLE: Final = "Double each quote that is text within a quoted field"
_CLOSE: Final = "Close the quote, or double it where it is meant literally"
_RAGGED: Final = "end the record; or pass the file's dialect as csv=CsvOptions(...) if it is not the one in use"
_NO_RECORD: Final = "Remove the line if it is a title, a total or a remark; or m"


@dataclass(frozen=True)
class Neighbourhood:
    """A record, and what is around it.

    Attributes:
        before: The last bytes before it.
        text: The record and what follows; of both together at most `TRIED` bytes.
    """

    before: bytes
    text: bytes


class Surroundings:
    """Remembers of data that is passed by what an error may have to look at: how the last record begins."""

    def __init__(self) -> None:
        self._last = b""  # the last bytes
        self._before = b""  # the last bytes before the record that has not ended
        self._begun = b""  # its first bytes

    def at(self, block: bytes | bytearray, start: int) -> Neighbourhood:
        """Return what is around a record.

        Args:
            block: The bytes that follow those that were kept.
            start: Where the record begins in them; negative if it is the last one of those that were kept.
        """
        if start < 0:
            return Neighbourhood(self._before, self._begun + block[: TRIED - len(self._begun)])
        return Neighbourhood(self._tail(block, start), bytes(block[start : start + TRIED]))

    def keep(self, block: bytes | bytearray, start: int) -> None:
        """Keep what is needed of a block; `start` is where its last record begins, see `at`."""
        near = self.at(block, start)
        self._before, self._begun, self._last = near.before, near.text, self._tail(block, len(block))

    def _tail(self, block: bytes | bytearray, end: int) -> bytes:
        return bytes(block[end - _BEFORE : end]) if end >= _BEFORE else (self._last + block[:end])[-_BEFORE:]


class Remedies:
    r"""Finds what to do about faulty records.

    Args:
        dialect: The dialect in use.
        columns: The fields that each record must have.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> Remedies(CsvDialect(), 2).ragged(Neighbourhood(b"", b"1,'a, b'\n2,c\n"), 9, fields=3)[:27]
        'Pass csv=CsvOptions(quote="'
    """

    def __init__(self, dialect: CsvDialect, columns: int) -> None:
        self._dialect = dialect
        self._columns = columns

    def ragged(self, near: Neighbourhood, length: int, fields: int) -> str:
        """Say what to do about a record of so many bytes, which has so many fields."""
        if option := self._other_escape(near, length, fields):
            return option + _OTHERWISE
        record, quote = near.text[:length], self._dialect.quote
        if quote is not None and b" " + quote in record and self._reads(near, length, skip_initial_space=True):
            return _SPACES + _OTHERWISE
        if b"'" in record and self._reads(near, length, quote=b"'"):
            return _APOSTROPHES + _OTHERWISE
        if quote is not None and quote in record and self._reads(near, length, quote=None):
            return _capital(_NO_QUOTES) + _OTHERWISE
        if near.text.startswith(b"#"):
            return _COMMENT + _OTHERWISE
        remedy = f"{_NO_RECORD}{_RAGGED}" if fields == 1 else f"M{_RAGGED}"
        return remedy if fields > self._columns else f"{remedy}; or {_SHORT}"

    def misquoted(self, near: Neighbourhood, opening: int, text: int, after: bytes | bytearray) -> str:
        """Say what to do about text after a closing quote.

        Args:
            near: The record in which the quoted field begins.
            opening: The bytes of it before that field.
            text: The bytes of it before that text.
            after: The text and what follows.
        """
        if option := self._other_escape(near, text):
            return f"{option}; or {_lower(_DOUBLE)}"
        rest = after.lstrip(b" \t".replace(self._dialect.delimiter, b""))
        if not rest or rest[:1] in (self._dialect.delimiter, b"\r", b"\n"):
            return _BLANKS
        return f"{_DOUBLE}; or {_NO_QUOTES}" if self._knows_no_quotes(near, opening, text) else _DOUBLE

    def unclosed(self, near: Neighbourhood, opening: int) -> str:
        """Say what to do about a quote that is never closed; see `misquoted`."""
        # The whole rest of the data is within the quotes, which is too much to be right. So one line has to do.
        length = opening + 1
        if self._dialect.escape is not None and self._reads(near, length, escape=None):
            return f"{_NO_ESCAPE}; or {_lower(_CLOSE)}"
        return f"{_CLOSE}; or {_NO_QUOTES}" if self._knows_no_quotes(near, opening, length) else _CLOSE

    def escaped_end(self) -> str:
        """Say what to do about data that ends after an escape."""
        return f"Complete the record; or {_lower(_NO_ESCAPE)}"

    def _other_escape(self, near: Neighbourhood, length: int, fields: int = 0) -> str:
        """Say that a backslash is an escape, or the escape is none, where the record is right with that."""
        if self._dialect.escape is not None:
            return _NO_ESCAPE if self._reads(near, length, escape=None) else ""
        continued = fields == 1 and near.before[-1:] in (b"\r", b"\n") and _is_escaped(near.before[:-1])
        if continued or (b"\\" in near.text[:length] and self._reads(near, length, escape=b"\\")):
            return _ESCAPE
        return ""

    def _knows_no_quotes(self, near: Neighbourhood, opening: int, length: int) -> bool:
        quote = self._dialect.quote
        # Another field of the record that is in quotes says that quotes do have a meaning.
        return quote is not None and quote not in near.text[:opening] and self._reads(near, length, quote=None)

    def _reads(self, near: Neighbourhood, length: int, **changes: Any) -> bool:
        """Whether the records that begin within so many bytes are right in a dialect that differs in something."""
        found: list[RecordEnds] = []
        with suppress(ValueError):
            scanner = RecordScanner(replace(self._dialect, **changes), count_fields=True)
            try:
                found.append(scanner.feed(near.text))
                # What was cut off is no last record.
                found += [scanner.finish()] if len(near.text) < TRIED else []
            except RecordError as error:
                found.append(error.ends)
        ends = JoinedEnds(found)
        fields, blank, starts = ends.fields, ends.blank, np.append(0, ends.offsets)
        if fields is None or starts[-1] < min(length, TRIED // 2):
            return False
        judged = starts[:-1] < length
        if blank is not None:
            judged &= ~blank
        return bool(judged.any() and (fields[judged] == self._columns).all())


def _is_escaped(before: bytes) -> bool:
    """Whether what follows would be literal if a backslash were an escape."""
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
