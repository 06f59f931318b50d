"""How the sizes of parts and blocks and the number of parts at once change whole uploads, with and without uvloop.

    python benchmarks/part_size.py --size 1 --format parquet --rounds 5

One of the three is changed at a time, the others stay at their defaults. All settings run in turn, round by round, so
that what else goes on on the machine disturbs all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import MIB, add_data_option, lineitem
from measure import Run, Server, read_once, run_python, serving, spread

__all__: list[str] = []

KIB = 1024
PART_SIZES = [5, 8, 16, 32, 64]
BLOCK_SIZES = [64, 128, 256, 512, 1024]
PARTS_AT_ONCE = [2, 4, 8, 16]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One way to upload: the part size in MiB, the block size in KiB, how many parts at once, and the event loop."""

    part: int
    block: int
    parts: int
    uvloop: bool = True

    def __str__(self) -> str:
        return f"{self.part:3} MiB {self.block:5} KiB {self.parts:3} at once, {'uvloop' if self.uvloop else 'asyncio'}"

    def upload(self, server: Server, path: Path) -> Run:
        """Upload a file this way in a new process."""
        options = {"part_size": self.part * MIB, "max_concurrent_parts": self.parts}
        tuning: Mapping[str, Any] = {
            "url": server.endpoint,
            "key": server.api_key,
            "path": str(path),
            "uvloop": self.uvloop,
            "block": self.block * KIB,
            "options": options,
        }
        return run_python("tuned_upload.py", json.dumps(tuning))


def main() -> None:
    """Run what the command line asks for and print a table."""
    options = _options()
    settings = list(dict.fromkeys(_settings(options)))
    path = lineitem(options.data, options.format, options.size)
    runs: dict[Setting, list[Run]] = {setting: [] for setting in settings}
    with serving("drop", options.data) as server:
        for _ in range(options.rounds):
            for setting in settings:
                read_once(path)
                runs[setting].append(setting.upload(server, path))
    print(f"{path.name}, {options.rounds} rounds")
    print(
        f"{'part':>7} {'block':>9} {'parts':>15} {'loop':>7}  {'wall s: min med max':>22} {'cpu s':>16} {'peak MiB':>9}"
    )
    for setting, done in runs.items():
        walls, cpus = spread([run.wall for run in done]), spread([run.cpu for run in done], "4.2f")
        print(f"{setting} {walls}   {cpus} {max(run.peak for run in done) / MIB:9.0f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Whole uploads with other sizes than the defaults.")
    parser.add_argument("--size", type=float, default=1.0, metavar="GIB")
    parser.add_argument("--format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=int, default=16, help="MiB of a part where it is not what changes")
    parser.add_argument("--block", type=int, default=512, help="KiB of a block where it is not what changes")
    parser.add_argument("--parts", type=int, default=8, help="parts at once where it is not what changes")
    add_data_option(parser)
    return parser.parse_args()


def _settings(options: argparse.Namespace) -> Iterator[Setting]:
    part, block, parts = options.part, options.block, options.parts
    for uvloop in (True, False):
        yield Setting(part=part, block=block, parts=parts, uvloop=uvloop)
        yield from (Setting(part=other, block=block, parts=parts, uvloop=uvloop) for other in PART_SIZES)
        yield from (Setting(part=part, block=other, parts=parts, uvloop=uvloop) for other in BLOCK_SIZES)
        yield from (Setting(part=part, block=block, parts=other, uvloop=uvloop) for other in PARTS_AT_ONCE)


if __name__ == "__main__":
    main()
