"""How a Parquet file was written, as far as its footer tells, in the words of pyarrow's writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kumo_async.formats.parquet_metas import column_metas, sorting_of
from kumo_async.formats.parquet_schema import ParquetError
from kumo_async.formats.thrift import ThriftError

if TYPE_CHECKING:
    from collections.abc import Collection

    from kumo_async.formats.parquet_footer import Footer

__all__ = ["writer_settings"]

_WRITTEN = {"NONE", "SNAPPY", "GZIP", "BROTLI", "ZSTD"}
_LZ4 = {"LZ4", "LZ4_RAW"}


def writer_settings(footer: Footer, schema: Any, *, without_statistics: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments for `pyarrow.parquet.ParquetWriter` that make files like this one.

    The first row group speaks for all. Codecs that can only be read become Snappy, and the level of a codec, which no
    footer tells, is pyarrow's default.

    Args:
        footer: The source's footer, with at least one row group that has rows.
        schema: The Arrow schema that is to be written; each column has one leaf.
        without_statistics: Names of columns that get no statistics, since pyarrow would compare their values wrongly.

    Raises:
        ParquetError: The footer is damaged where it says so.
    """
    first = next(number for number, group in enumerate(footer.row_groups) if group.num_rows)
    try:
        settings = _settings(footer, first, [_leaf_path(field) for field in schema])
    except ThriftError as error:
        raise ParquetError(f"The footer is damaged: {error}") from error
    if without_statistics:
        settings["write_statistics"] = [_leaf_path(f) for f in schema if f.name not in without_statistics]
    return settings


def _settings(footer: Footer, group: int, paths: list[str]) -> dict[str, Any]:
    leaves = dict(zip(paths, column_metas(footer, group), strict=True))
    return {
        "version": "2.6",
        "compression": {path: _codec(leaf.codec) for path, leaf in leaves.items()},
        "use_dictionary": [path for path, leaf in leaves.items() if leaf.has_dictionary],
        "data_page_version": "2.0" if any(leaf.has_pages_v2 for leaf in leaves.values()) else "1.0",
        "store_decimal_as_integer": any(e.scale is not None and e.physical_type in (1, 2) for e in footer.elements),
        "sorting_columns": _sorting_columns(footer, group, len(paths)),
        "write_page_checksum": True,
        "write_page_index": bool(footer.row_groups[group].offset_indexes),
    }


def _sorting_columns(footer: Footer, group: int, leaves: int) -> list[Any] | None:
    import pyarrow.parquet as pq

    entries = sorting_of(footer, group)
    if not all(0 <= entry.column < leaves for entry in entries):
        return None
    return [pq.SortingColumn(entry.column, entry.descending, entry.nulls_first) for entry in entries] or None


def _leaf_path(field: Any) -> str:
    import pyarrow as pa

    is_list = pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
    return f"{field.name}.list.element" if is_list else str(field.name)


def _codec(name: str) -> str:
    if name in _LZ4:
        return "LZ4"
    return name if name in _WRITTEN else "SNAPPY"
