"""Tables of very many columns: their names are dealt with in time in proportion to their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import load

from kumo_async import SourceError, UploadOptions
from kumo_async.formats import csv_types
from kumo_async.formats.csv_types import given_types
from kumo_async.sources import page_profiles
from kumo_async.sources.decode import ParquetPages
from kumo_async.sources.files import SourceFile
from kumo_async.sources.names import accept_names
from kumo_async.sources.parquet import ParquetSource

COLUMNS = 2_000


class Compared(str):
    """A name that counts how often names are compared."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def names(*, each: int) -> list[str]:
    """Names of which each stands so often."""
    Compared.times = 0
    return [Compared(f"column {number // each}") for number in range(COLUMNS)]


def test_names_that_stand_several_times() -> None:
    (warning,) = accept_names("t.csv", names(each=2)).warnings
    assert "'column 1' became 'column_1', 'column_1_1'" in warning
    assert Compared.times < 20 * COLUMNS


def test_given_types_are_found_by_name() -> None:
    old = names(each=1)
    assert list(given_types({"column 7": "string"}, old, [f"c{number}" for number in range(COLUMNS)])) == ["c7"]
    assert Compared.times < 20 * COLUMNS


def test_a_given_type_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Any] = []
    monkeypatch.setattr(csv_types, "_check_holds", checked.append)
    columns = [f"c{number}" for number in range(COLUMNS)]
    found = csv_types.given_types(dict.fromkeys(columns, "double"), columns, columns)
    assert set(map(str, found.values())) == {"double"}
    assert len(found) == COLUMNS
    assert len(checked) == 1


@pytest.mark.parametrize(
    "names",
    [["名" * number for number in range(1, 900)], ["x"] * 900, ["a b", "a_b"] * 900],
    ids=["other scripts", "one name", "taken names"],
)
def test_a_warning_lists_some_of_very_many_names(names: list[str]) -> None:
    warnings = accept_names("t.csv", names).warnings
    assert warnings
    assert all(len(warning) < 100_000 and " more" in warning for warning in warnings)


def test_a_warning_lists_some_of_very_many_names_that_differ_by_case_only() -> None:
    (warning,) = accept_names("t.csv", [f"{letter}{number}" for number in range(1_000) for letter in "aA"]).warnings
    assert "'A199' became 'A199_1', since 'a199' comes first; and 800 more." in warning
    assert len(warning) < 20_000


@pytest.mark.parametrize("kind", [pa.uint64(), pa.decimal128(38, 2)], ids=str)
async def test_values_of_all_columns_are_looked_at_together(
    kind: pa.DataType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(monkeypatch)
    path = tmp_path / "t.parquet"
    table = pa.table({f"c{number}": pa.array([1, 2, 3], kind) for number in range(100)})
    pq.write_table(table, path, row_group_size=1, write_statistics=False)
    async with await SourceFile.open(path) as file:
        await ParquetSource.open(file, UploadOptions())
    # One for the schema, and one for each row group.
    assert opened.times == 1 + 3


async def test_the_damaged_column_of_many_is_found_by_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({f"c{number}": ["text"] for number in range(100)})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    data = bytearray(path.read_bytes())
    for number in (37, 38, 80):
        column = pq.read_metadata(path).row_group(0).column(number)
        data[data.index(b"text", column.data_page_offset)] = 0xFF
    path.write_bytes(data)
    async with await SourceFile.open(path) as file:
        pages = ParquetPages(file, load(bytes(data)), table.column_names)
        opened = Opened(monkeypatch)
        with pytest.raises(SourceError, match=r"column 'c37' of row group 0 cannot be decoded \(it has text that is"):
            pages.check(0)
    assert opened.times <= 10


def sparse(columns: int) -> pa.Table:
    """Columns of zeros, of which each has a page of 1 MiB that compresses to almost nothing."""
    zeros = pa.array([0.0] * 131_072)
    return pa.table({f"c{number}": zeros for number in range(columns)})


async def test_a_sparse_table_of_many_columns_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(sparse(280), path, compression="zstd", use_dictionary=False, max_rows_per_page=131_072)
    assert path.stat().st_size < 1_000_000
    async with await SourceFile.open(path) as file:
        pages = ParquetPages(file, load(path.read_bytes()), [f"c{number}" for number in range(280)])
        assert next(pages.batches(pages.open(), 0)).num_columns == 280


async def test_columns_are_checked_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_profiles, "_PAGES_FLOOR", 4 * 1024**2)
    path = tmp_path / "t.parquet"
    table = sparse(10)
    pq.write_table(table, path, compression="zstd", use_dictionary=False, max_rows_per_page=131_072)
    async with await SourceFile.open(path) as file:
        pages = ParquetPages(file, load(path.read_bytes()), table.column_names)
        names = [batch.schema.names for batch in pages.column_batches(pages.open(), 0, full=True)]
        pages.check(0)
    assert max(map(len, names)) < 4
    assert list(dict.fromkeys(name for some in names for name in some)) == table.column_names


class Opened:
    """Counts how often a file is opened for pyarrow, which takes time in proportion to its columns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        real = ParquetPages.open

        def open_counted(pages: ParquetPages, **options: Any) -> Any:
            self.times += 1
            return real(pages, **options)

        monkeypatch.setattr(ParquetPages, "open", open_counted)
