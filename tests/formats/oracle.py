"""The slow, obvious reader of CSV that the fast one is compared with: one byte at a time, one state after another."""

from __future__ import annotations

from dataclasses import dataclass, field

from kumo_async.formats.csv_dialect import CsvDialect


@dataclass
class Oracle:
    """What is known of the data after each byte; `read` fills it, up to the first record that breaks the grammar."""

    dialect: CsvDialect
    ends: list[int] = field(default_factory=list)
    blank: list[bool] = field(default_factory=list)
    fields: list[list[bytes]] = field(default_factory=list)  # of the rows only
    broken: int | None = None  # where the quoted field began that is not well-formed, or what would end the data
    text: int | None = None  # where text follows a closing quote

    def read(self, data: bytes) -> Oracle:
        at = 0
        while at < len(data) and self.broken is None:
            at = self._read_record(data, at)
        return self

    def _read_record(self, data: bytes, at: int) -> int:
        row: list[bytes] = []
        start = at
        while True:
            value, at = self._read_field(data, at)
            row.append(value)
            if self.broken is not None:
                return len(data)
            if data[at : at + 1] != self.dialect.delimiter:
                break
            at += 1
        blank = at == start and at < len(data)
        at += 2 if data[at : at + 2] == b"\r\n" else 1
        self.ends.append(min(at, len(data)))
        self.blank.append(blank)
        if not blank:
            self.fields.append(row)
        return at

    def _ends_field(self, data: bytes, at: int) -> bool:
        return at >= len(data) or data[at : at + 1] in (b"\r", b"\n", self.dialect.delimiter)

    def _read_field(self, data: bytes, at: int) -> tuple[bytes, int]:
        value = b""
        while self.dialect.skip_initial_space and data[at : at + 1] == b" ":
            at += 1
        if data[at : at + 1] == self.dialect.quote:
            start = at
            value, at = self._read_quoted(data, at)
            if self.broken is None and not self._ends_field(data, at):
                self.broken, self.text = start, at
            return value, at
        while not self._ends_field(data, at):
            if data[at : at + 1] == self.dialect.escape:
                at += 1
                # A record ends with a byte that means its end, not with one that is escaped.
                if at >= len(data) - 1 and data[at:] in (b"", b"\r", b"\n"):
                    self.broken = at
            value, at = value + data[at : at + 1], at + 1
        return value, min(at, len(data))

    def _read_quoted(self, data: bytes, at: int) -> tuple[bytes, int]:
        start, value, quote = at, b"", self.dialect.quote
        at += 1
        while at < len(data):
            byte = data[at : at + 1]
            if byte == quote and data[at + 1 : at + 2] != quote:
                return value, at + 1
            at += 2 if byte in (quote, self.dialect.escape) else 1
            value += data[at - 1 : at]
        self.broken = start
        return value, at
