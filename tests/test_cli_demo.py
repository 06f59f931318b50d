from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli import app
from kumo_async.cli.demo_check import compare
from kumo_async.cli.demo_data import make_tables
from kumo_async.local import LocalDataPlane

#: None of these may make a difference.
HOSTILE = {
    "KUMO_API_ENDPOINT": "https://nowhere.invalid/api",
    "KUMO_API_KEY": "no key\n",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


def test_demo_needs_nothing_and_is_plain_in_a_pipe() -> None:
    kept = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    done = subprocess.run(
        [sys.executable, "-m", "kumo_async", "demo", "--rows", "8000"],
        capture_output=True,
        text=True,
        env=kept | HOSTILE,
        check=True,
    )
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    for words in ("users.csv/part_0005.csv", "orders.parquet/part_0005.parquet", "'user id' to 'user_id'", "8,000"):
        assert words in done.stdout
    assert "DIFFERENT" not in done.stdout
    assert "Next" in done.stdout


@pytest.mark.parametrize("rows", [1, 37])
def test_demo_as_json(rows: int) -> None:
    result = CliRunner().invoke(app, ["demo", "--rows", str(rows), "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["ok"] is True
    users, orders = document["tables"]
    assert (users["report"]["file_type"], orders["report"]["file_type"]) == ("csv", "parquet")
    assert orders["report"]["rows"] == rows
    assert users["report"]["renamed_columns"] == {"user id": "user_id"}
    assert all(check["equal"] for table in document["tables"] for check in table["checks"])


def test_demo_can_keep_what_it_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--rows", "100", "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 0
    url = f"local:{tmp_path / 'kept' / 'plane'}"
    assert f"--url {url}" in result.stdout
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(url))
    assert connector["users"].head(1)["user_id"].tolist() == [1]


def test_demo_on_a_full_disk_says_where_and_what_helps(tmp_path: Path) -> None:
    (tmp_path / "users.csv").symlink_to("/dev/full")
    result = CliRunner().invoke(app, ["demo", "--rows", "100", "--keep", str(tmp_path)])
    assert result.exit_code == 2
    assert f"error: There is no room for the demo's files in {tmp_path}. Let TMPDIR" in result.stderr


def test_demo_fails_where_something_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LocalDataPlane.table_files
    monkeypatch.setattr(LocalDataPlane, "table_files", lambda self, *args: whole(self, *args)[:-1])
    result = CliRunner().invoke(app, ["demo", "--rows", "100"])
    assert result.exit_code == 1
    assert "DIFFERENT" in result.stdout
    assert "Something differs" in result.stdout


def test_the_same_rows_make_the_same_data(tmp_path: Path) -> None:
    first = [table.path.read_bytes() for table in make_tables(tmp_path, 200)]
    assert first == [table.path.read_bytes() for table in make_tables(tmp_path, 200)]


def test_the_data_has_what_breaks_uploaders(tmp_path: Path) -> None:
    users, orders = make_tables(tmp_path, 4000)
    text = users.path.read_text(encoding="utf-8")
    for odd in ('"00501"', "Call\nbefore", 'Ask for ""Sam""', '"2nd St, Rear', '"user id"'):
        assert odd in text or odd.strip('"') in text
    assert "00501" in users.data["zip"].to_pylist()
    assert users.data["delivery_note"].null_count > 0
    assert pa.types.is_timestamp(orders.data.schema.field("ordered_at").type)


def test_one_changed_value_is_found(tmp_path: Path) -> None:
    users, _ = make_tables(tmp_path, 40)
    users.path.write_text(users.path.read_text().replace("user id", "user_id").replace('"team"', '"Team"', 1))
    names = ["user_id", *users.data.column_names[1:]]
    checks = compare(users, names, users.data.slice(0, 2).rename_columns(names).to_pandas(), [users.path])
    assert [check.what for check in checks if not check.equal] == ["every value"]
    checks = compare(users, ["id"], users.data.slice(1, 2).rename_columns(names).to_pandas(), [users.path])
    assert [check.what for check in checks if not check.equal] == ["column names", "first rows", "every value"]
