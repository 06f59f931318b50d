"""What the demo prints: for a person on a terminal, and as plain text in a pipe."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..report import UploadReport, format_bytes
from .output import cell, new_table, stderr_console, stdout_console

if TYPE_CHECKING:
    from .demo_check import Check
    from .demo_data import DemoTable

__all__ = ["Page"]

_MARKS = {True: ("equal", "green"), False: ("DIFFERENT", "bold red")}


class Page:
    """Prints the demo's steps on stdout as they are done.

    Args:
        quiet: Print nothing at all, since something else goes to stdout.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._out = stdout_console()
        self._out.quiet = quiet
        self._alive = not quiet and sys.stderr.isatty()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show on a terminal that something takes a moment."""
        if not self._alive:
            yield
            return
        with stderr_console().status(Text(f"{what} …")):
            yield

    def begin(self) -> None:
        """Print the title."""
        self._out.print(Text("kumo_async demo", style="bold"))

    def made(self, tables: Sequence[DemoTable]) -> None:
        """Print which files were made."""
        for table in tables:
            self._say("Made", f"{table.path.name}, {table.data.num_rows:,} rows, {format_bytes(table.size)}")

    def started(self, endpoint: str) -> None:
        """Print where the data plane answers."""
        self._say("Started", f"an embedded data plane on {endpoint}")

    def uploaded(self, table: DemoTable, report: UploadReport) -> None:
        """Print what an upload did."""
        rate = f"{format_bytes(report.bytes / report.seconds)}/s" if report.seconds else ""
        self._out.print()
        self._out.print(
            Text.assemble((f"Table {report.table}", "bold"), f"  {table.path.name}, {report.seconds:.2f} s, {rate}")
        )
        self._print(_partitions(report))
        for old, new in report.renamed_columns.items():
            self._say("Renamed", f"column {old!r} to {new!r}, in the {_place(table)} alone")

    def compared(self, table: DemoTable, checks: Sequence[Check]) -> None:
        """Print how the stored table compares with its source."""
        result = new_table(f"{table.name} read back", "source", "Kumo", "")
        for check in checks:
            word, style = _MARKS[check.equal]
            result.add_row(cell(check.what), cell(check.source), cell(check.kumo), cell(word, style))
        self._out.print()
        self._print(result)

    def end(self, *, ok: bool, kept: str | None) -> None:
        """Print the verdict, and what to do next."""
        self._out.print()
        if ok:
            self._out.print(Text("Everything that was read back equals its source.", style="bold green"))
        else:
            self._out.print(Text("Something differs from its source; see above. Please report this.", style="bold red"))
        self._out.print(Text("\nNext", style="bold"))
        for command, purpose in _next_steps(kept):
            self._out.print(Text.assemble("  ", (command, "cyan"), f"\n      {purpose}"))

    def _print(self, table: Table) -> None:
        self._out.print(Padding(table, (0, 0, 0, 2), expand=False))

    def _say(self, what: str, text: str) -> None:
        self._out.print(Text.assemble((f"  {what} ", "dim"), text))


def _place(table: DemoTable) -> str:
    return "header line" if table.file_type == "csv" else "Parquet footer"


def _partitions(report: UploadReport) -> Table:
    table = new_table("partition", "size", "rows", numbers={1, 2})
    for partition in report.partitions:
        table.add_row(cell(partition.name), format_bytes(partition.size), f"{partition.rows:,}")
    table.add_section()
    table.add_row(cell("total"), format_bytes(report.bytes), f"{report.rows:,}", style="bold")
    return table


def _next_steps(kept: str | None) -> list[tuple[str, str]]:
    first = [(f"kumo-async head users --url {shlex.quote(kept)}", "look at the tables of this demo")] if kept else []
    return [
        *first,
        ("kumo-async upload FILE --url local:", "upload a file of yours to the embedded data plane"),
        ("KUMO_API_KEY=... kumo-async upload FILE", "upload it to your Kumo workspace"),
        ("kumo-async --help", "see all commands"),
    ]
