"""Integers of 128 bits in an Arrow schema as it is stored, which pyarrow cannot read: it refuses the whole schema.

The schema is an IPC message, a flatbuffer, and is walked over just as far as those integers need. Nothing that it says
is trusted. Encoding: https://flatbuffers.dev/internals/, and the numbers of fields below are those of
https://github.com/apache/arrow/blob/main/format/Schema.fbs and Message.fbs beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

__all__ = ["with_narrow_integers"]

_MESSAGE_HEADER, _SCHEMA_FIELDS = 2, 1
_FIELD_KIND, _FIELD_TYPE, _FIELD_CHILDREN = 2, 3, 5
_INTEGER, _BITS, _IS_SIGNED = 2, 0, 1
_WIDE, _NARROW = 128, 64
_CONTINUED: Final = b"\xff\xff\xff\xff"
_MAX_DEPTH = 64
_MAX_FIELDS = 100_000


def with_narrow_integers(message: bytes) -> tuple[bytes, dict[int, str]]:
    """Say of integers of 128 bits that they have 64, so that pyarrow can read the rest.

    Args:
        message: The schema as an IPC message.

    Returns:
        The message; and for each top-level field with such an integer, in itself or in what it consists of, its
        position and the integer's type. The message itself and nothing where it is not sound.

    Example:
        >>> import pyarrow as pa
        >>> schema = pa.schema({"id": pa.int64()}).serialize().to_pybytes()
        >>> with_narrow_integers(schema) == (schema, {})
        True
    """
    patched = bytearray(message)
    try:
        found = _narrowed(_Tables(patched))
    except (struct.error, ValueError):
        return message, {}
    return bytes(patched), found


def _narrowed(tables: _Tables) -> dict[int, str]:
    found = {}
    root = tables.behind(8 if tables.data.startswith(_CONTINUED) else 4)
    fields = tables.child(tables.child(root, _MESSAGE_HEADER), _SCHEMA_FIELDS)
    for position, field in enumerate(tables.elements(fields)):
        for integer in _wide_integers(tables, field, 1):
            signed = tables.value(integer, _IS_SIGNED)
            found[position] = "int128" if signed and tables.data[signed] else "uint128"
            struct.pack_into("<i", tables.data, tables.value(integer, _BITS), _NARROW)
    return found


def _wide_integers(tables: _Tables, field: int, depth: int) -> Iterator[int]:
    kind, bits = tables.value(field, _FIELD_KIND), 0
    if kind and tables.data[kind] == _INTEGER:
        integer = tables.child(field, _FIELD_TYPE)
        bits = integer and tables.value(integer, _BITS)
        if bits and tables.number("<i", bits) == _WIDE:
            yield integer
    if depth < _MAX_DEPTH:
        for child in tables.elements(tables.child(field, _FIELD_CHILDREN)):
            yield from _wide_integers(tables, child, depth + 1)


class _Tables:
    """The tables of a flatbuffer by their positions; 0 stands for what is not there."""

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self._left = _MAX_FIELDS

    def number(self, form: str, at: int) -> int:
        if not 0 <= at < len(self.data):
            raise ValueError("an offset leads out of the data")
        found: int = struct.unpack_from(form, self.data, at)[0]
        return found

    def behind(self, at: int) -> int:
        """Follow the offset at a position."""
        return at + self.number("<I", at)

    def value(self, table: int, field: int) -> int:
        """Say where a field of a table is."""
        entries = table - self.number("<i", table)
        entry = 4 + 2 * field
        offset = self.number("<H", entries + entry) if entry < self.number("<H", entries) else 0
        at = table + offset if offset else 0
        self.number("<B", at)
        return at

    def child(self, table: int, field: int) -> int:
        """Say where the table or list is that a field of a table refers to."""
        at = self.value(table, field) if table else 0
        return self.behind(at) if at else 0

    def elements(self, at: int) -> Iterator[int]:
        """Give the positions of the tables of a list."""
        for number in range(self.number("<I", at) if at else 0):
            self._left -= 1
            if self._left < 0:
                raise ValueError("there are too many fields")
            yield self.behind(at + 4 + 4 * number)
