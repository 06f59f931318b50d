r"""How often the delimiter of a CSV file is detected, and whether any file is read wrongly without a word.

    python benchmarks/csv_detect.py --rows 100 --check
    python benchmarks/csv_detect.py --rows 100 --check --pollock Pollock  # a checkout, and its files as well

Each file is opened as an upload opens it, and what would be sent is read by Python's csv, strictly, as RFC 4180 with
the delimiter in use. What becomes of it is one of these:

- *right*: accepted, and the records are those that were written.
- *remedy*: refused or warned of, and an option that reads it is named; where that is one of the dialect, the file is
  opened again with the dialect that it was written in, and is right then.
- *refused*, *warned*: the same, and no such option is named.
- *silent*: accepted with other records, and no word. `--check` fails where there is one.

The delimiter alone is compared with that of DuckDB's `sniff_csv` and of Python's `csv.Sniffer`, which is told the four.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb

from csv_corpus import NAMES, Dialect, Labelled, corpus
from csv_hard import hard
from kumo_async import CsvOptions, SourceError, UploadOptions
from kumo_async.formats.csv_sniff import sniff
from kumo_async.sources import open_source
from pollock import pollock

__all__ = ["OUTCOMES", "Verdict", "judge"]

OUTCOMES: Final = ("right", "remedy", "refused", "warned", "silent")

_DELIMITERS = "".join(NAMES)
_ALL = "all"
#: What is named where a file is more than its table.
_FRAMES = ("skip_rows=", "short_rows=", "comment=", "column_names=", "header=False")

Rows = list[list[str]]


class Verdict(NamedTuple):
    """What became of a file.

    Attributes:
        outcome: One of `OUTCOMES`.
        words: The refusal, or the warnings.
    """

    outcome: str
    words: str


class _Sent(NamedTuple):
    """The text that would be sent, None if the file is refused; its delimiter, and what is said of it."""

    text: str | None
    delimiter: str
    words: str


async def judge(case: Labelled, folder: Path) -> Verdict:
    """Open a file as an upload does, and compare what would be sent with what was written."""
    path = folder / "t.csv"
    path.write_bytes(case.text.encode())
    sent = await _open(path, CsvOptions())
    if sent.text is not None and _alike(_plain(sent.text, sent.delimiter), _written(case)):
        return Verdict("right", sent.words)
    if _names_dialect(sent.words, case.dialect):
        again = await _open(path, CsvOptions(**case.dialect._asdict()))
        if again.text is not None and _alike(case.dialect.read(again.text), _written(case)):
            return Verdict("remedy", sent.words)
    if any(option in sent.words for option in _FRAMES):
        return Verdict("remedy", sent.words)
    outcome = "refused" if sent.text is None else "warned" if sent.words else "silent"
    return Verdict(outcome, sent.words)


async def _open(path: Path, options: CsvOptions) -> _Sent:
    content = bytearray()
    try:
        async with open_source(path, "csv", UploadOptions(validate="full", csv=options)) as source:
            async for partition in source.partitions(None):
                async for block in partition.read(0, partition.size):
                    content += block
            assert source.dialect is not None
            delimiter = source.dialect.removeprefix("delimiter '").replace("\\t", "\t")[0]
            return _Sent(content.decode(), delimiter, " ".join(source.warnings))
    except SourceError as error:
        return _Sent(None, "", str(error))


def _plain(text: str, delimiter: str) -> Rows:
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
    except csv.Error:
        return []


def _written(case: Labelled) -> Rows:
    try:
        return case.dialect.read(case.text.removeprefix("\ufeff"))
    except csv.Error:
        return []


def _alike(found: Rows, true: Rows) -> bool:
    """Whether the records are the same. The names of the columns become others, which is reported."""
    return bool(found) and bool(true) and found[1:] == true[1:] and len(found[0]) == len(true[0])


def _names_dialect(words: str, true: Dialect) -> bool:
    named = {
        f"delimiter={true.delimiter!r}": True,
        f"quote={true.quote!r}": true.quote != '"',
        f"escape={true.escape!r}": bool(true.escape),
    }
    return any(option in words for option, differs in named.items() if differs)


def ours(text: str) -> str | None:
    """Detect the delimiter as an upload does."""
    return sniff(text.encode(), complete=True).dialect.delimiter.decode()


def duckdb_sniffer(text: str) -> str | None:
    """Detect it with DuckDB's sniff_csv, https://duckdb.org/docs/stable/data/csv/auto_detection."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(text.encode())
        file.flush()
        try:
            row = duckdb.execute("select delimiter from sniff_csv($1)", [file.name]).fetchone()
        except duckdb.Error:
            return None
    assert row is not None
    return str(row[0])


def python_sniffer(text: str) -> str | None:
    """Detect it with csv.Sniffer."""
    try:
        return csv.Sniffer().sniff(text, _DELIMITERS).delimiter
    except csv.Error:
        return None


DETECTORS: dict[str, Callable[[str], str | None]] = {
    "kumo_async": ours,
    "DuckDB": duckdb_sniffer,
    "csv.Sniffer": python_sniffer,
}


class _Tally:
    """What became of all files of a kind."""

    def __init__(self) -> None:
        self.files = self.delimited = 0
        self.outcomes: Counter[str] = Counter()
        self.delimiters: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()

    def add(self, case: Labelled, verdict: Verdict, found: dict[str, tuple[bool, float]]) -> None:
        """Count a file."""
        self.files += 1
        self.outcomes[verdict.outcome] += 1
        self.delimited += case.dialect.delimiter in NAMES
        for name, (right, seconds) in found.items():
            self.delimiters[name] += right and case.dialect.delimiter in NAMES
            self.seconds[name] += seconds  # type: ignore[assignment]


def main() -> None:
    """Run what the command line asks for and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100, help="rows of each file (default 100)")
    parser.add_argument("--pollock", type=Path, help="a checkout of Pollock, whose files are opened as well")
    parser.add_argument("--tell", choices=OUTCOMES, action="append", default=["silent"], help="list such files")
    parser.add_argument("--check", action="store_true", help="fail where a file is wrong in silence")
    options = parser.parse_args()
    kinds: dict[str, _Tally] = defaultdict(_Tally)
    with tempfile.TemporaryDirectory() as folder:
        for case in _cases(options):
            verdict = asyncio.run(judge(case, Path(folder)))
            found = {name: _timed(detector, case) for name, detector in DETECTORS.items()}
            for kind in (case.kind, _ALL):
                kinds[kind].add(case, verdict, found)
            if verdict.outcome in options.tell:
                print(f"{verdict.outcome}: {case.kind}: {case.name}: {case.dialect}: {verdict.words}")
    _print(kinds)
    if options.check and kinds[_ALL].outcomes["silent"]:
        sys.exit("a file is read wrongly, and nothing is said")


def _cases(options: argparse.Namespace) -> Iterator[Labelled]:
    yield from corpus(options.rows)
    yield from hard(options.rows)
    if options.pollock:
        yield from pollock(options.pollock)


def _timed(detector: Callable[[str], str | None], case: Labelled) -> tuple[bool, float]:
    begin = time.perf_counter()
    found = detector(case.text)
    return found == case.dialect.delimiter, time.perf_counter() - begin


def _print(kinds: dict[str, _Tally]) -> None:
    ordered = [*((kind, kinds[kind]) for kind in kinds if kind != _ALL), (_ALL, kinds[_ALL])]
    _table(
        ["files of a kind", "number", *OUTCOMES],
        [[kind, tally.files, *(tally.outcomes[outcome] for outcome in OUTCOMES)] for kind, tally in ordered],
    )
    _table(
        ["delimiter right", "number", *DETECTORS],
        [[kind, tally.delimited, *(tally.delimiters[name] for name in DETECTORS)] for kind, tally in ordered],
    )
    total = kinds[_ALL]
    each = ", ".join(f"{name} {total.seconds[name] / total.files * 1000:.1f} ms" for name in DETECTORS)
    print(f"\ntime for a file: {each}")


def _table(head: list[str], rows: list[list[Any]]) -> None:
    print("\n|", " | ".join(head), "|")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("|", " | ".join(map(str, row)), "|")


if __name__ == "__main__":
    main()
