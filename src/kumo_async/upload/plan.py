"""How a table is named and cut on its way: plain functions on values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import SourceError
from ..options import MAX_PART_SIZE, MAX_PARTITION_SIZE_MB, MIB, UploadOptions
from ..report import format_bytes
from ..service.messages import MAX_PARTS

__all__ = ["PartRange", "part_ranges", "partition_name", "partition_size", "size_warnings"]

#: Documented by Kumo for uploaded CSV tables; see `size_warnings`.
MOST_CSV_PARTITIONS = 128
MOST_CSV_BYTES = 10 * 10**9
#: Documented by Kumo for one file of a Parquet table.
MOST_PARQUET_PARTITION = 512 * 10**6


@dataclass(frozen=True)
class PartRange:
    """One part of an object: its number from 1, and its bytes."""

    number: int
    offset: int
    length: int


def part_ranges(size: int, part_size: int) -> list[PartRange]:
    """Cut an object into parts of equal size, the last one smaller; larger parts where there would be over 1000.

    Raises:
        SourceError: If 1000 parts of 5 GiB do not hold it.

    Example:
        >>> [part.length for part in part_ranges(12, 5)]
        [5, 5, 2]
    """
    part_size = max(part_size, math.ceil(size / MAX_PARTS))
    if part_size > MAX_PART_SIZE:
        raise SourceError(
            f"An object of {format_bytes(size)} is over what one upload takes ({MAX_PARTS} parts of 5 GiB). Let the "
            f"table be partitioned."
        )
    return list(_ranges(size, part_size))


def _ranges(size: int, part_size: int) -> Iterator[PartRange]:
    for index, offset in enumerate(range(0, size, part_size)):
        yield PartRange(index + 1, offset, min(part_size, size - offset))


def partition_name(table: str, file_type: str, number: int | None) -> str:
    """Return the name of a table's object: its own, or that of its partition `number` (from 1).

    Example:
        >>> partition_name("users", "csv", None), partition_name("users", "csv", 7)
        ('users', 'users.csv/part_0007.csv')
    """
    return table if number is None else f"{table}.{file_type}/part_{number:04d}.{file_type}"


def partition_size(
    size: int, file_type: str, *, auto_partition: bool, partition_size_mb: int, options: UploadOptions
) -> int | None:
    """Return the target size in bytes of the partitions of a source, or None where it travels as one object.

    CSV partitions grow where there would be more of them than Kumo takes.

    Raises:
        SourceError: If the source is over the threshold and must not be partitioned.
    """
    if size <= options.partition_threshold:
        return None
    if not auto_partition:
        raise SourceError(
            f"The file has {format_bytes(size)}, which is over the {format_bytes(options.partition_threshold)} that "
            f"one object may have. Use auto_partition=True to have it partitioned."
        )
    if options.partition_size is not None:
        return options.partition_size
    target = partition_size_mb * MIB
    if file_type == "csv":
        # A partition ends with a whole record and repeats the header, so a little room is left.
        needed = math.ceil(size / (MOST_CSV_PARTITIONS - 1))
        target = max(target, min(needed, MAX_PARTITION_SIZE_MB * MIB))
    return target


def size_warnings(size: int, file_type: str, target: int | None) -> tuple[str, ...]:
    """Return what is to be said about sizes that Kumo documents as too large.

    Example:
        >>> size_warnings(11 * 10**9, "csv", 1000 * MIB)[0][:31]
        'The CSV has 10.2 GiB, and Kumo '
    """
    if file_type == "parquet":
        if (target or size) <= MOST_PARQUET_PARTITION:
            return ()
        most = format_bytes(target or size)
        return (f"Kumo documents 512 MB as the most for one Parquet file of a table; here it may be {most}.",)
    over_count = target is not None and size / target > MOST_CSV_PARTITIONS
    if size <= MOST_CSV_BYTES and not over_count:
        return ()
    return (
        f"The CSV has {format_bytes(size)}, and Kumo documents at most 10 GB in {MOST_CSV_PARTITIONS} partitions for "
        f"an uploaded CSV table. Upload it as Parquet instead.",
    )
