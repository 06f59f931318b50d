"""Which row groups of a Parquet file travel as they are, and which are encoded anew: decided from the footer alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..formats.parquet import Footer, partition_footer, plan_row_groups
from ..formats.parquet_rename import Names
from .encode import LEAST_BYTES

__all__ = ["Stretch", "is_mixed", "plan_stretches"]


@dataclass(frozen=True)
class Stretch:
    """Consecutive row groups: one partition of byte ranges, or any number of encoded ones.

    Attributes:
        groups: Positions of the row groups.
        encoded: Whether they are encoded anew.
    """

    groups: range
    encoded: bool


def plan_stretches(footer: Footer, size: int | None, names: Names, *, casts: bool) -> list[Stretch]:
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
    return stretches


def is_mixed(stretches: Sequence[Stretch]) -> bool:
    """Say whether some row groups are copied and some encoded."""
    return len({stretch.encoded for stretch in stretches}) > 1


def _is_giant(footer: Footer, groups: range, size: int, names: Names) -> bool:
    with_rows = [footer.row_groups[group] for group in groups if footer.row_groups[group].num_rows]
    if len(with_rows) != 1 or with_rows[0].size <= LEAST_BYTES or with_rows[0].num_rows == 1:
        return False
    # Only laying it out tells how long the footer of a single row group is.
    return with_rows[0].size > size or partition_footer(footer, groups, names).size > size
