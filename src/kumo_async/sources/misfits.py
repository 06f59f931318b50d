"""Columns whose type holds more than Kumo's: whether their values fit, by the statistics or by reading them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..formats.decimals import Digits
from ..formats.names import clean_names
from ..formats.parquet import Footer
from ..formats.parquet_metas import column_metas
from ..formats.types import MAX_DECIMAL_DIGITS, Action, ColumnType
from ..options import UploadOptions
from ..shield import in_thread
from .decode import ParquetPages
from .files import SourceFile

__all__ = ["settle_types"]

_MAX_INT64 = 2**63 - 1

_TOO_LARGE = "it has values over 2^63 - 1 in row group {}, which no integer that Kumo takes can hold"
_TOO_LONG = "it has values in row group {} that need more than 18 digits"
_REMEDY = "; cast it to double or string, as its meaning allows"
_CODE = "`table[x].cast('float64')` or `table[x].cast('string')`"


async def settle_types(
    file: SourceFile, footer: Footer, columns: Sequence[ColumnType], options: UploadOptions
) -> list[ColumnType]:
    """Find the type of columns of uint64 and of decimals over 18 digits: by the statistics, else by their values.

    A uint64 becomes int64 where all values fit. A decimal keeps its scale where all values have 18 digits with it, and
    has the smallest scale that keeps every value otherwise. Of a column that turns out not to fit no more is read. With
    `validate="full"` statistics are not believed, and all values are read.

    Args:
        file: The open file.
        footer: Its own footer.
        columns: What becomes of its columns by their types. Others of them may be refused already.
        options: What the user asked for.

    Returns:
        The same, with the row group in the remedy of each column that does not fit.

    Raises:
        SourceError: If a page cannot be decoded.
    """
    leaves = {owner: leaf for leaf, owner in enumerate(footer.schema.owners) if columns[owner].must_fit}
    if not leaves:
        return list(columns)
    # Kumo's names are unique and have no dots, so pyarrow cannot take one column for another.
    names = clean_names(footer.columns)
    pages = await in_thread(lambda: ParquetPages(file, footer, names))
    values = _Values(pages, names, columns)
    proofs = options.validate == "fast"
    for group, owners in await in_thread(lambda: list(_to_read(footer, columns, leaves, proofs=proofs))):
        await in_thread(values.read, group, owners)
    return values.columns


def _to_read(
    footer: Footer, columns: Sequence[ColumnType], leaves: Mapping[int, int], *, proofs: bool
) -> Iterator[tuple[int, list[int]]]:
    """Give the row groups, and which of their columns have values that no statistics prove to fit."""
    integers = [owner for owner in leaves if columns[owner].action is Action.RETYPE]
    decimals = {owner: leaf for owner, leaf in leaves.items() if columns[owner].action is Action.CAST}
    proven = _proven_decimals(footer, decimals) if proofs and decimals else set()
    unproven = [owner for owner in decimals if owner not in proven]
    for number, group in enumerate(footer.row_groups):
        if not group.num_rows:
            continue
        metas = column_metas(footer, number) if proofs and integers else []
        unsure = [owner for owner in integers if not (metas and metas[leaves[owner]].proves_within(_MAX_INT64))]
        if unsure or unproven:
            yield number, unsure + unproven


class _Values:
    """What the values of some columns tell of their types, read one row group after another; for worker threads only.

    Attributes:
        columns: What becomes of all columns, by the values that were read.
    """

    def __init__(self, pages: ParquetPages, names: Sequence[str], columns: Sequence[ColumnType]) -> None:
        self.columns = list(columns)
        self._pages = pages
        self._names = names
        self._digits: dict[int, Digits] = {}

    def read(self, group: int, owners: Sequence[int]) -> None:
        """Look at the values of some columns, all at a time, since opening a file takes time for each of its columns.

        Raises:
            SourceError: If a page cannot be decoded.
        """
        asked = {self._names[owner]: owner for owner in owners if self.columns[owner].action is not Action.REFUSE}
        if not asked:
            return
        for batch in self._pages.column_batches(self._pages.open(), group, columns=[*asked]):
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                self._look(group, asked[name], values)

    def _look(self, group: int, owner: int, values: Any) -> None:
        column = self.columns[owner]
        if column.action is Action.RETYPE and not _fit_int64(values):
            self.columns[owner] = _refused(column, _TOO_LARGE, group)
        elif column.action is Action.CAST:
            found = self._digits[owner] = self._digits.get(owner, Digits()).with_values(values, MAX_DECIMAL_DIGITS)
            kind = getattr(column.source, "value_type", column.source)
            target = found.target(kind.scale, MAX_DECIMAL_DIGITS)
            self.columns[owner] = replace(column, target=target) if target else _refused(column, _TOO_LONG, group)


def _fit_int64(values: Any) -> bool:
    """Say whether all values of uint64, or of lists of it, are values of int64, too."""
    import pyarrow.compute as pc

    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        values = values.flatten()
    most = pc.max(values).as_py()
    return most is None or most <= _MAX_INT64


def _refused(column: ColumnType, found: str, group: int) -> ColumnType:
    remedy = found.format(group) + _REMEDY
    return replace(column, target=column.source, action=Action.REFUSE, remedy=remedy, code=_CODE)


def _proven_decimals(footer: Footer, decimals: dict[int, int]) -> set[int]:
    """Give the columns whose statistics prove that all values have 18 digits with the scale that they have."""
    digits = MAX_DECIMAL_DIGITS
    elements = {owner: footer.elements[owner] for owner in decimals}
    proven = {owner for owner, element in elements.items() if (element.scale or 0) <= digits}
    for number, group in enumerate(footer.row_groups):
        if group.num_rows and proven:
            metas = column_metas(footer, number)
            proven = {o for o in proven if metas[decimals[o]].proves_digits(digits, elements[o].type_length)}
    return proven
