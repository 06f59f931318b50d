"""One schema for all partitions of a table: encoded ones have the source's own, as those have that are copied.

A reader that puts partitions together expects the same paths, types and labels everywhere, and pyarrow writes its own:
`list.element` where Spark wrote `bag.array`, groups of three levels where others have two, Arrow's schema where there
was none. All of that stands in the footer only. So where the pages that pyarrow makes are such as the source's schema
describes, its schema is put over them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet import whole_footer
from kumo_async.formats.parquet_columns import read_row_group
from kumo_async.formats.parquet_footer import KEY_VALUES, SCHEMA, Footer
from kumo_async.formats.parquet_int96 import int96_as_bytes
from kumo_async.formats.parquet_retype import read_arrow_schema, without_row_groups
from kumo_async.formats.parquet_schema import INT96, REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kumo_async.formats.parquet_schema import SchemaElement
    from kumo_async.formats.thrift import Patch

__all__ = ["head_of", "is_head_for", "under_head"]

_TYPE = 1


def head_of(footer: Footer, names: Sequence[str]) -> Footer:
    """Give the footer of a file without rows that has the schema and the metadata of another, with other names.

    Raises:
        ParquetError: The footer cannot be rewritten.
    """
    empty = Footer.parse(without_row_groups(footer), footer.data_end)
    return Footer.parse(whole_footer(empty, names)[:-8], footer.data_end)


def is_head_for(head: Footer, written: Footer) -> bool:
    """Say whether the pages of a file that pyarrow wrote are such as another schema describes.

    They are if the leaves have the same physical types, the same levels for what is missing or repeats, and to Arrow
    the same meaning. Timestamps of 96 bits are written as twelve bytes.

    Raises:
        ParquetError: pyarrow cannot read one of the schemas.
    """
    wanted = int96_as_bytes(head)
    return _pages(wanted) == _pages(written) and _types(wanted) == _types(written)


def _pages(footer: Footer) -> list[tuple[Any, ...]]:
    return [leaf for element in footer.elements for leaf in _leaves(element, ())]


def _leaves(element: SchemaElement, levels: tuple[int | None, ...]) -> Iterator[tuple[Any, ...]]:
    if element.repetition != REQUIRED:
        levels = (*levels, element.repetition)
    if element.physical_type is not None:
        yield (*levels, element.physical_type, element.type_length)
    for child in element.children:
        yield from _leaves(child, levels)


def _types(footer: Footer) -> list[Any]:
    """Give the types that Arrow sees without its own schema; what lists call their items is nothing to it."""
    bare = thrift.splice(footer.data, 0, len(footer.data), thrift.changes(footer.fields, {KEY_VALUES: None}))
    return [field.type for field in read_arrow_schema(bare)]


def under_head(head: Footer, written: Footer) -> Footer:
    """Give the footer of a file that pyarrow wrote with the schema and the metadata of another; see `is_head_for`."""
    values = {field: _encoded(head, field) for field in (SCHEMA, KEY_VALUES)}
    patches = thrift.changes(written.fields, values)
    for group in written.row_groups:
        raw = read_row_group(written.data, group.described_at)
        for leaf, column in enumerate(raw.columns):
            patches += _column_patches(head, leaf, thrift.scan(written.data, column[ids.META_DATA][2])[0])
    return Footer.parse(thrift.splice(written.data, 0, len(written.data), sorted(patches)), written.data_end)


def _encoded(footer: Footer, field: int) -> bytes | None:
    return footer.data[slice(*footer.fields[field][2:])] if field in footer.fields else None


def _column_patches(head: Footer, leaf: int, meta: thrift.Struct) -> list[Patch]:
    values: dict[int, bytes | None] = {ids.PATH: head.schema.paths[leaf]}
    if head.elements[head.schema.owners[leaf]].physical_type == INT96:
        values[_TYPE] = thrift.write_integer(INT96)
    return thrift.changes(meta, values)
