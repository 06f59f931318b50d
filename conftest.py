"""What the examples in docstrings and docs find around them: two small files, and the embedded data plane."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _example_world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    import kumo_async.client

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(kumo_async.client, "_default", None)
    pq.write_table(pa.table({"id": [1, 2, 3], "name": ["Ada", "Grace", "Edsger"]}), "users.parquet")
    Path("orders.csv").write_text("id,amount\n1,9.50\n2,12.25\n3,7.00\n")
