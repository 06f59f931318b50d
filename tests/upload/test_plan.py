"""How tables are named and cut: plain functions on values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.errors import SourceError
from kumo_async.options import GIB, MAX_PART_SIZE, MIB, MIN_PART_SIZE, UploadOptions
from kumo_async.service.messages import MAX_PARTS
from kumo_async.upload.plan import part_ranges, partition_name, partition_size, size_warnings


@given(st.integers(1, 5 * 10**12), st.integers(MIN_PART_SIZE, MAX_PART_SIZE))
def test_parts_cover_the_object_and_obey_s3(size: int, part_size: int) -> None:
    parts = part_ranges(size, part_size)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MAX_PARTS
    end = 0
    for part in parts:
        assert part.offset == end
        end += part.length
    assert end == size
    assert all(MIN_PART_SIZE <= part.length <= MAX_PART_SIZE for part in parts[:-1])
    assert 0 < parts[-1].length <= MAX_PART_SIZE


def test_an_object_that_no_upload_takes_is_refused() -> None:
    with pytest.raises(SourceError, match="partitioned"):
        part_ranges(MAX_PARTS * MAX_PART_SIZE + 1, 16 * MIB)


def test_names() -> None:
    assert partition_name("t", "parquet", None) == "t"
    assert partition_name("t", "parquet", 1) == "t.parquet/part_0001.parquet"
    assert partition_name("t", "csv", 12345) == "t.csv/part_12345.csv"


def size_of(
    size: int,
    file_type: str = "parquet",
    *,
    auto: bool = True,
    mb: int = 250,
    partition_size_bytes: int | None = None,
    threshold: int = 1000 * MIB,
) -> int | None:
    options = UploadOptions(partition_size=partition_size_bytes, partition_threshold=threshold)
    return partition_size(size, file_type, auto_partition=auto, partition_size_mb=mb, options=options)


def test_up_to_the_threshold_a_file_is_one_object() -> None:
    assert size_of(1000 * MIB) is None
    assert size_of(1000 * MIB, auto=False) is None
    assert size_of(1000 * MIB + 1) == 250 * MIB
    assert size_of(1000 * MIB + 1, mb=100) == 100 * MIB
    assert size_of(1000 * MIB + 1, mb=100, partition_size_bytes=7) == 7
    assert size_of(11, threshold=10) == 250 * MIB


def test_a_large_file_that_must_not_be_cut_is_refused() -> None:
    with pytest.raises(SourceError, match="auto_partition=True"):
        size_of(1000 * MIB + 1, auto=False)


def test_csv_partitions_grow_where_there_would_be_too_many() -> None:
    assert size_of(62 * GIB, "csv") == 62 * GIB // 127 + 1
    assert size_of(500 * GIB, "csv") == 1000 * MIB
    assert size_of(500 * GIB, "csv", partition_size_bytes=100 * MIB) == 100 * MIB
    assert size_of(500 * GIB, "parquet") == 250 * MIB


def test_sizes_beyond_what_kumo_documents_are_said() -> None:
    assert size_warnings(9 * 10**9, "csv", 250 * MIB) == ()
    assert "Parquet" in size_warnings(11 * 10**9, "csv", 250 * MIB)[0]
    assert "some 10,000 partitions" in size_warnings(10**6, "csv", 100)[0]
    assert "has 129 partitions" in size_warnings(10**6, "csv", 100, partitions=129)[0]
    assert size_warnings(10**6, "csv", 100, partitions=128) == ()
    assert size_warnings(10**12, "parquet", 250 * MIB) == ()
    assert "512 MB" in size_warnings(10**12, "parquet", 1000 * MIB)[0]
