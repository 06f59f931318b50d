"""Which row groups of a Parquet file travel as they are, and which are encoded anew: decided from the footer alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..formats.parquet import Footer, partition_footer, plan_row_groups
from .encode import LEAST_BYTES

__all__ = ["Stretch", "all_int96", "has_int96", "int96_columns", "plan_stretches"]

_INT96 = 3
_TIMESTAMPS = (9, 10)
_LOGICAL_TIMESTAMP = b"\x8c"


@dataclass(frozen=True)
class Stretch:
    """Consecutive row groups: one partition of byte ranges, or any number of encoded ones.

    Attributes:
        groups: Positions of the row groups.
        encoded: Whether they are encoded anew.
    """

    groups: range
    encoded: bool


def plan_stretches(footer: Footer, size: int | None, names: Sequence[str] | None, *, casts: bool) -> list[Stretch]:
    """Cut a file into stretches, in order.

    Args:
        footer: The file's footer.
        size: The most bytes of a partition; None for one object.
        names: The new names of the columns, where they are to be renamed.
        casts: Whether columns have to be cast, which takes all row groups.

    Returns:
        Stretches that are all row groups together. Encoded is otherwise what has a row group larger than `size` and
        than `LEAST_BYTES`; such row groups in a row are one stretch.

    Raises:
        ParquetError: The footer cannot be rewritten.
    """
    everything = range(len(footer.row_groups))
    if casts or size is None:
        return [Stretch(everything, casts)]
    stretches: list[Stretch] = []
    for groups in plan_row_groups(footer, size, names):
        encoded = _is_giant(footer, groups, size, names)
        if encoded and stretches and stretches[-1].encoded:
            groups = range(stretches.pop().groups.start, groups.stop)
        stretches.append(Stretch(groups, encoded))
    mixed = any(stretch.encoded for stretch in stretches) and has_int96(footer) and not all_int96(footer)
    # Encoded INT96 would be another type than the INT96 beside it, and pyarrow writes all timestamps so or none.
    return [Stretch(everything, True)] if mixed else stretches


def _is_giant(footer: Footer, groups: range, size: int, names: Sequence[str] | None) -> bool:
    with_rows = [footer.row_groups[group] for group in groups if footer.row_groups[group].num_rows]
    if len(with_rows) != 1 or with_rows[0].size <= LEAST_BYTES or with_rows[0].num_rows == 1:
        return False
    # Only laying it out tells how long the footer of a single row group is.
    return with_rows[0].size > size or partition_footer(footer, groups, names).size > size


def has_int96(footer: Footer) -> bool:
    """Say whether there are timestamps of 96 bits."""
    return bool(int96_columns(footer, footer.columns))


def int96_columns(footer: Footer, names: Sequence[str]) -> list[str]:
    """Give those of the columns' names that have timestamps of 96 bits."""
    return [name for name, element in zip(names, footer.elements, strict=True) if element.physical_type == _INT96]


def all_int96(footer: Footer) -> bool:
    """Say whether there are timestamps and all of them are INT96, as Spark and Impala write them."""
    others = (
        element.converted_type in _TIMESTAMPS or (element.logical_type or b"").startswith(_LOGICAL_TIMESTAMP)
        for element in footer.elements
        if element.physical_type != _INT96
    )
    return has_int96(footer) and not any(others)
