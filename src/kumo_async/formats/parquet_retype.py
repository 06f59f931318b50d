"""Other types over the same pages: what a footer has to say so that readers see a type that Kumo takes.

Parquet stores uint8 and uint16 as INT32 and uint64 as INT64, so a signed type is a matter of two fields of the schema;
of large strings, views and large lists only Arrow's own schema knows. Row groups, and with them pages and statistics,
stay as they are: below 2^63 signed and unsigned order are the same. Labels such as ENUM, which Arrow cannot write, go.
"""

from __future__ import annotations

import dataclasses
import io
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any

from kumo_async.formats import thrift
from kumo_async.formats.arrow_errors import arrow_errors
from kumo_async.formats.key_values import Changes
from kumo_async.formats.parquet import MAGIC, with_tail
from kumo_async.formats.parquet_footer import KEY_VALUES, MAX_KEY_VALUES, NUM_ROWS, ROW_GROUPS, SCHEMA, Footer
from kumo_async.formats.parquet_rename import metadata_patches
from kumo_async.formats.parquet_schema import (
    BYTE_ARRAY,
    FIXED_BYTES,
    MAX_ELEMENTS,
    WRITE_AGAIN,
    ParquetError,
    Schema,
    SchemaElement,
)
from kumo_async.formats.types import Action, ColumnType, decide, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kumo_async.formats.thrift import Patch, Struct

__all__ = [
    "arrow_schema",
    "count_elements",
    "read_arrow_schema",
    "retyped",
    "with_data",
    "without_labels",
    "without_row_groups",
]

_CONVERTED, _LOGICAL = 6, 10

#: Physical type, converted type and logical type of the signed type over the pages of an unsigned one, by the latter's
#: bits. Whole physical integers have no label in files of Arrow, which writes the partitions that are encoded.
_SIGNED = {8: (1, 16, b"\xac\x13\x10\x11\0\0"), 16: (1, None, None), 64: (2, None, None)}

#: By the first bytes of a logical type, and by converted types, what texts and bytes are said to mean. Arrow reads them
#: as texts and bytes and writes nothing else, so encoded partitions would be of another type than those beside them.
_LABELS = {b"\x4c": "enum", b"\xcc": "json", b"\xdc": "bson", b"\x0c\x22": "geometry", b"\x0c\x24": "geography"}
_OLD_LABELS = {4: "enum", 19: "json", 20: "bson"}

#: Months, days and milliseconds, of which Arrow sees only that they take twelve bytes:
#: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#interval
_INTERVAL = 21
_INTERVAL_REMEDY = "cast it to a number, such as seconds with DuckDB's epoch(), or to string"

#: Converted type and logical type of plain text, which the pages of enums and of JSON are.
_TEXTS = ("enum", "json")
_TEXT, _TEXT_LOGICAL = 0, b"\x1c\0\0"


def without_row_groups(footer: Footer) -> bytes:
    """Return the footer of a file with the same schema and no rows: small, however many row groups there are."""
    values = {NUM_ROWS: thrift.write_integer(0), ROW_GROUPS: thrift.write_list(thrift.STRUCT, [])}
    return thrift.splice(footer.data, 0, len(footer.data), thrift.changes(footer.fields, values))


def arrow_schema(footer: Footer) -> Any:
    """Return the Arrow schema that pyarrow reads from a footer.

    Raises:
        ParquetError: pyarrow cannot read it.
    """
    return read_arrow_schema(without_row_groups(footer))


def read_arrow_schema(data: bytes) -> Any:
    """Do the same for the encoded bytes of a small footer."""
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(io.BytesIO(MAGIC + with_tail(data)))
    except arrow_errors() as error:
        raise ParquetError(f"pyarrow cannot read its schema: {shortened(str(error))}. {WRITE_AGAIN}") from error


def without_labels(footer: Footer, columns: Sequence[ColumnType]) -> list[ColumnType]:
    """Have columns of enums made text, and those of BSON and of geometries bytes, which is what their pages hold.

    Intervals are refused, as durations are: of their bytes alone nobody could tell what they mean.

    Args:
        footer: The source's footer.
        columns: What was decided of its columns by their Arrow types, which do not tell of that.

    Returns:
        The same decisions, save for those columns. An enum is UTF-8 by
        https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#enum.
    """
    return list(map(_without_label, footer.elements, columns))


def _without_label(element: SchemaElement, column: ColumnType) -> ColumnType:
    import pyarrow as pa

    if (element.physical_type, element.converted_type) == (FIXED_BYTES, _INTERVAL):
        return ColumnType(column.name, "interval", "interval", Action.REFUSE, _INTERVAL_REMEDY)
    label = _label(element)
    if column.action is not Action.KEEP or not label:
        return column
    target = pa.string() if label in _TEXTS else column.target
    return dataclasses.replace(column, target=target, action=Action.RELABEL)


def retyped(footer: Footer, columns: Sequence[ColumnType]) -> tuple[Footer, tuple[str, ...]]:
    """Give the footer of the same file with other types over its pages, as the decisions say.

    What the file's own metadata say of columns of other types is rewritten or dropped, also where those are cast.

    Args:
        footer: The source's footer.
        columns: One decision for each top-level column. RELABEL and RETYPE are carried out; the others change nothing
            of the schema.

    Returns:
        The new footer, the same one if nothing changes; and the keys of the metadata that were dropped.

    Raises:
        ParquetError: A column's pages are not of the physical type that its logical type asks for.
    """
    schema = _schema_patches(footer, columns)
    types = [c.target if c.action in (Action.RETYPE, Action.CAST) else None for c in columns]
    changes = Changes(footer.columns, footer.columns, types)
    regular = not all(column.action is Action.KEEP for column in columns)
    patches = [*schema, *(metadata_patches(footer, changes, partial(_regular_fields, columns)) if regular else [])]
    if not patches:
        return footer, ()
    moved = sum(len(value) - (end - start) for start, end, value in schema)
    data = thrift.splice(footer.data, 0, len(footer.data), sorted(patches))
    return with_data(footer, data, moved), tuple(changes.dropped)


def with_data(footer: Footer, data: bytes, moved: int) -> Footer:
    """Build a footer around bytes whose row groups are those of another, so that they need not be read again."""
    _, _, start, end = footer.fields[ROW_GROUPS]
    fields, _ = thrift.scan(data, 0, ROW_GROUPS, lambda _data, pos, _fields: pos + end - start)
    entries = thrift.structs(data, fields, KEY_VALUES, MAX_KEY_VALUES)
    return dataclasses.replace(
        footer,
        data=data,
        fields=fields,
        schema=Schema.parse(data, fields),
        row_groups=tuple(group._replace(described_at=group.described_at + moved) for group in footer.row_groups),
        key_value_metadata=tuple((thrift.binary(data, e, 1) or b"", thrift.binary(data, e, 2)) for e in entries),
    )


def _schema_patches(footer: Footer, columns: Sequence[ColumnType]) -> list[Patch]:
    if all(column.action not in (Action.RELABEL, Action.RETYPE) for column in columns):
        return []
    elements = thrift.structs(footer.data, footer.fields, SCHEMA, MAX_ELEMENTS)
    patches: list[Patch] = []
    position = 1
    for column, element in zip(columns, footer.elements, strict=True):
        position += count_elements(element)
        # A column of numbers, or a list of them, has one leaf, and the leaf is its last element.
        leaf = elements[position - 1]
        if column.action is Action.RETYPE:
            patches += _signed(footer.data, leaf, column)
        elif column.action is Action.RELABEL and (label := _label(element)):
            text = (thrift.write_integer(_TEXT), _TEXT_LOGICAL) if label in _TEXTS else (None, None)
            patches += thrift.changes(leaf, dict(zip((_CONVERTED, _LOGICAL), text, strict=True)))
    return patches


def _label(element: SchemaElement) -> str:
    if element.physical_type != BYTE_ARRAY:
        return ""
    logical = element.logical_type or b""
    old = _OLD_LABELS.get(-1 if element.converted_type is None else element.converted_type, "")
    return next((label for head, label in _LABELS.items() if logical.startswith(head)), old)


def count_elements(element: SchemaElement) -> int:
    """Count the elements of the schema that a column consists of, its own among them."""
    return 1 + sum(map(count_elements, element.children))


def _signed(data: bytes, leaf: Struct, column: ColumnType) -> list[Patch]:
    source = column.source
    while hasattr(source, "value_type"):
        source = source.value_type
    physical, converted, logical = _SIGNED[source.bit_width]
    if thrift.integer(data, leaf, 1) != physical:
        raise ParquetError(
            f"Column {shortened(column.name)!r} is of type {column.source}, which is not what its pages hold. Write "
            f"the file again, with another version of its writer or with another type, such as int64."
        )
    label = None if converted is None else thrift.write_integer(converted)
    return thrift.changes(leaf, {_CONVERTED: label, _LOGICAL: logical})


def _regular_fields(columns: Sequence[ColumnType], embedded: Any) -> list[Any]:
    """Give the fields of Arrow's embedded schema with types that Kumo takes."""
    # Names that are no text are found only here, one by one.
    return list(starmap(_regular_field, zip(embedded, decide(embedded), columns, strict=True)))


def _regular_field(field: Any, embedded: ColumnType, column: ColumnType) -> Any:
    import pyarrow as pa

    if column.action is Action.CAST:
        return field.with_type(_plain_list(field.type))
    if embedded.action is Action.KEEP or column.action is Action.REFUSE:
        return field
    metadata = {k: v for k, v in (field.metadata or {}).items() if not k.startswith(b"ARROW:extension:")}
    return pa.field(field.name, column.target, field.nullable, metadata or None)


def _plain_list(source: Any) -> Any:
    """Have list views read as plain lists: Arrow makes broken offsets where it casts them and their items at once."""
    import pyarrow as pa

    is_view = pa.types.is_list_view(source) or pa.types.is_large_list_view(source)
    return pa.list_(source.value_field) if is_view else source
