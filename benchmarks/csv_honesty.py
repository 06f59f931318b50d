r"""Whether a CSV file is read as Python's csv module reads it in strict mode, or refused; never wrong in silence.

    python benchmarks/csv_honesty.py --files 20000

The files are random, of apostrophes, stray quotes, backslashes, blanks at quotes, titles and footers.

Each file goes through every way: as one object and cut into partitions, checked fast and in full, compressed, and
converted to Parquet; one in `--upload` through the embedded data plane. The blocks that are scanned have a few hundred
bytes, so that their borders are everywhere. Prints a table, and exits with 1 where any file is wrong: where what is
stored differs from what Python reads, or Python refuses what was accepted. With a warning that is no silence, but
counted apart.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import anyio
import pyarrow.parquet as pq

import kumo_async
from kumo_async.formats import records
from kumo_async.local import LocalDataPlane
from kumo_async.sources import convert_types, csv_content, csv_scan, open_source

__all__ = ["OUTCOMES", "Case", "cases", "judged"]

OUTCOMES: Final = ("right", "refused", "warned", "wrong")

Rows = list[list[str]]

#: How a field may be written: of a word, a number, a delimiter and a line end.
_FIELDS: Final[list[Callable[[str, int, str, str], str]]] = [
    lambda word, _, _d, _e: f"'{word}",
    lambda word, _, _d, _e: f"{word}'",
    lambda word, _, _d, _e: f"o'{word}",
    lambda word, _, _d, _e: f"'{word}'",
    lambda word, _, d, _e: f"'{word}{d} {word}'",
    lambda _w, number, _d, _e: f'{number}" disc',
    lambda word, _, _d, _e: f'"{word}',
    lambda word, _, _d, _e: f'{word}"',
    lambda word, _, _d, _e: f'"{word}" by {word}',
    lambda word, _, _d, _e: f'"{word} "{word}" {word}"',
    lambda word, _, _d, _e: f'"{word}"',
    lambda word, _, d, _e: f'"{word}{d} {word}"',
    lambda word, _, _d, e: f'"{word}{e}{word}"',
    lambda word, _, _d, _e: f'"{word} ""{word}"""',
    lambda word, _, _d, _e: f' "{word}"',
    lambda word, _, d, _e: f'  "{word}{d} {word}"',
    lambda word, _, _d, _e: f'"{word}" ',
    lambda word, _, _d, _e: f'"{word}"\t',
    lambda word, _, d, _e: f'"{word}{d}" {word}"',
    lambda word, _, _d, _e: f'"{word} \\"{word}\\" {word}"',
    lambda word, _, _d, e: f'"{word} \\"{word}{e}{word}\\""',
    lambda word, _, d, _e: f'"{word} \\"{word}\\"{d} {word}"',
    lambda word, _, _d, e: f"{word}\\{e}{word}",
    lambda word, _, d, _e: f"{word}\\{d}{word}",
    lambda word, _, _d, _e: f'"C:\\{word}\\"',
    lambda word, _, _d, _e: f"C:\\{word}\\",
    lambda _w, _, _d, _e: '"\\\\"',
    lambda _w, _, _d, _e: '""',
    lambda _w, _, _d, _e: '"" ""',
    lambda _w, _, _d, _e: "",
    lambda _w, _, _d, _e: " ",
    lambda _w, _, _d, _e: '"',
    lambda _w, _, _d, _e: '"""',
]
_WORDS: Final = ["nut", "bolt", "em", "til", "screw", "wing nut", "größe", "it is", "a, b; c"]
_FOOTERS: Final = ["(20 rows)", "\x1a", " ", "Total{d}5", '"open', "{d}", "'", '""', "\\", "End of file."]
_TITLES: Final = ["Sales 2024", "Country, 2020 report", '"Title"', "a{d}b", "'x'"]


class Case(NamedTuple):
    """A file.

    Attributes:
        data: What is in it.
        options: How it is said to be written.
        expected: The rows that Python reads in strict mode; None where it refuses.
        stored: How what is stored is read.
    """

    data: bytes
    options: kumo_async.CsvOptions
    expected: Rows | None
    stored: dict[str, Any]


def cases(count: int, seed: int) -> Iterator[Case]:
    """Make random files."""
    draw = random.Random(seed)
    for _ in range(count):
        yield _case(draw)


def _case(draw: random.Random) -> Case:
    delimiter, end = draw.choice(",,;\t|"), draw.choice(["\n", "\n", "\r\n", "\r"])
    # A file by one program has few kinds of trouble, most of its fields have none.
    kinds, share = draw.sample(_FIELDS, draw.randint(1, 3)), draw.choice([0.02, 0.1, 0.5])
    columns, rows = draw.randint(2, 4), draw.choice([1, 3, 20, 60])
    lines = [delimiter.join(f"c{number}" for number in range(columns))]
    lines += [_record(draw, columns, delimiter, end, kinds, share) for _ in range(rows)]
    if draw.random() < 0.2:
        lines.append(draw.choice(_FOOTERS).replace("{d}", delimiter))
    if draw.random() < 0.1:
        lines.insert(0, draw.choice(_TITLES).replace("{d}", delimiter))
    text = end.join(lines) + end * draw.choice([0, 1, 1, 2])
    given, dialect = _given(draw, delimiter)
    reader = {"delimiter": delimiter, "strict": True, **dialect}
    stored = {key: value for key, value in reader.items() if key != "skipinitialspace"}
    return Case(text.encode(), given, _strictly(text, reader), stored)


def _record(
    draw: random.Random,
    columns: int,
    delimiter: str,
    end: str,
    kinds: list[Callable[[str, int, str, str], str]],
    share: float,
) -> str:
    fields = []
    for _ in range(columns):
        word, number = draw.choice(_WORDS).replace(delimiter, " "), draw.randrange(1000)
        odd = draw.random() < share
        fields.append(draw.choice(kinds)(word, number, delimiter, end) if odd else draw.choice([word, str(number)]))
    return delimiter.join(fields)


def _given(draw: random.Random, delimiter: str) -> tuple[kumo_async.CsvOptions, dict[str, Any]]:
    """What of the dialect is given, and how Python is told the same."""
    known: dict[str, Any] = {"delimiter": delimiter}
    choices: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {}),
        (known, {}),
        (known, {}),
        (known | {"escape": "\\"}, {"escapechar": "\\"}),
        (known | {"quote": "'"}, {"quotechar": "'"}),
        (known | {"quote": "'", "escape": "\\"}, {"quotechar": "'", "escapechar": "\\"}),
        (known | {"quote": ""}, {"quoting": csv.QUOTE_NONE}),
        (known | {"quote": "", "escape": "\\"}, {"quoting": csv.QUOTE_NONE, "escapechar": "\\"}),
        (known | {"skip_initial_space": True}, {"skipinitialspace": True}),
    ]
    given, dialect = draw.choice(choices)
    return kumo_async.CsvOptions(**given), dialect


def _strictly(text: str, reader: dict[str, Any]) -> Rows | None:
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), **reader) if row]
    except csv.Error:
        return None


class _Read(NamedTuple):
    """What is stored of a file: its rows, None where a partition cannot be read; and whether that was warned of."""

    rows: Rows | None
    warned: bool


def _read_partitions(contents: list[bytes], case: Case) -> Rows | None:
    found = [_strictly(content.decode(), case.stored) for content in contents]
    return None if None in found else [row for rows in found if rows for row in rows[1:]]


def _read_table(contents: list[bytes]) -> Rows:
    tables = [pq.ParquetFile(io.BytesIO(content)).read() for content in contents]
    return [
        ["" if value is None else str(value) for value in row.values()] for table in tables for row in table.to_pylist()
    ]


def _ways() -> Iterator[tuple[str, str, int | None, dict[str, Any]]]:
    """Name, file ending, size of partitions and options of each way."""
    for validate in ("fast", "full"):
        yield validate, "csv", None, {"validate": validate}
        yield f"{validate}, partitions", "csv", 100, {"validate": validate, "partition_threshold": 0}
    yield "fast, compressed", "csv.gz", 100, {"partition_threshold": 0}
    yield "convert", "csv", None, {"convert": "parquet"}


async def _go(path: Path, size: int | None, options: kumo_async.UploadOptions, case: Case) -> _Read:
    contents = []
    async with open_source(path, "parquet" if options.convert else "csv", options) as source:
        async for partition in source.partitions(size):
            contents += [b"".join([bytes(block) async for block in partition.read(0, partition.size)])]
        rows = _read_table(contents) if options.convert else _read_partitions(contents, case)
        return _Read(rows, bool(source.warnings))


async def _upload(plane: LocalDataPlane, path: Path, options: kumo_async.UploadOptions, case: Case) -> _Read:
    client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
    report = await kumo_async.FileUploadConnector("csv", client=client).upload_async("t", path, options=options)
    return _Read(
        _read_partitions([file.read_bytes() for file in plane.table_files("t", "csv")], case), bool(report.warnings)
    )


def _outcome(case: Case, read: _Read) -> str:
    if case.expected is not None and read.rows == case.expected[1:]:
        return "right"
    return "warned" if read.warned else "wrong"


@contextmanager
def _small_blocks() -> Iterator[None]:
    """Have blocks end everywhere, and fields counted only in the first and last of them by the fast check."""
    with ExitStack() as stack:
        for module, name, size in (
            (csv_content, "FIRST_BLOCK", 400),
            (csv_scan, "FIRST_BLOCK", 400),
            (records, "_PIECE", 61),
            (convert_types, "BLOCK_BYTES", 150),
        ):
            stack.enter_context(mock.patch.object(module, name, size))
        yield


@asynccontextmanager
async def _plane(folder: Path, wanted: bool) -> AsyncIterator[LocalDataPlane | None]:
    if not wanted:
        yield None
        return
    async with LocalDataPlane(root=folder / "plane") as plane:
        yield plane


async def judged(count: int, seed: int, folder: Path, upload_every: int) -> dict[tuple[str, str], list[Case]]:
    """Send random files every way, and return them by the way and what became of them.

    Args:
        count: How many files.
        seed: What they are drawn with.
        folder: Where they are written.
        upload_every: One file in so many is uploaded, too; 0 for none.
    """
    found: dict[tuple[str, str], list[Case]] = {}
    with _small_blocks():
        async with _plane(folder, bool(upload_every)) as plane:
            for number, case in enumerate(cases(count, seed)):
                for way, ending, size, given in _ways():
                    path = folder / f"a.{ending}"
                    path.write_bytes(gzip.compress(case.data, 1) if ending == "csv.gz" else case.data)
                    options = kumo_async.UploadOptions(csv=case.options, **given)
                    outcome = await _judge(case, _go, path, size, options)
                    found.setdefault((way, outcome), []).append(case)
                if plane is not None and number % upload_every == 0:
                    options = kumo_async.UploadOptions(csv=case.options, partition_threshold=0, partition_size=100)
                    outcome = await _judge(case, _upload, plane, folder / "a.csv", options)
                    found.setdefault(("uploaded", outcome), []).append(case)
    return found


async def _judge(case: Case, go: Callable[..., Any], *arguments: Any) -> str:
    try:
        return _outcome(case, await go(*arguments, case))
    except kumo_async.SourceError:
        return "refused"


def main() -> None:
    """Run what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="how many files are drawn (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="what they are drawn with (default 1)")
    parser.add_argument("--upload", type=int, default=50, help="one file in so many is uploaded (default 50)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = anyio.run(judged, given.files, given.seed, Path(folder), given.upload)
    counts = Counter({key: len(files) for key, files in found.items()})
    readable = sum(case.expected is not None for case in cases(given.files, given.seed))
    print(f"{given.files:,} files, {readable:,} of which Python reads in strict mode\n")
    print(f"{'':20}" + "".join(f" {outcome:>8}" for outcome in OUTCOMES))
    for way in dict.fromkeys(way for way, _ in found):
        print(f"{way:20}" + "".join(f" {counts[way, outcome]:8,}" for outcome in OUTCOMES))
    wrong = [(way, case) for (way, outcome), files in found.items() if outcome == "wrong" for case in files]
    for way, case in wrong[:5]:
        print(f"\nwrong, {way}: {case.options!r}\n{case.data[:2000]!r}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
