"""Cutting a quoted CSV file into partitions and uploading it: against the official SDK and those who cut files.

    python benchmarks/csv_cut.py [--gb 1.7] [--rounds 1] [--flat 1 4 10] [--data DIR] [--discard]

The file's texts have quotes, commas and newlines in them. *Uploads* go to a store that drops every byte. *Cuts* are
written as files, which are removed after each run; ``split -C`` is the pace of who looks at newlines alone, and cuts
records in two. Each run is a process of its own, the ways in turn. Whether a cut is right is counted by Python's csv
module with ``--check``: as many rows in the partitions as in the file. ``--flat`` uploads files of so many GiB, one
after the other, and shows the peak of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

from data import GIB, MIB, add_data_option, free_space, scratch
from measure import Run, read_once, run_python, serving, upload
from one_upload import peak_rss

__all__: list[str] = []

PARTITION = 250 * MIB


def make(path: Path, size: float) -> Path:
    """Write a file of about `size` bytes: records of some 170 bytes, every field quoted, one in four over two lines."""
    if not path.exists():
        free_space(path.parent, size / GIB)
        records = "".join(map(_record, range(40_000))).encode()
        with path.open("wb") as file:
            file.write(b'"id","name","text","price","day"\n')
            while file.tell() < size:
                file.write(records)
    return path


def _record(number: int) -> str:
    text = f'said ""{number * 7919}"", and then, ' + "lorem ipsum dolor sit amet, " * 3
    end = "\n" if number % 4 == 0 else " "
    return f'"{number}","name {number % 977}","{text}{end}end","{number / 7:.4f}","2024-02-{number % 28 + 1:02d}"\n'


async def _cut(path: Path, out: Path) -> None:
    from kumo_async import UploadOptions
    from kumo_async.sources import open_source

    number = 0
    async with open_source(path, "csv", UploadOptions()) as source, aclosing(source.partitions(PARTITION)) as found:
        async for partition in found:
            number += 1
            with (out / f"part_{number:04}.csv").open("wb", buffering=0) as file:
                async with aclosing(partition.read(0, partition.size)) as blocks:
                    async for block in blocks:
                        await asyncio.to_thread(os.write, file.fileno(), block)


def by_kumo_async(path: Path, out: Path) -> None:
    """Copy what an upload would send."""
    asyncio.run(_cut(path, out))


def by_csv(path: Path, out: Path) -> None:
    """Read and write rows with Python's csv module, a new file whenever the size is reached."""
    with path.open(newline="") as source:
        rows = csv.reader(source)
        header, number, row = next(rows), 0, next(rows, None)
        while row is not None:
            number += 1
            with (out / f"part_{number:04}.csv").open("w", newline="") as target:
                writer = csv.writer(target, lineterminator="\n", quoting=csv.QUOTE_ALL)
                written = writer.writerow(header)
                while row is not None and written < PARTITION:
                    written += writer.writerow(row)
                    row = next(rows, None)


def by_pandas(path: Path, out: Path) -> None:
    """Read and write data frames of about the size."""
    import pandas as pd

    for number, frame in enumerate(pd.read_csv(path, chunksize=PARTITION // 170), 1):
        frame.to_csv(out / f"part_{number:04}.csv", index=False)


def by_duckdb(path: Path, out: Path) -> None:
    """Have DuckDB write files of about this size."""
    import duckdb

    duckdb.execute(f"copy (from '{path}') to '{out / 'parts'}' (format csv, header, file_size_bytes {PARTITION})")


def by_split(path: Path, out: Path) -> None:
    """Cut at newlines, whatever they are in."""
    subprocess.run(["split", "-C", str(PARTITION), path, out / "part_"], check=True)


CUTS: dict[str, Callable[[Path, Path], None]] = {
    "kumo_async": by_kumo_async,
    "csv": by_csv,
    "pandas": by_pandas,
    "duckdb": by_duckdb,
    "split -C": by_split,
}


def run_one(way: str, path: Path, out: Path) -> None:
    """Cut once, in this process, and print its peak as JSON."""
    CUTS[way](path, out)
    # `split` is a process of its own; others have no children.
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"peak": children if way == "split -C" else peak_rss()}))


def rows_of(paths: list[Path]) -> int:
    """Return how many rows Python's csv module finds, a header aside in each file."""
    count = 0
    for path in paths:
        with path.open(newline="") as file:
            count += sum(1 for _ in csv.reader(file)) - 1
    return count


def _cut_once(way: str, path: Path, data: Path, rows: int | None) -> tuple[Run, str]:
    with scratch(data) as out:
        read_once(path)
        run = run_python("csv_cut.py", "--one", way, str(path), str(out))
        found = sorted(each for each in out.rglob("*") if each.is_file())
        right = "" if rows is None else "right" if rows_of(found) == rows else "WRONG"
        return run, f"{len(found)} files {right}"


def _upload_once(library: str, path: Path, data: Path) -> Run:
    with serving("drop", data) as server:
        read_once(path)
        return upload(library, server, "csv", path)


def _runs(path: Path, data: Path, *, check: bool) -> Iterator[tuple[str, str, Run, str]]:
    rows = rows_of([path]) if check else None
    for library in ("kumo_async", "kumoai"):
        yield "upload", library, _upload_once(library, path, data), ""
    for way in CUTS:
        yield "cut", way, *_cut_once(way, path, data, rows)


def _compare(path: Path, options: argparse.Namespace) -> None:
    size = path.stat().st_size
    print(f"{path.name}: {size / 1e9:.2f} GB, load average {os.getloadavg()[0]:.1f}")
    for _ in range(options.rounds):
        ours: dict[str, float] = {}
        for what, way, run, note in _runs(path, options.data, check=options.check):
            ratio = run.wall / ours.setdefault(what, run.wall)
            print(
                f"{what:<6} {way:<10} {run.wall:7.2f} s {size / run.wall / 1e6:6.0f} MB/s  {ratio:5.1f} times  "
                f"CPU {run.cpu:6.1f} s  peak {run.peak / MIB:6.0f} MiB  {note}",
                flush=True,
            )
    if options.discard:
        path.unlink()


def _show_flat(gib: float, options: argparse.Namespace) -> None:
    path = make(options.data / f"quoted-{gib:g}GiB.csv", gib * GIB)
    run = _upload_once("kumo_async", path, options.data)
    print(f"flat   {gib:5g} GiB {run.wall:7.2f} s  CPU {run.cpu:6.1f} s  peak {run.peak / MIB:6.0f} MiB", flush=True)
    if options.discard:
        path.unlink()


def main() -> None:
    """Measure all ways, then the peak for growing files."""
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=1.7, help="size of the file in GB; 0 for no comparison")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--flat", type=float, nargs="*", default=[], metavar="GIB")
    parser.add_argument("--check", action="store_true", help="count the rows of what was cut, which takes minutes")
    parser.add_argument("--discard", action="store_true", help="remove each input after its runs")
    add_data_option(parser)
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    if options.gb:
        _compare(make(options.data / f"quoted-{options.gb:g}GB.csv", options.gb * 1e9), options)
    for gib in options.flat:
        _show_flat(gib, options)


if __name__ == "__main__":
    main()
