"""The two places outside Parquet's own schema in which a file repeats its column names.

Arrow writers keep their schema under the key `ARROW:schema`, as base64 of an IPC message; pandas keeps a JSON document
under `pandas`, in the file's metadata and once more within Arrow's schema. A reader believes them, so a rename must
reach both.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from typing import TYPE_CHECKING, Any

from kumo_async.formats.arrow_errors import arrow_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ARROW_KEY", "PANDAS_KEY", "renamed_value"]

ARROW_KEY = b"ARROW:schema"
PANDAS_KEY = b"pandas"

_TEXT_LABELS = ("unicode", "string", "empty")


def renamed_value(key: bytes, value: bytes, old: Sequence[str], new: Sequence[str]) -> bytes | None:
    """Rename the top-level columns within one value of a file's metadata.

    Args:
        key: The entry's key. Only Arrow's and pandas' own entries are touched.
        value: The entry's value as it is stored.
        old: The names of all top-level columns.
        new: Their new names, in the same order.

    Returns:
        The new value; None if it cannot be read or does not fit the columns, and must go rather than contradict them.

    Example:
        >>> renamed_value(b"pandas", b'{"columns": [{"name": "a b", "field_name": "a b"}]}', ["a b"], ["a_b"])
        b'{"columns": [{"name": "a_b", "field_name": "a_b"}]}'
    """
    if key == ARROW_KEY:
        return _renamed_arrow(value, old, new)
    if key == PANDAS_KEY:
        return _renamed_pandas(value, old, new)
    return value


def _renamed_arrow(value: bytes, old: Sequence[str], new: Sequence[str]) -> bytes | None:
    import pyarrow as pa

    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value, validate=True)))
        fields = [field.with_name(name) for field, name in zip(schema, new, strict=True)]
        metadata: dict[Any, Any] = dict(schema.metadata or {})
        if pandas := _renamed_pandas((schema.metadata or {}).get(PANDAS_KEY, b""), old, new):
            metadata[PANDAS_KEY] = pandas
        else:
            metadata.pop(PANDAS_KEY, None)
        renamed = pa.schema(fields, metadata=metadata or None)
        return base64.b64encode(renamed.serialize().to_pybytes())
    except arrow_errors():
        # The schema is not that of these columns, or broken; what Arrow raises depends on where. Readers cannot use it.
        return None


def _renamed_pandas(value: bytes, old: Sequence[str], new: Sequence[str]) -> bytes | None:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("columns", []), list):
        return None
    _rename_columns(document.get("columns", []), old, new)
    if isinstance(index := document.get("index_columns"), list):
        names = dict(zip(reversed(old), reversed(new), strict=True))
        document["index_columns"] = [names.get(entry, entry) if isinstance(entry, str) else entry for entry in index]
    _one_level(document)
    _name_labels(document.get("column_indexes"))
    return json.dumps(document).encode()


def _rename_columns(columns: list[Any], old: Sequence[str], new: Sequence[str]) -> None:
    # Of columns with the same name, the n-th entry means the n-th column.
    waiting: dict[str, deque[str]] = {}
    for name, renamed in zip(old, new, strict=True):
        waiting.setdefault(name, deque()).append(renamed)
    for column in columns:
        field = column.get("field_name", column.get("name")) if isinstance(column, dict) else None
        if isinstance(field, str) and waiting.get(field):
            _rename_column(column, field, waiting[field].popleft())


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


def _rename_column(column: dict[str, Any], old: str, new: str) -> None:
    # A column of the index may have no name of its own, only that of its field.
    for key in ("name", "field_name"):
        if column.get(key) == old:
            column[key] = new
