"""How a table is named and cut on its way: plain functions on values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import SourceError
from ..options import MAX_PART_SIZE, MAX_PARTITION_SIZE_MB, MIB, MIN_PART_SIZE, UploadOptions
from ..report import format_bytes
from ..service.messages import MAX_PARTS

__all__ = [
    "PartRange",
    "fitted_part_size",
    "part_ranges",
    "partition_name",
    "partition_size",
    "partitions_at_once",
    "size_warnings",
]

#: Documented by Kumo for uploaded CSV tables; see `size_warnings`.
MOST_CSV_PARTITIONS = 128
MOST_CSV_BYTES = 10 * 10**9
#: Documented by Kumo for one file of a Parquet table.
MOST_PARQUET_PARTITION = 512 * 10**6

#: How long a part may take on a slow line, in seconds: a repeated one costs as much again.
_PART_SECONDS = 60.0
#: Which share of the life of its URLs an object is meant to take. The rest is for retries, and for a line that slows.
_SHARE_OF_LIFE = 0.5


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


def fitted_part_size(wanted: int, rate: float | None, at_once: int) -> int:
    """Return the size of parts for a line: the wanted one, or less where so many at once would take too long.

    Args:
        wanted: The size in bytes that the options ask for.
        rate: Bytes a second that the line was measured to have; None if it was not.
        at_once: How many parts share it.

    Example:
        >>> [fitted_part_size(16 * MIB, rate, 8) // MIB for rate in (None, 10 * MIB, 1 * MIB, 1000)]
        [16, 16, 7, 5]
    """
    if rate is None:
        return wanted
    return max(MIN_PART_SIZE, min(wanted, int(rate / at_once * _PART_SECONDS)))


def partitions_at_once(size: int, rate: float | None, life: float | None, most: int) -> int:
    """Return how many partitions may be under way so that each is stored well before its part URLs run out.

    Args:
        size: The size of one of them in bytes.
        rate: Bytes a second that the line was measured to have; None if it was not.
        life: Seconds that part URLs live; None if that is not known.
        most: What the options allow.

    Example:
        >>> [partitions_at_once(250 * MIB, rate * MIB, 3600.0, 4) for rate in (10, 0.3, 0.1)]
        [4, 2, 1]
    """
    if rate is None or life is None or size == 0:
        return most
    return max(1, min(most, int(rate * life * _SHARE_OF_LIFE / size)))


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


def size_warnings(size: int, file_type: str, target: int | None, partitions: int | None = None) -> tuple[str, ...]:
    """Return what is to be said about sizes that Kumo documents as too large.

    Args:
        size: The size of the source in bytes.
        file_type: Its type.
        target: The target size of a partition in bytes, None for one object.
        partitions: How many there are; None where that is not known yet.

    Example:
        >>> size_warnings(11 * 10**9, "csv", 1000 * MIB)[0][:31]
        'The CSV has 10.2 GiB, and Kumo '
    """
    if file_type == "parquet":
        if (target or size) <= MOST_PARQUET_PARTITION:
            return ()
        most = format_bytes(target or size)
        return (f"Kumo documents 512 MB as the most for one Parquet file of a table; here it may be {most}.",)
    count = partitions or (1 if target is None else math.ceil(size / target))
    if size <= MOST_CSV_BYTES and count <= MOST_CSV_PARTITIONS:
        return ()
    found = f"{format_bytes(size)}" if size > MOST_CSV_BYTES else f"{'' if partitions else 'some '}{count:,} partitions"
    return (
        f"The CSV has {found}, and Kumo documents at most 10 GB in {MOST_CSV_PARTITIONS} partitions for an uploaded "
        f"CSV table. Upload it as Parquet instead{', or in larger partitions' if size <= MOST_CSV_BYTES else ''}.",
    )
