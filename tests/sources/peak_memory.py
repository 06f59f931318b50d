"""A process that makes all partitions of a file and prints how much memory it took, and the error if it was refused.

python peak_memory.py PATH VALIDATE SPOOL_DIR
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from kumo_async.errors import SourceError
from kumo_async.options import UploadOptions
from kumo_async.sources import open_source

SIZE = 100 * 1000**2


async def run(path: Path, options: UploadOptions) -> int:
    """Have every partition made, send none, and return the rows."""
    async with open_source(path, "parquet", options) as source:
        return sum([partition.rows or 0 async for partition in source.partitions(SIZE)])


def peak() -> int:
    """Return the most memory that this process had at a time, in bytes; `getrusage` begins with that of its parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    _, path, validate, folder = sys.argv
    choices: dict[str, Any] = {"validate": validate}
    pq.read_schema  # noqa: B018 - imported before the measurement begins
    before = peak()
    result: dict[str, Any] = {}
    try:
        options = UploadOptions(spool_dir=folder, max_concurrent_partitions=2, **choices)
        result["rows"] = asyncio.run(run(Path(path), options))
    except SourceError as error:
        result["error"] = str(error)
    print(json.dumps(result | {"bytes": peak() - before}))
