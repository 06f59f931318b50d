"""The slow, obvious reader of CSV that the fast one is compared with: one byte at a time, one state after another."""

from __future__ import annotations

from dataclasses import dataclass, field

from kumo_async.formats.csv_dialect import CsvDialect


@dataclass
class Oracle:
    """What is known of the data behind each byte; `read` fills it."""

    dialect: CsvDialect
    ends: list[int] = field(default_factory=list)
    blank: list[bool] = field(default_factory=list)
    fields: list[list[bytes]] = field(default_factory=list)  # of the rows only
    unclosed: int | None = None  # where the quoted field began that never ends

    def read(self, data: bytes) -> Oracle:
        at = 0
        while at < len(data):
            at = self._read_record(data, at)
        return self

    def _read_record(self, data: bytes, at: int) -> int:
        row: list[bytes] = []
        start = at
        while True:
            value, at = self._read_field(data, at)
            row.append(value)
            if self.unclosed is not None:
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

    def _read_field(self, data: bytes, at: int) -> tuple[bytes, int]:
        value = b""
        if data[at : at + 1] == self.dialect.quote:
            value, at = self._read_quoted(data, at)
            # The byte behind the closing quote is never an escape.
            if at < len(data) and data[at : at + 1] not in (b"\r", b"\n", self.dialect.delimiter):
                value, at = value + data[at : at + 1], at + 1
        while at < len(data) and data[at : at + 1] not in (b"\r", b"\n", self.dialect.delimiter):
            if data[at : at + 1] == self.dialect.escape:
                at += 1
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
        self.unclosed = start
        return value, at
