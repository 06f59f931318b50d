"""upload: one file becomes one table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Any

import anyio
import typer

from ..connector import FileUploadConnector
from ..errors import ConfigurationError
from ..formats.names import check_table_name
from ..options import UploadOptions
from ..report import UploadPlan, UploadReport
from ..sources import ENDINGS, file_type_of_path
from ..sources.files import SourceFile, local_path
from .file_options import (
    ColumnNames,
    Comment,
    Delimiter,
    Encoding,
    Escape,
    NoHeader,
    OnUnsupported,
    Quote,
    QuotedNulls,
    ShortRecords,
    ShortRows,
    SkipInitialSpace,
    SkipRows,
    Unsupported,
    Validate,
    Validation,
    check_for_type,
    csv_options,
)
from .interrupts import UploadWatch
from .output import cell, escaped, new_table, print_json, printing, stdout_console
from .tables import AsJson, FileType
from .wording import as_typed
from .workspace import client_of

__all__ = ["upload"]


class Converted(StrEnum):
    """The file types that a file of another one can be uploaded as."""

    parquet = "parquet"


File = Annotated[str, typer.Argument(metavar="PATH", help="The Parquet or CSV file.")]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="The table's name in Kumo. Default: the file's, without ending.")
]
Type = Annotated[
    FileType | None,
    typer.Option("--type", case_sensitive=False, help="What the file is. Default: by the ending of its name."),
]
UploadAs = Annotated[
    Converted | None,
    typer.Option("--as", case_sensitive=False, help="Convert a CSV file. Default: upload every file as it is."),
]
PartitionSize = Annotated[int, typer.Option(metavar="N", min=100, max=1000, help="Target size of a partition in MiB.")]
NoAutoPartition = Annotated[
    bool, typer.Option("--no-auto-partition", help="Refuse a file over 1000 MiB instead of cutting it.")
]
NoVerifyParts = Annotated[
    bool,
    typer.Option(
        "--no-verify-parts", help="Do not compare ETags with MD5s, for a storage whose ETags only look like MD5s."
    ),
]
NoResume = Annotated[
    bool, typer.Option("--no-resume", help="Send all again, also what an earlier upload that failed has stored.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be sent, with the first rows of a CSV file; send nothing.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report; errors only.")]


def upload(
    context: typer.Context,
    path: File,
    name: Name = None,
    file_type: Type = None,
    upload_as: UploadAs = None,
    partition_size_mb: PartitionSize = 250,
    no_auto_partition: NoAutoPartition = False,
    validate: Validate = Validation.fast,
    on_unsupported: OnUnsupported = Unsupported.cast,
    delimiter: Delimiter = None,
    quote: Quote = None,
    escape: Escape = None,
    skip_initial_space: SkipInitialSpace = False,
    skip_rows: SkipRows = 0,
    comment: Comment = None,
    encoding: Encoding = None,
    no_header: NoHeader = False,
    column_names: ColumnNames = None,
    short_rows: ShortRows = ShortRecords.error,
    no_verify_parts: NoVerifyParts = False,
    quoted_nulls: QuotedNulls = False,
    no_resume: NoResume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Upload a file as a table. A table of that name and type is replaced, whole or not at all.

    The same command resumes an upload that failed or was killed: partitions that were stored whole are not sent again.
    A file up to 1000 MiB is one object, and is sent again from its beginning unless all of it was stored.
    """
    from .progress import live_progress

    kind, table = _type_and_name(path, file_type, name)
    csv = csv_options(
        delimiter,
        quote,
        escape,
        encoding,
        skip_initial_space=skip_initial_space,
        skip_rows=skip_rows,
        comment=comment,
        short_rows=short_rows,
        no_header=no_header,
        column_names=column_names,
        quoted_nulls=quoted_nulls,
    )
    check_for_type(kind, csv, on_unsupported)
    options = UploadOptions(
        validate=validate.value,
        on_unsupported=on_unsupported.value,
        csv=csv,
        convert="parquet" if upload_as else None,
        verify_parts=not no_verify_parts,
        resume=not no_resume,
    )
    kind = FileType.parquet if upload_as else kind
    cut = not no_auto_partition
    if dry_run:
        _print_plan(FileUploadConnector(kind).plan(table, path, cut, partition_size_mb, options=options), as_json)
        return
    connector = FileUploadConnector(kind, client=client_of(context))
    # Log lines and a live view would write over each other.
    with live_progress(wanted=not quiet and not context.obj) as shown:
        watch = UploadWatch(table, kind, shown, resumes=not no_resume)
        with watch.until_interrupted():
            report = connector.upload(table, path, cut, partition_size_mb, options=options, observer=watch)
    if not quiet or as_json:
        with printing(f"The upload is done: table {table!r} is there."):
            _print_report(report, as_json)


def _type_and_name(path: str, file_type: FileType | None, name: str | None) -> tuple[FileType, str]:
    """Return the file's type and the table's name.

    Raises:
        SourceError: If there is no such file: that goes before whatever is wrong with its name.
        ConfigurationError: If the file's name does not fit, or does not tell.
    """
    try:
        return _type_of(path, file_type), _name_of(path) if name is None else name
    except ConfigurationError:
        anyio.run(_look_for, path)
        raise


async def _look_for(path: str) -> None:
    async with await SourceFile.open(local_path(path)):
        pass


def _type_of(path: str, wanted: FileType | None) -> FileType:
    found = file_type_of_path(path)
    if found is None and wanted is not None:
        return wanted
    if found is None:
        known = " or ".join(ending for endings in ENDINGS.values() for ending in endings)
        raise ConfigurationError(
            f"The file type of {path!r} is not known, since its name does not end with {known}. Give --type csv or "
            f"--type parquet.",
            path=path,
        )
    if wanted not in (None, found):
        convert = ", or use --as parquet to have it converted" if wanted is FileType.parquet else ""
        raise ConfigurationError(
            f"{path!r} is not a {wanted} file by its name. Leave --type out to upload it as {found}{convert}.",
            path=path,
        )
    return FileType(found)


def _name_of(path: str) -> str:
    file = local_path(path).name
    ending = next((ending for endings in ENDINGS.values() for ending in endings if file.lower().endswith(ending)), None)
    name = PurePath(file).stem if ending is None else file[: -len(ending)]
    try:
        check_table_name(name)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The file's name cannot be the table's. {error} Give the table another name with --name.", path=path
        ) from error
    return name


def _print_report(report: UploadReport, as_json: bool) -> None:
    if as_json:
        print_json(_typed(report.to_dict()))
    else:
        typer.echo(escaped(as_typed(str(report)), keep="\n"))


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    reasons = {name: as_typed(reason) for name, reason in document["type_reasons"].items()}
    return {**document, "type_reasons": reasons, "warnings": [as_typed(warning) for warning in document["warnings"]]}


def _print_plan(plan: UploadPlan, as_json: bool) -> None:
    if as_json:
        print_json(_typed(plan.to_dict()))
        return
    typer.echo(escaped(as_typed(str(plan)), keep="\n"))
    if plan.sample:
        table = new_table(*plan.columns)
        for row in plan.sample:
            table.add_row(*map(cell, row))
        stdout_console().print(table)
