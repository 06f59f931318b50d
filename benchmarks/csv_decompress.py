"""How much faster two threads decompress than one, by who wrote the file; and the memory of a whole upload.

    python benchmarks/csv_decompress.py [--mib 256] [--rounds 3] [--data DIR]

The text is the first part of `lineitem`. It is compressed by bgzip, pbzip2 and xz where those are installed, and
by Python's own modules in the same manner where they are not. Runs with one and two threads take turns, and the ratios
are those of pairs; a pair during which other processes took more than a tenth of a processor is run again, and not
counted unless that was in vain. Memory is that of an upload in a process of its own, to a store that drops every byte.
"""

from __future__ import annotations

import argparse
import bz2
import lzma
import os
import shutil
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from data import MIB, add_data_option, lineitem, scratch
from kumo_async.formats.decompress import decompress
from kumo_async.sources.csv_content import COMPRESSIONS
from measure import import_alone, serving, spread, upload

__all__: list[str] = []

#: How often a time is looked for when other processes are quiet, at least 0.3 s each.
_TRIES = 150

T = TypeVar("T")


class Packing(NamedTuple):
    """How a file is compressed: by a command that reads it and writes to its output, or member by member."""

    command: str
    ending: str
    member: int
    pack: Callable[[bytes], bytes]


def _bgzf(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    head = bytes.fromhex("1f8b08040000000000ff060042430200") + struct.pack("<H", len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(data), len(data))


PACKINGS = [
    Packing("bgzip -c", "gz", 65_280, _bgzf),
    Packing("pbzip2 -c", "bz2", 900_000, bz2.compress),
    Packing("xz -T2 -1 -c", "xz", 3 * MIB, lambda data: lzma.compress(data, preset=1)),
    Packing("xz -T2 -c", "xz", 24 * MIB, lzma.compress),
]


def main() -> None:
    """Run what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="MiB of text (default 256)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs for each file (default 3)")
    add_data_option(parser)
    options = parser.parse_args()
    with lineitem(options.data, "csv", 1).open("rb") as file:
        text = file.read(options.mib * MIB).rpartition(b"\n")[0] + b"\n"
    print(f"load average {os.getloadavg()[0]:.1f}; MB of text a second, medians, and ratios: least, median, most")
    with scratch(options.data) as folder, serving("drop", options.data) as server:
        path = folder / "text"
        path.write_bytes(text)
        base = import_alone("kumo_async").peak
        for packing in PACKINGS:
            name, packed = _packed(packing, path, text)
            speeds = _speeds(packed, options.rounds)
            peak = (upload("kumo_async", server, "csv", packed).peak - base) / MIB
            print(f"{name:24} {len(text) / packed.stat().st_size:5.1f}-fold {speeds} {peak:5.0f} MiB", flush=True)
            packed.unlink()


def _packed(packing: Packing, path: Path, text: bytes) -> tuple[str, Path]:
    packed = path.with_suffix(f".csv.{packing.ending}")
    command = packing.command.split()
    if shutil.which(command[0]):
        with packed.open("wb") as out:
            subprocess.run([*command, str(path)], stdout=out, check=True)
        return packing.command, packed
    begins = range(0, len(text), packing.member)
    packed.write_bytes(b"".join(packing.pack(text[at : at + packing.member]) for at in begins))
    return f"like {packing.command}", packed


def _speeds(path: Path, rounds: int) -> str:
    pairs = [_undisturbed(path) for _ in range(rounds)]
    one, two, ratio = zip(*((one, two, two / one) for one, two in pairs), strict=True)
    return f"{sorted(one)[rounds // 2]:5.0f} {sorted(two)[rounds // 2]:5.0f} {spread(ratio, '4.2f')}"


def _undisturbed(path: Path) -> tuple[float, float]:
    for _ in range(_TRIES):
        if _share_of_others(lambda: time.sleep(0.3))[0] > 0.1:
            continue
        share, pair = _share_of_others(lambda: (_speed(path, 1), _speed(path, 2)))
        if share <= 0.1:
            return pair
    print(f"{path.name}: other processes were busy all the time")
    return _speed(path, 1), _speed(path, 2)


def _share_of_others(call: Callable[[], T]) -> tuple[float, T]:
    """Return how much of a processor other processes took during a call, and what that returned."""
    begin, others = time.perf_counter(), _others()
    result = call()
    return (_others() - others) / (time.perf_counter() - begin), result


def _others() -> float:
    """Return the seconds of processor time that all other processes have taken."""
    ticks = list(map(int, Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]))
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK") - time.process_time()


def _speed(path: Path, threads: int) -> float:
    begin = time.perf_counter()
    size = sum(map(len, decompress(_blocks(path), COMPRESSIONS[path.suffix], threads)))
    return size / (time.perf_counter() - begin) / 1e6


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(128 * 1024):
            yield block


if __name__ == "__main__":
    main()
