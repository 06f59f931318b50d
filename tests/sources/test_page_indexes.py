"""Page indexes on their way through an upload: read beside the footer, counted into sizes, and as right as before."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from index_files import check_pages, pages_of, query
from parquet_files import load, write
from parquet_uploads import joined, small

import kumo_async
from kumo_async.formats.parquet import page_index_ranges
from kumo_async.local import LocalDataPlane
from kumo_async.options import UploadOptions
from kumo_async.sources import open_source

Connector = kumo_async.FileUploadConnector

TABLE = pa.table({"a b": np.arange(4_000), "text": pa.array([f"text {n}" for n in range(4_000)], pa.large_string())})
SOURCE = write(TABLE, row_group_size=500, write_page_index=True, data_page_size=512, write_batch_size=50)


async def test_indexes_arrive_with_their_row_groups(plane: LocalDataPlane, parquet: Connector, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(SOURCE)
    await parquet.upload_async("t", path, options=small(24_000))
    files = plane.table_files("t", "parquet")
    parts = [file.read_bytes() for file in files]
    assert len(parts) > 2
    assert max(map(len, parts)) <= 24_000
    found = [[page.page for page in column.locations or []] for part in parts for column in pages_of(part)]
    assert found == [[page.page for page in column.locations or []] for column in pages_of(SOURCE)]
    assert [column.values for part in parts for column in pages_of(part)] == [c.values for c in pages_of(SOURCE)]
    for part in parts:
        check_pages(part)
    assert joined(files)["a_b"].to_pylist() == TABLE["a b"].to_pylist()


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("row_group_size", [4_000, 150_000])
async def test_encoded_partitions_have_indexes_as_their_source_has(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, indexed: bool, row_group_size: int
) -> None:
    columns = {"id": np.arange(300_000), "value": np.random.default_rng(1).random(300_000)}
    table = pa.table(columns | {"count": pa.array(columns["id"] % 1_000, pa.uint32())})
    path = tmp_path / "t.parquet"
    path.write_bytes(write(table, row_group_size=row_group_size, write_page_index=indexed))
    await parquet.upload_async("t", path, options=small(2 << 20))
    files = plane.table_files("t", "parquet")
    parts = [file.read_bytes() for file in files]
    assert len(parts) > 2
    assert max(map(len, parts)) <= 2 << 20
    found = [column for part in parts for column in pages_of(part)]
    assert {column.locations is not None for column in found} == {indexed}
    assert {column.values is not None for column in found} == {indexed}
    for part in parts:
        check_pages(part)
        # All that is not said anew is copied, and nothing else.
        footer = load(part)
        said = [
            *page_index_ranges(footer.row_groups),
            *(place for group in footer.row_groups for place in group.ranges),
        ]
        assert sum(end - start for start, end in said) == footer.data_end - 4
    assert joined(files)["id"].to_pylist() == table["id"].to_pylist()
    if indexed:
        rows, (pages, looked_at) = query(parts[0], tmp_path, 1_000, 1_009)
        assert rows["count"].to_pylist() == [*range(10)]
        assert looked_at < pages or row_group_size == 4_000


async def sizes(path: Path, size: int) -> list[tuple[int, bool]]:
    """Plan a file, and give the size of each partition and whether it has page indexes."""
    async with open_source(path, "parquet", UploadOptions()) as source:
        found = []
        async for partition in source.partitions(size):
            data = b"".join([bytes(block) async for block in partition.read(0, partition.size)])
            assert len(data) == partition.size
            found.append((partition.size, pages_of(data)[0].locations is not None))
        return found


async def test_they_are_left_out_where_a_row_group_leaves_them_no_place(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(SOURCE)
    each = await sizes(path, 1)
    assert [indexed for _, indexed in each] == [False] * 8
    most = max(size for size, _ in each)
    indexes = max(group.page_indexes_size for group in load(SOURCE).row_groups)
    assert await sizes(path, most) == each
    roomy = await sizes(path, most + indexes + 100)
    assert [indexed for _, indexed in roomy] == [True] * 8
    assert max(size for size, _ in roomy) > most


async def test_a_file_that_becomes_shorter_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(SOURCE)
    (start, _), *_ = page_index_ranges(load(SOURCE).row_groups)
    async with open_source(path, "parquet", UploadOptions()) as source:
        os.truncate(path, start + 1)
        with pytest.raises(kumo_async.SourceChangedError, match="shorter"):
            async for _ in source.partitions(24_000):
                pass
