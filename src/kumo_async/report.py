"""What will be sent and what was sent, as values that a user prints or turns into JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

__all__ = ["PartitionReport", "UnfinishedUpload", "UploadPlan", "UploadReport", "format_bytes"]


#: Columns whose types are printed; `column_types` has all of them.
_MOST_TYPES = 30


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
        renamed_columns: Old name to new name, for the columns whose names break Kumo's rule. Of a name that several
            columns have it tells the last one; a warning tells all.
        column_types: Each column's type in Arrow's words. Of a CSV file that is sent as it is, what its first thousand
            records look like; empty for Parquet that is not converted.
        type_reasons: By name why a column of a converted CSV file is of strings, where its values could be taken for
            numbers, dates or truth values: which record decided, and never its value.
        warnings: What the user should know.
        sample: The first rows of a CSV file, only in what `FileUploadConnector.plan` returns; no event has it, and
            neither `repr` nor `str` shows it.
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
    column_types: Mapping[str, str] = field(default_factory=dict)
    type_reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sample: tuple[tuple[str, ...], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        cut = "one object" if self.partition_size is None else f"partitions of {format_bytes(self.partition_size)}"
        rows = "" if self.rows is None else f", {self.rows:,} rows"
        head = f"{self.path} ({format_bytes(self.size)}{rows}) as table {self.table!r}, {self.file_type}, {cut}"
        return "\n".join([head, *_notes(self)])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dict of plain values, fit for JSON."""
        sample = [list(row) for row in self.sample]
        return {**asdict(self), "columns": list(self.columns), "warnings": list(self.warnings), "sample": sample}


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """One file of the table as it is in Kumo now.

    Attributes:
        name: The object's name in Kumo.
        size: Its size in bytes.
        rows: Its number of rows.
        resumed: Whether an earlier run of the same upload had stored it, so that it was not sent again.
    """

    name: str
    size: int
    rows: int
    resumed: bool = False


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
        renamed_columns: Old name to new name, for the columns whose names broke Kumo's rule. Of a name that several
            columns have it tells the last one; a warning tells all.
        column_types: Each column's type in Arrow's words. Of a CSV file that was sent as it is, what its first thousand
            records look like; empty for Parquet that was not converted.
        type_reasons: By name why a column of a converted CSV file is of strings, where its values could be taken for
            numbers, dates or truth values: which record decided, and never its value.
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
    column_types: Mapping[str, str] = field(default_factory=dict)
    type_reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of all partitions together, in bytes."""
        return sum(partition.size for partition in self.partitions)

    @property
    def rows(self) -> int:
        """Number of rows of all partitions together."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def resumed_partitions(self) -> int:
        """Number of partitions that an earlier run of the same upload had stored."""
        return sum(partition.resumed for partition in self.partitions)

    @property
    def resumed_bytes(self) -> int:
        """Size of those partitions together, in bytes: what was not sent again."""
        return sum(partition.size for partition in self.partitions if partition.resumed)

    def __str__(self) -> str:
        count = len(self.partitions)
        cut = "1 object" if count == 1 else f"{count} partitions"
        rate = f" ({format_bytes(self.bytes / self.seconds)}/s)" if self.seconds > 0 else ""
        head = (
            f"Table {self.table!r} ({self.file_type}): {self.rows:,} rows, {format_bytes(self.bytes)} in {cut}, "
            f"{self.seconds:.1f} s{rate}"
        )
        return "\n".join([head, *self._resumed(), *self._unsure(), *_notes(self)])

    def _resumed(self) -> list[str]:
        count = self.resumed_partitions
        stored = f"{count} of {len(self.partitions)} ({format_bytes(self.resumed_bytes)})"
        return [f"  resumed: {stored} had been stored by an earlier call"] if count else []

    def _unsure(self) -> list[str]:
        count = self.unverified_parts
        return [f"  not verifiable by MD5: {count} of {self.parts} parts"] if count else []

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dict of plain values, fit for JSON, with the totals of its partitions."""
        return {
            "table": self.table,
            "file_type": self.file_type,
            "partitions": [asdict(partition) for partition in self.partitions],
            "bytes": self.bytes,
            "rows": self.rows,
            "resumed_partitions": self.resumed_partitions,
            "resumed_bytes": self.resumed_bytes,
            "seconds": self.seconds,
            "parts": self.parts,
            "unverified_parts": self.unverified_parts,
            "dialect": self.dialect,
            "renamed_columns": dict(self.renamed_columns),
            "column_types": dict(self.column_types),
            "type_reasons": dict(self.type_reasons),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, kw_only=True)
class UnfinishedUpload:
    """An upload from this machine that has begun and not ended, and what became of it.

    Attributes:
        table: The table's name.
        file_type: ``"parquet"`` or ``"csv"``.
        endpoint: The service that it is for; ``?group=...&project=...`` behind it, where these were given.
        path: The source file.
        started: When it was begun.
        state: ``"sending"``: nothing has changed in Kumo, and the same call resumes it, unless there is a `problem`.
            ``"committing"``: the old table may be gone, and the new one may be visible in part; it must be finished.
            ``"running"``: a process is at it.
        partitions: How many partitions are stored.
        bytes: Their size together, in bytes.
        outcome: What `recover_uploads` did. ``"finished"``: the table is there, whole. ``"taken back"``: nothing of it
            is visible, since the service no longer knew what had been stored; upload it again. ``"superseded"``: the
            table was changed by others since and was left as it is. ``"discarded"``. ``"failed"``: see `problem`.
            None: nothing.
        problem: What went wrong, or keeps it from being resumed.
    """

    table: str
    file_type: str
    endpoint: str
    path: str
    started: datetime
    state: Literal["sending", "committing", "running"]
    partitions: int
    bytes: int
    outcome: Literal["finished", "taken back", "superseded", "discarded", "failed"] | None = None
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dict of plain values, fit for JSON; the time in ISO 8601."""
        return {**asdict(self), "started": self.started.isoformat()}


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


def _notes(about: UploadPlan | UploadReport) -> list[str]:
    return [
        *([] if about.dialect is None else [f"  dialect: {about.dialect}"]),
        *([f"  types: {_listed(about.column_types)}"] if about.column_types else []),
        *_explained(about.type_reasons),
        *(f"  renamed column {old!r} to {new!r}" for old, new in about.renamed_columns.items()),
        *(f"  warning: {warning}" for warning in about.warnings),
    ]


def _explained(reasons: Mapping[str, str]) -> list[str]:
    shown = [f"  column {name!r} is string: {reason}" for name, reason in list(reasons.items())[:_MOST_TYPES]]
    more = (
        [f"  and {len(reasons) - len(shown):,} more columns are, see type_reasons"] if len(reasons) > len(shown) else []
    )
    return [*shown, *more]


def _listed(types: Mapping[str, str]) -> str:
    """Name the types of the first columns, since a table may have thousands."""
    shown = [f"{name} {kind}" for name, kind in list(types.items())[:_MOST_TYPES]]
    more = [f"and {len(types) - len(shown):,} more"] if len(types) > len(shown) else []
    return ", ".join([*shown, *more])
