"""What a text means survives conversion: distinct ids stay distinct, numbers stay numbers, and the plan says why."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from converted import converted
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async import CsvOptions, SourceError, UploadOptions
from kumo_async.formats import csv_types
from kumo_async.formats.csv_texts import DOUBLE, possible_types
from kumo_async.sources import convert_types


def write(folder: Path, *records: str, header: str = "k,x") -> Path:
    path = folder / "a.csv"
    path.write_text("\n".join([header, *records, ""]))
    return path


def column(folder: Path, *texts: str, **csv: Any) -> Any:
    """A column of texts, with another one beside it, as it is converted."""
    path = write(folder, *(f"{number},{text}" for number, text in enumerate(texts, 1)))
    return converted(path, **csv)["x"]


def plan(path: Path, **csv: Any) -> kumo_async.UploadPlan:
    options = UploadOptions(convert="parquet", csv=CsvOptions(**csv))
    return kumo_async.FileUploadConnector("parquet").plan("t", path, options=options)


@pytest.mark.parametrize("block", [1, 4 * 1024**2])
def test_ids_that_a_reader_takes_for_numbers_stay_four_different_texts(tmp_path: Path, block: int) -> None:
    ids = ["32E0134", "55E0001", "1E2", "10E1"]
    assert column(tmp_path, *ids, block=block).to_pylist() == ids


@pytest.mark.parametrize(
    "texts",
    [
        ["32E0134", "1.5"],
        ["55E0001", "1.5"],
        ["1E2", "10E1"],
        ["1e2", "10e1"],
        ["1E2", "2E2"],
        ["1.5", "2e05"],
        ["1.5", "1.5E05"],
        ["1.5", "0e7"],
        ["1.5", "0.1e+01"],
        ["1.5", "+1.5"],
        ["1.5", "007.5"],
        ["1.5", "1_000.5"],
        ["1.5", '"1,000.5"'],
        ["1.5", "1.5 "],
        ["1.5", "Nan"],
        ["1.5", "0.30000000000000002"],
        ["1.5", "100000000000000000000"],
        ["1.5", "1e999999999"],
        ["1", "01"],
        ["1", "9223372036854775808"],
        ["2020-01-01", "2020-1-2"],
        ["2020-01-01", "2020-01-01 10"],
        ["2020-01-01", "20200102"],
        ["2020-01-01 10:00:00", "2020-01-01 100000"],
        ["2020-01-01 10:00:00", "2020-01-01t10:00:00"],
        ["2020-01-01 10:00:00Z", "2020-01-01 10:00:00+02:00"],
        ["2020-01-01 10:00:00Z", "2020-01-01 10:00:00-00:00"],
        ["0000-01-01", "2020-01-01"],
        ["true", "1"],
        ["true", "tRUE"],
    ],
)
def test_what_nothing_prints_stays_text(tmp_path: Path, texts: list[str]) -> None:
    assert column(tmp_path, *texts).to_pylist() == [text.strip('"') for text in texts]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["0.10", "0.1", "1.50", "2"], "double"),
        (["0.10000000000000001", "1.00000000000000006e-01"], "double"),
        (["1.000000000000000056e-01", "0.000000000000000000e+00", "-2.500000000000000000e+300"], "double"),
        (["1e+16", "1e-05", "1.5e-07", "12.5"], "double"),
        (["1.0E10", "1.5E-5", "0.0"], "double"),
        (["1E+02", "1.50E+05"], "double"),
        (["1e+21", "1e-7"], "double"),
        (["1e16", "1.5e300"], "double"),
        (["1.5e+002", "1.0"], "double"),
        (["NaN", "-inf", "Infinity", "1.5"], "double"),
        ([".5", "5.", "-0"], "double"),
        (["-9223372036854775808", "9223372036854775807"], "int64"),
        (["2020-01-01", "2020-01-01 00:00", "2020-01-01T00:00:00.000"], "timestamp[ns]"),
        (["true", "TRUE", "False"], "bool"),
    ],
)
def test_what_programs_print_is_what_they_meant(tmp_path: Path, texts: list[str], kind: str) -> None:
    found = column(tmp_path, *texts)
    assert str(found.type) == kind
    if kind == "double":
        assert list(map(repr, found.to_pylist())) == [repr(float(text)) for text in texts]


FORMATS = [".17g", ".16e", ".18e", ".25e", ".15g", "g", "e", "E", ".3f", "", ".400f"]


@given(st.floats(-1e300, 1e300), st.sampled_from(FORMATS))
def test_every_print_of_a_double_is_one(number: float, form: str) -> None:
    text = format(number, form)
    # Some forms keep so few digits that nothing of a tiny number is left; that is a number as well.
    assert possible_types(pa.array([text]))[0] & DOUBLE
    assert format(float(text), form) == text


@given(st.lists(st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{0,3})?([eE][-+]?[0-9]{1,4})?", fullmatch=True), max_size=50))
def test_different_numbers_stay_different(texts: list[str]) -> None:
    numbers: dict[float, set[str]] = {}
    for text, mask in zip(texts, possible_types(pa.array(texts, pa.string())).tolist(), strict=True):
        if mask & DOUBLE:
            numbers.setdefault(float(text), set()).add(_significant(text))
    assert all(len(same) == 1 for same in numbers.values())


def _significant(text: str) -> str:
    """The digits of a number that is not zero and has few of them, and where its point is."""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).replace("-", "")
    point = len(whole.replace("-", "")) + int(exponent or 0) - (len(digits) - len(digits.lstrip("0")))
    sign = "-" if text.startswith("-") else ""
    return f"{sign}{digits.strip('0')}@{point}" if digits.strip("0") else "0"


@pytest.mark.parametrize("block", [1, 4 * 1024**2])
def test_the_plan_says_which_record_made_a_column_text(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_types, "BLOCK_BYTES", block)
    records = ["32E0134,1,Ada,2020-01-01,1.5,00501,1", "1.5,2,5,2020-01-02,,10001,2", "x,secret,x,0000-00-00,1e5,x,3"]
    path = write(tmp_path, *records, header="id,n,name,day,price,zip,k")
    found = plan(path)
    assert found.type_reasons == found.to_dict()["type_reasons"]
    assert dict(found.type_reasons) == {
        "id": "record 1 is no number or date in a usual notation",
        "n": "record 3 does not fit int64, as those before it do",
        "day": "record 3 does not fit date32[day], as those before it do",
        "zip": "record 1 is no number or date in a usual notation",
    }
    assert "  column 'n' is string: record 3 does not fit int64, as those before it do\n" in f"{found}\n"
    assert "secret" not in str(found)


def test_given_types_need_no_reason(tmp_path: Path) -> None:
    assert plan(write(tmp_path, "1,00501", "2,x"), types={"x": "string"}).type_reasons == {}


def test_thousands_of_reasons_are_not_all_printed() -> None:
    reasons = {f"c{number}": "record 1 is text" for number in range(5_000)}
    report = kumo_async.UploadReport(table="t", file_type="parquet", partitions=(), seconds=1, type_reasons=reasons)
    assert "column 'c29' is string: record 1 is text\n  and 4,970 more columns are" in str(report)
    assert len(report.to_dict()["type_reasons"]) == 5_000


QUOTED = ('"1","5"', '"2",""', '"3","7"')


@pytest.mark.parametrize("block", [1, 4 * 1024**2])
@pytest.mark.parametrize("types", [None, {"x": "int64"}])
def test_texts_in_quotes_can_be_null(tmp_path: Path, types: dict[str, str] | None, block: int) -> None:
    path = write(tmp_path, *QUOTED)
    found = converted(path, types=types, null_values=[""], quoted_nulls=True, block=block)
    assert found.to_pydict() == {"k": [1, 2, 3], "x": [5, None, 7]}
    path = write(tmp_path, '"1","5"', '"2","NA"', '"3",""')
    assert converted(path, null_values=["", "NA"], quoted_nulls=True)["x"].to_pylist() == [5, None, None]


def test_a_refused_null_in_quotes_names_the_option_that_reads_it(tmp_path: Path) -> None:
    path = write(tmp_path, *QUOTED)
    with pytest.raises(SourceError, match=r"record 2, .* 'x' .* int64\. .*csv=CsvOptions\(quoted_nulls=True\)"):
        converted(path, types={"x": "int64"}, null_values=[""])
    path = write(tmp_path, *QUOTED, '"4","y"')
    with pytest.raises(SourceError, match=r"record 4, .* 'x' .* int64\. Mend it"):
        converted(path, types={"x": "int64"}, null_values=[""], quoted_nulls=True)


def test_the_reason_names_it_as_well(tmp_path: Path) -> None:
    (words,) = plan(write(tmp_path, *QUOTED)).type_reasons.values()
    assert words == "record 2 has a null value in quotes, which is a text unless csv=CsvOptions(quoted_nulls=True)"


def test_two_backslashes_in_quotes_are_two(tmp_path: Path) -> None:
    path = write(tmp_path, ',"\\\\"', ',"\\\\"')
    assert converted(path, escape="")["x"].to_pylist() == ["\\\\", "\\\\"]


def test_the_work_grows_with_the_text_and_not_with_columns_and_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(texts: Any, among: int) -> Any:
        calls.append(len(texts))
        return possible_types(texts, among)

    monkeypatch.setattr(csv_types, "possible_types", counted)
    columns, rows = 5_000, 40
    draw = random.Random(1).choice
    record = [",".join(draw(["1", "2.5", "x", ""]) for _ in range(columns)) for _ in range(rows)]
    path = write(tmp_path, *record, header=",".join(f"c{number}" for number in range(columns)))
    found = converted(path, block=30_000)
    assert found.num_rows == rows
    # For each block two looks at most, and for each of those a few sets of types that are left.
    blocks = path.stat().st_size / 30_000
    assert len(calls) < blocks * 2 * 8
    assert sum(calls) <= 2 * columns * rows


@pytest.mark.parametrize(
    "text",
    [
        "1" * 1_000_000,
        "0." + "0" * 1_000_000 + "1",
        "1e" + "9" * 1_000_000,
        "-" * 1_000_000,
        "1." + "5" * 1_000_000 + "e",
        "2020-01-01 " * 100_000,
        " " * 1_000_000 + "1",
        "e" + "1" * 1_000_000,
    ],
    ids=lambda text: f"{text[:12]}...{text[-2:]}",
)
def test_hostile_texts_take_no_more_time_than_others(text: str) -> None:
    texts = pa.array([text] * 3 + [f"{text}{number}" for number in range(3)])
    begin = time.thread_time()
    assert not any(mask & DOUBLE for mask in possible_types(texts).tolist())
    # Six MB; a second for each megabyte would be far from linear.
    assert time.thread_time() - begin < 2
