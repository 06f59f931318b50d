"""Cutting one Parquet file into partitions: by byte ranges, against those who decode and encode it.

    python benchmarks/parquet_cut.py [--gb 1.5] [--row-groups 32] [--partition-mib 250] [--repeat 1] [--folder DIR]
    python benchmarks/parquet_cut.py --plan

Every way writes its partitions as files into the same directory, in a process of its own, so that time and peak memory
are comparable; nothing is sent. ``kumo_async`` copies what its plan says, ``encode`` is its encode path (the same file
with one column of uint32), with one and two workers. ``sdk`` is what the official SDK does to a file over its
threshold: row groups are read, renamed and written one after another.

`--plan` plans a file of 100,000 row groups and one of 5,000 columns instead, each without and with page indexes, and
tells how late the event loop ever was to wake a task that sleeps for 10 ms at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from itertools import product
from pathlib import Path

from one_upload import peak_rss

MIB = 1024**2


def make(path: Path, size: float, row_groups: int, *, unsigned: bool) -> None:
    """Write a file of about `size` bytes: numbers that barely compress, texts of few values, and times."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(1)
    rows = int(size / row_groups / 29.5)
    words = pa.array([f"word {number}" for number in range(1000)])
    with pq.ParquetWriter(path, _schema(unsigned=unsigned)) as writer:
        for group in range(row_groups):
            columns = [
                pa.array(np.arange(rows) + group * rows),
                pa.array(random.random(rows)),
                pa.array(random.random(rows)),
                pa.array(random.integers(0, 2**50, rows), pa.timestamp("us")),
                words.take(pa.array(random.integers(0, 1000, rows))),
                pa.array(random.integers(0, 100, rows), pa.uint32() if unsigned else pa.int32()),
            ]
            writer.write_table(pa.table(columns, schema=_schema(unsigned=unsigned)), row_group_size=rows)


def _schema(*, unsigned: bool):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    kinds = [pa.int64(), pa.float64(), pa.float64(), pa.timestamp("us"), pa.string()]
    names = ["id", "price", "weight", "time", "word"]
    return pa.schema([*zip(names, kinds, strict=True), ("count", pa.uint32() if unsigned else pa.int32())])


async def cut(path: Path, out: Path, partition: int, workers: int) -> float:
    """Cut as an upload does, and copy what it would send; return the seconds until the first partition was known."""
    import os

    from kumo_async import UploadOptions
    from kumo_async.sources import open_source, parquet

    assert parquet, "what is imported with the first file should not count as planning"
    options = UploadOptions(max_concurrent_partitions=workers, spool_dir=out)
    begin, planned, number = time.perf_counter(), 0.0, 0
    async with open_source(path, "parquet", options) as source, aclosing(source.partitions(partition)) as partitions:
        async for found in partitions:
            planned = planned or time.perf_counter() - begin
            number += 1
            descriptor = os.open(out / f"part_{number:04}.parquet", os.O_WRONLY | os.O_CREAT)
            async with aclosing(found.read(0, found.size)) as blocks:
                async for block in blocks:
                    await asyncio.to_thread(os.write, descriptor, block)
            os.close(descriptor)
    return planned


def by_ranges(path: Path, out: Path, partition: int, workers: int) -> float:
    """Run `cut` on a loop of its own."""
    return asyncio.run(cut(path, out, partition, workers))


def by_pyarrow(path: Path, out: Path, partition: int, workers: int) -> float:  # noqa: ARG001
    """Decode and encode in batches, a new file whenever the size is reached."""
    import pyarrow.parquet as pq

    file, number, writer, target = pq.ParquetFile(path), 0, None, None
    for batch in file.iter_batches(file.metadata.row_group(0).num_rows):
        if writer is None or target is None or target.tell() > partition - 48 * MIB:
            if writer is not None and target is not None:
                writer.close()
                target.close()
            number += 1
            target = (out / f"part_{number:04}.parquet").open("wb")
            writer = pq.ParquetWriter(target, batch.schema)
        writer.write_batch(batch)
    if writer is not None and target is not None:
        writer.close()
        target.close()
    return 0.0


def by_duckdb(path: Path, out: Path, partition: int, workers: int) -> float:
    """Have DuckDB write files of about this size."""
    import duckdb

    duckdb.execute(f"set threads = {workers}")
    duckdb.execute(f"copy (from '{path}') to '{out / 'parts'}' (format parquet, file_size_bytes {partition})")
    return 0.0


def by_sdk(path: Path, out: Path, partition: int, workers: int) -> float:  # noqa: ARG001
    """Do what `kumoai.connector.utils` 2.22 does: pack row groups by their size decoded, read, rename, write."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    parts: list[list[int]] = [[]]
    taken = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).total_byte_size
        if taken + size > partition and parts[-1]:
            parts.append([])
            taken = 0
        parts[-1].append(group)
        taken += size
    for number, groups in enumerate(parts, 1):
        with pq.ParquetWriter(out / f"part_{number:04}.parquet", file.schema_arrow) as writer:
            for group in groups:
                writer.write_table(file.read_row_group(group).rename_columns(file.schema_arrow.names))
    return 0.0


WAYS: dict[str, Callable[[Path, Path, int, int], float]] = {
    "kumo_async": by_ranges,
    "encode": by_ranges,
    "pyarrow": by_pyarrow,
    "duckdb": by_duckdb,
    "sdk": by_sdk,
}


def run_one(way: str, path: Path, out: Path, partition: int, workers: int) -> None:
    """Cut once, in this process, and print what it took as JSON."""
    begin = time.perf_counter()
    planned = WAYS[way](path, out, partition, workers)
    seconds = time.perf_counter() - begin
    sizes = [file.stat().st_size for file in out.rglob("*.parquet")]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "planned": planned,
                "cpu": time.process_time(),
                "peak": peak_rss(),
                "files": len(sizes),
            }
        )
    )


def measure(way: str, path: Path, folder: Path, partition: int, workers: int) -> None:
    """Cut once, in another process, and print a line."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        arguments = [sys.executable, __file__, "--one", way, str(path), out, str(partition), str(workers)]
        result = json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    rate = path.stat().st_size / result["seconds"] / MIB
    first = f"{result['planned'] * 1000:8.0f} ms" if result["planned"] else " " * 11
    print(
        f"{way:<11} {workers} worker(s) {result['seconds']:7.2f} s {rate:7.0f} MiB/s  CPU {result['cpu']:6.1f} s  "
        f"first partition {first}  peak RSS {result['peak'] / MIB:6.0f} MiB  {result['files']} files",
        flush=True,
    )


def make_many(path: Path, columns: int, rows: int, row_group_size: int, *, indexed: bool) -> None:
    """Write small numbers into very many row groups or columns, whose names are not taken as they are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({f"c {number}": np.arange(rows) for number in range(columns)})
    pq.write_table(table, path, row_group_size=row_group_size, use_dictionary=False, write_page_index=indexed)


async def plan(path: Path, partition: int) -> None:
    """Plan all partitions beside a task that only sleeps and looks at the clock, and print a line."""
    from kumo_async import UploadOptions
    from kumo_async.sources import open_source, parquet

    assert parquet, "what is imported with the first file should not count as planning"
    lags = [0.0]

    async def beat() -> None:
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.01)
            lags.append(time.perf_counter() - begin - 0.01)

    heart, begin, number = asyncio.create_task(beat()), time.perf_counter(), 0
    before = time.process_time()
    async with open_source(path, "parquet", UploadOptions()) as source, aclosing(source.partitions(partition)) as found:
        async for _ in found:
            number += 1
    seconds, cpu = time.perf_counter() - begin, time.process_time() - before
    heart.cancel()
    late, peak = max(lags) * 1000, peak_rss() / MIB
    rest = f"{number} partitions  loop late by {late:.0f} ms  peak RSS {peak:.0f} MiB"
    print(f"{path.name:<26} {seconds:5.1f} s  CPU {cpu:5.1f} s  {rest}")


def plan_all(folder: Path) -> None:
    """Make the files if need be, and plan each in another process."""
    sizes = {"row-groups": (2, 100_000, 1, MIB), "columns": (5_000, 200, 10, 8 * MIB)}
    for (name, (columns, rows, row_group_size, partition)), indexed in product(sizes.items(), (False, True)):
        path = folder / f"{name}{'-indexed' if indexed else ''}.parquet"
        if not path.exists():
            make_many(path, columns, rows, row_group_size, indexed=indexed)
        subprocess.run([sys.executable, __file__, "--plan-one", str(path), str(partition)], check=True)


def main() -> None:
    """Make the files if need be, and measure all ways."""
    if sys.argv[1:2] == ["--one"]:
        way, source, out, size, encoders = sys.argv[2:]
        run_one(way, Path(source), Path(out), int(size), int(encoders))
        return
    if sys.argv[1:2] == ["--plan-one"]:
        asyncio.run(plan(Path(sys.argv[2]), int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=1.5, help="size of the file in GB")
    parser.add_argument("--row-groups", type=int, default=32)
    parser.add_argument("--partition-mib", type=int, default=250)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "parquet_cut")
    parser.add_argument("--plan", action="store_true", help="plan very many row groups and columns instead")
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    if given.plan:
        plan_all(given.folder)
        return
    paths = [given.folder / f"{kind}-{given.gb:g}-{given.row_groups}.parquet" for kind in ("plain", "unsigned")]
    for path, unsigned in zip(paths, (False, True), strict=True):
        if not path.exists():
            make(path, given.gb * 1e9, given.row_groups, unsigned=unsigned)
        print(f"{path}: {path.stat().st_size / 1e9:.2f} GB")
    for _ in range(given.repeat):
        for way, workers in (
            ("kumo_async", 1),
            ("encode", 1),
            ("encode", 2),
            ("pyarrow", 1),
            ("duckdb", 2),
            ("sdk", 1),
        ):
            measure(way, paths[way == "encode"], given.folder, given.partition_mib * MIB, workers)


if __name__ == "__main__":
    main()
