"""What comparing the MD5 of each part with its ETag costs: whole uploads with and without it, in turn.

python benchmarks/verify_cost.py --size 1 --format parquet csv --rounds 3
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from data import add_data_option, lineitem
from measure import Run, read_once, run_python, serving, spread

__all__: list[str] = []


def main() -> None:
    """Run what the command line asks for and print a table."""
    parser = argparse.ArgumentParser(description="Whole uploads with and without the comparison of MD5s.")
    parser.add_argument("--size", type=float, default=1.0, metavar="GIB")
    parser.add_argument("--format", nargs="+", choices=["parquet", "csv"], default=["parquet", "csv"])
    parser.add_argument("--rounds", type=int, default=3)
    add_data_option(parser)
    options = parser.parse_args()
    print(f"{'':36} {'wall s: min med max':>20}   {'cpu s: min med max':>20}")
    for file_type in options.format:
        path = lineitem(options.data, file_type, options.size)
        runs: dict[bool, list[Run]] = {True: [], False: []}
        for _ in range(options.rounds):
            for verify, done in runs.items():
                done.append(_upload(options.data, path, verify))
        for verify, done in runs.items():
            walls, cpus = spread([run.wall for run in done]), spread([run.cpu for run in done])
            print(f"{path.name:24} {'verified' if verify else 'unverified':11} {walls}   {cpus}")


def _upload(data: Path, path: Path, verify: bool) -> Run:
    with serving("md5", data) as server:
        read_once(path)
        tuning: dict[str, Any] = {
            "url": server.endpoint,
            "key": server.api_key,
            "path": str(path),
            "uvloop": True,
            "block": 512 * 1024,
            "options": {"verify_parts": verify},
        }
        return run_python("tuned_upload.py", json.dumps(tuning))


if __name__ == "__main__":
    main()
