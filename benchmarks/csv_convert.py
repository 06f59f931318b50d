"""How fast a CSV file becomes Parquet, against DuckDB and pyarrow alone.

    python benchmarks/csv_convert.py [--gib 0.5] [--wide] [--rounds 3] [--threads 1 2] [--ways ...] [--data DIR]

Every way reads `lineitem`, or with ``--wide`` 300 rows of 20,000 decimals (36 MB), and writes Parquet with Snappy
in files of up to 250 MiB, in a process of its own; nothing is sent. ``kumo_async`` writes the partitions that it would
send, with so many encoders. ``duckdb`` is its `COPY`, with types from the whole file (`sample_size=-1`), as here, and
``sampled`` the same with types from a sample, as is its default. ``pyarrow`` streams with types from the first block,
which a later value may break.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from data import MIB, add_data_option, lineitem, scratch
from measure import Run, read_once, run_python, spread
from one_upload import peak_rss

__all__: list[str] = []

_PARTITION = 250 * MIB


async def _convert(path: Path, out: Path, threads: int) -> None:
    from kumo_async import UploadOptions
    from kumo_async.sources import open_source

    options = UploadOptions(convert="parquet", partition_threshold=0, max_concurrent_partitions=threads)
    async with (
        open_source(path, "parquet", options) as source,
        aclosing(source.partitions(_PARTITION)) as partitions,
    ):
        number = 0
        async for partition in partitions:
            number += 1
            with (out / f"{number}.parquet").open("wb") as file:
                async for block in partition.read(0, partition.size):
                    file.write(block)


def kumo_async(path: Path, out: Path, threads: int) -> None:
    """Convert with this package, as an upload does."""
    asyncio.run(_convert(path, out, threads))


def duckdb(path: Path, out: Path, threads: int, sample: int = -1) -> None:
    """Convert with DuckDB; its types are those of so many rows, or of all."""
    import duckdb as library

    with library.connect(config={"threads": threads}) as connection:
        read = f"read_csv('{path}', sample_size={sample})"
        connection.execute(f"copy (from {read}) to '{out}' (format parquet, file_size_bytes '250MiB', overwrite true)")


def sampled(path: Path, out: Path, threads: int) -> None:
    """Convert with DuckDB and its default sample."""
    duckdb(path, out, threads, 20_480)


def pyarrow(path: Path, out: Path, threads: int) -> None:
    """Convert with pyarrow, batch by batch."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    pa.set_cpu_count(threads)
    with csv.open_csv(path) as reader, parquet.ParquetWriter(out / "1.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


WAYS: dict[str, Callable[[Path, Path, int], None]] = {
    way.__name__: way for way in (kumo_async, duckdb, sampled, pyarrow)
}


def wide(folder: Path, rows: int = 300, columns: int = 20_000) -> Path:
    """Return the path of a file with very many columns; make it if it is not there."""
    path = folder / f"wide-{rows}x{columns}.csv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        number = random.Random(1).random
        with path.with_suffix(".part").open("w") as file:
            file.write(",".join(f"c{column}" for column in range(columns)) + "\n")
            for _ in range(rows):
                file.write(",".join(f"{number():.3f}" for _ in range(columns)) + "\n")
        path.with_suffix(".part").rename(path)
    return path


def main() -> None:
    """Run what the command line asks for and print a table."""
    if sys.argv[1:2] and sys.argv[1] in WAYS:
        way, source, out, threads = sys.argv[1:]
        WAYS[way](Path(source), Path(out), int(threads))
        print(json.dumps({"peak": peak_rss()}))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=0.5, help="size of the input (default 0.5)")
    parser.add_argument("--wide", action="store_true", help="300 rows of 20,000 columns instead of lineitem")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="what is measured (default all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    add_data_option(parser)
    options = parser.parse_args()
    path = wide(options.data) if options.wide else lineitem(options.data, "csv", options.gib)
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB")
    print(f"{'':12} {'threads':>7} {'MB/s (least, median, most)':>28} {'MB/s of a core':>28} {'peak, MiB':>10}")
    for threads in options.threads:
        _print(path, options, threads)


def _print(path: Path, options: argparse.Namespace, threads: int) -> None:
    runs: dict[str, list[Run]] = {way: [] for way in options.ways}
    for _ in range(options.rounds):
        # In turn, so that what else happens on the machine disturbs all of them.
        for way in runs:
            read_once(path)
            with scratch(options.data) as out:
                runs[way].append(run_python("csv_convert.py", way, str(path), str(out), str(threads)))
    size = path.stat().st_size / 1e6
    for way, found in runs.items():
        wall, core = (spread([size / seconds for seconds in each]) for each in _times(found))
        print(f"{way:12} {threads:7} {wall:>28} {core:>28} {max(run.peak for run in found) / MIB:10.0f}", flush=True)


def _times(runs: list[Run]) -> tuple[list[float], list[float]]:
    return [run.wall for run in runs], [run.cpu for run in runs]


if __name__ == "__main__":
    main()
