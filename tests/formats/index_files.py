"""Page indexes as the tests read them: each page that they tell of is looked up, and its own header asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from datafusion import SessionConfig, SessionContext
from parquet_edits import metas
from parquet_files import load, table_of, write

from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import DATA_PAGE, column_range, page_index_places
from kumo_async.formats.thrift import Struct

#: A file with several pages in each column of each of its three row groups.
INDEXED = write(
    table_of(["int", "list", "text"], 120),
    row_group_size=40,
    write_page_index=True,
    use_dictionary=False,
    data_page_size=64,
    write_batch_size=8,
)

_MANY = 1 << 20
_COMPRESSED, _V1, _V2 = 3, 5, 8


@dataclass(frozen=True)
class Location:
    """One page as an offset index tells of it, and its bytes."""

    offset: int
    size: int
    first_row: int
    page: bytes

    @property
    def header(self) -> tuple[Struct, int]:
        """The fields of the page's own header, and where it ends."""
        return thrift.scan(self.page)


@dataclass(frozen=True)
class ColumnPages:
    """What the page indexes of one column of one row group say.

    Attributes:
        locations: Its pages; None where it has no offset index.
        rest: The offset index without the positions of the pages.
        values: The column index as it is stored; None where it has none.
    """

    locations: list[Location] | None
    rest: bytes
    values: bytes | None


def pages_of(file: bytes) -> list[ColumnPages]:
    """Read the page indexes of all columns of all row groups."""
    footer = load(file)
    found = []
    for column, _ in metas(footer):
        offsets, values = page_index_places(footer.data, column)
        locations, rest = _locations(file, file[slice(*offsets)]) if offsets else (None, b"")
        found.append(ColumnPages(locations, rest, file[slice(*values)] if values else None))
    return found


def _locations(file: bytes, index: bytes) -> tuple[list[Location], bytes]:
    fields, end = thrift.scan(index)
    assert end == len(index)
    found, patches = [], []
    for location in thrift.structs(index, fields, 1, _MANY):
        offset, size, row = (thrift.integer(index, location, field) for field in (1, 2, 3))
        found.append(Location(offset, size, row, file[offset : offset + size]))
        patches.append((*location[1][2:], b"?"))
    return found, thrift.splice(index, 0, end, patches)


Page = tuple[int, int, int]
"""A page's position, its size and its first row."""


def offset_index(pages: list[Page], more: bytes = b"", in_each: bytes = b"") -> bytes:
    """Write an offset index, with more fields behind it and in each of its locations."""
    numbers = [[thrift.write_integer(value) for value in page] for page in pages]
    locations = [b"\x16" + offset + b"\x15" + size + b"\x16" + row + in_each + b"\0" for offset, size, row in numbers]
    return b"\x19" + thrift.write_list(thrift.STRUCT, locations) + more + b"\0"


def check_pages(file: bytes) -> None:
    """Check that every page that an index tells of is there, and has as many bytes and rows as it says."""
    footer = load(file)
    groups = [group for group in footer.row_groups for _ in footer.schema.paths]
    for (_, meta), found, group in zip(metas(footer), pages_of(file), groups, strict=True):
        if found.locations is None:
            continue
        _, end, _ = column_range(footer.data, meta)
        assert found.locations[0].offset == thrift.integer(footer.data, meta, DATA_PAGE)
        assert found.locations[-1].offset + found.locations[-1].size == end
        for location, rows in zip(found.locations, _rows(found.locations, group.num_rows), strict=True):
            fields, start = location.header
            assert start + thrift.integer(location.page, fields, _COMPRESSED) == location.size
            assert _V1 in fields or _V2 in fields
            if _V2 in fields:
                data_page, _ = thrift.scan(location.page, fields[_V2][2])
                assert thrift.integer(location.page, data_page, 3) == rows


def _rows(locations: list[Location], rows: int) -> Iterator[int]:
    starts = [location.first_row for location in locations]
    for start, end in zip(starts, [*starts[1:], rows], strict=True):
        assert start <= end
        yield end - start


def query(file: bytes, folder: Path, low: int, high: int) -> tuple[pa.Table, tuple[int, int]]:
    """Ask DataFusion for a few rows; gives them, and how many pages it knew of and read."""
    path = folder / "queried.parquet"
    path.write_bytes(file)
    options = {"execution.parquet.enable_page_index", "execution.parquet.pushdown_filters"}
    config = SessionConfig({f"datafusion.{option}": "true" for option in options}).with_target_partitions(1)
    context = SessionContext(config)
    context.register_parquet("t", str(path))
    sql = f"select * from t where id between {low} and {high}"
    rows = context.sql(sql).to_arrow_table()
    (plan,) = context.sql(f"explain analyze {sql}").to_pydict()["plan"]
    pruned = re.search(r"page_index_pages_pruned=(\d+) total → (\d+) matched", plan)
    return rows, (int(pruned[1]), int(pruned[2])) if pruned else (0, 0)
