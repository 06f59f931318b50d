"""Pages by their headers: levels, lengths and dictionaries are counted as those who decode them would."""

from __future__ import annotations

import io
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_pages import delta, page, page_v2, run

from kumo_async.formats import thrift
from kumo_async.formats.parquet_pages import count_zeros, delta_sum, longest_text, read_page_header
from kumo_async.formats.thrift import ThriftError


def _packed(values: list[int], width: int) -> bytes:
    """Pack levels in groups of eight."""
    groups = -(-len(values) // 8)
    number = sum(value << at * width for at, value in enumerate(values))
    return bytes([groups << 1 | 1]) + number.to_bytes(groups * width, "little")


@given(
    st.integers(1, 3),
    st.lists(
        st.one_of(
            st.tuples(st.integers(1, 200), st.integers(0, 1)),
            st.lists(st.integers(0, 1), min_size=8, max_size=64).map(lambda found: found[: len(found) // 8 * 8]),
        ),
        max_size=10,
    ),
    st.integers(0, 7),
)
def test_zeros_are_counted(width: int, runs: list[tuple[int, int] | list[int]], more: int) -> None:
    most = (1 << width) - 1
    encoded, levels = b"", list[int]()
    for each in runs:
        if isinstance(each, tuple):
            encoded += run(each[0], most * each[1])
            levels += [most * each[1]] * each[0]
        else:
            encoded += _packed([most * level for level in each], width)
            levels += [most * level for level in each]
    count = max(0, len(levels) - more)
    assert count_zeros(encoded, width, count) == levels[:count].count(0)


@pytest.mark.parametrize("levels", [b"", b"\x00\x01", b"\x80", b"\x01", b"\x0c"])
def test_levels_that_end_too_early_are_refused_or_counted(levels: bytes) -> None:
    try:
        assert count_zeros(levels, 1, 100) <= 100
    except ThriftError:
        return


@given(st.lists(st.integers(0, 1 << 31), min_size=1, max_size=400), st.binary(max_size=5))
def test_lengths_are_added_up(numbers: list[int], after: bytes) -> None:
    assert delta_sum(delta(numbers) + after, len(numbers)) == sum(numbers)


@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=300),
    st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255))),
)
def test_damaged_lengths_are_added_up_or_refused(numbers: list[int], damage: list[tuple[int, int]]) -> None:
    data = bytearray(delta(numbers))
    for at, value in damage:
        data[at % len(data)] = value
    try:
        assert delta_sum(bytes(data), len(numbers)) >= 0
    except ThriftError:
        return


@pytest.mark.parametrize("numbers", [[5, -1], [0, 3, -2], [-1]])
def test_negative_lengths_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ThriftError, match="negative"):
        delta_sum(delta(numbers), 10)


def test_more_lengths_than_values_are_refused() -> None:
    with pytest.raises(ThriftError, match="head"):
        delta_sum(delta([1] * 11), 10)


def test_very_many_lengths_take_linear_time() -> None:
    data = delta([7] * 3_000_000)
    start = time.process_time()
    assert delta_sum(data, 3_000_000) == 21_000_000
    assert time.process_time() - start < 2


@given(st.lists(st.binary(max_size=300), max_size=50))
def test_the_longest_text_is_found(texts: list[bytes]) -> None:
    data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    assert longest_text(data) == max(map(len, texts), default=0)


def test_a_length_beyond_the_dictionary_is_no_length() -> None:
    assert longest_text(b"\xff\xff\xff\xff\x00") == 5


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_headers_of_pages_are_read(version: str) -> None:
    sink = io.BytesIO()
    table = pa.table({"a": ["x", None, "yyy"] * 1_000})
    pq.write_table(table, sink, data_page_version=version, compression="none", data_page_size=1)
    column = pq.read_metadata(sink).row_group(0).column(0)
    at, found = column.dictionary_page_offset, []
    while at < column.dictionary_page_offset + column.total_compressed_size:
        header, at = read_page_header(sink.getvalue(), at)
        at += header.stored
        found.append(header)
    assert (found[0].is_dictionary, found[0].values, found[0].decoded) == (True, 2, 12)
    assert sum(header.values for header in found if header.is_data) == 3_000
    assert all((header.plain_levels is not None) == (version == "2.0") for header in found[1:])


@pytest.mark.parametrize(
    "data",
    [
        page(b"", -1, 0),
        b"\x15\x00\x15\x01\x15\x02\x2c\x15\x02\x15\x00\x00\x00",
        b"\x15\x00\x15\x02\x15\x02\x00",
        page_v2((b"", b""), b"", 1, 1, 0)[:-4],
        b"",
    ],
    ids=["values", "decoded", "no head", "cut off", "nothing"],
)
def test_headers_that_cannot_be_are_refused(data: bytes) -> None:
    with pytest.raises(thrift.ThriftError):
        read_page_header(data, 0)
