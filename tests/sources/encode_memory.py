"""A process that encodes a file's partitions and prints the most bytes that Arrow had at a time, for all it does.

python encode_memory.py PATH ENCODERS UNIT_BYTES SPOOL_DIR
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pyarrow as pa

from kumo_async.options import UploadOptions
from kumo_async.sources import encode, open_source, parquet


async def run(path: Path, size: int, folder: Path) -> None:
    """Have every partition made, and send none."""
    async with open_source(path, "parquet", UploadOptions(spool_dir=folder)) as source:
        async for _ in source.partitions(size):
            pass


if __name__ == "__main__":
    encoders, unit = int(sys.argv[2]), int(sys.argv[3])
    parquet.processors = lambda: encoders  # type: ignore[attr-defined]
    encode.UNIT_BYTES = unit
    asyncio.run(run(Path(sys.argv[1]), 16 * unit, Path(sys.argv[4])))
    # Not a proxy of this pool: Parquet's own buffers are taken from it past every proxy.
    print(pa.default_memory_pool().max_memory())
