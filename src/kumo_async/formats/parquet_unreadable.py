"""Columns that pyarrow cannot read the type of, found so that a refusal can name them.

pyarrow refuses a schema as a whole, and does not say which column it means. Two kinds of columns do that to it: those
that Arrow's embedded schema says to be integers of 128 bits, which Polars writes, and those whose Parquet type and
label do not go together. Here the schema is made one that it can read, so that all other columns are decided as usual.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from kumo_async.formats import thrift
from kumo_async.formats.arrow_wide import with_narrow_integers
from kumo_async.formats.key_values import ARROW_KEY
from kumo_async.formats.parquet_footer import KEY_VALUES, MAX_KEY_VALUES, SCHEMA, Footer
from kumo_async.formats.parquet_retype import (
    arrow_schema,
    count_elements,
    read_arrow_schema,
    without_labels,
    without_row_groups,
)
from kumo_async.formats.parquet_schema import MAX_ELEMENTS, ParquetError
from kumo_async.formats.types import Action, ColumnType, decide

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from kumo_async.formats.thrift import Patch

__all__ = ["decide_columns"]

_CHILDREN, _COLUMN_ORDERS = 5, 7

#: The description of a column of optional bytes, up to its name.
_BYTES = b"\x15\x0c\x25\x02\x18"

_CAST = "`df.with_columns(polars.col([x]).cast({}))`"
_WIDE_REMEDY = "cast it to int64, or to double or string, as its values allow", _CAST.format("polars.Int64")
_ITEMS_REMEDY = "cast its items to int64 or double", _CAST.format("polars.List(polars.Int64)")
_BROKEN_REMEDY = "write it with another type, for example string", ""


def decide_columns(footer: Footer, *, allow_casts: bool = True) -> list[ColumnType]:
    """Decide for each column of a file by its type, as `decide` does, and by its label.

    Columns that pyarrow cannot read are refused, and then of no column it is asked whether its values fit.

    Raises:
        ParquetError: pyarrow cannot read the schema, and no column is to blame.
    """
    try:
        return _decided(footer, allow_casts)
    except ParquetError:
        empty = Footer.parse(without_row_groups(footer), footer.data_end)
        narrow, wide = _narrowed(empty)
        broken = _broken(empty)
        if not (wide or broken):
            raise
    columns = [replace(each, must_fit=False) for each in _decided(_replaced(narrow, broken), allow_casts)]
    for at, kind in wide.items():
        columns[at] = _wide(columns[at], kind)
    for at, kind in broken.items():
        columns[at] = _refused(columns[at], kind, _BROKEN_REMEDY)
    return columns


def _decided(footer: Footer, allow_casts: bool) -> list[ColumnType]:
    return without_labels(footer, decide(arrow_schema(footer), allow_casts=allow_casts))


def _refused(column: ColumnType, kind: str, remedy: tuple[str, str]) -> ColumnType:
    words, code = remedy
    return ColumnType(column.name, kind, kind, Action.REFUSE, words, code=code)


def _wide(column: ColumnType, kind: str) -> ColumnType:
    """Refuse a column of which pyarrow sees only that each value takes 16 bytes; nested ones are refused anyway."""
    shown = str(column.source).replace("fixed_size_binary[16]", kind)
    is_list = hasattr(column.source, "value_type")
    others = _ITEMS_REMEDY if is_list else (column.remedy, column.code)
    return _refused(column, shown, _WIDE_REMEDY if shown == kind else others)


def _narrowed(footer: Footer) -> tuple[Footer, dict[int, str]]:
    """Give the footer without integers of 128 bits in Arrow's schema; and which columns have them."""
    entries = thrift.structs(footer.data, footer.fields, KEY_VALUES, MAX_KEY_VALUES)
    patches: list[Patch] = []
    found: dict[int, str] = {}
    for entry, (key, value) in zip(entries, footer.key_value_metadata, strict=True):
        if key == ARROW_KEY and value is not None:
            with suppress(ValueError):
                message, wide = with_narrow_integers(base64.b64decode(value, validate=True))
                found |= {at: kind for at, kind in wide.items() if at < len(footer.elements)}
                patches += thrift.changes(entry, {2: thrift.write_binary(base64.b64encode(message))})
    return Footer.parse(thrift.splice(footer.data, 0, len(footer.data), patches), footer.data_end), found


def _broken(footer: Footer) -> dict[int, str]:
    """Find the columns whose Parquet type pyarrow cannot read, and give what it says of each."""
    elements = _elements(footer)
    try:
        read_arrow_schema(_only(footer, elements, range(0)))
    except ParquetError:
        return {}  # it is not about any column
    return dict(_broken_among(footer, elements, range(len(footer.elements))))


def _broken_among(footer: Footer, elements: list[list[bytes]], columns: range) -> Iterator[tuple[int, str]]:
    try:
        read_arrow_schema(_only(footer, elements, columns))
    except ParquetError as error:
        if len(columns) == 1:
            yield columns[0], f"unreadable ({error.__cause__})"
        else:
            middle = len(columns) // 2
            yield from _broken_among(footer, elements, columns[:middle])
            yield from _broken_among(footer, elements, columns[middle:])


def _only(footer: Footer, elements: list[list[bytes]], columns: range) -> bytes:
    """Encode a footer that has only some columns, and nothing besides."""
    (top,), *each = elements
    root, _ = thrift.scan(top)
    top = thrift.spliced(top, root, {_CHILDREN: thrift.write_integer(len(columns))})
    kept = chain.from_iterable(each[columns.start : columns.stop])
    return _with_schema(footer, [top, *kept], {KEY_VALUES: None, _COLUMN_ORDERS: None})


def _replaced(footer: Footer, broken: Collection[int]) -> Footer:
    """Give a footer with bytes in place of some columns."""
    if not broken:
        return footer
    root, *each = _elements(footer)
    for at in broken:
        each[at] = [_BYTES + thrift.write_binary(footer.elements[at].name.encode()) + b"\0"]
    data = _with_schema(footer, [*root, *chain.from_iterable(each)], {_COLUMN_ORDERS: None})
    return Footer.parse(data, footer.data_end)


def _elements(footer: Footer) -> list[list[bytes]]:
    """Give the encoded elements of the schema: the root's, and for each top-level column its own and those in it."""
    elements = iter(thrift.structs(footer.data, footer.fields, SCHEMA, MAX_ELEMENTS))
    counts = [1, *map(count_elements, footer.elements)]
    return [[thrift.spliced(footer.data, each, {}) for each in islice(elements, count)] for count in counts]


def _with_schema(footer: Footer, elements: list[bytes], others: Mapping[int, bytes | None]) -> bytes:
    schema = thrift.write_list(thrift.STRUCT, elements)
    patches = thrift.changes(footer.fields, {SCHEMA: schema, **others})
    return thrift.splice(footer.data, 0, len(footer.data), patches)
