from __future__ import annotations

import csv
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kumo_async.formats.csv_dialect import CsvDialect, read_header
from kumo_async.formats.records import Cut, RecordCutter, RecordEnds, RecordScanner

SOURCE = (
    'id,"last, first",note\r\n1,"Doe, J","two\nlines"\n\n2,Smith,""\n3,5" disk,"a ""b"" c"\r\n\r\n'
    '4,,\n5,"a much longer note, which alone is more than most of the others are together",x\r6,é,"""\n"\n\n\n'
).encode()


def ends_of(sizes: list[int], blank: list[bool], offset: int) -> RecordEnds:
    flags = np.array(blank, np.bool_)
    return RecordEnds(offset + np.cumsum(np.array(sizes, np.int64)), flags if flags.any() else None)


def cut(ends: RecordEnds, borders: list[int], header: int, target: int, offset: int) -> list[Cut]:
    cutter = RecordCutter(header, target, offset)
    edges = [0, *sorted(border % (ends.offsets.size + 1) for border in borders), ends.offsets.size]
    cuts: list[Cut] = []
    for start, end in pairwise(edges):
        blank = None if ends.blank is None else ends.blank[start:end]
        cuts += cutter.feed(RecordEnds(ends.offsets[start:end], blank))
    return cuts + cutter.finish()


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.integers(0, 10),
    st.integers(1, 120),
    st.sampled_from([0, 7, 1 << 40]),
)
def test_partitions(sizes: list[tuple[int, bool]], borders: list[int], header: int, target: int, offset: int) -> None:
    ends = ends_of([size for size, _ in sizes], [blank for _, blank in sizes], offset)
    rows = ends.row_offsets
    cuts = cut(ends, borders, header, target, offset)
    assert sum(part.rows for part in cuts) == rows.size
    if not cuts:
        assert not rows.size
        return
    assert [part.start for part in cuts] == [offset, *(part.end for part in cuts[:-1])]
    assert cuts[-1].end == ends.offsets[-1]
    done = 0
    for part in cuts:
        inside = rows[(rows > part.start) & (rows <= part.end)]
        done += inside.size
        assert part.rows == inside.size >= 1
        assert part.rows == 1 or header + int(inside[-1]) - part.start <= target
        assert part is cuts[-1] or header + int(rows[done]) - part.start > target, "one more row would have fitted"
        assert part is cuts[-1] or part.end == inside[-1]


def test_a_partition_is_given_out_when_a_row_does_not_fit() -> None:
    cutter = RecordCutter(header_size=10, target_bytes=30, offset=100)
    assert cutter.feed(ends_of([10, 10], [False, False], 100)) == []
    assert cutter.feed(ends_of([1, 50], [True, False], 120)) == [Cut(100, 120, 2)]
    assert cutter.feed(ends_of([5], [False], 171)) == [Cut(120, 171, 1)]
    assert cutter.finish() == [Cut(171, 176, 1)]


def test_blank_lines_alone_make_no_partition() -> None:
    assert cut(ends_of([1, 1], [True, True], 0), [], 0, 10, 0) == []
    assert cut(ends_of([4, 1, 1], [False, True, True], 0), [1], 0, 4, 0) == [Cut(0, 6, 1)]


def parse(data: bytes) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(data.decode(), newline="")) if row]


@pytest.mark.parametrize("block", [1, 7, len(SOURCE)])
def test_partitions_of_every_size_join_to_the_source(block: int) -> None:
    header = read_header(SOURCE, CsvDialect(), complete=True)
    head = SOURCE[header.start : header.end]
    for target in range(1, len(SOURCE) + 2):
        scanner, cutter = RecordScanner(CsvDialect(), header.end), RecordCutter(len(head), target, header.end)
        cuts: list[Cut] = []
        for start in range(header.end, len(SOURCE), block):
            cuts += cutter.feed(scanner.feed(SOURCE[start : start + block]))
        cuts += cutter.feed(scanner.finish()) + cutter.finish()
        tables = [parse(head + SOURCE[part.start : part.end]) for part in cuts]
        assert {tuple(table[0]) for table in tables} == {header.names}
        assert [len(table) - 1 for table in tables] == [part.rows for part in cuts]
        assert [list(header.names), *(row for table in tables for row in table[1:])] == parse(SOURCE)
