"""How large a file's pages are, by their own headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from kumo_async.formats import thrift

# Fields of a page header and of a dictionary's, from parquet.thrift.
_DECODED, _STORED, _DICTIONARY, _VALUES = 2, 3, 7, 1


def pages(metadata: Any, data: bytes, column: int) -> Iterator[tuple[int, int, int]]:
    """Give of each page of a column the bytes stored and decoded, and the values if it is a dictionary."""
    for group in range(metadata.num_row_groups):
        described = metadata.row_group(group).column(column)
        position = described.dictionary_page_offset or described.data_page_offset
        end = position + described.total_compressed_size
        while position < end:
            header, position = thrift.scan(data, position)
            values = 0
            if _DICTIONARY in header:
                values = thrift.integer(data, thrift.scan(data, header[_DICTIONARY][2])[0], _VALUES)
            stored = thrift.integer(data, header, _STORED)
            yield stored, thrift.integer(data, header, _DECODED), values
            position += stored


def page_memory(path: Path) -> int:
    """Return what the pages of a file take where it is decoded: the term for them in `page_units`."""
    metadata, data = pq.read_metadata(path), path.read_bytes()
    total = 0
    for column in range(metadata.num_columns):
        stored, decoded, values = (max(sizes) for sizes in zip(*pages(metadata, data, column), strict=True))
        total += stored + decoded + (decoded + 16 * values if values else 0)
    return total
