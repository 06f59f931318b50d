"""What Spark says of a file's columns: its own schema as JSON, which it believes over Parquet's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kumo_async.formats.key_values import Changes, by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SPARK_KEY", "rewritten_spark"]

SPARK_KEY = b"org.apache.spark.sql.parquet.row.metadata"

_NAMES = {"int8": "byte", "int16": "short", "int32": "integer", "int64": "long", "float": "float", "double": "double"}


def rewritten_spark(value: bytes, changes: Changes) -> bytes | None:
    """Give Spark's schema with the new names and types of columns.

    Versions before 1.3 had another form, which is treated like any unknown one.

    Example:
        >>> value = b'{"type": "struct", "fields": [{"name": "a b", "type": "long", "nullable": true, "metadata": {}}]}'
        >>> rewritten_spark(value, Changes(["a b"], ["a_b"]))
        b'{"type":"struct","fields":[{"name":"a_b","type":"long","nullable":true,"metadata":{}}]}'
    """
    fields = list(_fields(value))
    if not fields:
        return changes.kept(SPARK_KEY, value)
    document = fields[0]
    waiting = by_name(changes)
    for each in fields[1:]:
        if each["name"] in waiting:
            each["name"], kind = waiting[each["name"]].popleft()
            if kind is not None:
                each["type"] = _spark_type(kind)
        if changes.changed.stand_in(json.dumps(each.get("metadata")).encode()):
            each["metadata"] = {}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _fields(value: bytes) -> Iterator[dict[str, Any]]:
    """Give the document, then its fields; nothing if it has another form."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return
    fields = document.get("fields") if isinstance(document, dict) else None
    if isinstance(fields, list) and all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in fields):
        yield document
        yield from fields


def _spark_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        item = kind.value_field
        return {"type": "array", "elementType": _spark_type(item.type), "containsNull": item.nullable}
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return _NAMES.get(str(kind), str(kind))
