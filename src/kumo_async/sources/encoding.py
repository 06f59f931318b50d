"""What an encoded partition looks like: as the file that it comes from, with the names and types that Kumo takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..formats.key_values import ARROW_KEY
from ..formats.parquet import Footer, whole_footer
from ..formats.parquet_head import head_of, is_head_for
from ..formats.parquet_int96 import int96_as_bytes, int96_columns
from ..formats.parquet_settings import writer_settings
from ..formats.types import ColumnType
from .decode import ParquetPages
from .encode import Encoding, written
from .files import SourceFile
from .spool import Spool

__all__ = ["encoding_of", "is_like_copied"]


def encoding_of(
    file: SourceFile,
    footer: Footer,
    columns: Sequence[ColumnType],
    names: Sequence[str],
    spool: Spool,
    *,
    like_copied: bool,
) -> tuple[Encoding, ParquetPages]:
    """Describe how row groups of a file are encoded, and open what they are read from; for worker threads only.

    Args:
        file: The open file.
        footer: Its footer, with the types that it can have over the same pages.
        columns: What becomes of its columns.
        names: Their names.
        spool: Where the result is kept.
        like_copied: Whether the partitions have the schema and the metadata of those that are copied. Timestamps of 96
            bits are what they are then, and in microseconds otherwise.

    Raises:
        ParquetError: The footer cannot be rewritten.
        SourceError: pyarrow cannot read it.
    """
    pages = ParquetPages(file, whole_footer(int96_as_bytes(footer), names))
    head = head_of(footer, names)
    int96 = {names[column] for column in int96_columns(footer)}
    schema = _target_schema(pages.schema, columns, set() if like_copied else int96, head)
    settings = writer_settings(footer, schema, without_statistics=int96 if like_copied else ())
    encoding = Encoding(
        path=file.path, schema=schema, settings=settings, spool=spool, head=head if like_copied else None
    )
    return encoding, pages


def is_like_copied(encoding: Encoding) -> bool:
    """Say whether partitions of this encoding can have the schema that it asks for; for worker threads only.

    Raises:
        ParquetError: pyarrow cannot read one of the schemas.
    """
    return encoding.head is not None and is_head_for(encoding.head, written(encoding))


def _target_schema(schema: Any, columns: Sequence[ColumnType], instants: set[str], head: Footer) -> Any:
    """Return the Arrow schema of encoded partitions: that of the file, with types that Kumo takes."""
    import pyarrow as pa

    fields = []
    for field, column in zip(schema, columns, strict=True):
        kind = column.target
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us") if field.name in instants else field.type
        metadata = {k: v for k, v in (field.metadata or {}).items() if not k.startswith(b"ARROW:extension:")}
        fields.append(pa.field(field.name, kind, field.nullable, metadata or None))
    # Of the file's own metadata Arrow keeps nothing where there is a schema of its own among them.
    metadata = {key: value or b"" for key, value in head.key_value_metadata if key != ARROW_KEY}
    return pa.schema(fields, metadata=metadata or None)
