"""The Thrift compact protocol, read as spans and changed by patches.

A struct is read into a dict from field id to `Span`, which says where the field's encoded value lies; nested values are
walked over once and not decoded. A change is a list of patches, and everything that no patch names is copied as it is,
so fields that this code has never heard of survive byte for byte:

    struct, end = scan(data)
    splice(data, 0, end, changes(struct, {3: write_integer(7), 8: None}))     # set field 3, drop field 8

Written from the specification, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
Input is never trusted: every failure is a `ThriftError`, time is in proportion to the bytes, and no size or count that
the input declares is allocated. Loops are written out where a call for each byte would cost seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from kumo_async.formats.thrift_skip import (
    BINARY,
    I16,
    I32,
    I64,
    LIST,
    MAX_VARINT,
    STRUCT,
    Allowance,
    ThriftError,
    list_head,
    skip,
    skip_simple,
    varint,
)

__all__ = [
    "BINARY",
    "I64",
    "LIST",
    "STRUCT",
    "Allowance",
    "Patch",
    "Reader",
    "Span",
    "Struct",
    "ThriftError",
    "binary",
    "changes",
    "integer",
    "integers",
    "list_head",
    "scan",
    "splice",
    "spliced",
    "structs",
    "write_binary",
    "write_integer",
    "write_list",
]

Span: TypeAlias = tuple[int, int, int, int]
"""Where one field lies: its wire type, and the positions of its header, its value and its end."""

Struct: TypeAlias = dict[int, Span]
"""The fields of a struct by id, in the order in which they are encoded: ascending for nearly all writers."""

Reader: TypeAlias = Callable[[bytes, int, Struct], int]
"""Reads one field's value itself: is given the data, the value's position and the fields before it; returns the end."""

Patch: TypeAlias = tuple[int, int, bytes]
"""Replace the bytes from start to end by these."""


MIN_ID, MAX_ID = -(1 << 15), (1 << 15) - 1
"""The least and the largest id that a field can have."""

MAX_FIELDS = 200
"""Fields of a struct that is scanned, each of which is held. Parquet's largest has 17."""


def scan(
    data: bytes, pos: int = 0, own: int = 0, read: Reader | None = None, allowance: Allowance | None = None
) -> tuple[Struct, int]:
    """Find the fields of the struct that starts at `pos`.

    Args:
        data: The encoded bytes.
        pos: Where the struct starts.
        own: Id of a field that `read` walks over instead of the generic code, so that no byte is visited twice.
        read: The reader for that field. The field's type is the caller's to check, in what is returned.
        allowance: The values that may be walked over, in all that shares it; of each field as many by default.

    Returns:
        The fields by id, and the position after the struct.

    Raises:
        ThriftError: The bytes end within the struct, or break a rule or a limit of the protocol.

    Example:
        >>> fields, end = scan(bytes([0x15, 0x04, 0x18, 0x02, 0x68, 0x69, 0x00]))
        >>> sorted(fields), end
        ([1, 2], 7)
    """
    found: Struct = {}
    field = 0
    simple = skip_simple
    try:
        while head_byte := data[pos]:
            head = pos
            pos += 1
            kind = head_byte & 15
            if head_byte > 15:
                field += head_byte >> 4
            else:
                field, pos = _long_id(data, pos)
            if field in found or field > MAX_ID:
                # A repeated one would let two readers see two different values.
                raise ThriftError(f"Field id {field} at byte {head} is repeated or beyond {MAX_ID}.")
            start = pos
            if I16 <= kind <= I64:
                while data[pos] > 127:
                    pos += 1
                pos += 1
                if pos - start > MAX_VARINT:
                    raise ThriftError(f"The number at byte {start} is longer than 64 bits.")
            elif field == own and read is not None:
                pos = read(data, pos, found)
            elif kind in simple and (walked := simple[kind](data, pos)):
                pos = walked.end()
            else:
                pos = skip(data, pos, kind, allowance or Allowance())
            found[field] = (kind, head, start, pos)
    except IndexError:
        raise ThriftError(f"The data ends at byte {len(data)}, within a struct.") from None
    return _bounded(found, pos), pos + 1


def _bounded(found: Struct, pos: int) -> Struct:
    if len(found) > MAX_FIELDS:
        raise ThriftError(f"The struct that ends at byte {pos} has {len(found)} fields, more than {MAX_FIELDS}.")
    return found


def _long_id(data: bytes, pos: int) -> tuple[int, int]:
    """Decode an id that is written in full: a signed number of 16 bits, which may also be less than the one before."""
    number, end = varint(data, pos)
    field = (number >> 1) ^ -(number & 1)
    if not MIN_ID <= field <= MAX_ID:
        raise ThriftError(f"Field id {field} at byte {pos} is longer than 16 bits.")
    return field, end


def integer(data: bytes, struct: Struct, field: int, default: int | None = None) -> int:
    """Decode a field's number.

    Raises:
        ThriftError: The field is not there and no default is given, or it is no number of at most 64 bits.
    """
    if field not in struct:
        if default is None:
            raise ThriftError(f"Field {field}, a number, is missing.")
        return default
    kind, _, start, end = struct[field]
    if not I16 <= kind <= I64:
        raise ThriftError(f"Field {field} at byte {start} is not a number.")
    number = 0
    for byte in reversed(data[start:end]):
        number = number << 7 | byte & 127
    if number >> 64:
        raise ThriftError(f"The number at byte {start} is longer than 64 bits.")
    return (number >> 1) ^ -(number & 1)


def binary(data: bytes, struct: Struct, field: int) -> bytes | None:
    """Decode a field's bytes, None where the field is not there.

    Raises:
        ThriftError: The field is of another type.
    """
    if field not in struct:
        return None
    kind, _, start, end = struct[field]
    if kind != BINARY:
        raise ThriftError(f"Field {field} at byte {start} is not a string of bytes.")
    return data[varint(data, start)[1] : end]


def integers(data: bytes, struct: Struct, field: int, limit: int) -> list[int]:
    """Decode a list of numbers of 32 bits, empty where the field is not there.

    Raises:
        ThriftError: It is a list of something else, or no list, or has more than `limit` elements.
    """
    count, pos = _elements(data, struct, field, I32, limit)
    values = []
    for _ in range(count):
        number, pos = varint(data, pos)
        values.append((number >> 1) ^ -(number & 1))
    return values


def structs(data: bytes, struct: Struct, field: int, limit: int) -> list[Struct]:
    """Scan every struct of a list that is small enough to be held, empty where the field is not there.

    Raises:
        ThriftError: It is no list of structs, or has more than `limit` elements.
    """
    count, pos = _elements(data, struct, field, STRUCT, limit)
    found = []
    for _ in range(count):
        element, pos = scan(data, pos)
        found.append(element)
    return found


def _elements(data: bytes, struct: Struct, field: int, kind: int, limit: int | None = None) -> tuple[int, int]:
    if field not in struct:
        return 0, 0
    outer, _, start, _ = struct[field]
    actual, count, pos = list_head(data, start) if outer == LIST else (0, 1, 0)
    if actual != kind and count:
        raise ThriftError(f"Field {field} at byte {start} is not a list of the expected type.")
    if limit is not None and count > limit:
        raise ThriftError(f"The list at byte {pos} has {count} elements, more than the {limit} that are supported.")
    return count, pos


def changes(struct: Struct, values: Mapping[int, bytes | None]) -> list[Patch]:
    """Say how a struct's bytes change when fields get new values, or None to be dropped; absent fields stay absent.

    Args:
        struct: The struct as `scan` found it.
        values: Encoded values by field id.

    Returns:
        Patches in ascending order. The field after a dropped one gets a new header too: ids are written as differences.

    Example:
        >>> data = bytes([0x15, 0x04, 0x15, 0x06, 0x15, 0x08, 0x00])
        >>> fields, end = scan(data)
        >>> splice(data, 0, end, changes(fields, {2: None, 3: write_integer(5)})).hex()
        '1504250a00'
    """
    if None not in values.values():
        return sorted((*struct[field][2:], value) for field, value in values.items() if value and field in struct)
    patches: list[Patch] = []
    last = 0
    dropped = False
    for field, (kind, head, start, end) in struct.items():
        if field in values:
            value = values[field]
            if value is None:
                patches.append((head, end, b""))
                dropped = True
                continue
            if dropped:
                patches.append((head, start, _field_head(field, last, kind)))
            patches.append((start, end, value))
        elif dropped:
            patches.append((head, start, _field_head(field, last, kind)))
        dropped = False
        last = field
    return patches


def splice(data: bytes, start: int, end: int, patches: Iterable[Patch]) -> bytes:
    """Copy the bytes from `start` to `end` with the patches applied, which must be in ascending order."""
    pieces = []
    for first, last, value in patches:
        pieces.append(data[start:first])
        pieces.append(value)
        start = last
    pieces.append(data[start:end])
    return b"".join(pieces)


def spliced(data: bytes, struct: Struct, values: Mapping[int, bytes | None]) -> bytes:
    """Copy a struct with other values in some of its fields, as `changes` takes them."""
    spans = list(struct.values())
    return splice(data, spans[0][1], spans[-1][3] + 1, changes(struct, values)) if spans else b"\0"


def _field_head(field: int, last: int, kind: int) -> bytes:
    return bytes([field - last << 4 | kind]) if 0 < field - last < 16 else bytes([kind]) + write_integer(field)


def _write_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def write_integer(number: int) -> bytes:
    """Encode a signed number of at most 64 bits."""
    return _write_varint((number << 1) ^ (number >> 63))


def write_binary(value: bytes) -> bytes:
    """Encode a string of bytes with its length."""
    return _write_varint(len(value)) + value


def write_list(kind: int, elements: list[bytes]) -> bytes:
    """Encode a list from its encoded elements."""
    count = len(elements)
    head = bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + _write_varint(count)
    return b"".join([head, *elements])
