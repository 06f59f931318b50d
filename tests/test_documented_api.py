"""The official documentation's examples, unchanged but for the import and the paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kumo_async as kumoai
from kumo_async import options


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the files of the examples there, and make "large" mean something that a test can write."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    defaults: dict[str, Any] = getattr(options.UploadOptions.__init__, "__kwdefaults__")  # noqa: B009
    monkeypatch.setitem(defaults, "partition_threshold", 10_000)
    monkeypatch.setitem(defaults, "partition_size", 10_000)
    pq.write_table(pa.table({"id": [1, 2, 3]}), "users.parquet")
    pq.write_table(pa.table({"id": range(10_000)}), "large_transactions.parquet", row_group_size=1_000)
    Path("large_sales.csv").write_text("id,amount\n" + "".join(f"{number},1.5\n" for number in range(5_000)))


def test_getting_started() -> None:
    # Create the file upload connector:
    connector = kumoai.FileUploadConnector(file_type="parquet")

    # Upload the table; assume it is stored at `users.parquet`
    connector.upload(name="users", path="users.parquet")

    # Check that the file upload connector has a `users` table:
    assert connector.has_table("users")


def test_upload() -> None:
    connector = kumoai.FileUploadConnector(file_type="parquet")
    upload = connector.upload

    # Upload a small table
    connector.upload(name="users", path="users.parquet")

    # Upload a large parquet table (will be automatically partitioned)
    connector.upload(name="transactions", path="large_transactions.parquet")

    # Disable auto-partitioning (will raise error for large files)
    upload(name="users", path="users.parquet", auto_partition=False)

    # Create a file upload connector for CSV files.
    connectorCSV = kumoai.FileUploadConnector(file_type="csv")  # noqa: N806

    # Upload a large CSV table (will be automatically partitioned)
    connectorCSV.upload(name="sales", path="large_sales.csv")

    assert connector.table_names() == ["transactions", "users"]
    assert connectorCSV.table_names() == ["sales"]
    # "Tables uploaded in this way can be accessed with this FileUploadConnector using the provided name":
    assert connector["transactions"].head(3)["id"].tolist() == [0, 1, 2]
    # "If False and file is >1GB, raises ValueError":
    with pytest.raises(ValueError, match="auto_partition"):
        connector.upload(name="transactions", path="large_transactions.parquet", auto_partition=False)


def test_delete() -> None:
    connector = kumoai.FileUploadConnector(file_type="parquet")
    connector.upload(name="users", path="users.parquet")

    # Assume we have uploaded a `.parquet` table named `users`, and a
    # `FileUploadConnector` has been created called `connector`, and
    # we want to delete this table from Kumo:
    connector.delete(name="users", file_type="parquet")

    assert not connector.has_table("users")
    # "Raises: ValueError - if name does not exist in the backing connector":
    with pytest.raises(ValueError, match="users"):
        connector.table("users")
