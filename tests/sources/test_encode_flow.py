"""What the encode path makes of a file, taken from the source itself: settings, sizes, memory, and when it works."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import anyio
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kumo_async
from kumo_async.local import Fault, LocalDataPlane, Stall
from kumo_async.options import UploadOptions
from kumo_async.sources import open_source
from kumo_async.sources.files import Partition

WritesParquet = Callable[..., Path]
SIZE = 200_000


@pytest.fixture
def options(tmp_path: Path) -> UploadOptions:
    return UploadOptions(partition_threshold=0, partition_size=SIZE, spool_dir=tmp_path)


def spooled(folder: Path) -> int:
    """Return the bytes that are in open files without a name in a folder."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    spools = [link for link in links if re.match(rf"{folder}/.*\(deleted\)", str(link.readlink()))]
    return sum(link.stat().st_size for link in spools)


async def whole(partition: Partition) -> bytes:
    return b"".join([bytes(block) async for block in partition.read(0, partition.size)])


async def prepare(path: Path, options: UploadOptions, size: int | None = SIZE) -> list[bytes]:
    """Return the partitions of a file as they would be sent."""
    async with open_source(path, "parquet", options) as source:
        return [await whole(partition) async for partition in source.partitions(size)]


def read(parts: list[bytes]) -> pa.Table:
    return pa.concat_tables([pq.read_table(io.BytesIO(part)) for part in parts])


async def test_an_encoded_file_is_written_like_its_source(
    write_parquet: WritesParquet, numbers: pa.Table, options: UploadOptions
) -> None:
    table = numbers.append_column("u", pa.array(np.arange(numbers.num_rows) % 100, pa.uint32()))
    path = write_parquet(
        table,
        row_group_size=10_000,
        compression={"id": "zstd", "value": "none", "u": "gzip"},
        use_dictionary=["u"],
        data_page_version="2.0",
        sorting_columns=[pq.SortingColumn(0)],
    )
    (part,) = await prepare(path, options, None)
    metadata = pq.read_metadata(io.BytesIO(part))
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [10_000] * 6
    group = metadata.row_group(3)
    columns = [group.column(n) for n in range(3)]
    assert [column.compression for column in columns] == ["ZSTD", "UNCOMPRESSED", "GZIP"]
    assert [column.has_dictionary_page for column in columns] == [False, False, True]
    assert group.sorting_columns == (pq.SortingColumn(0),)
    assert columns[0].statistics.min == 30_000
    assert read([part]).equals(table.cast(read([part]).schema))


async def test_metadata_and_names_come_with_it(write_parquet: WritesParquet, options: UploadOptions) -> None:
    frame = pd.DataFrame({"user.id": pd.array([1, 2], "uint32"), "s": ["a", "b"]}, index=pd.Index([5, 6], name="key"))
    table = pa.Table.from_pandas(frame).replace_schema_metadata(
        {**(pa.Table.from_pandas(frame).schema.metadata or {}), b"mine": b"kept"}
    )
    found = read(await prepare(write_parquet(table), options, None))
    assert found.schema.names == ["user_id", "s", "key"]
    assert found.schema.metadata[b"mine"] == b"kept"
    assert found.to_pandas().index.name == "key"


async def test_content_that_grows_when_it_is_encoded_stays_within_the_size(
    write_parquet: WritesParquet, options: UploadOptions
) -> None:
    random = np.random.default_rng(1)
    # Parquet has no numbers of 8 bits: these take four times as much there as in memory.
    table = pa.table({f"c{n}": pa.array(random.integers(-128, 127, 100_000), pa.int8()) for n in range(4)})
    path = write_parquet(table, compression="none", use_dictionary=False)
    parts = await prepare(path, options)
    assert read(parts).equals(table)
    assert all(len(part) <= SIZE for part in parts)


async def test_rows_larger_than_a_partition_go_alone(write_parquet: WritesParquet, options: UploadOptions) -> None:
    random = np.random.default_rng(1)
    table = pa.table({"blob": [random.bytes(size) for size in (10, 2 * SIZE, 20, 3 * SIZE, 30)], "id": range(5)})
    parts = await prepare(write_parquet(table), options)
    assert read(parts).equals(table)
    assert sorted(len(part) > SIZE for part in parts)[-2:] == [True, True]


async def test_full_validation_finds_what_is_no_text(
    parquet: kumo_async.FileUploadConnector, write_parquet: WritesParquet
) -> None:
    text = pa.array([b"Z\xfcrich"]).view(pa.string())
    path = write_parquet(pa.table({"id": [1], "s": text}))
    with pytest.raises(kumo_async.SourceError, match=r"column 's' of row group 0.*UTF"):
        await parquet.upload_async("t", path, options=UploadOptions(validate="full"))


async def test_a_full_disk_says_which_option_helps(
    write_parquet: WritesParquet, numbers: pa.Table, options: UploadOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(kumo_async.SourceError, match=r"No space left.*spool_dir"):
        await prepare(write_parquet(numbers, row_group_size=60_000), options)


async def test_encoding_goes_on_while_a_partition_is_being_sent(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    write_parquet: WritesParquet,
    numbers: pa.Table,
    tmp_path: Path,
) -> None:
    go = anyio.Event()
    plane.inject(Fault(call="put_part", answer=Stall(go), times=None))
    options = UploadOptions(partition_threshold=0, partition_size=SIZE, spool_dir=tmp_path, max_concurrent_partitions=1)
    path = write_parquet(numbers, row_group_size=60_000)
    async with anyio.create_task_group() as group:

        async def upload() -> None:
            await parquet.upload_async("t", path, options=options)

        group.start_soon(upload)
        with anyio.fail_after(20):
            # The first partition cannot end, and most of the second one is there already.
            while spooled(tmp_path) < SIZE * 3 // 2:
                await anyio.lowlevel.checkpoint()
        assert len([call for call in plane.calls if call.call == "start"]) <= 1
        go.set()
    assert read([file.read_bytes() for file in plane.table_files("t", "parquet")]).equals(numbers)
