"""Names in the data plane: connectors, and which table an object belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kumo_async.errors import ConfigurationError
from kumo_async.local.s3errors import Refused

__all__ = ["CONNECTORS", "Belonging", "FileType", "belonging", "check_file_type", "check_object_name", "file_type_of"]

FileType = Literal["parquet", "csv"]
CONNECTORS: dict[str, FileType] = {"parquet_upload_connector": "parquet", "csv_upload_connector": "csv"}

_LONGEST_NAME_BYTES = 1024  # of an S3 key


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which table an object is read under, and where in it.

    Attributes:
        table: The table's name.
        number: 0 for the object of the table's own name, else the number of the partition.
    """

    table: str
    number: int


def file_type_of(connector: str | None) -> FileType:
    """Say which files a connector holds.

    Raises:
        Refused: There is no such connector.
    """
    if connector not in CONNECTORS:
        known = " and ".join(CONNECTORS)
        raise Refused(message=f"There is no connector {connector!r}; there are {known}.", status=404)
    return CONNECTORS[connector]


def check_file_type(file_type: str) -> FileType:
    """Check a file type that a caller of the plane's own methods gave.

    Raises:
        ConfigurationError: It is neither ``"parquet"`` nor ``"csv"``.
    """
    for known in CONNECTORS.values():
        if file_type == known:
            return known
    raise ConfigurationError(f"file_type must be 'parquet' or 'csv', not {file_type!r}.")


def check_object_name(name: str) -> None:
    """Check that S3 could take an object's name.

    Raises:
        Refused: It is empty, too long, or not text that UTF-8 can hold.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Refused(message="source_table_name is not valid Unicode.", status=422) from None
    if not 0 < size <= _LONGEST_NAME_BYTES:
        raise Refused(message=f"source_table_name must have 1 to {_LONGEST_NAME_BYTES} bytes.", status=422)


def belonging(name: str, file_type: FileType) -> Belonging:
    """Say which table an object is read under.

    Example:
        >>> belonging("users.csv/part_0012.csv", "csv")
        Belonging(table='users', number=12)
        >>> belonging("users", "csv")
        Belonging(table='users', number=0)
    """
    table, separator, rest = name.rpartition(f".{file_type}/part_")
    if not (table and separator):
        return Belonging(name, 0)
    digits = rest.removesuffix(f".{file_type}")
    # Whatever else lies under the prefix is read too, after all partitions that are numbered.
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 18 else 10**18
    return Belonging(table, number)
