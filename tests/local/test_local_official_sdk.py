"""The official SDK works with the embedded plane from beginning to end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from kumo_async.local import LocalDataPlane

SESSION = Path(__file__).with_name("sdk_session.py")

COLUMNS = {
    "user_id": ["int64", "numerical", False],
    "zip": ["string", "text", False],
    "spent": ["float64", "numerical", False],
    "joined": ["time", "timestamp", False],
    "active": ["bool", "categorical", False],
}


async def session(plane: LocalDataPlane, file_type: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KUMO", "PYTHON"))}
    environment |= {"LOCAL_ENDPOINT": plane.endpoint, "LOCAL_KEY": plane.api_key}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SESSION),
        file_type,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


@pytest.mark.parametrize(
    ("file_type", "partitions", "columns"),
    [
        ("parquet", 3, COLUMNS),
        ("csv", 4, COLUMNS | {"joined": ["date", "timestamp", False]}),
    ],
)
async def test_the_official_sdk_uploads_reads_and_deletes(
    file_type: str, partitions: int, columns: dict[str, list[object]]
) -> None:
    async with LocalDataPlane() as plane:
        seen = await session(plane, file_type)
        completed = [call.name for call in plane.calls if call.call == "complete"]

    assert seen["before"] == [[], False]
    assert seen["names"] == ["large", "small"]
    assert seen["tables"] == {name: {"columns": columns, "rows": [5, 20, 20]} for name in ("small", "large")}
    assert seen["table"] == list(COLUMNS)
    assert seen["config"] == "large"
    assert seen["after"] == []
    numbers = range(1, partitions + 1)
    assert completed == ["small", *(f"large.{file_type}/part_{number:04d}.{file_type}" for number in numbers)]
