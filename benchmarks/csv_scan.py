"""How fast CSV text is cut into partitions, checked, converted and decompressed, without sending it anywhere.

    python benchmarks/csv_scan.py --size 128 --rounds 5
    python benchmarks/csv_scan.py --check     # only whether every row is checked as fast as docs/csv.md says

Each figure is the best of some rounds, in MB of UTF-8 text for each second of one core's work: the processor time of
the whole process, reading the file from the page cache and writing temporary files included.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import lzma
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import pyarrow as pa

from kumo_async import CsvOptions, UploadOptions
from kumo_async.sources import open_source

__all__: list[str] = []

MIB = 1024**2

#: What the full check does of every kind, in MB for each second of one core's work.
FLOOR: Final = 300


class Kind(NamedTuple):
    """A kind of data.

    Attributes:
        record: Its record of a number.
        columns: The fields of each.
        escape: The escape in its dialect, if there is one.
    """

    record: Callable[[int], str]
    columns: int
    escape: str | None = None

    @property
    def csv(self) -> CsvOptions:
        """How it is read."""
        return CsvOptions() if self.escape is None else CsvOptions(quote='"', escape=self.escape)


def _any(number: int) -> int:
    """A number of one to five digits, in no order that a processor could foresee."""
    mixed = number * 2654435761 % 2**32 >> 8
    return int(str(mixed)[: mixed % 5 + 1])


_QUOTED = ['""', '"a ""b"""', 'x"y', '5"', '""""', "", "z", '"a,\n"']

KINDS: dict[str, Kind] = {
    "numbers": Kind(lambda n: f"{n},{n * 7 % 1000},{n / 7:.6f},2020-01-{n % 28 + 1:02d},{n * 7919}\n", 5),
    "all quoted": Kind(lambda n: f'"{n}","a ""b"" {n}","c","{n / 7:.6f}","2020-01-{n % 28 + 1:02d}"\n', 5),
    "long texts": Kind(lambda n: f'{n},"{"lorem ipsum, dolor sit amet " * 5}\nnext line"\n', 2),
    "not ASCII": Kind(lambda n: f"{n},Müller żółć,日本語,{n}\n", 4),
    "200 columns": Kind(lambda n: ",".join(str((n + at) % 10) for at in range(200)) + "\n", 200),
    "short rows of all lengths": Kind(lambda n: f"{_any(n)},{_any(n + 1)},{_any(n + 2)}\n", 3),
    "shortest rows": Kind(lambda n: f"{n % 10},{n * 7 % 10}\n", 2),
    "shortest rows, CRLF": Kind(lambda n: f"{n % 10},{n * 7 % 10}\r\n", 2),
    "shortest rows, CR": Kind(lambda n: f"{n % 10},{n * 7 % 10}\r", 2),
    "shortest quoted rows": Kind(lambda n: f'"","{n % 10}"\n', 2),
    "empty fields": Kind(lambda _: ",,,,,\n", 6),
    "a blank line behind each row": Kind(lambda n: f"{n % 10},{n * 7 % 10}\n\n", 2),
    "now and then a blank line": Kind(lambda n: f"{n},{n * 7 % 1000}\n" + "\n" * (n % 3), 2),
    "stray quotes": Kind(lambda n: f'{n},it\'s 5" wide,6" long,{n}\n', 4),
    "stray and real quotes": Kind(lambda n: f'"{n % 10}",disk 5" wide,"a ""b"""\n', 3),
    "quotes of all kinds": Kind(lambda n: f"{_QUOTED[_any(n) % 8]},{_QUOTED[_any(n + 1) % 8]}\n", 2),
    "escaped quotes": Kind(
        lambda n: f'"{n}","a \\"b\\" {n}","c","{n / 7:.6f}","2020-01-{n % 28 + 1:02d}"\n', 5, escape="\\"
    ),
    "escapes in long texts": Kind(
        lambda n: f'{n},"{"lorem ipsum, dolor sit amet " * 5}","C:\\x",1,{n}\n', 5, escape="\\"
    ),
    "escapes without quotes": Kind(lambda n: f"{n},a\\,b,c\\\\,{n},1\n", 5, escape="\\"),
    "backslashes at the ends of lines": Kind(lambda n: f"{n},C:\\{n % 10}\\\n", 2),
}
ENCODINGS = ["latin-1", "cp1252", "utf-16", "shift_jis"]
PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, 6),
    "zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=1),
}


def main() -> None:
    """Run what the command line asks for and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="MiB of text for each kind of data (default 256)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--check", action="store_true", help=f"fail if a full check is slower than {FLOOR} MB/s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        slow = _print_scans(path, options.size * MIB, options.rounds, ["full"] if options.check else ["fast", "full"])
        if options.check:
            parser.exit(1 if slow else 0, f"slower than {FLOOR} MB/s: {', '.join(slow) or 'none'}\n")
        _print_conversions(path, options.size * MIB // 4, options.rounds)
        _print_decompressions(path, options.size * MIB // 4, options.rounds)


def _print_scans(folder: Path, size: int, rounds: int, modes: list[str]) -> list[str]:
    print(f"{'cut into partitions, MB/s':30}" + "".join(f" {mode:>8}" for mode in modes))
    path, slow = folder / "a.csv", []
    for name, kind in KINDS.items():
        path.write_bytes(_text(kind, size))
        length = path.stat().st_size
        speeds = [_speed(path, length, rounds, validate=mode, csv=kind.csv) for mode in modes]
        print(f"{name:30}" + "".join(f" {speed:8.0f}" for speed in speeds), flush=True)
        if speeds[-1] < FLOOR:
            slow.append(name)
    return slow


def _print_conversions(folder: Path, size: int, rounds: int) -> None:
    print(f"\n{'converted and cut, MB/s':30} {'numbers':>8} {'accents':>8}")
    path = folder / "a.csv"
    for encoding in ENCODINGS:
        speeds = []
        for text in (_text(KINDS[kind], size).decode() for kind in ("numbers", "not ASCII")):
            data = text.encode(encoding, "replace")
            path.write_bytes(data)
            length = len(data.decode(encoding).encode())
            speeds.append(_speed(path, length, rounds, csv=CsvOptions(encoding=encoding)))
        print(f"{encoding:30} {speeds[0]:8.0f} {speeds[1]:8.0f}", flush=True)


def _print_decompressions(folder: Path, size: int, rounds: int) -> None:
    print(f"\n{'decompressed and cut, MB/s':30} {'numbers':>8} {'ratio':>8}")
    data = b"a,b,c,d,e\n" + "".join(map(KINDS["numbers"].record, range(size // 40))).encode()
    for ending, pack in PACKS.items():
        path = folder / f"a.csv.{ending}"
        path.write_bytes(pack(data))
        speed = _speed(path, len(data), rounds)
        print(f"{ending:30} {speed:8.0f} {len(data) / path.stat().st_size:8.1f}", flush=True)


def _text(kind: Kind, size: int) -> bytes:
    records = "".join(map(kind.record, range(20_000))).encode()
    header = ",".join(f"c{number}" for number in range(kind.columns)) + kind.record(0)[-1]
    return header.encode() + records * max(size // len(records), 1)


def _speed(path: Path, size: int, rounds: int, **options: Any) -> float:
    seconds = min(anyio.run(_cut, path, UploadOptions(partition_threshold=0, **options)) for _ in range(rounds))
    return size / seconds / 1e6


async def _cut(path: Path, options: UploadOptions) -> float:
    begin = time.process_time()
    async with open_source(path, "csv", options) as source:
        async for _ in source.partitions(100 * MIB):
            pass
    return time.process_time() - begin


if __name__ == "__main__":
    main()
