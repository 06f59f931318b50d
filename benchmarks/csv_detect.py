r"""How often the dialect of a CSV file is detected, and how fast, by us, clevercsv, DuckDB and Python's csv.Sniffer.

    pip install clevercsv
    python benchmarks/csv_detect.py --rows 100 --check
    python benchmarks/csv_detect.py --rows 100 --check --pollock Pollock  # a checkout, and its files as well

A dialect is right where it reads the same records as the one that the file was written in, so that a quote which does
not occur is neither right nor wrong. Each detector sees the whole file, and is told the four delimiters if it can be.
A wrong dialect goes unnoticed where it reads all records alike, of two fields or more, and the detector is in no doubt.
`--check` fails where another is right more often than we are, or wrong without notice less often.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import duckdb

from csv_corpus import NAMES, Dialect, Labelled, corpus
from csv_hard import hard
from kumo_async.formats.csv_detect import detect
from pollock import pollock

__all__ = ["Verdict", "judge", "ours"]

_DELIMITERS = "".join(NAMES)
_ALL = "all"


class Verdict(NamedTuple):
    """What became of a detection.

    Attributes:
        right: Whether the records are those that were written.
        silent: Whether they are others, and nothing tells: all have as many fields, two or more.
    """

    right: bool
    silent: bool


def judge(case: Labelled, found: Dialect | None) -> Verdict:
    """Compare the records that a detected dialect reads with those that were written."""
    true = case.dialect.read(case.text)
    try:
        rows = found.read(case.text) if found else []
    except csv.Error:
        rows = []
    counts = {len(row) for row in rows}
    silent = rows != true and len(counts) == 1 and counts != {1}
    single = all(len(row) == 1 for row in true)
    return Verdict(rows == true or (single and not silent), silent)


def ours(text: str) -> Dialect:
    """Detect as an upload does."""
    found = detect(text.encode(), complete=True).dialect
    return Dialect(found.delimiter.decode(), (found.quote or b"").decode(), (found.escape or b"").decode())


def clevercsv(text: str) -> Dialect | None:
    """Detect with clevercsv, https://clevercsv.readthedocs.io."""
    import clevercsv as library

    found = library.Detector().detect(text, delimiters=list(_DELIMITERS))
    # It has no delimiter for a single column.
    if found is None:
        return None
    return Dialect(found.delimiter or ",", found.quotechar or "", found.escapechar or "")


def duckdb_sniffer(text: str) -> Dialect | None:
    """Detect with DuckDB's sniff_csv, https://duckdb.org/docs/stable/data/csv/auto_detection."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(text.encode())
        file.flush()
        try:
            row = duckdb.execute("select delimiter, quote, escape from sniff_csv($1)", [file.name]).fetchone()
        except duckdb.Error:
            return None
    assert row is not None
    delimiter, quote, escape = ("" if value == "(empty)" else value for value in row)
    return Dialect(delimiter or ",", quote, "" if escape == quote else escape)


def python_sniffer(text: str) -> Dialect | None:
    """Detect with csv.Sniffer."""
    try:
        found = csv.Sniffer().sniff(text, _DELIMITERS)
    except csv.Error:
        return None
    return Dialect(found.delimiter, found.quotechar or "")


DETECTORS: dict[str, Callable[[str], Dialect | None]] = {
    "kumo_async": ours,
    "DuckDB": duckdb_sniffer,
    "clevercsv": clevercsv,
    "csv.Sniffer": python_sniffer,
}


class Result(NamedTuple):
    """What a detector said of a file."""

    found: Dialect | None
    verdict: Verdict
    seconds: float


class Tally:
    """What became of all files of a kind."""

    def __init__(self) -> None:
        self.files = 0
        self.right: dict[str, int] = defaultdict(int)
        self.silent: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)

    def add(self, results: Mapping[str, Result]) -> None:
        """Count a file."""
        self.files += 1
        for name, result in results.items():
            self.right[name] += result.verdict.right
            self.silent[name] += result.verdict.silent
            self.seconds[name] += result.seconds

    @property
    def beaten(self) -> bool:
        """Whether another is right more often than we are, or wrong without notice less often."""
        more = max(self.right.values()) > self.right["kumo_async"]
        return more or min(self.silent.values()) < self.silent["kumo_async"]


def main() -> None:
    """Run what the command line asks for and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100, help="rows of each file (default 100)")
    parser.add_argument("--pollock", type=Path, help="a checkout of Pollock, whose files are detected as well")
    parser.add_argument("--misses", action="store_true", help="tell which files we got wrong, and others did not")
    parser.add_argument("--check", action="store_true", help="fail where another detector is better")
    options = parser.parse_args()
    kinds: dict[str, Tally] = defaultdict(Tally)
    for case in _cases(options):
        results = {name: _run(detector, case) for name, detector in DETECTORS.items()}
        for kind in (case.kind, _ALL):
            kinds[kind].add(results)
        if options.misses and not results["kumo_async"].verdict.right:
            _tell(case, results)
    _print(kinds)
    better = [kind for kind, tally in kinds.items() if tally.beaten]
    print(f"others are better on: {', '.join(better) or 'nothing'}")
    if options.check and _ALL in better:
        sys.exit("another detector is better")


def _cases(options: argparse.Namespace) -> Iterator[Labelled]:
    yield from corpus(options.rows)
    yield from hard(options.rows)
    if options.pollock:
        yield from pollock(options.pollock)


def _run(detector: Callable[[str], Dialect | None], case: Labelled) -> Result:
    begin = time.perf_counter()
    found = detector(case.text)
    seconds = time.perf_counter() - begin
    verdict = judge(case, found)
    doubted = detector is ours and bool(detect(case.text.encode(), complete=True).doubts)
    return Result(found, verdict._replace(silent=verdict.silent and not doubted), seconds)


def _tell(case: Labelled, results: Mapping[str, Result]) -> None:
    better = [name for name, result in results.items() if result.verdict.right]
    silent = "silent " * results["kumo_async"].verdict.silent
    print(f"{silent}{case.kind}: {case.name}: {case.dialect}, not {results['kumo_async'].found}; right: {better}")


def _print(kinds: Mapping[str, Tally]) -> None:
    print("| files of a kind | number |", " | ".join(DETECTORS), "|")
    print("| --- |" + " ---: |" * (len(DETECTORS) + 1))
    total = kinds[_ALL]
    for kind, tally in [*((kind, kinds[kind]) for kind in kinds if kind != _ALL), (_ALL, total)]:
        print(f"| {kind} | {tally.files} |", " | ".join(f"{tally.right[name]}" for name in DETECTORS), "|")
    print("| wrong, and unnoticed | |", " | ".join(f"{total.silent[name]}" for name in DETECTORS), "|")
    each = (f"{total.seconds[name] / total.files * 1000:.1f} ms" for name in DETECTORS)
    print("| time for a file | |", " | ".join(each), "|")


if __name__ == "__main__":
    main()
