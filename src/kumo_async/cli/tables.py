"""ls, show, head, delete: the commands on tables that are there."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from ..client import KumoClient
from ..connector import FileUploadConnector
from ..errors import ConfigurationError, TableNotFoundError
from ..service.messages import file_type_of
from ..source_table import SourceTable
from .interrupts import interruptible
from .output import cell, escaped, new_table, on_terminal, print_json, printing, stdout_console
from .workspace import client_of

__all__ = ["AsJson", "FileType", "delete", "head", "ls", "show"]


class FileType(StrEnum):
    """The file types that Kumo has a connector for."""

    parquet = "parquet"
    csv = "csv"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The table's name, as `kumo-async ls` lists it.")]
Type = Annotated[
    FileType | None,
    typer.Option("--type", case_sensitive=False, help="The table's file type. Default: whichever has such a table."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]

_STOPPING = "Stopping; a deletion that has begun is finished first. A second Ctrl-C leaves at once."


def ls(
    context: typer.Context,
    file_type: Annotated[
        FileType | None, typer.Option("--type", case_sensitive=False, help="Only tables of this file type.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the uploaded tables. In a pipe: lines of name, tab, file type."""
    client = client_of(context)
    found = [
        {"name": name, "file_type": kind.value}
        for kind in _types(file_type)
        for name in sorted(FileUploadConnector(kind, client=client).table_names())
    ]
    with printing():
        if as_json:
            print_json(found)
        elif on_terminal():
            _print_names(found)
        else:
            for table in found:
                typer.echo(f"{escaped(table['name'])}\t{table['file_type']}")


def show(context: typer.Context, name: Name, file_type: Type = None, as_json: AsJson = False) -> None:
    """Show a table's columns with data and semantic types."""
    columns = [
        {"name": column.name, "dtype": str(column.dtype), "stype": str(column.stype) if column.stype else None}
        for column in _find(name, file_type, client_of(context)).columns
    ]
    with printing():
        if as_json:
            print_json(columns)
            return
        table = new_table("column", "dtype", "stype")
        for column in columns:
            table.add_row(*map(cell, column.values()))
        stdout_console().print(table)


def head(
    context: typer.Context,
    name: Name,
    rows: Annotated[int, typer.Option("--rows", "-n", metavar="N", min=1, max=1000, help="How many rows.")] = 5,
    file_type: Type = None,
    as_json: AsJson = False,
) -> None:
    """Show a table's first rows. What cannot be printed is shown as an escape; on a terminal, long values are cut."""
    from .frame import print_frame

    frame = _find(name, file_type, client_of(context)).head(rows)
    with printing():
        if as_json:
            print_json(json.loads(frame.to_json(orient="records", date_format="iso")))
        else:
            print_frame(frame)


def delete(
    context: typer.Context,
    name: Name,
    file_type: Type = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Needed where there is no terminal.")] = False,
) -> None:
    """Delete a table."""
    # Said before anything is looked up: a script must learn that it lacks an option whether or not the table is there.
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("Deleting asks first, and there is no terminal to ask on. Give --yes.", table=name)
    connector = _find(name, file_type, client_of(context)).connector
    kind = file_type_of(connector.name)
    if not yes:
        typer.confirm(f"Delete table {name!r} ({kind})?", abort=True, err=True)
    with interruptible(lambda: _STOPPING):
        connector.delete(name)
    deleted = f"Deleted table {name!r} ({kind})."
    with printing(deleted):
        typer.echo(deleted)


def _find(name: str, file_type: FileType | None, client: KumoClient) -> SourceTable:
    """Return the table, from whichever connector has it.

    Raises:
        TableNotFoundError: If none has it.
        ConfigurationError: If both have it, and the file type is not given.
    """
    connectors = [FileUploadConnector(kind, client=client) for kind in _types(file_type)]
    found = [connector for connector in connectors if connector.has_table(name)]
    if len(found) > 1:
        raise ConfigurationError(f"There are two tables {name!r}. Say which: --type parquet or --type csv.", table=name)
    if not found:
        what = "table" if file_type is None else f"{file_type} table"
        raise TableNotFoundError(
            f"There is no {what} {name!r}. `kumo-async ls` lists those that are there.", table=name
        )
    return SourceTable(name, found[0])


def _types(file_type: FileType | None) -> list[FileType]:
    return list(FileType) if file_type is None else [file_type]


def _print_names(found: list[dict[str, str]]) -> None:
    if not found:
        typer.echo("There are no tables. Upload one: kumo-async upload FILE", err=True)
        return
    table = new_table("table", "type")
    for each in found:
        table.add_row(cell(each["name"]), each["file_type"])
    stdout_console().print(table)
