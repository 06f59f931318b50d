"""One session of the official SDK against a data plane, as a program of its own.

The SDK keeps global state and a thread that runs for ever, so it must not live in the process of the tests. Endpoint
and key come in environment variables, though not in the SDK's own, with which it would already begin when imported.
What it saw goes out as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import kumoai
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kumoai.connector import utils

import kumo_async

FRAME = pd.DataFrame(
    {
        "user_id": range(1, 21),
        "zip": [f"0{number:04d}" for number in range(20)],
        "spent": [number / 8 for number in range(20)],
        "joined": pd.date_range("2024-01-31", periods=20, freq="D"),
        "active": [number % 2 == 0 for number in range(20)],
    }
)


def main(file_type: str) -> dict[str, Any]:
    endpoint, key = os.environ["LOCAL_ENDPOINT"], os.environ["LOCAL_KEY"]
    kumoai.init(endpoint, key, log_level="WARNING")
    connector = kumoai.FileUploadConnector(file_type=file_type)
    seen: dict[str, Any] = {"before": [connector.table_names(), connector.has_table("small")]}
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), file_type)
        connector.upload("small", str(path))
        utils.CHUNK_SIZE = 5 * 1024**2
        if file_type == "parquet":
            utils._upload_partitioned_parquet("large", str(path), 1)
        else:
            utils._upload_partitioned_csv("large", str(path), 200)
    seen["names"] = connector.table_names()
    seen["tables"] = {name: _look(connector[name]) for name in ("small", "large")}
    ours = kumo_async.FileUploadConnector(file_type, client=kumo_async.KumoClient(endpoint, key))
    table = kumoai.Table.from_source_table(ours["small"], primary_key="user_id")
    seen["table"] = [column.name for column in table.columns]
    seen["config"] = connector["large"]._to_api_source_table().table
    connector.delete("small")
    connector.delete("large")
    seen["after"] = connector.table_names()
    return seen


def _write(folder: Path, file_type: str) -> Path:
    path = folder / f"table.{file_type}"
    if file_type == "parquet":
        table = pa.Table.from_pandas(FRAME, preserve_index=False)
        # Pandas writes large strings, which Kumo does not take.
        text = table.schema.get_field_index("zip")
        table = table.set_column(text, "zip", table["zip"].cast(pa.string()))
        pq.write_table(table, path, row_group_size=7)
    else:
        FRAME.to_csv(path, index=False)
    return path


def _look(table: Any) -> dict[str, Any]:
    head = table.head(20)
    expected = FRAME.astype({"joined": head["joined"].dtype})
    pd.testing.assert_frame_equal(head, expected)
    return {
        "columns": {column.name: [column.dtype, column.stype, column.is_primary] for column in table.columns},
        "rows": [len(table.head()), len(head), len(table.head(1000))],
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
