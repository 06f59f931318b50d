"""upload, ls, show, head, delete: the commands that talk to a service."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from ..client import KumoClient
from ..connector import FileUploadConnector
from ..errors import ConfigurationError, TableNotFoundError
from ..options import UploadOptions
from ..report import UploadPlan, UploadReport
from ..service.messages import file_type_of
from ..source_table import SourceTable
from ..sources import ENDINGS
from ..sources.files import local_path
from .file_options import (
    ColumnNames,
    Delimiter,
    Encoding,
    Escape,
    NoHeader,
    OnUnsupported,
    Quote,
    Unsupported,
    Validate,
    Validation,
    check_for_type,
    csv_options,
)
from .output import cell, escaped, new_table, on_terminal, print_json, stdout_console
from .workspace import client_of

__all__ = ["AsJson", "delete", "head", "ls", "show", "upload"]


class FileType(StrEnum):
    """The file types that Kumo has a connector for."""

    parquet = "parquet"
    csv = "csv"


class Converted(StrEnum):
    """The file types that a file of another one can be uploaded as."""

    parquet = "parquet"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The table's name, as `kumo-async ls` lists it.")]
Type = Annotated[
    FileType | None,
    typer.Option("--type", case_sensitive=False, help="The table's file type. Default: whichever has such a table."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def upload(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The Parquet or CSV file.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The table's name in Kumo. Default: the file's, without ending.")
    ] = None,
    file_type: Annotated[
        FileType | None, typer.Option("--type", case_sensitive=False, help="Default: by the file name's ending.")
    ] = None,
    upload_as: Annotated[
        Converted | None,
        typer.Option("--as", case_sensitive=False, help="Convert a CSV file. Default: upload every file as it is."),
    ] = None,
    partition_size_mb: Annotated[
        int, typer.Option(metavar="N", min=100, max=1000, help="Target size of a partition in MiB.")
    ] = 250,
    no_auto_partition: Annotated[
        bool, typer.Option("--no-auto-partition", help="Refuse a file over 1000 MiB instead of cutting it.")
    ] = False,
    validate: Validate = Validation.fast,
    on_unsupported: OnUnsupported = Unsupported.cast,
    delimiter: Delimiter = None,
    quote: Quote = None,
    escape: Escape = None,
    encoding: Encoding = None,
    no_header: NoHeader = False,
    column_names: ColumnNames = None,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Send all again, also what an earlier upload that failed has stored.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be sent, with the first rows of a CSV file; send nothing."),
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report; errors only.")] = False,
) -> None:
    """Upload a file as a table. A table of that name and type is replaced, whole or not at all.

    The same command resumes an upload that failed or was killed.
    """
    from .progress import live_progress

    kind = _type_of(path, file_type)
    csv = csv_options(delimiter, quote, escape, encoding, no_header=no_header, column_names=column_names)
    check_for_type(kind, csv, on_unsupported)
    options = UploadOptions(
        validate=validate.value,
        on_unsupported=on_unsupported.value,
        csv=csv,
        convert="parquet" if upload_as else None,
        resume=not no_resume,
    )
    kind = FileType.parquet if upload_as else kind
    table, cut = name or _name_of(path), not no_auto_partition
    if dry_run:
        _print_plan(FileUploadConnector(kind).plan(table, path, cut, partition_size_mb, options=options), as_json)
        return
    connector = FileUploadConnector(kind, client=client_of(context))
    # Log lines and a live view would write over each other.
    with live_progress(wanted=not quiet and not context.obj) as observer:
        report = connector.upload(table, path, cut, partition_size_mb, options=options, observer=observer)
    if as_json:
        print_json(report.to_dict())
    elif not quiet:
        _print_report(report)


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
        {"name": name, "type": kind.value}
        for kind in _types(file_type)
        for name in sorted(FileUploadConnector(kind, client=client).table_names())
    ]
    if as_json:
        print_json(found)
    elif on_terminal():
        _print_names(found)
    else:
        for table in found:
            typer.echo(f"{escaped(table['name'])}\t{table['type']}")


def show(context: typer.Context, name: Name, file_type: Type = None, as_json: AsJson = False) -> None:
    """Show a table's columns with data and semantic types."""
    columns = [
        {"name": column.name, "dtype": str(column.dtype), "stype": str(column.stype) if column.stype else None}
        for column in _find(name, file_type, client_of(context)).columns
    ]
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
    connector.delete(name)
    typer.echo(f"Deleted table {name!r} ({kind}).")


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


def _ending_of(path: str) -> tuple[FileType, str] | None:
    name = local_path(path).name.lower()
    known = [(FileType(kind), ending) for kind, endings in ENDINGS.items() for ending in endings]
    return next((each for each in known if name.endswith(each[1])), None)


def _type_of(path: str, wanted: FileType | None) -> FileType:
    found = _ending_of(path)
    if found is None:
        known = " or ".join(ending for endings in ENDINGS.values() for ending in endings)
        raise ConfigurationError(f"{path!r} cannot be uploaded: its name must end with {known}.", path=path)
    if wanted not in (None, found[0]):
        convert = ", or use --as parquet to have it converted" if wanted is FileType.parquet else ""
        raise ConfigurationError(
            f"{path!r} is not a {wanted} file by its name. Leave --type out to upload it as {found[0]}{convert}.",
            path=path,
        )
    return found[0]


def _name_of(path: str) -> str:
    found = _ending_of(path)
    name = local_path(path).name
    return name if found is None else name[: -len(found[1])]


def _print_report(report: UploadReport) -> None:
    typer.echo(escaped(str(report), keep="\n"))


def _print_plan(plan: UploadPlan, as_json: bool) -> None:
    if as_json:
        print_json(plan.to_dict())
        return
    typer.echo(escaped(str(plan), keep="\n"))
    if plan.sample:
        table = new_table(*plan.columns)
        for row in plan.sample:
            table.add_row(*map(cell, row))
        stdout_console().print(table)


def _print_names(found: list[dict[str, str]]) -> None:
    if not found:
        typer.echo("There are no tables. Upload one: kumo-async upload FILE", err=True)
        return
    table = new_table("table", "type")
    for each in found:
        table.add_row(cell(each["name"]), each["type"])
    stdout_console().print(table)
