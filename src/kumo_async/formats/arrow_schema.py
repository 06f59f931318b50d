"""Arrow's schema under the key `ARROW:schema`, as base64 of an IPC message, and other entries that repeat the columns.

A reader believes these entries over Parquet's own schema, so a new name or type must reach all of them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kumo_async.formats.arrow_errors import arrow_errors
from kumo_async.formats.key_values import ARROW_KEY
from kumo_async.formats.pandas_metadata import PANDAS_KEY, rewritten_pandas
from kumo_async.formats.spark_metadata import SPARK_KEY, rewritten_spark

if TYPE_CHECKING:
    from kumo_async.formats.key_values import Changes

__all__ = ["Fields", "rewritten_value"]

Fields = Callable[[Any], list[Any]]
"""Gives the fields of an embedded Arrow schema as they are to be; raises what pyarrow would if there is no way."""


def rewritten_value(key: bytes, value: bytes, changes: Changes, fields: Fields | None = None) -> bytes | None:
    """Rewrite one entry of a file's metadata for new names or types of columns.

    Args:
        key: The entry's key.
        value: Its value as it is stored.
        changes: What becomes of the columns.
        fields: What becomes of the fields of Arrow's schema; they get the new names by default.

    Returns:
        The new value, the same where nothing has to change. None where the entry must go: it is of a known form and
        cannot be read or does not fit the columns, or of an unknown one and a changed column stands in it.

    Example:
        >>> from kumo_async.formats.key_values import Changes
        >>> changes = Changes(["a b"], ["a_b"])
        >>> rewritten_value(b"units", b"kg", changes), rewritten_value(b"units", b"a b: kg", changes), changes.dropped
        (b'kg', None, {'units': None})
    """
    if key == ARROW_KEY:
        new = _rewritten_arrow(value, changes, fields)
    elif not changes.changed:
        new = value
    elif key == PANDAS_KEY:
        new = rewritten_pandas(value, changes)
    elif key == SPARK_KEY:
        new = rewritten_spark(value, changes)
    else:
        new = changes.kept(key, value)
    if new is None:
        changes.drop(key)
    return new


def _rewritten_arrow(value: bytes, changes: Changes, fields: Fields | None) -> bytes | None:
    import pyarrow as pa

    try:
        embedded = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value, validate=True)))
        named = [field.with_name(name) for field, name in zip(embedded, changes.new, strict=True)]
        found = fields(embedded) if fields else named
        found = [field.with_metadata(_rewritten_entries(field.metadata, changes)) for field in found]
        schema = pa.schema(found, metadata=_rewritten_entries(embedded.metadata, changes))
        if schema.equals(embedded, check_metadata=True):
            return value
        return base64.b64encode(schema.serialize().to_pybytes())
    except arrow_errors():
        # The schema is not that of these columns, or broken; what Arrow raises depends on where. Readers cannot use it.
        return None


def _rewritten_entries(metadata: dict[bytes, bytes] | None, changes: Changes) -> dict[bytes, bytes] | None:
    new = {key: rewritten_value(key, value, changes) for key, value in (metadata or {}).items()}
    return {key: value for key, value in new.items() if value is not None} or None
