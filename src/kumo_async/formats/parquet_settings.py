"""How a Parquet file was written, as far as its footer tells, in the words of pyarrow's writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kumo_async.formats import thrift
from kumo_async.formats.parquet_columns import read_row_group

if TYPE_CHECKING:
    from kumo_async.formats.parquet_footer import Footer

__all__ = ["writer_settings"]

_ENCODING_STATS = 13
_DATA_PAGE_V2 = 3
_MAX_STATS = 1000

_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_CODECS = {"SNAPPY", "GZIP", "BROTLI", "ZSTD", "LZ4"}


def writer_settings(footer: Footer, metadata: Any, schema: Any) -> dict[str, Any]:
    """Return the arguments for `pyarrow.parquet.ParquetWriter` that make files like this one.

    The first row group speaks for all. Codecs that can only be read become Snappy, and the level of a codec, which no
    footer tells, is pyarrow's default.

    Args:
        footer: The source's footer, with at least one row group that has rows.
        metadata: The same footer as pyarrow's `FileMetaData`.
        schema: The Arrow schema that is to be written; each column has one leaf.
    """
    first = next(number for number, group in enumerate(footer.row_groups) if group.num_rows)
    group = metadata.row_group(first)
    leaves = {_leaf_path(field): group.column(position) for position, field in enumerate(schema)}
    return {
        "version": "2.6",
        "compression": {path: _codec(leaf.compression) for path, leaf in leaves.items()},
        "use_dictionary": [path for path, leaf in leaves.items() if _DICTIONARY & set(leaf.encodings)],
        "data_page_version": "2.0" if _has_pages_v2(footer, first) else "1.0",
        "store_decimal_as_integer": any(e.scale is not None and e.physical_type in (1, 2) for e in footer.elements),
        "sorting_columns": group.sorting_columns or None,
        "write_page_checksum": True,
    }


def _leaf_path(field: Any) -> str:
    import pyarrow as pa

    is_list = pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
    return f"{field.name}.list.element" if is_list else str(field.name)


def _codec(name: str) -> str:
    if name == "UNCOMPRESSED":
        return "NONE"
    return name if name in _CODECS else "SNAPPY"


def _has_pages_v2(footer: Footer, group: int) -> bool:
    raw = read_row_group(footer.data, footer.row_groups[group].described_at)
    for column in raw.columns:
        # Not all fields of a column's metadata are in `raw.metas`, so these are looked for once more.
        meta, _ = thrift.scan(footer.data, column[3][2])
        stats = thrift.structs(footer.data, meta, _ENCODING_STATS, _MAX_STATS)
        if any(thrift.integer(footer.data, entry, 1, 0) == _DATA_PAGE_V2 for entry in stats):
            return True
    return False
