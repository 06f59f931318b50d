"""Small files for the tests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def parquet(columns: Mapping[str, Any] | pa.Table, **options: Any) -> bytes:
    """Write a Parquet file into memory."""
    buffer = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(dict(columns)), buffer, **options)
    return buffer.getvalue()
