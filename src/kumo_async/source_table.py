"""SourceTable: a view into a table that is in Kumo."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from . import blocking
from .errors import ConfigurationError, ServiceError, TableNotFoundError
from .service.messages import file_type_of
from .shield import in_thread

if TYPE_CHECKING:
    import pandas as pd
    from kumoapi.source_table import SourceColumn

    from .connector import FileUploadConnector

__all__ = ["SourceTable"]

#: Most sample rows the service gives: `kumoapi.source_table.SourceTableDataRequest`.
MOST_SAMPLE_ROWS = 1000


class SourceTable:
    """A reference to a table behind a connector. It holds no data; each question goes to the service.

    Args:
        name: The table's name.
        connector: The connector that has it.

    Example:
        >>> import kumo_async
        >>> connector = kumo_async.FileUploadConnector("csv")
        >>> report = connector.upload("orders", "orders.csv")
        >>> connector["orders"].head(2)
           id  amount
        0   1    9.50
        1   2   12.25
    """

    def __init__(self, name: str, connector: FileUploadConnector) -> None:
        self.name = name
        self.connector = connector

    @property
    def columns(self) -> list[SourceColumn]:
        """The table's columns with name, data type and semantic type.

        Raises:
            ConfigurationError: If there are no credentials.
            TableNotFoundError: If the table is no longer there.
            ServiceError: If the service refuses, or cannot be reached.
        """
        return blocking.run(self.columns_async)

    async def columns_async(self) -> list[SourceColumn]:
        """Return the table's columns. The async twin of `columns`."""
        data = await self._data(0)
        return await in_thread(_columns, data.get("cols"), self.name)

    @property
    def column_dict(self) -> dict[str, SourceColumn]:
        """The table's columns by name; raises what `columns` raises."""
        return blocking.run(self.column_dict_async)

    async def column_dict_async(self) -> dict[str, SourceColumn]:
        """Return the table's columns by name. The async twin of `column_dict`."""
        return {column.name: column for column in await self.columns_async()}

    def head(self, num_rows: int = 5) -> pd.DataFrame:
        """Return the table's first rows.

        Args:
            num_rows: How many, 1 to 1000; all rows if the table has fewer.

        Raises:
            ConfigurationError: If there are no credentials, or `num_rows` is out of its range.
            TableNotFoundError: If the table is no longer there.
            ServiceError: If the service refuses, or cannot be reached.
        """
        return blocking.run(self.head_async, num_rows)

    async def head_async(self, num_rows: int = 5) -> pd.DataFrame:
        """Return the table's first rows. The async twin of `head`."""
        if not isinstance(num_rows, SupportsIndex) or not 1 <= index(num_rows) <= MOST_SAMPLE_ROWS:
            raise ConfigurationError(f"num_rows must be a whole number from 1 to {MOST_SAMPLE_ROWS}.", table=self.name)
        data = await self._data(index(num_rows))
        return await in_thread(_frame, data.get("sample_rows"), self.name)

    async def _data(self, sample_rows: int) -> Any:
        connector = self.connector
        try:
            async with connector.client.connected() as connection:
                return await connection.session.control.table_data(
                    connector.name, self.name, file_type_of(connector.name), sample_rows
                )
        except ServiceError as error:
            if error.status != 404:
                raise
            raise TableNotFoundError(
                f"There is no table {self.name!r} behind {connector!r} any more.", table=self.name, status=404
            ) from error

    def __repr__(self) -> str:
        return f"SourceTable({self.name!r}, {self.connector!r})"


def _columns(cols: Any, table: str) -> list[SourceColumn]:
    # kumo-api's own types cost most of a second to import, so only those who ask for columns pay for it.
    from kumoapi.source_table import SourceColumn
    from pydantic import TypeAdapter

    with suppress(Exception):
        return TypeAdapter(list[SourceColumn]).validate_python(cols)
    # Raised out here: what pydantic and pandas raise shows the values.
    raise ServiceError("The service gave columns in a form that is not documented.", table=table)


def _frame(sample_rows: Any, table: str) -> pd.DataFrame:
    import pandas as pd

    if not isinstance(sample_rows, str):
        raise ServiceError("The service gave no sample rows.", table=table)
    # What it raises for a stranger's text is of any kind, and shows the values.
    # Only its precise reader of numbers gives 0.57 and not 0.5700000000000001; it takes none near 5e-324.
    for precise in (True, False):
        with suppress(Exception):
            return pd.read_json(StringIO(sample_rows), orient="table", precise_float=precise)
    raise ServiceError("The service gave sample rows in a form that pandas cannot read.", table=table)
