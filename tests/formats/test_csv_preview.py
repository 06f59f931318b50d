from __future__ import annotations

import csv
import io

import pyarrow.csv as pacsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kumo_async.formats.csv_dialect import CsvDialect
from kumo_async.formats.csv_preview import first_rows, seeming_types

PLAIN = CsvDialect()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "0"], "int64"),
        (["1", "2.5", "1e9", "NA", ""], "double"),
        (["00501", "10001"], "string"),
        (["9" * 20], "string"),
        (["true", "False"], "bool"),
        (["true", "1"], "string"),
        (["2024-01-31", "NA"], "date32"),
        (["2024-01-31", "2024-01-31T12:30"], "timestamp"),
        (["2024-01-31 12:30:01.25Z"], "timestamp"),
        (["1,5"], "string"),
        (["", "NA"], "string"),
        ([], "string"),
    ],
)
def test_the_type_of_values(values: list[str], kind: str) -> None:
    assert seeming_types([[value, "x"] for value in values], 2) == [kind, "string"]


def test_a_row_with_fields_missing_is_no_matter() -> None:
    assert seeming_types([["1"], ["2", "3"]], 2) == ["int64", "int64"]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-(10**17), 10**17), st.floats(-1e9, 1e9), st.dates(), st.booleans()), min_size=1))
def test_what_pyarrow_infers(rows: list[tuple[object, ...]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b", "c", "d"], *rows])
    data = text.getvalue().encode()
    inferred = [str(kind) for kind in pacsv.read_csv(io.BytesIO(data)).schema.types]
    found = seeming_types(first_rows(data.partition(b"\r\n")[2], PLAIN, complete=True), 4)
    assert found == [kind.removesuffix("[day]") for kind in inferred]


@pytest.mark.parametrize(
    ("block", "complete", "rows"),
    [
        (b"1,2\n3,4", True, [["1", "2"], ["3", "4"]]),
        (b"1,2\n3,4", False, [["1", "2"]]),
        (b'1,"a\nb"\n', True, [["1", "a\nb"]]),
        (b"1,\xff\n", True, [["1", "\ufffd"]]),
        (b"1,2\n3," + b"x" * 300_000, True, [["1", "2"]]),
        (b"1,2\n" + b"x" * 200_000 + b"\n", True, [["1", "2"]]),
        (b"", True, []),
    ],
    ids=["all", "cut", "quoted", "not UTF-8", "a long last one", "a longer field", "nothing"],
)
def test_first_rows(block: bytes, complete: bool, rows: list[list[str]]) -> None:
    assert first_rows(block, PLAIN, complete) == rows


def test_a_thousand_rows_are_enough() -> None:
    assert len(first_rows(b"1,2\n" * 5_000, PLAIN, complete=True)) == 1_000
