"""A thousand small tables and ten large ones at once, while some of all answers are bad.

    python benchmarks/soak.py [--small 1000] [--large 10] [--large-mib 64] [--bad 0.05] [--seconds 600]

It fails unless every table is there with all its rows, memory stayed flat, and no descriptor and no task is left.
The embedded data plane runs in a process of its own, on loopback, so that what is measured is the uploading side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web

import kumo_async
from kumo_async.local import Answer, Disconnect, Exchange, Fault, LocalDataPlane, Status

__all__ = ["Load", "Table", "bad_answers", "left_over", "make_tables", "soak"]

MIB = 1024**2
#: Longer than aiohttp's server waits for the rest of a body after it has answered, also when the client has left:
#: 10 s, rounded up to whole seconds (`lingering_time` of `aiohttp.web_protocol.RequestHandler`).
_CLOSING_SECONDS = 30.0
_CALLS = ("start", "put_part", "complete", "validate", "delete", "list")
_BAD: tuple[Answer, ...] = (
    Status(500),
    Status(503, "SlowDown", headers={"Retry-After": "0"}),
    Status(504, after_effect=True),
    Disconnect(),
    Disconnect(after_effect=True),
)
#: Large enough for no upload to run out of attempts: 0.05 ** 10 of them would.
_OPTIONS = kumo_async.UploadOptions(partition_threshold=8 * MIB, partition_size=8 * MIB, max_concurrent_parts=16)


@dataclass(frozen=True)
class Table:
    """A table to upload."""

    name: str
    path: Path
    rows: int


@dataclass
class Load:
    """What the uploading process looked like, in samples over the whole run.

    Attributes:
        resident: Its resident memory in bytes.
        descriptors: Its open descriptors.
    """

    resident: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def sample(self) -> None:
        """Take a sample."""
        resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        self.resident.append(resident * os.sysconf("SC_PAGE_SIZE"))
        self.descriptors.append(_descriptors())

    def growth(self) -> int:
        """Return how much more memory the last third of the run had at the most than the middle one."""
        third = max(1, len(self.resident) // 3)
        return max(self.resident[-third:]) - max(self.resident[third : 2 * third] or self.resident)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one call, as it is used on the event loop


class _Sometimes:
    """An answer that is bad now and then, and otherwise the usual."""

    def __init__(self, share: float, dice: random.Random) -> None:
        self._share, self._dice = share, dice

    async def give(self, exchange: Exchange) -> web.Response:
        """Answer one call."""
        if self._dice.random() >= self._share:
            return await exchange.effect()
        return await self._dice.choice(_BAD).give(exchange)


def bad_answers(share: float, seed: int = 1) -> list[Fault]:
    """Make faults that give a share of all calls a bad answer, each of a kind that passes."""
    answer = _Sometimes(share, random.Random(seed))
    return [Fault(call=call, answer=answer, times=None) for call in _CALLS]  # type: ignore[arg-type]


def make_tables(directory: Path, small: int, large: int, large_mib: int) -> list[Table]:
    """Write the files; all small tables have one content, and so have all large ones."""
    tables = []
    for prefix, count, rows in (("small", small, 100), ("large", large, large_mib * MIB // 64)):
        path = directory / f"{prefix}.csv"
        with path.open("w") as file:
            file.write("id,text\n")
            file.writelines(f"{number:012d},{number * 7919:050d}\n" for number in range(rows))
        tables += [Table(f"{prefix}_{number}", path, rows) for number in range(count)]
    return tables


async def soak(endpoint: str, api_key: str, tables: Sequence[Table]) -> Load:
    """Upload all tables at once over one client, and check that they are all there.

    Raises:
        AssertionError: One is not, or a report has other rows.
    """
    async with kumo_async.KumoClient(endpoint, api_key) as client:
        connector = kumo_async.FileUploadConnector("csv", client=client)
        async with _sampled() as load, asyncio.TaskGroup() as group:
            for table in tables:
                group.create_task(_one(connector, table))
        assert sorted(await connector.table_names_async()) == sorted(table.name for table in tables)
    return load


async def _one(connector: kumo_async.FileUploadConnector, table: Table) -> None:
    report = await connector.upload_async(table.name, table.path, options=_OPTIONS)
    assert report.rows == table.rows, report


@asynccontextmanager
async def _sampled() -> AsyncIterator[Load]:
    load = Load()

    async def sample() -> None:
        while True:
            load.sample()
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        sampler = group.create_task(sample())
        try:
            yield load
        finally:
            sampler.cancel()


@asynccontextmanager
async def left_over() -> AsyncIterator[None]:
    """Check that the block leaves no task and no descriptor.

    Raises:
        AssertionError: It does.
    """
    tasks, descriptors = asyncio.all_tasks(), _descriptors()
    yield
    # A data plane on the same loop ends its connections later than the client does.
    if left := asyncio.all_tasks() - tasks:
        await asyncio.wait(left, timeout=_CLOSING_SECONDS)
    left = asyncio.all_tasks() - tasks
    assert not left, f"tasks are left: {left}"
    # What is being closed has a turn of the loop for each layer to say so.
    for _ in range(100):
        await asyncio.sleep(0)
    assert _descriptors() <= descriptors, f"{_descriptors() - descriptors} descriptors are left"


@contextmanager
def _plane(root: Path, bad: float) -> Iterator[dict[str, str]]:
    command = [sys.executable, __file__, "--serve", str(root), "--bad", str(bad)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


async def _serve(root: str, bad: float) -> None:
    async with LocalDataPlane(root, faults=bad_answers(bad)) as plane:
        print(json.dumps({"endpoint": plane.endpoint, "api_key": plane.api_key}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _run(arguments: argparse.Namespace) -> None:
    with TemporaryDirectory() as directory:
        tables = make_tables(Path(directory), arguments.small, arguments.large, arguments.large_mib)
        with _plane(Path(directory) / "plane", arguments.bad) as server:
            async with asyncio.timeout(arguments.seconds):
                # The first upload loads libraries, which is no growth of what comes after.
                await soak(**server, tables=tables[:1])
                begin = time.perf_counter()
                async with left_over():
                    load = await soak(**server, tables=tables)
                seconds = time.perf_counter() - begin
    base, peak = load.resident[0], max(load.resident)
    print(f"{len(tables)} tables in {seconds:.1f} s, {arguments.bad:.0%} of answers bad: all there, nothing left.")
    growth = load.growth() / MIB
    print(f"resident, MiB: {base / MIB:.0f} at the start, {peak / MIB:.0f} at the most, last third {growth:+.1f}")
    print(f"descriptors at the most: {max(load.descriptors)}")
    assert load.growth() < 32 * MIB, "memory is not flat"


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=10)
    parser.add_argument("--large-mib", type=int, default=64)
    parser.add_argument("--bad", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--serve", metavar="ROOT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.serve, arguments.bad) if arguments.serve else _run(arguments))


if __name__ == "__main__":
    main()
