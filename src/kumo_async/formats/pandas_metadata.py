"""What pandas says of a file's columns: a JSON document, in the file's metadata and once more in Arrow's schema."""

from __future__ import annotations

import json
from typing import Any

from kumo_async.formats.key_values import Changes, by_name

__all__ = ["PANDAS_KEY", "rewritten_pandas"]

PANDAS_KEY = b"pandas"

_TEXT_LABELS = ("unicode", "string", "empty")


def rewritten_pandas(value: bytes, changes: Changes) -> bytes | None:
    """Give the document with the new names and types of columns; None if it cannot be read.

    Example:
        >>> value = b'{"columns": [{"name": "a b", "field_name": "a b"}]}'
        >>> rewritten_pandas(value, Changes(["a b"], ["a_b"]))
        b'{"columns": [{"name": "a_b", "field_name": "a_b"}]}'
    """
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("columns", []), list):
        return None
    _rewrite_columns(document.get("columns", []), changes)
    if "attributes" in document and changes.changed.stand_in(json.dumps(document["attributes"]).encode()):
        document["attributes"] = {}
    if tuple(changes.old) != tuple(changes.new):
        _rename_labels(document, changes)
    return json.dumps(document).encode()


def _rewrite_columns(columns: list[Any], changes: Changes) -> None:
    waiting = by_name(changes)
    for column in columns:
        name = column.get("field_name", column.get("name")) if isinstance(column, dict) else None
        if isinstance(name, str) and waiting.get(name):
            new, kind = waiting[name].popleft()
            _rename_column(column, name, new)
            if kind is not None:
                _retype_column(column, kind)


def _rename_column(column: dict[str, Any], old: str, new: str) -> None:
    # A column of the index may have no name of its own, only that of its field.
    for key in ("name", "field_name"):
        if column.get(key) == old:
            column[key] = new


def _retype_column(column: dict[str, Any], kind: Any) -> None:
    import pyarrow as pa

    label, dtype, metadata = str(kind), str(kind), None
    if pa.types.is_decimal(kind):
        label, dtype, metadata = "decimal", "object", {"precision": kind.precision, "scale": kind.scale}
    elif pa.types.is_string(kind):
        label, dtype = "unicode", "object"
    elif pa.types.is_binary(kind):
        label, dtype = "bytes", "object"
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        label, dtype = f"list[{kind.value_type}]", "object"
    elif pa.types.is_float32(kind):
        label, dtype = "float32", "float32"
    # pandas has types of its own that keep nulls, UInt32 and those of Arrow, and would make the old one again.
    before = str(column.get("numpy_type"))
    if before.endswith("[pyarrow]"):
        dtype = f"{kind}[pyarrow]"
    elif before.startswith("UInt"):
        dtype = dtype.capitalize()
    column.update(pandas_type=label, numpy_type=dtype, metadata=metadata)


def _rename_labels(document: dict[str, Any], changes: Changes) -> None:
    if isinstance(index := document.get("index_columns"), list):
        names = dict(zip(reversed(changes.old), reversed(changes.new), strict=True))
        document["index_columns"] = [names.get(entry, entry) if isinstance(entry, str) else entry for entry in index]
    _one_level(document)
    _name_labels(document.get("column_indexes"))


def _one_level(document: dict[str, Any]) -> None:
    # With several levels pandas takes each name for a tuple of labels, which a renamed one is not.
    levels = document.get("column_indexes")
    if isinstance(levels, list) and len(levels) > 1:
        del levels[1:]
        if isinstance(levels[0], dict):
            levels[0].update(name=None, field_name=None, metadata=None)


def _name_labels(indexes: Any) -> None:
    # Labels that were numbers or dates are text in Parquet, and pandas makes them back from the names: out of a renamed
    # "1_5" it makes 15, and from a renamed date an error. After a rename all labels are names.
    for index in indexes if isinstance(indexes, list) else []:
        if isinstance(index, dict) and index.get("pandas_type") not in _TEXT_LABELS:
            index.update(pandas_type="unicode", numpy_type="object")
