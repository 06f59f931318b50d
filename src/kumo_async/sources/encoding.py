"""What an encoded partition looks like: as the file that it comes from, with the names and types that Kumo takes."""

from __future__ import annotations

from typing import Any

from ..formats.parquet import Footer
from ..formats.parquet_settings import writer_settings
from ..formats.types import decide
from .decode import ParquetPages
from .encode import Encoding
from .files import SourceFile
from .names import ColumnNames
from .spool import Spool

__all__ = ["encoding_of", "target_schema"]


def encoding_of(
    file: SourceFile, footer: Footer, names: ColumnNames, spool: Spool, *, int96: bool
) -> tuple[Encoding, ParquetPages]:
    """Describe how row groups of a file are encoded, and open what they are read from; for worker threads only.

    Args:
        file: The open file.
        footer: Its footer, with the types that it can have over the same pages.
        names: Its columns' names.
        spool: Where the result is kept.
        int96: Whether timestamps are written as INT96, as they are in the partitions beside.
    """
    pages = ParquetPages(file, footer, names.new)
    schema = target_schema(pages.schema)
    settings = writer_settings(footer, schema)
    if int96:
        settings["use_deprecated_int96_timestamps"] = True
    return Encoding(path=file.path, schema=schema, settings=settings, spool=spool), pages


def target_schema(schema: Any) -> Any:
    """Return the Arrow schema of encoded partitions: that of the file, with types that Kumo takes."""
    import pyarrow as pa

    fields = []
    for field, column in zip(schema, decide(schema), strict=True):
        metadata = {k: v for k, v in (field.metadata or {}).items() if not k.startswith(b"ARROW:extension:")}
        fields.append(pa.field(field.name, column.target, field.nullable, metadata or None))
    return pa.schema(fields, metadata=schema.metadata)
