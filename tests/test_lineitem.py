"""TPC-H `lineitem`, as tpchgen-cli writes it, goes up in partitions, and every row and sum arrives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kumo_async
from data import tpchgen
from kumo_async.local import LocalDataPlane
from verify import check_same

_MIB = 1024**2


@pytest.mark.parametrize(("file_type", "options"), [("parquet", ["--row-group-bytes", "500KB"]), ("csv", [])])
async def test_lineitem_arrives(plane: LocalDataPlane, tmp_path: Path, file_type: str, options: list[str]) -> None:
    source = await asyncio.to_thread(tpchgen, tmp_path, file_type, 0.02, *options)
    connector = kumo_async.FileUploadConnector(file_type, client=kumo_async.KumoClient(plane.endpoint, plane.api_key))
    cut = kumo_async.UploadOptions(partition_threshold=_MIB, partition_size=_MIB, part_size=5 * _MIB)
    report = await connector.upload_async("lineitem", source, options=cut)
    partitions = plane.table_files("lineitem", file_type)
    assert len(partitions) == len(report.partitions) > 4
    assert check_same(source, partitions) == report.rows


async def test_lineitem_arrives_in_several_parts(
    csv: kumo_async.FileUploadConnector, plane: LocalDataPlane, tmp_path: Path
) -> None:
    source = await asyncio.to_thread(tpchgen, tmp_path, "csv", 0.04)
    cut = kumo_async.UploadOptions(partition_threshold=_MIB, partition_size=13 * _MIB, part_size=5 * _MIB)
    report = await csv.upload_async("lineitem", source, options=cut)
    assert [call.part for call in plane.calls if call.call == "put_part"].count(3) == 2
    assert check_same(source, plane.table_files("lineitem", "csv")) == report.rows
