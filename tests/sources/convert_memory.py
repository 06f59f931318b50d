"""A process that converts a CSV file, and prints the most bytes that Arrow had at a time: in the first pass, in both.

python convert_memory.py PATH ENCODERS UNIT_BYTES BLOCK_BYTES SPOOL_DIR
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pyarrow as pa

from kumo_async.options import UploadOptions
from kumo_async.sources import convert, convert_types, encode, open_source


async def run(path: Path, size: int, folder: Path) -> None:
    """Have every partition made, send none, and print the rows as well."""
    options = UploadOptions(convert="parquet", spool_dir=folder)
    # Not a proxy of this pool: Parquet's own buffers are taken from it past every proxy.
    pool = pa.default_memory_pool()
    async with open_source(path, "parquet", options) as source:
        first, rows = pool.max_memory(), 0
        async for partition in source.partitions(size):
            rows += partition.rows or 0
    print(first, pool.max_memory(), rows)


if __name__ == "__main__":
    encoders, unit, block = map(int, sys.argv[2:5])
    convert.processors = lambda: encoders  # type: ignore[attr-defined]
    # Each module has its own name for it.
    encode.UNIT_BYTES = unit
    convert_types.BLOCK_BYTES = block
    asyncio.run(run(Path(sys.argv[1]), 16 * unit, Path(sys.argv[5])))
