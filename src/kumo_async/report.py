"""What will be sent and what was sent, as values that a user prints or turns into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["PartitionReport", "UploadPlan", "UploadReport", "format_bytes"]


@dataclass(frozen=True, kw_only=True)
class UploadPlan:
    """What an upload is about to do, known before the first byte is sent.

    Attributes:
        table: The table's name.
        file_type: ``"parquet"`` or ``"csv"``.
        path: The source file.
        size: The source's size in bytes.
        columns: The column names as they will be in Kumo.
        partition_size: Target size of a partition in bytes, or None if the source travels as one object.
        rows: Number of rows, or None where that is known only while the source is being sent (CSV).
        dialect: How the CSV file is written, as detected or given; None for Parquet.
        renamed_columns: Old name to new name, for the columns whose names break Kumo's rule.
        warnings: What the user should know.
    """

    table: str
    file_type: str
    path: str
    size: int
    columns: tuple[str, ...]
    partition_size: int | None
    rows: int | None
    dialect: str | None = None
    renamed_columns: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        cut = "one object" if self.partition_size is None else f"partitions of {format_bytes(self.partition_size)}"
        rows = "" if self.rows is None else f", {self.rows:,} rows"
        head = f"{self.path} ({format_bytes(self.size)}{rows}) as table {self.table!r}, {self.file_type}, {cut}"
        return "\n".join([head, *_notes(self.dialect, self.renamed_columns, self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dict of plain values, fit for JSON."""
        return {**asdict(self), "columns": list(self.columns), "warnings": list(self.warnings)}


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """One file of the table as it is in Kumo now.

    Attributes:
        name: The object's name in Kumo.
        size: Its size in bytes.
        rows: Its number of rows.
    """

    name: str
    size: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class UploadReport:
    """What `upload` did. The table is there, whole, when this is returned.

    Attributes:
        table: The table's name.
        file_type: ``"parquet"`` or ``"csv"``.
        partitions: The files that the table consists of, in order.
        seconds: Wall time of the whole call.
        parts: The number of parts that all partitions were sent in.
        unverified_parts: How many of them the storage did not confirm by an ETag that is their MD5: because its ETags
            are none (keys of KMS, stores other than S3), or because of ``UploadOptions(verify_parts=False)``.
        dialect: How the CSV file is written, as detected or given; None for Parquet.
        renamed_columns: Old name to new name, for the columns whose names broke Kumo's rule.
        warnings: What the user should know.

    Example:
        >>> import kumo_async
        >>> report = kumo_async.UploadReport(
        ...     table="users", file_type="csv", seconds=0.5,
        ...     partitions=(kumo_async.PartitionReport(name="users", size=2_097_152, rows=3),))
        >>> print(report)
        Table 'users' (csv): 3 rows, 2.0 MiB in 1 object, 0.5 s (4.0 MiB/s)
        >>> report.to_dict()["rows"]
        3
    """

    table: str
    file_type: str
    partitions: tuple[PartitionReport, ...]
    seconds: float
    parts: int = 0
    unverified_parts: int = 0
    dialect: str | None = None
    renamed_columns: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of all partitions together, in bytes."""
        return sum(partition.size for partition in self.partitions)

    @property
    def rows(self) -> int:
        """Number of rows of all partitions together."""
        return sum(partition.rows for partition in self.partitions)

    def __str__(self) -> str:
        count = len(self.partitions)
        cut = "1 object" if count == 1 else f"{count} partitions"
        rate = f" ({format_bytes(self.bytes / self.seconds)}/s)" if self.seconds > 0 else ""
        head = (
            f"Table {self.table!r} ({self.file_type}): {self.rows:,} rows, {format_bytes(self.bytes)} in {cut}, "
            f"{self.seconds:.1f} s{rate}"
        )
        unsure = self.unverified_parts
        doubt = [f"  not verifiable by MD5: {unsure} of {self.parts} parts"] if unsure else []
        return "\n".join([head, *doubt, *_notes(self.dialect, self.renamed_columns, self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dict of plain values, fit for JSON, with the totals `bytes` and `rows`."""
        return {
            "table": self.table,
            "file_type": self.file_type,
            "partitions": [asdict(partition) for partition in self.partitions],
            "bytes": self.bytes,
            "rows": self.rows,
            "seconds": self.seconds,
            "parts": self.parts,
            "unverified_parts": self.unverified_parts,
            "dialect": self.dialect,
            "renamed_columns": dict(self.renamed_columns),
            "warnings": list(self.warnings),
        }


def format_bytes(count: float) -> str:
    """Return a number of bytes in the largest binary unit that keeps it at 1 or more.

    Example:
        >>> format_bytes(1536), format_bytes(999)
        ('1.5 KiB', '999 B')
    """
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def _notes(dialect: str | None, renamed: Mapping[str, str], warnings: tuple[str, ...]) -> list[str]:
    return [
        *([] if dialect is None else [f"  dialect: {dialect}"]),
        *(f"  renamed column {old!r} to {new!r}" for old, new in renamed.items()),
        *(f"  warning: {warning}" for warning in warnings),
    ]
