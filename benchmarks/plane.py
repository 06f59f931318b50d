"""The embedded data plane in a process of its own, with the same manners as `store.py`.

    python benchmarks/plane.py ROOT

It prints its endpoint and key as JSON and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys

from kumo_async.local import LocalDataPlane

__all__: list[str] = []


async def serve(root: str) -> None:
    """Serve on loopback until standard input ends."""
    async with LocalDataPlane(root=root) as plane:
        print(json.dumps({"endpoint": plane.endpoint, "api_key": plane.api_key}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
