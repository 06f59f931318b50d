"""demo: everything once, on made data, against an embedded data plane. It needs no network and no environment."""

from __future__ import annotations

import errno
import math
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..client import KumoClient
from ..connector import FileUploadConnector
from ..errors import ConfigurationError
from ..events import Observer
from ..loop import uvloop_if_there
from ..options import UploadOptions
from ..report import UploadReport
from .exit_codes import ExitCode
from .output import print_json

if TYPE_CHECKING:
    from ..local import LocalDataPlane
    from .demo_check import Check
    from .demo_data import DemoTable
    from .demo_page import Page

__all__ = ["demo"]

#: Part of a file that one partition gets, so that there are four and a smaller fifth.
_SHARE = 0.23


@dataclass(frozen=True)
class DemoResult:
    """What became of one table.

    Attributes:
        report: The upload's report.
        checks: The comparisons with the source.
    """

    report: UploadReport
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether everything compared equal."""
        return all(check.equal for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a dict of plain values."""
        return {"report": self.report.to_dict(), "checks": [asdict(check) for check in self.checks]}


def demo(
    context: typer.Context,
    rows: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of orders; there are a quarter as many users.")
    ] = 1_000_000,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the files and the tables in this directory. Default: nothing is kept."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """See it all at work: make data, upload it, read it back.

    Two related tables are made, one as CSV and one as Parquet, uploaded in partitions to an embedded data plane, read
    back and compared with their sources. Takes a few seconds and needs no account, no network and no settings.
    """
    import anyio

    from .demo_page import Page

    page = Page(quiet=as_json)
    with _workplace(keep) as directory, _room_in(directory):
        live = not as_json and not context.obj
        results = anyio.run(_demo, directory, rows, page, live, backend_options=uvloop_if_there())
    ok = all(result.ok for result in results)
    if as_json:
        print_json({"ok": ok, "tables": [result.to_dict() for result in results]})
    page.end(ok=ok, kept=None if keep is None else _local_url(keep))
    if not ok:
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _workplace(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="kumo-async-demo-") as directory:
            yield Path(directory)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


@contextmanager
def _room_in(directory: Path) -> Iterator[None]:
    """Say where there is no room, and what helps.

    Raises:
        ConfigurationError: If a disk, or what one user may have of it, is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ConfigurationError(
            f"There is no room for the demo's files in {directory}. Let TMPDIR, or --keep, name a directory with more "
            f"room, or make less with --rows."
        ) from error


def _plane_root(directory: Path) -> Path:
    return directory / "plane"


def _local_url(directory: Path) -> str:
    return f"local:{_plane_root(directory).resolve()}"


async def _demo(directory: Path, rows: int, page: Page, live: bool) -> list[DemoResult]:
    from anyio import to_thread

    from .demo_data import make_tables

    page.begin()
    with page.working(f"Making users.csv and orders.parquet with {rows:,} orders"):
        tables = await to_thread.run_sync(make_tables, directory, rows)
    page.made(tables)
    # Given both, the client never looks into the environment.
    async with _running(_plane_root(directory), page) as plane, KumoClient(plane.endpoint, plane.api_key) as client:
        return [await _one(table, client, plane, page, live) for table in tables]


@asynccontextmanager
async def _running(root: Path, page: Page) -> AsyncIterator[LocalDataPlane]:
    from ..local import LocalDataPlane

    with page.working("Starting the embedded data plane"):
        plane = LocalDataPlane(root=root)
        await plane.start()
    try:
        page.started(plane.endpoint)
        yield plane
    finally:
        await plane.stop()


async def _one(table: DemoTable, client: KumoClient, plane: LocalDataPlane, page: Page, live: bool) -> DemoResult:
    from .progress import live_progress

    connector = FileUploadConnector(table.file_type, client=client)
    with live_progress(wanted=live) as observer:
        report = await _upload(connector, table, observer)
    page.uploaded(table, report)
    with page.working(f"Reading {table.name} back"):
        checks = await _read_back(connector, table, plane)
    page.compared(table, checks)
    return DemoResult(report, checks)


async def _upload(connector: FileUploadConnector, table: DemoTable, observer: Observer | None) -> UploadReport:
    # Real tables are cut at 1000 MiB; the demo's are small, so the limits shrink with them.
    options = UploadOptions(partition_threshold=0, partition_size=math.ceil(table.size * _SHARE))
    return await connector.upload_async(table.name, table.path, options=options, observer=observer)


async def _read_back(connector: FileUploadConnector, table: DemoTable, plane: LocalDataPlane) -> list[Check]:
    from anyio import to_thread

    from .demo_check import compare

    stored = await connector.table_async(table.name)
    columns = [column.name for column in await stored.columns_async()]
    head = await stored.head_async(5)
    files = plane.table_files(table.name, table.file_type)
    return await to_thread.run_sync(compare, table, columns, head, files)
