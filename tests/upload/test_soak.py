"""`benchmarks/soak.py` in small: many tables at once, a few of them large, while some of all answers are bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from kumo_async.local import LocalDataPlane
from soak import bad_answers, left_over, make_tables, soak


async def test_many_tables_at_once_over_a_bad_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_async.service.retry.wait_before", lambda attempt, error: 0.0)
    tables = make_tables(tmp_path, small=60, large=2, large_mib=10)
    async with LocalDataPlane(tmp_path / "plane", faults=bad_answers(0.05)) as plane:
        await soak(plane.endpoint, plane.api_key, tables[:1])
        async with left_over():
            await soak(plane.endpoint, plane.api_key, tables)
        for table in tables:
            files = plane.table_files(table.name, "csv")
            assert len(files) == (1 if table.name.startswith("small") else 2), table.name
            assert sum(file.read_bytes().count(b"\n") - 1 for file in files) == table.rows
        assert any((call.status or 500) >= 500 for call in plane.calls)
