"""Whole uploads side by side: kumo_async and the official SDK, in turn, against the same store.

    python benchmarks/upload.py --sizes 1 2 4 --format parquet csv --store drop

Each upload is a process of its own: interpreter, imports, upload, end. One pair of runs is one of each library right
after the other, so that what else goes on on the machine disturbs both; the ratio is taken for each pair. With --check
the program fails unless the median ratio and our peak hold the project's bounds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data import GIB, MIB, add_data_option, free_space, lineitem
from measure import Run, import_alone, read_once, serving, spread, upload

__all__: list[str] = []

OURS, THEIRS = "kumo_async", "kumoai"
LEAST_RATIO = 5.0
MOST_OVER_IMPORT = 120 * MIB


@dataclass(frozen=True)
class Case:
    """One input against one store, and the runs of both libraries in pairs."""

    store: str
    path: Path
    pairs: list[tuple[Run, Run]]

    @property
    def ratios(self) -> list[float]:
        """How many times as long theirs took, pair by pair."""
        return [theirs.wall / ours.wall for ours, theirs in self.pairs]

    @property
    def cpu_ratios(self) -> list[float]:
        """How many times as much processor time theirs took, pair by pair; it depends less on what else is running."""
        return [theirs.cpu / ours.cpu for ours, theirs in self.pairs]

    @property
    def median_ratio(self) -> float:
        """The middle of the ratios; the lower one of two."""
        return sorted(self.ratios)[(len(self.ratios) - 1) // 2]

    @property
    def peak(self) -> int:
        """Our largest peak in bytes."""
        return max(ours.peak for ours, _ in self.pairs)


def main() -> None:
    """Run what the command line asks for, print tables, and check the bounds if asked to."""
    options = _options()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    imports = {library: [import_alone(library) for _ in range(3)] for library in (OURS, THEIRS)}
    base = {library: min(run.peak for run in runs) for library, runs in imports.items()}
    print(f"{'':18}  {'wall s: min med max':>20}   {'cpu s: min med max':>20}   {'peak MiB: min med max':>23}")
    for library, runs in imports.items():
        _print_runs(f"import {library}", runs, base[library])
    failed = False
    for case in _cases(options):
        for index, library in enumerate((OURS, THEIRS)):
            _print_runs(library, [pair[index] for pair in case.pairs], base[library])
        print(f"{'ratio':18}  {spread(case.ratios)}   {spread(case.cpu_ratios)}")
        failed |= _misses(case, base[OURS])
    if failed and options.check:
        sys.exit("A bound does not hold.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Whole uploads side by side with the official SDK.")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0], metavar="GIB")
    parser.add_argument("--format", nargs="+", choices=["parquet", "csv"], default=["parquet", "csv"])
    parser.add_argument("--store", nargs="+", choices=["drop", "md5", "tls", "local"], default=["drop"])
    parser.add_argument("--pairs", type=int, default=3, help="runs of each library for each input")
    parser.add_argument("--check", action="store_true", help="fail unless the bounds hold")
    parser.add_argument("--discard", action="store_true", help="remove each input after its runs")
    add_data_option(parser)
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    for file_type in options.format:
        for size in options.sizes:
            path = lineitem(options.data, file_type, size)
            free_space(options.data, 1 + size * ("local" in options.store))
            for store in options.store:
                print(f"\n{path.name}, {path.stat().st_size / GIB:.2f} GiB, store: {store}")
                yield Case(store, path, [_pair(store, options.data, file_type, path) for _ in range(options.pairs)])
            if options.discard:
                path.unlink()


def _pair(store: str, data: Path, file_type: str, path: Path) -> tuple[Run, Run]:
    runs = []
    for library in (OURS, THEIRS):
        with serving(store, data) as server:
            read_once(path)
            runs.append(upload(library, server, file_type, path))
    return runs[0], runs[1]


def _print_runs(label: str, runs: list[Run], base: int) -> None:
    walls, cpus, peaks = [run.wall for run in runs], [run.cpu for run in runs], [run.peak / MIB for run in runs]
    over = f"{max(peaks) - base / MIB:+6.0f} MiB over import alone"
    print(f"{label:18}  {spread(walls)}   {spread(cpus)}   {spread(peaks, '7.0f')}   {over}")


def _misses(case: Case, base: int) -> bool:
    misses = []
    if case.median_ratio < LEAST_RATIO:
        misses.append(f"{case.median_ratio:.2f} times as fast, not {LEAST_RATIO:g}")
    if case.peak - base > MOST_OVER_IMPORT:
        misses.append(f"{(case.peak - base) / MIB:.0f} MiB over the import, not {MOST_OVER_IMPORT // MIB}")
    for miss in misses:
        print(f"{case.path.name}, {case.store}: {miss}", file=sys.stderr)
    return bool(misses)


if __name__ == "__main__":
    main()
