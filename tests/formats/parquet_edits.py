"""Changes of a footer that no writer would make, for the tests."""

from __future__ import annotations

from collections.abc import Iterator

from parquet_files import load, table_of, write

from kumo_async.formats import thrift
from kumo_async.formats.parquet import Footer
from kumo_async.formats.parquet_columns import read_row_group
from kumo_async.formats.thrift import Patch, Struct

KINDS = ["int", "text", "struct"]
SOURCE = write(table_of(KINDS, 40), row_group_size=10, write_page_index=True)


def with_footer(source: bytes, patches: list[Patch]) -> bytes:
    """Change the footer of a file that is whole otherwise."""
    footer = load(source)
    data = thrift.splice(footer.data, 0, len(footer.data), sorted(patches))
    return source[: footer.data_end] + data + len(data).to_bytes(4, "little") + b"PAR1"


def metas(footer: Footer) -> Iterator[tuple[Struct, Struct]]:
    """Give the fields of all columns and of their metadata."""
    for group in footer.row_groups:
        raw = read_row_group(footer.data, group.described_at)
        yield from zip(raw.columns, raw.metas, strict=True)


def number(struct: Struct, field: int, value: int) -> list[Patch]:
    """Give a field another number."""
    return thrift.changes(struct, {field: thrift.write_integer(value)})


def add_field(footer: Footer, end: int, field: int, kind: int, value: bytes) -> Patch:
    """Write one more field before the stop byte at `end`."""
    return (end, end, bytes([kind]) + thrift.write_integer(field) + value)
