"""The compact protocol: an encoder written for the tests makes trees of every type, hypothesis breaks them."""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kumo_async.formats import thrift
from kumo_async.formats.thrift import ThriftError

Value = tuple[int, Any]
"""A wire type, with booleans as type 1 whatever they are, and the value."""

numbers = st.integers(-(1 << 63), (1 << 63) - 1)
leaves: st.SearchStrategy[Value] = st.one_of(
    st.booleans().map(lambda value: (1, value)),
    st.integers(0, 255).map(lambda value: (3, value)),
    st.tuples(st.sampled_from([4, 5, 6]), numbers),
    st.floats().map(lambda value: (7, value)),
    st.one_of(st.binary(max_size=60), st.binary(min_size=125, max_size=140)).map(lambda value: (8, value)),
    st.binary(min_size=16, max_size=16).map(lambda value: (13, value)),
)
ids = st.one_of(st.integers(1, 20), st.integers(-(1 << 15), (1 << 15) - 1))


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    # The elements of a list share one type: take the first element's and drop the others.
    lists = st.lists(inner, max_size=20).map(lambda found: [value for value in found if value[0] == found[0][0]])
    fields = st.dictionaries(ids, inner, max_size=6)
    pairs = st.tuples(inner, inner).map(lambda pair: [pair])
    return st.one_of(
        st.tuples(st.sampled_from([9, 10]), lists),
        st.tuples(st.just(11), st.one_of(st.just([]), pairs)),
        st.tuples(st.just(12), fields),
    )


values = st.recursive(leaves, _containers, max_leaves=12)
trees = st.dictionaries(ids, values, max_size=8)


def _varint(number: int) -> bytes:
    head = b""
    while number >= 128:
        head += bytes([number % 128 + 128])
        number //= 128
    return head + bytes([number])


def _zigzag(number: int) -> bytes:
    return _varint(2 * number if number >= 0 else -2 * number - 1)


def _encode(kind: int, value: Any) -> bytes:
    match kind:
        case 1:
            return bytes([1 if value else 2])
        case 3:
            return bytes([value])
        case 4 | 5 | 6:
            return _zigzag(value)
        case 7:
            return struct.pack("<d", value)
        case 8:
            return _varint(len(value)) + bytes(value)
        case 9 | 10:
            kind = value[0][0] if value else 5
            head = bytes([len(value) * 16 + kind]) if len(value) < 15 else bytes([0xF0 + kind]) + _varint(len(value))
            return head + b"".join(_encode(*element) for element in value)
        case 11:
            heads = b"".join(bytes([key[0] * 16 + element[0]]) for key, element in value[:1])
            return _varint(len(value)) + heads + b"".join(_encode(*key) + _encode(*element) for key, element in value)
        case 12:
            return _encode_struct(value)
        case _:
            return bytes(value)


def _encode_struct(tree: dict[int, Value]) -> bytes:
    encoded = b""
    last = 0
    for field, (kind, value) in tree.items():
        wire = 2 if kind == 1 and not value else kind
        encoded += bytes([(field - last) * 16 + wire]) if 0 < field - last < 16 else bytes([wire]) + _zigzag(field)
        encoded += b"" if kind == 1 else _encode(kind, value)
        last = field
    return encoded + b"\0"


@given(trees, st.binary(max_size=3))
def test_scan_finds_every_field_and_its_bytes(tree: dict[int, Value], behind: bytes) -> None:
    data = _encode_struct(tree)

    found, end = thrift.scan(data + behind)

    assert end == len(data)
    assert list(found) == list(tree)
    for field, (kind, _, start, stop) in found.items():
        assert kind in ((1, 2) if tree[field][0] == 1 else (tree[field][0],))
        assert data[start:stop] == (b"" if kind < 3 else _encode(*tree[field]))


@given(st.dictionaries(ids, leaves, max_size=8), st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)), numbers)
@example({1: (5, 1), 3: (6, 2), 25: (4, 3)}, {0}, {1, 2}, -1)
def test_changes_touch_nothing_else(tree: dict[int, Value], dropped: set[int], changed: set[int], new: int) -> None:
    data = _encode_struct(tree)
    found, end = thrift.scan(data)
    places = dict(enumerate(found))
    values: dict[int, bytes | None] = {1 << 16: thrift.write_integer(1)}
    expected = dict(tree)
    for field in (places[place] for place in changed if place in places):
        if tree[field][0] in (4, 5, 6):
            values[field] = thrift.write_integer(new)
            expected[field] = (tree[field][0], new)
    for field in (places[place] for place in dropped if place in places):
        values[field] = None
        del expected[field]

    assert thrift.splice(data, 0, end, thrift.changes(found, values)) == _encode_struct(expected)


@given(numbers, st.binary(max_size=300), st.lists(st.binary(max_size=20), max_size=20))
def test_values_come_back(number: int, raw: bytes, strings: list[bytes]) -> None:
    tree = {1: (6, number), 2: (8, raw), 3: (9, [(8, value) for value in strings])}
    data = _encode_struct(tree)
    found, _ = thrift.scan(data)

    assert thrift.integer(data, found, 1) == number
    assert thrift.binary(data, found, 2) == raw
    assert thrift.write_integer(number) == _zigzag(number)
    assert thrift.write_binary(raw) == _varint(len(raw)) + raw
    assert thrift.write_list(thrift.BINARY, [*map(thrift.write_binary, strings)]) == (
        _encode(9, tree[3][1]) if strings else b"\x08"
    )


@given(trees, st.lists(st.tuples(st.integers(0, 1 << 12), st.sampled_from("xdi"), st.integers(0, 255)), max_size=4))
def test_damaged_structs_are_read_or_refused(tree: dict[int, Value], damage: list[tuple[int, str, int]]) -> None:
    data = bytearray(_encode_struct(tree))
    for place, how, byte in damage:
        place %= len(data) + 1
        data[place : place + (how != "i")] = b"" if how == "d" else bytes([byte])
    try:
        found, end = thrift.scan(bytes(data))
    except ThriftError:
        return
    assert thrift.splice(bytes(data), 0, end, thrift.changes(found, {})) == data[:end]


def test_ids_may_be_written_in_full_and_go_back() -> None:
    found, end = thrift.scan(b"\x55\x02\x05\x04\x02\x05\x01\x02\x15\x08\x00")
    assert (list(found), end) == ([5, 2, -1, 0], 11)


def test_the_extension_of_the_parquet_format_is_a_field_like_others() -> None:
    """https://github.com/apache/parquet-format/blob/master/BinaryProtocolExtensions.md: the id is no zigzag number."""
    data = b"\x15\x02\x08\xff\xff\x01\x05bytes\x00"
    found, end = thrift.scan(data)
    assert end == len(data)
    assert thrift.binary(data, found, -(1 << 14)) == b"bytes"


def _nested(head: bytes, levels: int) -> bytes:
    return head * levels


hostile = {
    "nothing": b"",
    "no end": b"\x15",
    "deep structs": _nested(b"\x1c", 100_000),
    "deep lists": b"\x19" * 100_000,
    "deep lists of two": b"\x19" + b"\x29" * 1_000_000,
    "deep maps": b"\x1b" + b"\x01\xbb" * 100_000,
    "long number": b"\x15" + b"\xff" * 1_000_000,
    "number of eleven bytes": b"\x15" + b"\xff" * 10 + b"\x01\x00",
    "huge list": b"\x19\xf5" + b"\xff" * 8 + b"\x01" + b"\x00" * 9,
    "huge list of booleans": b"\x19\xf1" + b"\xff" * 8 + b"\x01" + b"\x00" * 9,
    "huge map": b"\x1b" + b"\xff" * 8 + b"\x01\x55" + b"\x00" * 9,
    "huge string": b"\x18" + b"\xff" * 8 + b"\x01" + b"\x00" * 9,
    "string in a struct": b"\x1c\x18\x7f\x00\x00",
    "short double": b"\x17\x00\x00",
    "unknown type": b"\x1e\x00",
    "list of nothing": b"\x19\x20\x00\x00\x00",
    "repeated id": b"\x15\x02\x05\x02\x02\x00",
    "repeated id after one that goes back": b"\x55\x02\x05\x04\x02\x35\x02\x00",
    "id of 17 bits": b"\x05\xfe\xff\x07\x02\x00",
    "id beyond 32767": b"\x05\xfe\xff\x03\x02\x15\x02\x00",
}


@pytest.mark.parametrize("data", hostile.values(), ids=hostile.keys())
def test_hostile_input_is_refused_at_once(data: bytes) -> None:
    start = time.process_time()
    with pytest.raises(ThriftError):
        thrift.scan(data)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "pattern", [b"\x1c\x00", b"\x15\x02", b"\x19\x0c", b"\x1b\x00", b"\x18\x00", b"\x1c\x19\x25\x02\x02\x00"]
)
def test_time_is_in_proportion_to_the_bytes(pattern: bytes) -> None:
    # 30,000 fields with one at the end that breaks them, within a struct: nothing may be walked over again and again.
    data = b"\x1c" + pattern * 30_000 + b"\x1e"
    start = time.process_time()
    with pytest.raises(ThriftError):
        thrift.scan(data)
    assert time.process_time() - start < 1


def test_wrong_types_are_refused_when_they_are_read() -> None:
    data = _encode_struct({1: (8, b"x"), 2: (5, 7), 3: (9, [(5, 1)]), 4: (6, 1)})
    found, _ = thrift.scan(data)
    with pytest.raises(ThriftError, match=r"Field 1 .* not a number"):
        thrift.integer(data, found, 1)
    with pytest.raises(ThriftError, match="Field 9, a number, is missing"):
        thrift.integer(data, found, 9)
    with pytest.raises(ThriftError, match=r"Field 2 .* not a string"):
        thrift.binary(data, found, 2)
    with pytest.raises(ThriftError, match=r"Field 3 .* not a list"):
        thrift.structs(data, found, 3, 10)
    with pytest.raises(ThriftError, match=r"Field 4 .* not a list"):
        thrift.structs(data, found, 4, 10)


def test_more_structs_than_allowed_are_refused() -> None:
    data = _encode_struct({1: (9, [(12, {})] * 11)})
    found, _ = thrift.scan(data)
    assert thrift.structs(data, found, 1, 11) == [{}] * 11
    with pytest.raises(ThriftError, match="11 elements, more than the 10"):
        thrift.structs(data, found, 1, 10)
