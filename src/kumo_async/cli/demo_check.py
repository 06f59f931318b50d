"""The demo's last step: what is in the data plane is compared with what was made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formats.names import clean_names
from .demo_data import DemoTable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Check", "compare"]


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        what: What was compared.
        source: As it is in the source.
        kumo: As it is in the data plane.
        equal: Whether the two are the same.
    """

    what: str
    source: str
    kumo: str
    equal: bool


def compare(table: DemoTable, columns: Sequence[str], head: pd.DataFrame, files: Sequence[Path]) -> list[Check]:
    """Compare a table of the data plane with its source.

    Args:
        table: The source.
        columns: The column names that the data plane gives.
        head: The first rows that the data plane gives.
        files: The files of the table's partitions, in order.
    """
    source = table.data.rename_columns(clean_names(table.data.column_names))
    stored = _read(files, table.file_type, source.schema)
    first = source.slice(0, len(head)).column(0).to_pylist()
    shown = [] if head.empty else head[source.column_names[0]].tolist()
    same = bool(stored.equals(source))
    return [
        _names(source.column_names, list(columns)),
        Check("first rows", _few(first), _few(shown), first == shown),
        Check("rows", f"{source.num_rows:,}", f"{stored.num_rows:,}", source.num_rows == stored.num_rows),
        _sums(f"sum of {table.amount}", source[table.amount], stored[table.amount]),
        Check("every value", f"{source.num_rows * source.num_columns:,}", "the same" if same else "others", same),
    ]


def _names(expected: list[str], got: list[str]) -> Check:
    if expected == got:
        return Check("column names", f"{len(expected)}", f"{len(got)}", True)
    return Check("column names", _few(expected), _few(got), False)


def _sums(what: str, source: pa.ChunkedArray[Any], stored: pa.ChunkedArray[Any]) -> Check:
    # fsum is exact, so the sum does not depend on where the partitions were cut.
    expected, got = math.fsum(source.to_numpy()), math.fsum(stored.to_numpy())
    return Check(what, f"{expected:,.2f}", f"{got:,.2f}", expected == got)


def _read(files: Sequence[Path], file_type: str, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    read = _read_csv if file_type == "csv" else _read_parquet
    return pa.concat_tables([read(file, schema) for file in files])


def _read_parquet(file: Path, schema: pa.Schema) -> pa.Table:
    from pyarrow import parquet

    return parquet.read_table(file, schema=schema)


def _read_csv(file: Path, schema: pa.Schema) -> pa.Table:
    from pyarrow import csv

    types = {field.name: field.type for field in schema}
    return csv.read_csv(
        file,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def _few(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
