"""Functions on tables, as `kumoai.connector.utils` of the official SDK has them."""

from __future__ import annotations

import os

from .connector import FileUploadConnector
from .errors import ConfigurationError
from .report import UploadReport
from .sources import ENDINGS, file_type_of_path

__all__ = ["delete_uploaded_table", "replace_table", "upload_table"]


def upload_table(
    name: str,
    path: str | os.PathLike[str],
    auto_partition: bool = True,
    partition_size_mb: int = 250,
    file_type: str | None = None,
) -> UploadReport:
    """Upload a file as a table, through the connector that its name's ending asks for.

    Args:
        name: The table's name in Kumo.
        path: The file; see `FileUploadConnector.upload`.
        auto_partition: Whether to cut a file over 1000 MiB.
        partition_size_mb: Target size of a partition in MiB, 100 to 1000.
        file_type: ``"parquet"`` or ``"csv"``: what the file is treated as, whatever its name. Default: by the ending of
            its name. A name that ends as files of the other type do is refused.

    Returns:
        What was uploaded.

    Raises:
        ConfigurationError: If `file_type` is left out, and the file's name does not tell it.
        KumoError: What `FileUploadConnector.upload` raises.

    Example:
        >>> import kumo_async
        >>> kumo_async.upload_table("users", "users.parquet").file_type
        'parquet'
    """
    connector = FileUploadConnector(file_type if file_type is not None else _file_type_of(path))
    return connector.upload(name, path, auto_partition, partition_size_mb)


def delete_uploaded_table(name: str, file_type: str) -> None:
    """Delete an uploaded table.

    Args:
        name: The table's name.
        file_type: ``"parquet"`` or ``"csv"``.

    Raises:
        TableNotFoundError: If there is no such table.
        KumoError: What `FileUploadConnector.delete` raises.

    Example:
        >>> import kumo_async
        >>> report = kumo_async.upload_table("users", "users.parquet")
        >>> kumo_async.delete_uploaded_table("users", "parquet")
    """
    FileUploadConnector(file_type).delete(name)


def replace_table(name: str, path: str | os.PathLike[str], file_type: str) -> UploadReport:
    """Replace a table by a file. It is what `upload_table` does anyway: a table is replaced, never added to.

    Args:
        name: The table's name; it need not exist.
        path: The new file; see `FileUploadConnector.upload`.
        file_type: ``"parquet"`` or ``"csv"``.

    Returns:
        What was uploaded.

    Raises:
        KumoError: What `FileUploadConnector.upload` raises. Before the commit the old table stays; an error of the
            commit says what is there.

    Example:
        >>> import kumo_async
        >>> kumo_async.replace_table("orders", "orders.csv", "csv").rows
        3
    """
    return upload_table(name, path, file_type=file_type)


def _file_type_of(path: str | os.PathLike[str]) -> str:
    found = file_type_of_path(path)
    if found is None:
        known = " or ".join(ending for endings in ENDINGS.values() for ending in endings)
        raise ConfigurationError(
            f"The file type cannot be taken from {os.fspath(path)!r}, whose name does not end with {known}. Give "
            f'file_type="csv" or "parquet".',
            path=os.fspath(path),
        )
    return found
