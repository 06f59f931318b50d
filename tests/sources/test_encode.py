"""The encode path through the public API: only what must be encoded is, in partitions of the size that is asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime
from itertools import product
from pathlib import Path

import anyio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_files import load, page_hashes
from parquet_uploads import Watch, hashes, joined, nothing_spooled, open_spools, small

import kumo_async
from kumo_async.local import LocalDataPlane
from kumo_async.sources.decode import ParquetPages
from kumo_async.sources.files import SourceFile

WritesParquet = Callable[..., Path]
Connector = kumo_async.FileUploadConnector

KIB = 1024


@pytest.fixture
def unsigned(numbers: pa.Table) -> pa.Table:
    """The table of numbers with a column that has to be cast."""
    return numbers.append_column("count", pa.array(np.arange(60_000) % 1000, pa.uint32()))


async def test_a_giant_row_group_alone_is_split(
    plane: LocalDataPlane, parquet: Connector, numbers: pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    with pq.ParquetWriter(path, numbers.schema, compression="zstd", data_page_version="2.0") as writer:
        for start, rows in ((0, 5_000), (5_000, 50_000), (55_000, 5_000)):
            writer.write_table(numbers.slice(start, rows))
    report = await parquet.upload_async("t", path, options=small())
    files = plane.table_files("t", "parquet")
    assert joined(files).equals(numbers)
    assert all(0 < part.size <= 256 * KIB and part.rows for part in report.partitions)
    # The last one of the row group has what is left; each of the others is nearly full.
    assert all(part.size > 160 * KIB for part in report.partitions[1:-2])
    source = page_hashes(path.read_bytes())
    assert hashes(files[:1]) == source[:2]
    assert hashes(files[-1:]) == source[-2:]
    for file in files:
        column = pq.read_metadata(file).row_group(0).column(1)
        assert column.compression == "ZSTD"
        assert column.statistics.has_min_max


async def test_encoded_partitions_are_near_their_size(
    plane: LocalDataPlane, parquet: Connector, unsigned: pa.Table, write_parquet: WritesParquet
) -> None:
    path = write_parquet(unsigned, row_group_size=2_000, use_dictionary=["count"])
    report = await parquet.upload_async("t", path, options=small())
    files = plane.table_files("t", "parquet")
    assert joined(files).equals(unsigned.cast(pa.schema({"id": "int64", "value": "double", "count": "int64"})))
    assert all(192 * KIB < part.size <= 256 * KIB for part in report.partitions[:-1])
    assert "'count' from uint32 to int64" in report.warnings[0]
    first = pq.read_metadata(files[0]).row_group(0)
    assert [first.column(place).has_dictionary_page for place in range(3)] == [False, False, True]
    assert first.num_rows == 2_000


async def test_a_small_file_with_casts_is_encoded_to_one_object(
    plane: LocalDataPlane, parquet: Connector, unsigned: pa.Table, write_parquet: WritesParquet
) -> None:
    table = unsigned.rename_columns(["user.id", "value", "count"])
    report = await parquet.upload_async("t", write_parquet(table, row_group_size=20_000))
    (file,) = plane.table_files("t", "parquet")
    assert report.rows == 60_000
    assert joined([file]).column_names == ["user_id", "value", "count"]
    assert pq.read_metadata(file).num_row_groups == 3


async def test_half_floats_and_their_embeddings_become_floats(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet
) -> None:
    halves = np.arange(100).astype(np.float16)
    embeddings = pa.FixedSizeListArray.from_arrays(pa.array(halves), 4)
    table = pa.table({"half": pa.array(halves[:25]), "embedding": embeddings})
    await parquet.upload_async("t", write_parquet(table))
    found = joined(plane.table_files("t", "parquet"))
    assert found.schema.types == [pa.float32(), pa.list_(pa.float32(), 4)]
    assert found.to_pylist() == table.to_pylist()


@pytest.mark.parametrize("writing", [{}, {"store_schema": False}])
async def test_lists_of_every_kind_are_encoded_beside_casts(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet, writing: dict[str, bool]
) -> None:
    kinds = (pa.list_, pa.large_list, pa.list_view, pa.large_list_view, lambda item: pa.list_(item, 2))
    items = [pa.field("item", kind, nullable) for kind in (pa.uint32(), pa.float32()) for nullable in (True, False)]
    values = [[1, 2], None, [3, 4]] * 20
    table = pa.table({f"c{n}": pa.array(values, kind(item)) for n, (kind, item) in enumerate(product(kinds, items))})
    await parquet.upload_async("t", write_parquet(table, **writing))
    found = joined(plane.table_files("t", "parquet"))
    assert found.to_pydict() == table.to_pydict()
    assert {field.type.value_type for field in found.schema} == {pa.int64(), pa.float32()}
    assert not any(pa.types.is_list_view(field.type) or pa.types.is_large_list(field.type) for field in found.schema)


@pytest.mark.parametrize("statistics", [True, False])
async def test_uint64_that_fits_keeps_its_pages(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet, statistics: bool
) -> None:
    path = write_parquet(pa.table({"n": pa.array([0, None, 2**63 - 1], pa.uint64())}), write_statistics=statistics)
    await parquet.upload_async("t", path)
    files = plane.table_files("t", "parquet")
    assert joined(files).equals(pa.table({"n": pa.array([0, None, 2**63 - 1], pa.int64())}))
    assert hashes(files) == page_hashes(path.read_bytes())


@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("in_list", [True, False])
async def test_uint64_that_does_not_fit_is_refused_without_its_value(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet, statistics: bool, in_list: bool
) -> None:
    values = [1, 2, 3, 2**64 - 5]
    column = pa.array([[v] for v in values] if in_list else values, pa.list_(pa.uint64()) if in_list else pa.uint64())
    path = write_parquet(pa.table({"n": column}), row_group_size=2, write_statistics=statistics)
    with pytest.raises(kumo_async.SourceError, match=r"'n'.*row group 1") as caught:
        await parquet.upload_async("t", path)
    assert str(2**64 - 5) not in f"{caught.value} {caught.value.__cause__}"
    assert plane.calls == []


@pytest.mark.parametrize("size", [None, 256 * KIB])
async def test_int96_is_never_wrapped(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet, size: int | None
) -> None:
    times = pa.array([datetime(9999, 12, 31, 23, 59, 59), datetime(2024, 1, 1), None] * 20_000, pa.timestamp("us"))
    table = pa.table({"time": times, "value": np.random.default_rng(1).random(60_000)})
    path = write_parquet(table, use_deprecated_int96_timestamps=True, row_group_size=60_000)
    report = await parquet.upload_async("t", path, options=small(size))
    assert [warning for warning in report.warnings if "microseconds" in warning] == list(report.warnings)
    assert bool(report.warnings) == (size is not None)
    files = plane.table_files("t", "parquet")
    assert (len(files) == 1) == (size is None)
    found = [pq.ParquetFile(file, coerce_int96_timestamp_unit="us").read() for file in files]
    assert pa.concat_tables(found).combine_chunks().equals(table)
    assert size is not None or hashes(files) == page_hashes(path.read_bytes())


@pytest.mark.parametrize("day", [2**32 - 1, 2**31, 2_440_588 + 106_751_992])
async def test_int96_beyond_microseconds_is_refused_where_it_is_encoded(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet, day: int
) -> None:
    table = pa.table({"a time": pa.array([datetime(2024, 1, 1)] * 50, pa.timestamp("us")), "n": range(50)})
    plain = {"use_deprecated_int96_timestamps": True, "use_dictionary": False, "compression": "none"}
    for cast in (table, table.append_column("u", pa.array(range(50), pa.uint32()))):
        path = write_parquet(cast, row_group_size=10, **plain)
        source = path.read_bytes()
        at = source.rindex(struct.pack("<qI", 0, 2_460_311))
        path.write_bytes(source[:at] + struct.pack("<qI", 0, day) + source[at + 12 :])
        if cast is table:
            await parquet.upload_async("t", path)
            assert joined(plane.table_files("t", "parquet")).num_rows == 50
            continue
        with pytest.raises(kumo_async.SourceError, match="'a_time' has INT96 timestamps in row group 4 that are more"):
            await parquet.upload_async("u", path)
        assert plane.table_files("u", "parquet") == []


async def test_an_option_refuses_casts_but_not_relabels(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet
) -> None:
    strict = kumo_async.UploadOptions(on_unsupported="error")
    await parquet.upload_async("t", write_parquet(pa.table({"a": pa.array(["x"], pa.large_string())})), options=strict)
    path = write_parquet(pa.table({"a": pa.array([1], pa.uint32()), "b": pa.array([1], pa.float16())}))
    with pytest.raises(kumo_async.SourceError, match=r"(?s)'a' is uint32.*'b' is halffloat.*on_unsupported"):
        await parquet.upload_async("u", path, options=strict)
    with pytest.raises(kumo_async.ConfigurationError, match="on_unsupported"):
        kumo_async.UploadOptions(on_unsupported="ignore")  # type: ignore[arg-type]


async def test_every_refused_column_is_in_one_message(
    plane: LocalDataPlane, parquet: Connector, write_parquet: WritesParquet
) -> None:
    refused = {
        "struct": pa.array([{"x": 1}]),
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "texts": pa.array([["x"]]),
        "flags": pa.array([[True]]),
        "time": pa.array([1], pa.time64("us")),
        "wait": pa.array([1], pa.duration("s")),
        "price": pa.array([10**18], pa.decimal128(38, 2)),
    }
    path = write_parquet(pa.table({"id": [1], **refused}))
    with pytest.raises(kumo_async.SourceError) as caught:
        await parquet.upload_async("t", path)
    message = str(caught.value)
    assert all(f"'{name}' is " in message for name in refused)
    assert "'id'" not in message
    assert str(path) in message
    assert caught.value.path == str(path)
    assert plane.calls == []


async def test_spool_files_are_private_and_gone_after_success(
    parquet: Connector, unsigned: pa.Table, write_parquet: WritesParquet, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    path = write_parquet(unsigned, row_group_size=5_000)
    with nothing_spooled(folder):
        watch = Watch(folder)
        await parquet.upload_async("t", path, options=small(spool_dir=folder), observer=watch)
    assert watch.modes == {0o600}
    assert watch.names == set()


async def test_spool_files_are_gone_after_cancellation(
    plane: LocalDataPlane, parquet: Connector, unsigned: pa.Table, write_parquet: WritesParquet, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    path = write_parquet(unsigned, row_group_size=5_000)
    with nothing_spooled(folder), anyio.CancelScope() as scope:
        watch = Watch(folder, scope.cancel)
        await parquet.upload_async("t", path, options=small(spool_dir=folder), observer=watch)
    assert scope.cancelled_caught
    assert plane.table_files("t", "parquet") == []


async def test_spool_files_are_gone_after_an_error(
    plane: LocalDataPlane, parquet: Connector, unsigned: pa.Table, write_parquet: WritesParquet, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    path = write_parquet(unsigned, row_group_size=20_000, compression="gzip")
    damage(path, group=2, column=1)
    with nothing_spooled(folder), pytest.raises(kumo_async.SourceError, match="'value' of row group 2"):
        await parquet.upload_async("t", path, options=small(spool_dir=folder))
    assert plane.table_files("t", "parquet") == []
    assert open_spools(folder) == []


def damage(path: Path, group: int, column: int) -> None:
    """Flip bytes in the middle of a column's pages."""
    described = pq.read_metadata(path).row_group(group).column(column)
    start = described.dictionary_page_offset or described.data_page_offset
    with path.open("r+b") as file:
        file.seek(start + described.total_compressed_size // 2)
        piece = file.read(16)
        file.seek(-16, 1)
        file.write(bytes(255 - byte for byte in piece))


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("writing", [{"compression": "gzip"}, {"write_page_checksum": True}])
async def test_damaged_pages_are_found_in_full_and_not_looked_for_otherwise(
    plane: LocalDataPlane,
    parquet: Connector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    writing: dict[str, object],
    cut: bool,
) -> None:
    path = write_parquet(numbers, row_group_size=10_000, **writing)
    damage(path, group=4, column=1)
    size = 256 * KIB if cut else None
    with pytest.raises(kumo_async.SourceError, match=r"'value' of row group 4") as caught:
        await parquet.upload_async("t", path, options=small(size, validate="full"))
    assert caught.value.path == str(path)
    assert plane.table_files("t", "parquet") == []
    report = await parquet.upload_async("t", path, options=small(size))
    assert report.rows == 60_000


async def test_a_file_cut_short_while_it_is_encoded(
    plane: LocalDataPlane, parquet: Connector, unsigned: pa.Table, write_parquet: WritesParquet, tmp_path: Path
) -> None:
    path = write_parquet(unsigned, row_group_size=60_000)

    class Truncate:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.UploadStarted):
                with path.open("r+b") as file:
                    file.truncate(path.stat().st_size // 2)

    with pytest.raises(kumo_async.SourceChangedError):
        await parquet.upload_async("t", path, options=small(), observer=Truncate())
    assert plane.table_files("t", "parquet") == []


async def test_columns_that_are_not_asked_for_are_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": pa.array([1], pa.uint64()), "text": ["x"]}), path)
    async with await SourceFile.open(path) as file:
        pages = ParquetPages(file, load(path.read_bytes()), ["n", "text"])
        (batch,) = pages.batches(pages.open(), 0, columns=["n"])
        assert batch.schema.names == ["n"]
        (batch,) = pages.column_batches(pages.open(), 0, columns=["n"])
        assert batch.schema.names == ["n"]
