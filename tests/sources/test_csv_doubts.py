"""A file that seems to be something else than what it is read as: each is refused or warned of, with the way on.

And each option that is named leads there.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from csv_partitions import csv_options, cut, parsed

import kumo_async
from kumo_async import CsvOptions, SourceError, UploadOptions
from kumo_async.sources import open_source

MIB = 1024**2


async def _warnings(path: Path, options: UploadOptions) -> tuple[str, ...]:
    async with open_source(path, "parquet" if options.convert else "csv", options) as source:
        async for _ in source.partitions(None):
            pass
        return source.warnings


def warnings_of(tmp_path: Path, content: bytes, **options: Any) -> str:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    return " ".join(anyio.run(_warnings, path, csv_options(**options)))


def sent(tmp_path: Path, content: bytes, **options: Any) -> bytes:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    ((_, text),) = cut(path, None, csv=CsvOptions(**options), validate="full")
    return text


def refusal(tmp_path: Path, content: bytes, **options: Any) -> str:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        cut(path, None, csv=CsvOptions(**options), validate="full")
    return str(caught.value)


async def test_apostrophes_at_both_ends_of_words_lose_no_record(
    csv: kumo_async.FileUploadConnector, parquet: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"word,count\n'em,3\nand,1\ngoin',4\nto,2\n'til,7\ndoin',9\nyes,5\n")
    for options in (
        UploadOptions(),
        UploadOptions(validate="full"),
        UploadOptions(partition_threshold=0, partition_size=1),
    ):
        assert (await csv.upload_async("t", path, options=options)).rows == 7
    report = await parquet.upload_async("t", path, options=UploadOptions(convert="parquet"))
    assert (report.rows, report.column_types) == (7, {"word": "string", "count": "int64"})


SPACED = b'"Index", "Item", "Cost"\n1, "Socks, red", 7.97\n2, "Rings", 2.97\n'


def test_a_space_before_a_quote_is_warned_of_and_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    plain = b'"Index", "Item", "Cost"\n1, "Socks", 7.97\n2, "Rings", 2.97\n'
    assert "csv=CsvOptions(skip_initial_space=True)" in warnings_of(tmp_path, plain)
    assert "csv=CsvOptions(skip_initial_space=True)" in refusal(tmp_path, SPACED)
    assert not warnings_of(tmp_path, SPACED, skip_initial_space=True)
    expected = b'Index,Item,Cost\n1,"Socks, red",7.97\n2,"Rings",2.97\n'
    assert sent(tmp_path, SPACED, skip_initial_space=True) == expected


def test_a_space_before_a_quote_is_warned_of_wherever_it_stands(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,2\n" * (MIB // 2) + b'1, "x"\n'
    assert f"Record {MIB // 2 + 1} has a quote after spaces" in warnings_of(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"a b c\n1 2 3\n", "separated by spaces: pass csv=CsvOptions(delimiter=' ')", id="spaces"),
        pytest.param(b"a  b    c\n1 2   3\n", "separated by runs of blanks", id="aligned columns"),
        pytest.param(b"a^b\n1^2\n", "separated by '^': pass csv=CsvOptions(delimiter='^')", id="another delimiter"),
        pytest.param(b'"Weight","Feed"\n"1",26.5,NA\n"2",27,x\n', "row.names=FALSE", id="names of rows"),
        pytest.param(b'"Weight","Feed"\n"1",26.5,NA\n', "column_names=[...]) with 3 names", id="names of rows, names"),
        pytest.param(b"a,b\n1,2,\n3,4,\n", "Each record ends with a delimiter that the header lacks", id="delimiters"),
        pytest.param(b"Sales 2020\n\na,b\n1,2\n3,4\n", "csv=CsvOptions(skip_rows=2)", id="a title of one field"),
        pytest.param(b"Sales, EUR\na,b,c\n1,2,3\n3,4,5\n", "csv=CsvOptions(skip_rows=1)", id="a title of two fields"),
        pytest.param(b"a, b, c, d\nx;y\n1;2\n3;4\n", "csv=CsvOptions(skip_rows=1)", id="a title with other delimiters"),
        pytest.param(b"# by X\n# of Y\na,b\n1,2\n3,4\n", "comment='#'", id="comments"),
        pytest.param(b"a,b\n1,2\n# x\n3,4\n", "csv=CsvOptions(comment='#')", id="a comment among records"),
        pytest.param(b"a,b,c\n1,2,3\n4,5\n6,7,8\n", "csv=CsvOptions(short_rows='fill')", id="a short record"),
        pytest.param(b"a,b,c\n1,2\n4,5\n6,7,8\n", "short_rows='fill'", id="most records are short"),
        pytest.param(b"a;b\n1;2\n(2 rows)\n", "title, a total or a remark", id="a footer"),
        pytest.param(b'a,b\n1,"say \\"hi\\""\n', "csv=CsvOptions(escape='\\\\')", id="backslashes"),
        pytest.param(b"a\tb\n1\tx\\\ny\n2\tz\n", "csv=CsvOptions(escape='\\\\')", id="MySQL"),
        pytest.param(b"a,b\n1,'x, y'\n2,z\n", 'csv=CsvOptions(quote="\'")', id="apostrophes"),
        pytest.param(b"'a';'b'\n'1';'x\ny'\n'2';'z'\n", 'csv=CsvOptions(quote="\'")', id="apostrophes around newlines"),
        pytest.param(b"sep=;\na,b\n1,2\n", "single column", id="a line for Excel that is wrong"),
    ],
)
def test_what_is_refused_is_told_why_and_what_to_do(tmp_path: Path, content: bytes, words: str) -> None:
    message = refusal(tmp_path, content)
    assert words in message
    assert str(tmp_path) in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            b"3,0.5,7\n4,1.5,8\n", "header=False, column_names=['column_1', 'column_2', 'column_3']", id="numbers"
        ),
        pytest.param(b"1,Ada\n2,Bob\n", "1 of its fields looks like a value", id="a number of the record"),
        pytest.param(b"x,2020-01-01\ny,2020-01-02\n", "1 of its fields looks like a value", id="a date above dates"),
        pytest.param(
            b",".join([b"5"] * 20) + b"\n" + b",".join([b"5"] * 20) + b"\n", "CsvOptions(header=False).", id="wide"
        ),
        pytest.param(b"Country, 2020 report\na,b\n1,2\n3,4\n", "csv=CsvOptions(skip_rows=1)", id="a title"),
        pytest.param(b"Country, a full report\na,b\nx,y\n", "csv=CsvOptions(skip_rows=1)", id="a title over texts"),
        pytest.param(b"at,speed\nh,km/h\n1,2.5\n", "csv=CsvOptions(skip_rows=2, header=False", id="units"),
        pytest.param(b"a,b\nx,y\na,b\nz,w\n", "Record 2 repeats the header", id="joined files"),
        pytest.param(b"a,b\nx,y\n# so,they say\n", "Record 2 begins with #", id="a comment with a delimiter"),
        pytest.param(b"a;b|c\n1;2|3\n", "csv=CsvOptions(delimiter='|')", id="two delimiters"),
        pytest.param(b"id,name\n1,'Smith'\n2,'Doe'\n", 'csv=CsvOptions(quote="\'")', id="apostrophes"),
        pytest.param(b'a,b\n,"\\\\"\n,"\\\\"\n', "csv=CsvOptions(escape='\\\\')", id="backslashes"),
    ],
)
def test_what_may_be_meant_otherwise_is_warned_of(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in warnings_of(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"country,1990,2000,2010\nx,1,2,3\n", id="years"),
        pytest.param(b"0,1,2\n0.5,7,x\n", id="a counter from 0"),
        pytest.param(b",1,2,3\na,0.5,7,x\n", id="a counter from 1"),
        pytest.param(b",0\na,0.5\n", id="an unnamed column of pandas"),
        pytest.param(b"name,2020-01-01,2020-01-02\nx,1,2\n", id="days in a wide table"),
        pytest.param(b"id,n\nx,NA\ny,2\n", id="a missing value in the first row"),
        pytest.param(b"id, name, city\n1, Bob, Ulm\n", id="spaces"),
        pytest.param(b"id,colour\n1,#ff0000\n#2,#00ff00\n", id="hashes that begin values"),
        pytest.param(b"#chrom,pos\nx,1\n", id="a header that begins with a hash"),
        pytest.param(b"id,at\n1,2020-01-01\n2,\n", id="dates"),
        pytest.param(b"a,b\nx,y\n", id="texts"),
    ],
)
def test_what_is_usual_is_not_warned_of(tmp_path: Path, content: bytes) -> None:
    assert not [warning for warning in [warnings_of(tmp_path, content)] if "csv=" in warning]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        pytest.param(b"3,0.5\n4,1.5\n", {"header": False}, b"column_1,column_2\n3,0.5\n4,1.5\n", id="no header"),
        pytest.param(b'A "title\n\na,b\n1,2\n', {"skip_rows": 1}, b"a,b\n1,2\n", id="a title"),
        pytest.param(
            b"at,v\nh,km\n1,2\n",
            {"skip_rows": 2, "header": False, "column_names": ["at", "v"]},
            b"at,v\n1,2\n",
            id="units",
        ),
        pytest.param(b'# "x\na,b\n#, "\n1,2\n#', {"comment": "#"}, b"a,b\n1,2\n", id="comments"),
        pytest.param(b'a,b\n1,"\n# x"\n', {"comment": "#"}, b'a,b\n1,"\n# x"\n', id="no comment"),
        pytest.param(
            b'"W","F"\n"1",26.5,NA\n',
            {"column_names": ["row", "W", "F"]},
            b'row,W,F\n"1",26.5,NA\n',
            id="names of rows",
        ),
        pytest.param(b"a,b,c\n1\n\n2,3\r\n4,5,6", {"short_rows": "fill"}, b"a,b,c\n1,,\n\n2,3,\r\n4,5,6", id="short"),
        pytest.param(
            b"1\n2,3\n",
            {"short_rows": "fill", "header": False, "column_names": ["a", "b"]},
            b"a,b\n1,\n2,3\n",
            id="first",
        ),
        pytest.param(
            b"x\na b,b\n# 1\n 1, 2\n3\n",
            {"skip_rows": 1, "comment": "#", "short_rows": "fill", "skip_initial_space": True},
            b"a_b,b\n1,2\n3,\n",
            id="all at once",
        ),
        pytest.param(b"a;b\n1;\\;\n", {"escape": "\\"}, b"a;b\n1;\\;\n", id="an escape"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_an_option_leads_to_the_table_that_is_meant(
    tmp_path: Path, content: bytes, options: dict[str, Any], expected: bytes, packed: bool
) -> None:
    assert sent(tmp_path, content, **options) == expected
    if packed:
        path = tmp_path / "t.csv.gz"
        path.write_bytes(gzip.compress(content))
        assert [text for _, text in cut(path, None, csv=CsvOptions(**options))] == [expected]
        assert parsed(b"".join(text for _, text in cut(path, 1, csv=CsvOptions(**options))))


def test_records_with_too_many_fields_are_refused_where_short_ones_are_filled(tmp_path: Path) -> None:
    message = refusal(tmp_path, b"a,b\n1\n1,2,3\n", short_rows="fill")
    assert "record 2, which begins at byte 3, has 3 fields instead of 2" in message
    assert "Bytes are counted in its text after the header" in message


def test_errors_and_warnings_have_no_values(tmp_path: Path) -> None:
    content = b"17.5,secret\n18.5,secret two\n"
    assert "17.5" not in warnings_of(tmp_path, content)
    assert "secret" not in warnings_of(tmp_path, content)
    assert "secret" not in refusal(tmp_path, b"secret a\nsecret,b\n1,2\n3,4\n")


async def test_records_are_changed_before_they_are_converted(
    csv: kumo_async.FileUploadConnector, parquet: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'title\na,b,c\n# "no\n' + b'1, "x, y"\n2, z, 3\n' * 1000)
    csv_opts = CsvOptions(skip_rows=1, comment="#", short_rows="fill", skip_initial_space=True)
    report = await parquet.upload_async("t", path, options=UploadOptions(convert="parquet", csv=csv_opts))
    assert report.rows == 2000
    assert report.column_types == {"a": "int64", "b": "string", "c": "int64"}
    assert report.dialect == (
        "delimiter ',', quote '\"', initial spaces skipped, comment '#', utf-8, 1 line skipped, short rows filled"
    )
    plan = await csv.plan_async("t", path, options=UploadOptions(csv=csv_opts))
    assert plan.sample[:2] == (("1", "x, y", ""), ("2", "z", "3"))


@pytest.mark.parametrize(
    ("between", "given", "rows"),
    [
        pytest.param(f"9,{'x' * 400_000}\n", {"comment": "#"}, 1, id="a long record"),
        pytest.param(f"9, {'x' * 400_000}\n", {"skip_initial_space": True}, 1, id="a long record with a space"),
        pytest.param(f"{'x' * 400_000}\n", {"short_rows": "fill"}, 1, id="a long record that is filled"),
        pytest.param("# left out\n" * 40_000, {"comment": "#"}, 0, id="comments"),
    ],
)
@pytest.mark.parametrize("convert", [None, "parquet"])
async def test_no_row_is_lost_after_blocks_in_which_none_ends(
    tmp_path: Path, between: str, given: dict[str, Any], rows: int, convert: Literal["parquet"] | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"a,b\n1,2\n{between}3,4\n")
    options = UploadOptions(csv=CsvOptions(**given), convert=convert)
    async with open_source(path, "parquet" if convert else "csv", options) as source:
        partitions = [partition async for partition in source.partitions(None)]
        assert sum(partition.rows or 0 for partition in partitions) == rows + 2


@pytest.mark.parametrize("given", [{"comment": "#"}, {"short_rows": "fill"}, {"skip_initial_space": True}])
def test_a_single_row_after_a_carriage_return_is_a_row(tmp_path: Path, given: dict[str, Any]) -> None:
    assert sent(tmp_path, b"a,b\r1,2\r", **given) == b"a,b\r1,2\r"
