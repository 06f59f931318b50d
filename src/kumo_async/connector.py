"""FileUploadConnector: the documented interface to uploaded tables, and its async twin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import blocking
from .client import KumoClient, check_client, default_client
from .errors import ConfigurationError, TableNotFoundError, no_groups
from .events import Observer, observed
from .formats.names import check_uploaded_name
from .options import UploadOptions, check_file_type
from .report import UploadPlan, UploadReport
from .shield import imported
from .source_table import SourceTable

if TYPE_CHECKING:
    from kumoapi.data_source import DataSourceType
    from kumoapi.source_table import FileType

__all__ = ["FileUploadConnector"]


class FileUploadConnector:
    """A connector to files that are uploaded to Kumo, either Parquet or CSV.

    It has the interface of `kumoai.connector.FileUploadConnector`. Each method that talks to the service blocks, and
    has an async twin with the suffix ``_async`` and the same arguments.

    Args:
        file_type: The file type of uploaded data, ``"csv"`` or ``"parquet"``.
        client: The workspace; default: what `kumo_async.init` set, else the environment variables, looked up at each
            call.

    Raises:
        ConfigurationError: If `file_type` is neither of the two, or `client` is no client.

    Example:
        >>> import kumo_async as kumoai
        >>> connector = kumoai.FileUploadConnector(file_type="parquet")
        >>> report = connector.upload(name="users", path="users.parquet")
        >>> assert connector.has_table("users")
    """

    def __init__(self, file_type: str, *, client: KumoClient | None = None) -> None:
        self._file_type = check_file_type(file_type)
        check_client(client)
        self._client = client

    @property
    def name(self) -> str:
        """The connector's id in Kumo.

        Example:
            >>> import kumo_async
            >>> kumo_async.FileUploadConnector("csv").name
            'csv_upload_connector'
        """
        return f"{self._file_type}_upload_connector"

    @property
    def source_type(self) -> DataSourceType:
        """The data source type behind this connector, `DataSourceType.S3` of kumo-api."""
        from kumoapi.data_source import DataSourceType

        return DataSourceType.S3

    @property
    def file_type(self) -> FileType:
        """The file type of uploaded data, a `FileType` of kumo-api."""
        from kumoapi.source_table import FileType

        return FileType(self._file_type.upper())

    @property
    def client(self) -> KumoClient:
        """The workspace that this connector talks to.

        Raises:
            ConfigurationError: If none was given, and there are no credentials to make one from.
        """
        return self._client if self._client is not None else default_client()

    async def upload_async(
        self,
        name: str,
        path: str | os.PathLike[str],
        auto_partition: bool = True,
        partition_size_mb: int = 250,
        *,
        options: UploadOptions | None = None,
        observer: Observer | None = None,
    ) -> UploadReport:
        """Upload a file from this machine as a table. The async twin of `upload`; see there.

        Example:
            >>> import asyncio, kumo_async
            >>> async def main() -> int:
            ...     connector = kumo_async.FileUploadConnector("csv")
            ...     report = await connector.upload_async("orders", "orders.csv")
            ...     return report.rows
            >>> asyncio.run(main())
            3
        """
        await imported("kumo_async.upload.pipeline")
        from .upload.pipeline import UploadRequest, upload

        options = UploadOptions() if options is None else options
        kind, client = self._file_type, self.client
        endpoint = client.credentials.scoped_endpoint
        request = UploadRequest(name, path, kind, auto_partition, partition_size_mb, options, endpoint)
        with observed(observer) as notify, no_groups():
            async with client.connected() as connection:
                return await upload(connection.session, connection.limits, request, notify)

    def upload(
        self,
        name: str,
        path: str | os.PathLike[str],
        auto_partition: bool = True,
        partition_size_mb: int = 250,
        *,
        options: UploadOptions | None = None,
        observer: Observer | None = None,
    ) -> UploadReport:
        """Upload a file from this machine as a table, and wait until it is there.

        A file over 1000 MiB is cut into partitions, between row groups or records, without changing a byte of the data.
        Column names that Kumo does not take are renamed. A table of that name is replaced: afterwards it has exactly
        the rows of the file. If anything fails before the commit, the old table is still as it was.

        An upload that failed, or whose process died, is resumed by the same call: with the same arguments, for a file
        that did not change meanwhile. What was stored is not sent again, and a commit that had begun is finished. See
        `UploadOptions.resume`, and `recover_uploads` for tables that are not uploaded again.

        Args:
            name: The table's name in Kumo.
            path: The file, of the connector's type, or a CSV file that `UploadOptions.convert` makes Parquet of. `~`,
                ``file://`` and any `os.PathLike` are understood.
            auto_partition: Whether to cut a file over 1000 MiB. If False, such a file is a ValueError.
            partition_size_mb: Target size of a partition in MiB, 100 to 1000.
            options: How it is cut and sent; see `UploadOptions`.
            observer: Told of what happens; see `Observer`.

        Returns:
            What was uploaded: partitions with sizes and rows, renamed columns, warnings.

        Raises:
            ConfigurationError: If there are no credentials, or an argument is out of its range.
            SourceError: If the file cannot be uploaded as it is.
            SourceChangedError: If the file changes meanwhile.
            AuthenticationError: If the service does not accept the key.
            UploadError: If a part cannot be stored, or the table not be committed.
            ServiceError: If the service refuses a call, or cannot be reached.

        Example:
            >>> import kumo_async
            >>> connector = kumo_async.FileUploadConnector(file_type="csv")
            >>> report = connector.upload("orders", "orders.csv")
            >>> report.rows, report.partitions[0].name
            (3, 'orders')
        """
        return blocking.run(
            self.upload_async, name, path, auto_partition, partition_size_mb, options=options, observer=observer
        )

    async def plan_async(
        self,
        name: str,
        path: str | os.PathLike[str],
        auto_partition: bool = True,
        partition_size_mb: int = 250,
        *,
        options: UploadOptions | None = None,
    ) -> UploadPlan:
        """Return what an upload would send. The async twin of `plan`; see there."""
        await imported("kumo_async.upload.pipeline")
        from .upload.pipeline import UploadRequest, look

        options = UploadOptions() if options is None else options
        request = UploadRequest(name, path, self._file_type, auto_partition, partition_size_mb, options)
        with no_groups():
            return await look(request)

    def plan(
        self,
        name: str,
        path: str | os.PathLike[str],
        auto_partition: bool = True,
        partition_size_mb: int = 250,
        *,
        options: UploadOptions | None = None,
    ) -> UploadPlan:
        """Look at a file and return what `upload` would do with it. Nothing is sent, and no credentials are needed.

        Only as much is read as `upload` reads before it sends: what is checked later is not checked here.

        Args:
            name: The table's name in Kumo.
            path: The file; see `upload`.
            auto_partition: See `upload`.
            partition_size_mb: See `upload`.
            options: How it would be cut and sent.

        Returns:
            The size, columns, partitions and warnings; of a CSV file also its dialect, the types that its columns seem
            to have, and its first rows.

        Raises:
            ConfigurationError: If an argument is out of its range.
            SourceError: If the file cannot be uploaded as it is.

        Example:
            >>> import kumo_async
            >>> plan = kumo_async.FileUploadConnector("csv").plan("orders", "orders.csv")
            >>> plan.column_types, plan.sample[0]
            ({'id': 'int64', 'amount': 'double'}, ('1', '9.50'))
        """
        return blocking.run(self.plan_async, name, path, auto_partition, partition_size_mb, options=options)

    async def delete_async(self, name: str, file_type: str | None = None) -> None:
        """Delete an uploaded table. The async twin of `delete`; see there."""
        check_uploaded_name(name)
        if file_type is not None and check_file_type(file_type) != self._file_type:
            raise ConfigurationError(
                f"file_type={file_type!r} contradicts this connector, which holds {self._file_type} tables. Use "
                f"FileUploadConnector(file_type={file_type!r}).",
                table=name,
            )
        await imported("kumo_async.upload.recovery")
        from .upload.recovery import delete_table

        client = self.client
        endpoint = client.credentials.scoped_endpoint
        async with client.connected() as connection:
            if not await delete_table(connection.session, connection.limits, endpoint, self.name, name):
                raise self._not_found(name)

    def delete(self, name: str, file_type: str | None = None) -> None:
        """Delete an uploaded table, whoever has uploaded it.

        Args:
            name: The table's name.
            file_type: ``"parquet"`` or ``"csv"``; must match the connector's. Default None: the connector's.

        Raises:
            ConfigurationError: If there are no credentials, `file_type` contradicts the connector, or `name` could mean
                a part of another table.
            TableNotFoundError: If there is no such table.
            ServiceError: If the service refuses, or cannot be reached.

        Example:
            >>> import kumo_async
            >>> connector = kumo_async.FileUploadConnector(file_type="csv")
            >>> report = connector.upload("orders", "orders.csv")
            >>> connector.delete(name="orders", file_type="csv")
            >>> connector.has_table("orders")
            False
        """
        blocking.run(self.delete_async, name, file_type)

    async def has_table_async(self, name: str) -> bool:
        """Return whether the table exists now. The async twin of `has_table`; see there."""
        if not isinstance(name, str) or not name:
            raise ConfigurationError("The table's name must be text, and not empty.")
        async with self.client.connected() as connection:
            return await connection.session.control.has_table(self.name, name)

    def has_table(self, name: str) -> bool:
        """Return whether the table exists now. The service is asked each time.

        Args:
            name: The table's name.

        Raises:
            ConfigurationError: If there are no credentials, or the name is empty, or no text.
            ServiceError: If the service does not say, or cannot be reached.

        Example:
            >>> import kumo_async
            >>> kumo_async.FileUploadConnector("csv").has_table("nobody")
            False
        """
        return blocking.run(self.has_table_async, name)

    async def table_async(self, name: str) -> SourceTable:
        """Return the table as a source table. The async twin of `table`; see there."""
        if not await self.has_table_async(name):
            raise self._not_found(name)
        return SourceTable(name, self)

    def table(self, name: str) -> SourceTable:
        """Return the table as a source table: a view into its columns and first rows.

        Args:
            name: The table's name.

        Raises:
            ConfigurationError: If there are no credentials, or the name is empty, or no text.
            TableNotFoundError: If there is no such table. It is a ValueError.
            ServiceError: If the service refuses, or cannot be reached.

        Example:
            >>> import kumo_async
            >>> connector = kumo_async.FileUploadConnector("csv")
            >>> report = connector.upload("orders", "orders.csv")
            >>> [column.name for column in connector.table("orders").columns]
            ['id', 'amount']
        """
        return blocking.run(self.table_async, name)

    async def table_names_async(self) -> list[str]:
        """Return the names of all tables behind this connector. The async twin of `table_names`."""
        async with self.client.connected() as connection:
            return await connection.session.control.list_tables(self.name)

    def table_names(self) -> list[str]:
        """Return the names of all tables behind this connector.

        Raises:
            ConfigurationError: If there are no credentials.
            ServiceError: If the service refuses, or cannot be reached.

        Example:
            >>> import kumo_async
            >>> connector = kumo_async.FileUploadConnector("csv")
            >>> report = connector.upload("orders", "orders.csv")
            >>> "orders" in connector.table_names()
            True
        """
        return blocking.run(self.table_names_async)

    def _not_found(self, name: str) -> TableNotFoundError:
        return TableNotFoundError(
            f"There is no table {name!r} behind {self!r}. table_names() lists those that are there.", table=name
        )

    def __contains__(self, name: str) -> bool:
        return self.has_table(name)

    def __getitem__(self, name: str) -> SourceTable:
        return self.table(name)

    # Without this, Python would look for tables 0, 1, 2, … when someone loops over the connector.
    __iter__ = None

    def __repr__(self) -> str:
        where = "" if self._client is None else f", client={self._client!r}"
        return f"FileUploadConnector({self._file_type!r}{where})"
