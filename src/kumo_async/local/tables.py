"""What the stored files hold: columns, types and sample rows. Only as much is read as an answer needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from kumoapi.source_table import SourceColumn, SourceTableDataResponse
from kumoapi.typing import Dtype

from kumo_async.local import csvhead, samples
from kumo_async.local.names import FileType
from kumo_async.local.s3errors import Refused
from kumo_async.local.stores import StoredFile

__all__ = ["check", "describe", "dtype_of"]

_GOOD_NAME = re.compile(r"[0-9A-Za-z]([0-9A-Za-z_]*[0-9A-Za-z])?")
_TRIES = 3
_HEAD_BYTES = 1024**2

_SIMPLE = {
    pa.bool_(): Dtype.bool,
    pa.int8(): Dtype.byte,
    pa.int16(): Dtype.int16,
    pa.int32(): Dtype.int32,
    pa.int64(): Dtype.int64,
    pa.float32(): Dtype.float32,
    pa.float64(): Dtype.float64,
    pa.string(): Dtype.string,
    pa.binary(): Dtype.binary,
}


def describe(name: str, find: Callable[[], Sequence[StoredFile]], file_type: FileType, sample_rows: int) -> object:
    """Describe a table in the form of the official model.

    Args:
        name: The table's name.
        find: Gives the table's files. It is asked again when one of them was replaced before it could be read.
        file_type: What the files are.
        sample_rows: How many rows to show; 0 for none.

    Raises:
        Refused: There is no such table, or a file cannot be read.
    """
    head = _head(find, file_type, sample_rows)
    columns = [_source_column(field) for field in head.schema]
    rows = samples.to_text(head.slice(0, sample_rows)) if sample_rows else None
    return SourceTableDataResponse(name, columns, rows)


def check(file: StoredFile, file_type: FileType) -> None:
    """Check that a file can be read, and that its columns have names that Kumo allows.

    Raises:
        Refused: It cannot, or one has not.
    """
    try:
        names = _names(file, file_type)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(file_type, error) from None
    bad = [name for name in names if not _GOOD_NAME.fullmatch(name)]
    bad += [name for name, count in Counter(names).items() if count > 1]
    if bad:
        words = "may have letters, digits and inner underscores only, and each name once"
        raise Refused(message=f"Columns {words}; these do not: {', '.join(map(repr, bad))}.", status=400)


def dtype_of(kind: pa.DataType) -> Dtype:
    """Say what Kumo calls a type of Arrow.

    A decimal is ``float64``: Kumo has no type for it, and it is a number to whoever models with it.

    Example:
        >>> print(dtype_of(pa.int8()), dtype_of(pa.uint8()))
        byte unsupported
    """
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if pa.types.is_date(kind):
        return Dtype.date
    if pa.types.is_timestamp(kind):
        return Dtype.time
    if pa.types.is_decimal(kind):
        return Dtype.float64
    if pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type):
        return Dtype.string
    return _list_dtype(kind)


def _list_dtype(kind: pa.DataType) -> Dtype:
    if pa.types.is_list(kind) and pa.types.is_signed_integer(kind.value_type):
        return Dtype.intlist
    if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
        return Dtype.floatlist
    return Dtype.unsupported


def _source_column(field: pa.Field[Any]) -> SourceColumn:
    dtype = dtype_of(field.type)
    return SourceColumn(name=field.name, stype=dtype.default_stype, dtype=dtype, is_primary=False)


def _head(find: Callable[[], Sequence[StoredFile]], file_type: FileType, rows: int) -> pa.Table:
    read = csvhead.read_head if file_type == "csv" else _parquet_head
    for _ in range(_TRIES):
        files = find()
        try:
            return read(files, rows)
        except FileNotFoundError:
            continue
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(file_type, error) from None
    raise Refused("InternalError", "The table is being replaced again and again.")


def _parquet_head(files: Sequence[StoredFile], rows: int) -> pa.Table:
    heads: list[pa.Table] = []
    for file in files:
        heads.append(_one_parquet_head(file, rows - sum(head.num_rows for head in heads)))
        if sum(head.num_rows for head in heads) >= rows:
            break
    return heads[0] if len(heads) == 1 else pa.concat_tables(heads, promote_options="permissive")


def _one_parquet_head(file: StoredFile, rows: int) -> pa.Table:
    # Without pre-buffering, pages are read as they are decoded: a row group of a gigabyte costs a few pages.
    with file.open() as stream, pq.ParquetFile(stream, pre_buffer=False, buffer_size=_HEAD_BYTES) as parquet:
        batches: list[pa.RecordBatch] = []
        if rows:
            for batch in parquet.iter_batches(batch_size=rows, use_threads=False):
                batches.append(batch)
                if sum(len(batch) for batch in batches) >= rows:
                    break
        return pa.Table.from_batches(batches, parquet.schema_arrow)


def _names(file: StoredFile, file_type: FileType) -> list[str]:
    if file_type == "parquet":
        with file.open() as stream:
            return list(pq.read_schema(stream).names)
    csvhead.read_head([file], 0)
    with file.open() as stream:
        return csvhead.split_head(stream.read(_HEAD_BYTES))[0]


def _unreadable(file_type: FileType, error: Exception) -> Refused:
    # The reader's own words may quote values of the file, which an error must not hold.
    return Refused(message=f"The file cannot be read as {file_type} ({type(error).__name__}).", status=400)
