r"""Records as a plain reader takes them: without comment lines, without spaces before fields, and none too short.

Only what a file's options ask for is changed, and all other bytes stay as they are. The text passes as a stream: held
are a block and the record that has not ended, up to `MOST_BYTES`. Where it is malformed it passes as it is:
the check of the records comes afterwards and finds that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.records import RecordEnds, RecordError, RecordScanner

__all__ = ["MOST_BYTES", "Tidy", "TidyError"]

MOST_BYTES: Final = 64 * 1024 * 1024
"""The most that one record may have, in bytes, where records are changed."""


class TidyError(ValueError):
    """A record is longer than `MOST_BYTES`."""


@dataclass(frozen=True)
class Tidy:
    r"""What is changed in the records of a file.

    Attributes:
        dialect: How the file separates and quotes its fields; where it skips spaces before them, those are removed.
        start: The offset in bytes of the first record.
        comment: What lines begin with that are left out; None where there are none.
        columns: The number of fields that shorter records are filled up to; None where they stay as they are.

    Example:
        >>> tidy = Tidy(CsvDialect(skip_initial_space=True), comment=b"#", columns=3)
        >>> b"".join(tidy.apply([b'1, "a, b"\n# no, "row\n 2\n'])).decode()
        '1,"a, b",\n2,,\n'
    """

    dialect: CsvDialect
    start: int = 0
    comment: bytes | None = None
    columns: int | None = None

    @property
    def result(self) -> CsvDialect:
        """The dialect of what comes out."""
        return replace(self.dialect, skip_initial_space=False)

    def apply(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Change a text.

        Args:
            blocks: All of it, in blocks of any size, from its first byte on.

        Raises:
            TidyError: A record is too long. Blocks before it were handed out.
        """
        waiting: list[bytes] = []
        new = held = 0
        for block in _after(blocks, self.start):
            waiting.append(block)
            new += len(block)
            # What holds no end of a record is looked at again only once it has doubled, so that this stays linear.
            if new <= held:
                continue
            whole, rest = self._cut(b"".join(waiting))
            if len(rest) > MOST_BYTES:
                raise TidyError(f"a record is longer than the {MOST_BYTES:,} bytes that can be changed")
            waiting, held, new = [rest], len(rest), 0
            yield self._change(whole)
        whole, rest = self._cut(b"".join(waiting))
        is_comment = self.comment is not None and rest.startswith(self.comment)
        yield self._change(whole if is_comment else whole + rest)

    def _cut(self, text: bytes) -> tuple[bytes, bytes]:
        """Cut text after its last whole record or comment; return the records without comments, and the rest."""
        kept: list[bytes] = []
        at = 0
        patterns = _patterns(self.dialect, self.comment)
        while True:
            records = patterns.records.match(text, at)
            assert records is not None
            kept.append(records.group())
            at = records.end()
            comment = patterns.comment.match(text, at)
            if comment is None:
                return b"".join(kept), text[at:]
            at = comment.end()

    def _change(self, records: bytes) -> bytes:
        if self.dialect.skip_initial_space:
            records = b"".join(_patterns(self.dialect, self.comment).field.findall(records))
        return records if self.columns is None else self._filled(records, self.columns)

    def _filled(self, records: bytes, columns: int) -> bytes:
        parts, at = [], 0
        for ends in _ends(records, self.result):
            fields, blank = ends.fields, ends.blank
            assert fields is not None
            short = fields < columns if blank is None else (fields < columns) & ~blank
            for end, count in zip(ends.offsets[short].tolist(), fields[short].tolist(), strict=True):
                place = end - self._terminator(records, end)
                parts += [records[at:place], self.dialect.delimiter * (columns - count)]
                at = place
        return b"".join([*parts, records[at:]])

    def _terminator(self, records: bytes, end: int) -> int:
        """Return the length of the terminator of the record that ends there: of CR and LF the CR may be escaped."""
        if records[end - 2 : end] != b"\r\n":
            return int(records[end - 1 : end] in (b"\r", b"\n"))
        at = end - 2
        while self.dialect.escape is not None and records[at - 1 : at] == self.dialect.escape:
            at -= 1
        return 2 - (end - 2 - at) % 2


class _Patterns(NamedTuple):
    """What is sought in text, all of it in linear time: repetitions are possessive.

    Attributes:
        records: Whole records in a row, up to a comment.
        comment: A comment with its line end.
        field: A field without the spaces before it, with what ends it.
    """

    records: re.Pattern[bytes]
    comment: re.Pattern[bytes]
    field: re.Pattern[bytes]


@lru_cache(maxsize=8)
def _patterns(dialect: CsvDialect, comment: bytes | None) -> _Patterns:
    names = {b"d": dialect.delimiter, b"q": dialect.quote or b"", b"e": dialect.escape or b"", b"c": comment or b""}
    part = {name: re.escape(byte) for name, byte in names.items()}
    # What the dialect does not know never matches.
    part |= {name: part[name] or b"(?!)" for name in (b"q", b"c")}
    part[b"pair"] = b"%(e)b." % part if dialect.escape else b"(?!)"
    part[b"inner"] = b"(?:[^%(q)b%(e)b]++|%(q)b%(q)b|%(pair)b)*+" % part if dialect.quote else b"(?!)"
    part[b"plain"] = b"(?:[^%(d)b\r\n%(e)b]++|%(pair)b)*+" % part
    part[b"space"] = b" *+" if dialect.skip_initial_space else b""
    part[b"field"] = b"(?:%(space)b%(q)b%(inner)b%(q)b%(plain)b|(?!%(space)b%(q)b)%(plain)b)" % part
    part[b"end"] = rb"(?:\n|\r\n|\r(?!\Z))"
    # A line of nothing but spaces keeps them: without them it would be a blank line, and no record.
    part[b"skipped"] = rb"(?:(?<=%(d)b) *+| *+(?![\r\n]|\Z))?+" % part
    return _Patterns(
        re.compile(b"(?:(?!%(c)b)%(field)b(?:%(d)b%(field)b)*+%(end)b)*+" % part, re.DOTALL),
        re.compile(rb"%(c)b[^\r\n]*+%(end)b" % part),
        re.compile(rb"%(skipped)b((?:%(q)b%(inner)b%(q)b?+)?+%(plain)b(?:.|\Z))" % part, re.DOTALL),
    )


def _after(blocks: Iterable[bytes], start: int) -> Iterator[bytes]:
    """Leave out the first bytes of a text."""
    for block in blocks:
        yield block[start:] if start else block
        start = max(start - len(block), 0)


def _ends(records: bytes, dialect: CsvDialect) -> Iterator[RecordEnds]:
    """Find the ends of records, up to one that is malformed."""
    scanner = RecordScanner(dialect, count_fields=True)
    try:
        yield scanner.feed(records)
        yield scanner.finish()
    except RecordError as error:
        yield error.ends
