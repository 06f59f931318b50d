"""The first rows of CSV files, with types that lose nothing.

Only the first block of a file is read, and further ones when it holds too few rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pacsv

from kumo_async.local.stores import StoredFile

__all__ = ["read_head", "split_head"]

_BLOCK_BYTES = (1024**2, 8 * 1024**2, 64 * 1024**2)
# A number could not give these back: it would lose the leading zeros, or the digits after about the eighteenth.
_NOT_A_NUMBER = r"^\s*[+-]?(0[0-9]|[0-9]{19,}\s*$)"


def read_head(files: Sequence[StoredFile], rows: int) -> pa.Table:
    """Read at least ``rows`` rows from the start of a table, or all when it has fewer.

    Raises:
        ValueError: A file is not CSV.
        FileNotFoundError: A file is gone.
    """
    table = pa.table({})
    for names, body in _growing(files):
        table = _parse(names, body)
        if table.num_rows >= rows:
            break
    return table


def split_head(block: bytes) -> tuple[list[str], bytes]:
    """Split the start of a file into the names of its columns and its whole records.

    Raises:
        ValueError: There is no header, or it is not UTF-8.
    """
    header_end = _header_end(block)
    header = block[:header_end].decode("utf-8-sig")
    names = next(csv.reader(io.StringIO(header, newline="")), [])
    if not names:
        raise ValueError("the file has no header")
    return names, block[header_end:]


def _growing(files: Sequence[StoredFile]) -> Iterator[tuple[list[str], bytes]]:
    """Give more and more of the table's records, with the names of the first file."""
    first: list[str] = []
    before = b""
    for file in files:
        body = b""
        for block, is_whole in _blocks(file):
            names, body = split_head(block if is_whole else block[: _last_record_end(block)])
            first = first or names
            yield first, before + body
        before += body if body.endswith(b"\n") else body + b"\n"


def _blocks(file: StoredFile) -> Iterator[tuple[bytes, bool]]:
    size = file.size()
    for limit in _BLOCK_BYTES:
        with file.open() as stream:
            yield stream.read(limit), limit >= size
        if limit >= size:
            return


def _header_end(block: bytes) -> int:
    end, quotes = 0, 0
    while True:
        start, end = end, block.find(b"\n", end) + 1
        if not end:
            return len(block)
        quotes += block.count(b'"', start, end)
        if quotes % 2 == 0:
            return end


def _last_record_end(block: bytes) -> int:
    # A line feed ends a record only where all quotes before it are closed.
    quotes = block.count(b'"')
    end = len(block)
    while True:
        newline = block.rfind(b"\n", 0, end)
        if newline < 0:
            return len(block)
        quotes -= block.count(b'"', newline, end)
        if quotes % 2 == 0:
            return newline + 1
        end = newline


def _parse(names: list[str], body: bytes) -> pa.Table:
    # Numbers for names, because a header may hold one name twice.
    columns = [str(number) for number in range(len(names))]
    text = _read(columns, body, dict.fromkeys(columns, pa.string()))
    kept = {column: pa.string() for column in columns if _has_other_digits(text[column])}
    table = _read(columns, body, kept)
    for position, field in enumerate(table.schema):
        if pa.types.is_null(field.type) or pa.types.is_time(field.type):
            table = table.set_column(position, field.name, text[field.name])
    return table.rename_columns(names)


def _has_other_digits(column: pa.ChunkedArray[Any]) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, _NOT_A_NUMBER)).as_py())


def _read(columns: list[str], body: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    if not body.strip():
        return pa.schema([(column, pa.string()) for column in columns]).empty_table()
    return pacsv.read_csv(
        io.BytesIO(body),
        read_options=pacsv.ReadOptions(column_names=columns, use_threads=False, block_size=len(body) + 1),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
