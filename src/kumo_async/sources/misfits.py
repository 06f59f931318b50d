"""Columns whose type holds more than Kumo's: whether their values fit, by the statistics or by reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..formats.decimals import Digits
from ..formats.names import clean_names
from ..formats.parquet import Footer
from ..formats.parquet_metas import column_metas
from ..formats.types import MAX_DECIMAL_DIGITS, Action, ColumnType
from ..options import UploadOptions
from ..shield import in_thread
from .decode import ParquetPages, uint64_to_check
from .files import SourceFile

__all__ = ["settle_types"]

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
    settled = list(columns)
    leaves = {owner: leaf for leaf, owner in enumerate(footer.schema.owners) if columns[owner].must_fit}
    if not leaves:
        return settled
    # Kumo's names are unique and have no dots, so pyarrow cannot take one column for another.
    names = clean_names(footer.columns)
    proofs = options.validate == "fast"
    pages = await in_thread(lambda: ParquetPages(file, footer, names))
    integers = {leaf: owner for owner, leaf in leaves.items() if columns[owner].action is Action.RETYPE}
    for group, leaf in await in_thread(lambda: list(uint64_to_check(footer, [*integers], proofs=proofs))):
        owner = integers[leaf]
        if settled[owner].action is Action.RETYPE and not await in_thread(pages.fits, group, names[owner]):
            settled[owner] = _refused(settled[owner], _TOO_LARGE, group)
    decimals = {owner: leaf for owner, leaf in leaves.items() if columns[owner].action is Action.CAST}
    proven = await in_thread(_proven_decimals, footer, decimals) if proofs and decimals else set()
    for owner in decimals:
        if owner not in proven:
            settled[owner] = await _settled_decimal(pages, names[owner], columns[owner])
    return settled


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


async def _settled_decimal(pages: ParquetPages, name: str, column: ColumnType) -> ColumnType:
    kind = getattr(column.source, "value_type", column.source)
    found, target = Digits(), column.target
    for group in range(pages.metadata.num_row_groups):
        found = await in_thread(_with_group, found, pages, group, name)
        target = found.target(kind.scale, MAX_DECIMAL_DIGITS)
        if target is None:
            return _refused(column, _TOO_LONG, group)
    return replace(column, target=target)


def _with_group(found: Digits, pages: ParquetPages, group: int, name: str) -> Digits:
    if not pages.metadata.row_group(group).num_rows:
        return found
    for batch in pages.batches(pages.open(), group, columns=[name]):
        found = found.with_values(batch.column(0), MAX_DECIMAL_DIGITS)
    return found
