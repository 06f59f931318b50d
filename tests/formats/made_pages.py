"""Parquet columns of hand-made pages, for what no writer would write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
from parquet_edits import metas, number
from parquet_files import load, write

from kumo_async.formats import parquet_columns as ids
from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import read_row_group
from kumo_async.formats.parquet_footer import NUM_ROWS
from kumo_async.formats.thrift import Patch

PLAIN, DELTA_LENGTH, DELTA_BYTES, DICTIONARY = 0, 6, 7, 8


def _fields(*values: int) -> bytes:
    """Encode a struct of numbers of 32 bits, with ids from 1 on."""
    return b"".join(b"\x15" + thrift.write_integer(value) for value in values) + b"\0"


def _page(kind: int, decoded: int, stored: bytes, head: bytes) -> bytes:
    sizes = b"".join(b"\x15" + thrift.write_integer(value) for value in (kind, decoded, len(stored)))
    return sizes + head + b"\0" + stored


def page(data: bytes, values: int, encoding: int, codec: str | None = None) -> bytes:
    """Make a data page of version 1 out of what it has decoded: levels and values."""
    stored = pa.compress(data, codec, asbytes=True) if codec else data
    return _page(0, len(data), stored, b"\x2c" + _fields(values, encoding, 3, 3))


def page_v2(levels: tuple[bytes, bytes], data: bytes, values: int, rows: int, encoding: int) -> bytes:
    """Make a data page of version 2, not compressed: repetition and definition levels, and values."""
    repetition, definition = levels
    everything = repetition + definition + data
    head = b"\x5c" + _fields(values, 0, rows, encoding, len(definition), len(repetition))[:-1] + b"\x12\0"
    return _page(3, len(everything), everything, head)


def dictionary_page(values: Sequence[bytes], codec: str | None = None, claimed: int | None = None) -> bytes:
    """Make a dictionary of texts, whose header may claim to have more."""
    data = b"".join(len(value).to_bytes(4, "little") + value for value in values)
    stored = pa.compress(data, codec, asbytes=True) if codec else data
    return _page(2, len(data), stored, b"\x4c" + _fields(claimed or len(values), PLAIN))


def run(count: int, value: int) -> bytes:
    """Make a run of levels or of indices into a dictionary, of at most 8 bits each."""
    return thrift.write_integer(count) + bytes([value])


def levels(*runs: bytes) -> bytes:
    """Make the levels of a page of version 1."""
    data = b"".join(runs)
    return len(data).to_bytes(4, "little") + data


@dataclass(frozen=True)
class Column:
    """The pages of the only row group of a column.

    Attributes:
        pages: All pages, the dictionary first.
        values: How many values it has, with nulls.
        dictionary: Bytes of the dictionary page.
        codec: How the pages are compressed.
    """

    pages: bytes
    values: int
    dictionary: int = 0
    codec: str = "none"


def with_pages(table: pa.Table, rows: int, columns: dict[str, Column]) -> bytes:
    """Write a file whose columns of these names have these pages, and its other columns those that they have.

    Args:
        table: The other columns, and some value in those that are replaced; all of it is one row group.
        rows: The rows that the footer declares.
        columns: The pages of the replaced ones.
    """
    codecs = {name: columns[name].codec if name in columns else "snappy" for name in table.column_names}
    source = write(table, compression=codecs, use_dictionary=[n for n in columns if columns[n].dictionary])
    footer = load(source)
    (group,) = footer.row_groups
    raw = read_row_group(footer.data, group.described_at)
    patches = [*number(footer.fields, NUM_ROWS, rows), *number(raw.fields, ids.NUM_ROWS, rows)]
    body = source[: footer.data_end]
    for owner, (_, meta) in zip(footer.schema.owners, metas(footer), strict=True):
        made = columns.get(footer.columns[owner])
        if made:
            patches += _described(meta, made, len(body))
            body += made.pages
    return _assembled(body, footer.data, patches)


def _described(meta: thrift.Struct, made: Column, start: int) -> list[Patch]:
    patches = number(meta, ids.NUM_VALUES, made.values) + number(meta, ids.COMPRESSED_SIZE, len(made.pages))
    patches += number(meta, ids.DATA_PAGE, start + made.dictionary)
    return patches + number(meta, ids.DICTIONARY_PAGE, start)


def _assembled(body: bytes, footer: bytes, patches: list[Patch]) -> bytes:
    data = thrift.splice(footer, 0, len(footer), sorted(patches))
    return body + data + len(data).to_bytes(4, "little") + b"PAR1"


def delta(numbers: Sequence[int]) -> bytes:
    """Encode numbers as differences, in blocks of 128 with four miniblocks: DELTA_BINARY_PACKED."""
    encoded = _varint(128) + _varint(4) + _varint(len(numbers)) + thrift.write_integer(numbers[0] if numbers else 0)
    steps = [after - before for before, after in pairwise(numbers)]
    for start in range(0, len(steps), 128):
        block = steps[start : start + 128]
        least = min(block)
        miniblocks = [[step - least for step in block[at : at + 32]] for at in range(0, 128, 32)]
        widths = [max(each, default=0).bit_length() for each in miniblocks]
        encoded += thrift.write_integer(least) + bytes(widths)
        for width, each in zip(widths, miniblocks, strict=True):
            encoded += sum(step << at * width for at, step in enumerate(each)).to_bytes(4 * width, "little")
    return encoded


def delta_texts(prefixes: Sequence[int], suffixes: Sequence[bytes]) -> bytes:
    """Encode texts by what they share with the one before, and the rest of each: DELTA_BYTE_ARRAY."""
    return delta(prefixes) + delta([len(suffix) for suffix in suffixes]) + b"".join(suffixes)


def _varint(number: int) -> bytes:
    return thrift.write_binary(b"\0" * number)[:-number]
