"""Walking over values of the Thrift compact protocol without decoding them: the inner loop of reading a large footer.

A footer consists of short lists and small structs of numbers and short strings. With their counts bounded, those are a
regular language, and one match walks over such a value at C speed, five times as fast as a loop. The patterns are
possessive: they never go back, so their time is linear and their memory constant whatever the input. What they do not
cover the loops below do, by the same rules.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MAX_VALUES",
    "NUMBER",
    "SHORT_LIST",
    "SMALL_STRUCT",
    "STRING",
    "Allowance",
    "ThriftError",
    "list_head",
    "skip",
    "skip_simple",
    "varint",
]

I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = range(4, 14)

MAX_DEPTH = 32
"""Levels of nesting within one field. Parquet's deepest are seven."""

MAX_VARINT = 10
"""Bytes of a 64-bit number."""


MAX_VALUES = 1_000_000
"""Values of lists, maps and structs that are walked over one by one: ten times the elements that a schema may have."""


class ThriftError(ValueError):
    """The bytes are not a sound struct in the Thrift compact protocol."""


class Allowance:
    """How many values may still be walked over one by one, in all that is read with it.

    A value of one byte costs as much time as a long one, so the size of the input alone would allow minutes.
    """

    def __init__(self, left: int = MAX_VALUES) -> None:
        self.left = left

    def take(self, count: int, pos: int) -> None:
        """Take some values off before they are walked over.

        Raises:
            ThriftError: There are more than are left.
        """
        self.left -= count
        if self.left < 0:
            raise ThriftError(f"At byte {pos} there are more values in unknown fields than are supported.")


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """Decode an unsigned number at `pos`; gives it and the position after it.

    Raises:
        ThriftError: It takes more than ten bytes.
        IndexError: The data end before it does.
    """
    number = shift = 0
    while (byte := data[pos]) > 127:
        number |= (byte & 127) << shift
        shift += 7
        pos += 1
        if shift >= 7 * MAX_VARINT:
            raise ThriftError(f"The number at byte {pos} is longer than 64 bits.")
    return number | byte << shift, pos + 1


def list_head(data: bytes, pos: int) -> tuple[int, int, int]:
    """Read a list's head at `pos`: the elements' wire type, their number, and where the first one starts.

    Raises:
        ThriftError: It declares more elements than there are bytes left, or the data end within it.
    """
    try:
        head = data[pos]
        count, pos = (head >> 4, pos + 1) if head < 0xF0 else varint(data, pos + 1)
    except IndexError:
        raise ThriftError(f"The data ends at byte {len(data)}, within the head of a list.") from None
    _check_count(data, pos, count)
    return head & 15, count, pos


def _check_count(data: bytes, pos: int, count: int) -> None:
    # No element of any type takes less than one byte, so this bounds every loop by the size of the input.
    if count > len(data) - pos:
        raise ThriftError(f"The container at byte {pos} declares {count} elements in {len(data) - pos} bytes.")


def skip(data: bytes, pos: int, kind: int, allowance: Allowance, depth: int = 1) -> int:
    """Walk over a value of wire type `kind` at `pos`; gives the position after it.

    Raises:
        ThriftError: The value breaks a rule or a limit of the protocol.
        IndexError: The data end within it.
    """
    if kind == BINARY:
        size, pos = varint(data, pos)
        if size > len(data) - pos:
            raise ThriftError(f"A value of {size} bytes goes beyond the end of the data.")
        return pos + size
    if kind in _FIXED_SIZES:
        return pos + _FIXED_SIZES[kind]
    if kind not in _SKIPPERS:
        raise ThriftError(f"Wire type {kind} at byte {pos} does not exist.")
    if depth > MAX_DEPTH:
        raise ThriftError(f"The value at byte {pos} is nested deeper than {MAX_DEPTH} levels.")
    return _SKIPPERS[kind](data, pos, allowance, depth)


def _skip_number(data: bytes, pos: int, _allowance: Allowance, _depth: int) -> int:
    return varint(data, pos)[1]


def _skip_struct(data: bytes, pos: int, allowance: Allowance, depth: int) -> int:
    while head := data[pos]:
        allowance.take(1, pos)
        pos += 1
        if head < 16:
            pos = varint(data, pos)[1]
        kind = head & 15
        if kind in skip_simple and (walked := skip_simple[kind](data, pos)):
            pos = walked.end()
        else:
            pos = skip(data, pos, kind, allowance, depth + 1)
    return pos + 1


def _skip_list(data: bytes, pos: int, allowance: Allowance, depth: int) -> int:
    kind, count, pos = list_head(data, pos)
    if kind in _ELEMENT_SIZES:
        return pos + count * _ELEMENT_SIZES[kind]
    allowance.take(count, pos)
    simple = skip_simple.get(kind, _never)
    for _ in range(count):
        walked = simple(data, pos)
        pos = walked.end() if walked else skip(data, pos, kind, allowance, depth + 1)
    return pos


def _skip_map(data: bytes, pos: int, allowance: Allowance, depth: int) -> int:
    count, pos = varint(data, pos)
    if not count:
        return pos
    _check_count(data, pos, count)
    allowance.take(2 * count, pos)
    # A boolean field's value is in its type and takes no byte, but an element's takes one.
    key, value = (3 if kind in _BOOLEANS else kind for kind in (data[pos] >> 4, data[pos] & 15))
    pos += 1
    for _ in range(count):
        pos = skip(data, pos, key, allowance, depth + 1)
        pos = skip(data, pos, value, allowance, depth + 1)
    return pos


_BOOLEANS = (1, 2)
_FIXED_SIZES = {1: 0, 2: 0, 3: 1, DOUBLE: 8, UUID: 16}
_ELEMENT_SIZES = {1: 1, 2: 1, 3: 1, DOUBLE: 8, UUID: 16}
_SKIPPERS: dict[int, Callable[[bytes, int, Allowance, int], int]] = {
    I16: _skip_number,
    I32: _skip_number,
    I64: _skip_number,
    LIST: _skip_list,
    SET: _skip_list,
    MAP: _skip_map,
    STRUCT: _skip_struct,
}


def _field(*kinds: int) -> bytes:
    return b"[" + b"".join(re.escape(bytes([delta << 4 | kind])) for delta in range(1, 16) for kind in kinds) + b"]"


def _list_of(kinds: tuple[int, ...], element: bytes, most: int) -> bytes:
    heads = (
        re.escape(bytes([count << 4 | kind])) + element + b"{%d}" % count for count in range(most + 1) for kind in kinds
    )
    return b"(?:" + b"|".join(heads) + b")"


def _fields(*fields: bytes) -> bytes:
    return b"(?:" + b"|".join(fields) + b"){0,40}+\\x00"


NUMBER = rb"(?:[\x80-\xff]{0,9}+[\x00-\x7f])"
STRING = b"(?:" + b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(41)) + b")"
_NUMBER_FIELD = _field(I16, I32, I64) + NUMBER
_FLAT_STRUCT = b"(?:" + _fields(_NUMBER_FIELD) + b")"
SHORT_LIST = b"(?:%b|%b|%b)" % (
    _list_of((I32, I64), NUMBER, 8),
    _list_of((BINARY,), STRING, 4),
    _list_of((STRUCT,), _FLAT_STRUCT, 4),
)
SMALL_STRUCT = _fields(
    _NUMBER_FIELD,
    _field(BINARY) + STRING,
    _field(*_BOOLEANS),
    _field(LIST) + SHORT_LIST,
)


def _never(_data: bytes, _pos: int) -> None:
    return None


skip_simple = {
    LIST: re.compile(SHORT_LIST, re.DOTALL).match,
    STRUCT: re.compile(SMALL_STRUCT, re.DOTALL).match,
}
"""For lists and structs a match over a usual value, None over any other."""
