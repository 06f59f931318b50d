"""What a user may say about a CSV file, and what the plan and the report say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from csv_partitions import csv_options, cut

import kumo_async
from kumo_async import ConfigurationError, CsvOptions, SourceError, UploadOptions
from kumo_async.local import LocalDataPlane


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"delimiter": ""}, "one ASCII character"),
        ({"delimiter": "::"}, "one ASCII character"),
        ({"delimiter": "\n"}, "newline"),
        ({"delimiter": "·"}, "ASCII"),
        ({"delimiter": 44}, "ASCII"),
        ({"quote": "\0"}, "NUL"),
        ({"escape": "ab"}, "one ASCII character"),
        ({"delimiter": ",", "escape": ","}, "differ"),
        ({"encoding": "utf-99"}, "utf-99"),
        ({"encoding": "hex"}, "text codec"),
        ({"encoding": "a\0b"}, "text codec"),
        ({"encoding": 8}, "text codec"),
        ({"header": 1}, "True or False"),
        ({"skip_initial_space": 1}, "True or False"),
        ({"skip_initial_space": True, "delimiter": " "}, "a space cannot be the delimiter"),
        ({"skip_rows": -1}, "at least 0"),
        ({"skip_rows": "1"}, "whole number"),
        ({"comment": "//"}, "one ASCII character"),
        ({"comment": ",", "delimiter": ","}, "differ"),
        ({"short_rows": "drop"}, "'error' or 'fill'"),
        ({"column_names": "ab"}, "list"),
        ({"column_names": []}, "list"),
        ({"column_names": ["a", 1]}, "list"),
    ],
)
def test_options_that_mean_nothing_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        CsvOptions(**values)


def test_options_are_checked_once_and_cannot_change() -> None:
    names = ["a", "b"]
    options = CsvOptions(column_names=names)
    names.append("c")
    assert options.column_names == ("a", "b")
    assert hash(options) == hash(CsvOptions(column_names=("a", "b")))
    with pytest.raises(AttributeError):
        options.delimiter = ";"  # type: ignore[misc]
    with pytest.raises(ConfigurationError, match="CsvOptions"):
        UploadOptions(csv={"delimiter": ";"})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'fast' or 'full'"):
        UploadOptions(validate="all")  # type: ignore[arg-type]
    assert repr(CsvOptions(delimiter="\t")) == "CsvOptions(delimiter='\\t')"


@pytest.mark.parametrize(
    ("values", "content", "sent", "dialect"),
    [
        ({}, b"a;b\n1;2,5\n", b"a;b\n1;2,5\n", "delimiter ';', quote '\"', utf-8"),
        ({"delimiter": ":"}, b"a:b\n1:2\n", b"a:b\n1:2\n", "delimiter ':', quote '\"', utf-8"),
        ({"delimiter": ","}, b"a;x,b\n1;y,2\n", b"a_x,b\n1;y,2\n", "delimiter ',', quote '\"', utf-8"),
        ({"quote": ""}, b'a,b\n1",2\n', b'a,b\n1",2\n', "delimiter ',', no quote, utf-8"),
        ({"quote": ""}, b'a,b\n"1,"2\n', b'a,b\n"1,"2\n', "delimiter ',', no quote, utf-8"),
        ({"quote": "'"}, b"a,b\n'1,\n2',3\n", b"a,b\n'1,\n2',3\n", "delimiter ',', quote \"'\", utf-8"),
        (
            {"escape": "\\"},
            b'a,b\n1\\,2,"3\\"\n"\n',
            b'a,b\n1\\,2,"3\\"\n"\n',
            "delimiter ',', quote '\"', escape '\\\\', utf-8",
        ),
        (
            {"header": False, "column_names": ["id", "name"]},
            b"\xef\xbb\xbf\r\n1,2\r\n3,4",
            b"id,name\r\n1,2\r\n3,4",
            "delimiter ',', quote '\"', utf-8, no header",
        ),
        ({"column_names": ["x", "y"]}, b"a,b\n1,2\n", b"x,y\n1,2\n", "delimiter ',', quote '\"', utf-8"),
        ({"encoding": "utf8"}, b"a,b\n1,\xc3\xa4\n", b"a,b\n1,\xc3\xa4\n", "delimiter ',', quote '\"', utf8"),
        ({"quote": ","}, b"a;b\n,1;1,;2\n", b"a;b\n,1;1,;2\n", "delimiter ';', quote ',', utf-8"),
    ],
)
async def test_a_dialect_is_used_and_shown(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    values: dict[str, Any],
    content: bytes,
    sent: bytes,
    dialect: str,
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    plans: list[kumo_async.UploadPlan] = []

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.UploadStarted):
                plans.append(event.plan)

    options = csv_options(validate="full", **values)
    report = await csv.upload_async("a", tmp_path / "a.csv", options=options, observer=Watch())
    assert [file.read_bytes() for file in plane.table_files("a", "csv")] == [sent]
    assert report.dialect == plans[0].dialect == dialect
    assert report.to_dict()["dialect"] == plans[0].to_dict()["dialect"] == dialect
    assert f"  dialect: {dialect}" in str(report)
    assert f"  dialect: {dialect}" in str(plans[0])


async def test_plan_and_report_tell_types_and_only_a_plan_that_was_asked_for_shows_values(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'id;user name;price\n1;"secret; one";2,50\n2;secret two;3,25\n')
    types = {"id": "int64", "user_name": "string", "price": "string"}
    plan = await csv.plan_async("a", path)
    assert (plan.column_types, len(plan.columns)) == (types, 3)
    assert plan.sample == (("1", "secret; one", "2,50"), ("2", "secret two", "3,25"))
    assert plan.to_dict()["sample"][1] == ["2", "secret two", "3,25"]
    assert plan.renamed_columns == {"user name": "user_name"}
    events: list[kumo_async.Event] = []

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            events.append(event)

    with caplog.at_level("DEBUG"):
        report = await csv.upload_async("a", path, observer=Watch())
    assert report.column_types == report.to_dict()["column_types"] == types
    assert "types: id int64, user_name string" in str(report)
    started = events[0]
    assert isinstance(started, kumo_async.UploadStarted)
    assert (started.plan.column_types, started.plan.sample) == (types, ())
    assert "secret" not in f"{caplog.text}{events}{report}{plan}{plan!r}"
    assert plane.calls


async def test_planning_asks_nobody_and_refuses_what_an_upload_would(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    with pytest.raises(SourceError, match="a single column"):
        await csv.plan_async("a", path)
    with pytest.raises(kumo_async.ConfigurationError):
        await csv.plan_async("a/b", path)
    assert plane.calls == []


@pytest.mark.parametrize("delimiter", [";", "x"])
async def test_a_delimiter_that_was_given_and_is_not_there_is_named(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, delimiter: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    options = kumo_async.UploadOptions(csv=kumo_async.CsvOptions(delimiter=delimiter))
    with pytest.raises(
        SourceError, match=f"a single column with the delimiter '{delimiter}', .* separated by another one"
    ):
        await csv.plan_async("a", path, options=options)


def test_names_that_were_given_follow_the_rule_and_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n1,2\n")
    assert cut(path, None, csv=CsvOptions(column_names=["user id", "b"])) == [(1, b"user_id,b\n1,2\n")]
    assert cut(path, None, csv=CsvOptions(column_names=["x", "X"])) == [(1, b"x,X_1\n1,2\n")]


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_as_many_names_as_fields_are_needed(tmp_path: Path, header: bool, names: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n3,4\n")
    with pytest.raises(SourceError, match=rf"2 fields in its first record.* names {len(names)}\.$"):
        cut(path, None, csv=CsvOptions(header=header, column_names=names))


def test_a_single_record_is_a_table_only_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2")
    assert cut(path, None, csv=CsvOptions(header=False, column_names=["a", "b"])) == [(1, b"a,b\n1,2")]
    with pytest.raises(SourceError, match="no rows"):
        cut(path, None)


def test_a_header_at_the_end_of_an_unended_file_is_written_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'"a\n",b\r1,2')
    assert cut(path, 1) == [(1, b"a,b\r1,2")]


async def test_a_given_escape_is_shown_and_keeps_records_whole(
    csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,t\n" + b'1,"say \\"hi\\""\n' * 90_000 + b'2,"a \\"x\ny\\" b"\n' * 10)
    options = kumo_async.UploadOptions(
        partition_threshold=0, partition_size=20_000, csv=kumo_async.CsvOptions(escape="\\")
    )
    report = await csv.upload_async("t", path, options=options)
    assert report.rows == 90_010
    assert "escape '\\\\'" in str(report)
    assert not report.warnings
