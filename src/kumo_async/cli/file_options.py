"""The options of `upload` that say how a file is written and checked."""

from __future__ import annotations

import csv
from enum import StrEnum
from typing import Annotated

import typer

from ..errors import ConfigurationError
from ..options import CsvOptions

__all__ = [
    "ColumnNames",
    "Comment",
    "Delimiter",
    "Encoding",
    "Escape",
    "NoHeader",
    "OnUnsupported",
    "Quote",
    "QuotedNulls",
    "ShortRecords",
    "ShortRows",
    "SkipInitialSpace",
    "SkipRows",
    "Unsupported",
    "Validate",
    "Validation",
    "check_for_type",
    "csv_options",
]


class Validation(StrEnum):
    """How much of the content is checked; see `UploadOptions.validate`."""

    fast = "fast"
    full = "full"


class Unsupported(StrEnum):
    """What is done with Parquet columns that need a cast; see `UploadOptions.on_unsupported`."""

    cast = "cast"
    error = "error"


class ShortRecords(StrEnum):
    """What is done with records that have too few fields; see `CsvOptions.short_rows`."""

    error = "error"
    fill = "fill"


Validate = Annotated[
    Validation,
    typer.Option(help="What is checked before the table is visible: what is read anyway, or every record and page."),
]
OnUnsupported = Annotated[
    Unsupported,
    typer.Option(help="Parquet: cast columns of types that Kumo does not take, or refuse the file."),
]
Delimiter = Annotated[
    str | None,
    typer.Option(metavar="CHAR", help="CSV: what separates fields; tab for a tab. Default: detected among , ; tab |"),
]
Quote = Annotated[
    str | None,
    typer.Option(metavar="CHAR", help='CSV: what stands around fields; empty for nothing. Default: ".'),
]
Escape = Annotated[
    str | None,
    typer.Option(metavar="CHAR", help="CSV: what makes the next character literal, such as \\. Default: nothing."),
]
SkipInitialSpace = Annotated[
    bool, typer.Option("--skip-initial-space", help="CSV: leave out spaces at the beginning of fields.")
]
SkipRows = Annotated[int, typer.Option(metavar="N", help="CSV: how many lines before the header to skip.")]
Comment = Annotated[
    str | None, typer.Option(metavar="CHAR", help="CSV: leave out lines that begin with this, as comments.")
]
ShortRows = Annotated[
    ShortRecords, typer.Option(help="CSV: refuse records with too few fields, or fill them with empty ones.")
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="CSV: such as utf-16 or cp1252; converted to UTF-8. Default: utf-8.")
]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="CSV: the first record is data. Names: --column-names, or column_1, ...")
]
ColumnNames = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="CSV: the columns' names, separated by commas, in place of the header's."),
]
QuotedNulls = Annotated[
    bool, typer.Option("--quoted-nulls", help="CSV, with --as parquet: an empty field in quotes is null, too.")
]


def csv_options(
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
    encoding: str | None,
    *,
    skip_initial_space: bool = False,
    skip_rows: int = 0,
    comment: str | None = None,
    short_rows: ShortRecords = ShortRecords.error,
    no_header: bool,
    column_names: str | None,
    quoted_nulls: bool = False,
) -> CsvOptions:
    r"""Return what the command line says of a CSV file.

    Raises:
        ConfigurationError: If a value cannot be used, or they contradict each other.

    Example:
        >>> csv_options("tab", None, None, None, no_header=False, column_names='id,"last, first"')
        CsvOptions(delimiter='\t', column_names=('id', 'last, first'))
    """
    return CsvOptions(
        # A shell makes a real tab hard to type.
        delimiter="\t" if delimiter in ("tab", "\\t") else delimiter,
        quote=quote,
        escape=escape,
        skip_initial_space=skip_initial_space,
        skip_rows=skip_rows,
        comment=comment,
        encoding=encoding,
        header=not no_header,
        column_names=None if column_names is None else next(csv.reader([column_names]), []),
        short_rows=short_rows.value,
        quoted_nulls=quoted_nulls,
    )


def check_for_type(file_type: str, options: CsvOptions, unsupported: Unsupported) -> None:
    """Refuse options that say nothing of a file of this type, since whoever gave them expects an effect.

    Raises:
        ConfigurationError: If there are such.
    """
    if file_type == "parquet" and options != CsvOptions():
        raise ConfigurationError(
            "--delimiter, --quote, --escape, --skip-initial-space, --skip-rows, --comment, --encoding, --no-header, "
            "--column-names, --short-rows and --quoted-nulls are for CSV files, and this is a Parquet file. Leave them "
            "out."
        )
    if file_type == "csv" and unsupported is not Unsupported.cast:
        raise ConfigurationError("--on-unsupported is for Parquet files, and this is a CSV file. Leave it out.")
