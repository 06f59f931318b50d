"""How fast CSV text is cut into partitions, checked, converted and decompressed, without sending it anywhere.

    python benchmarks/csv_scan.py --size 256 --rounds 3

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
from typing import Any

import anyio
import pyarrow as pa

from kumo_async import CsvOptions, UploadOptions
from kumo_async.sources import open_source

__all__: list[str] = []

MIB = 1024**2

#: A record of each kind of data; `n` is its number.
KINDS: dict[str, Callable[[int], str]] = {
    "numbers": lambda n: f"{n},{n * 7 % 1000},{n / 7:.6f},2020-01-{n % 28 + 1:02d},{n * 7919}\n",
    "all quoted": lambda n: f'"{n}","a ""b"" {n}","c","{n / 7:.6f}","2020-01-{n % 28 + 1:02d}"\n',
    "long texts": lambda n: f'{n},"{"lorem ipsum, dolor sit amet " * 5}\nnext line"\n',
    "stray quotes": lambda n: f'{n},it\'s 5" wide,6" long,{n}\n',
    "not ASCII": lambda n: f"{n},Müller żółć,日本語,{n}\n",
}
#: The same with an escape in the dialect; the last has text behind closing quotes, which is walked byte by byte.
ESCAPED: dict[str, Callable[[int], str]] = {
    "escaped quotes": lambda n: f'"{n}","a \\"b\\" {n}","c","{n / 7:.6f}","2020-01-{n % 28 + 1:02d}"\n',
    "escapes in long texts": lambda n: f'{n},"{"lorem ipsum, dolor sit amet " * 5}","C:\\\\x",1,{n}\n',
    "escapes without quotes": lambda n: f"{n},a\\,b,c\\\\,{n},1\n",
    "behind closing quotes": lambda n: f'{n},"a"\\x,c,{n},1\n',
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        _print_scans(path, options.size * MIB, options.rounds)
        _print_conversions(path, options.size * MIB // 4, options.rounds)
        _print_decompressions(path, options.size * MIB // 4, options.rounds)


def _print_scans(folder: Path, size: int, rounds: int) -> None:
    print(f"{'cut into partitions, MB/s':30} {'fast':>8} {'full':>8}")
    path = folder / "a.csv"
    for name in KINDS:
        path.write_bytes(_text(name, size))
        _print_scan(name, path, rounds, CsvOptions())
    for name, record in ESCAPED.items():
        records = "".join(map(record, range(20_000))).encode()
        path.write_bytes(b"c0,c1,c2,c3,c4\n" + records * (size // len(records)))
        _print_scan(name, path, rounds, CsvOptions(quote='"', escape="\\"))


def _print_scan(name: str, path: Path, rounds: int, csv: CsvOptions) -> None:
    size = path.stat().st_size
    fast, full = (_speed(path, size, rounds, validate=validate, csv=csv) for validate in ("fast", "full"))
    print(f"{name:30} {fast:8.0f} {full:8.0f}", flush=True)


def _print_conversions(folder: Path, size: int, rounds: int) -> None:
    print(f"\n{'converted and cut, MB/s':30} {'numbers':>8} {'accents':>8}")
    path = folder / "a.csv"
    for encoding in ENCODINGS:
        speeds = []
        for text in (_text("numbers", size).decode(), _text("not ASCII", size).decode()):
            data = text.encode(encoding, "replace")
            path.write_bytes(data)
            length = len(data.decode(encoding).encode())
            speeds.append(_speed(path, length, rounds, csv=CsvOptions(encoding=encoding)))
        print(f"{encoding:30} {speeds[0]:8.0f} {speeds[1]:8.0f}", flush=True)


def _print_decompressions(folder: Path, size: int, rounds: int) -> None:
    print(f"\n{'decompressed and cut, MB/s':30} {'numbers':>8} {'ratio':>8}")
    data = b"a,b,c,d,e\n" + "".join(map(KINDS["numbers"], range(size // 40))).encode()
    for ending, pack in PACKS.items():
        path = folder / f"a.csv.{ending}"
        path.write_bytes(pack(data))
        speed = _speed(path, len(data), rounds)
        print(f"{ending:30} {speed:8.0f} {len(data) / path.stat().st_size:8.1f}", flush=True)


def _text(kind: str, size: int) -> bytes:
    records = "".join(map(KINDS[kind], range(20_000))).encode()
    columns = 2 if kind == "long texts" else records.split(b"\n")[0].count(b",") + 1
    header = ",".join(f"c{number}" for number in range(columns)).encode()
    return header + b"\n" + records * (size // len(records))


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
