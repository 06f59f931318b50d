"""Whether Kumo takes the columns of a Parquet file, decided before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from ..errors import SourceError
from ..formats.names import clean_names
from ..formats.parquet import Footer
from ..formats.parquet_retype import retyped
from ..formats.parquet_unreadable import decide_columns
from ..formats.types import Action, ColumnType, refusal, refused_columns
from ..options import UploadOptions
from .decode import ParquetPages, uint64_to_check
from .files import SourceFile

__all__ = ["AcceptedTypes", "accept_types", "decide_types", "refuse_misfits"]


_TOO_LARGE = (
    "it has values over 2^63 - 1 in row group {}, which no integer that Kumo takes can hold; cast it to double, "
    "decimal or string, as its meaning allows"
)


@dataclass(frozen=True)
class AcceptedTypes:
    """The columns of a file, all of which Kumo takes in one form or another.

    Attributes:
        footer: A footer for the same pages with the types that Kumo takes, as far as a footer can do that.
        casts: Whether some column's pages must be written anew.
        warnings: What the user should know.
    """

    footer: Footer
    casts: bool
    warnings: tuple[str, ...]


def decide_types(footer: Footer, options: UploadOptions) -> list[ColumnType]:
    """Decide for each column by its type.

    Raises:
        ParquetError: If pyarrow cannot read the schema, and no column is to blame.
    """
    return decide_columns(footer, allow_casts=options.on_unsupported == "cast")


def accept_types(path: str, footer: Footer, columns: Sequence[ColumnType]) -> AcceptedTypes:
    """Carry out what was decided, as far as a footer can do that.

    Raises:
        SourceError: If Kumo cannot take some columns; all are in the one message.
        ParquetError: If the footer cannot be rewritten.
    """
    if refused := refused_columns(columns):
        raise SourceError(refusal(path, refused), path=path, columns=refused)
    return AcceptedTypes(
        footer=retyped(footer, columns),
        casts=any(column.action is Action.CAST for column in columns),
        warnings=tuple(_warnings(columns)),
    )


def _warnings(columns: Iterable[ColumnType]) -> list[str]:
    changed = [c for c in columns if c.action in (Action.CAST, Action.RETYPE)]
    if not changed:
        return []
    listed = ", ".join(f"{c.name!r} from {c.source} to {c.target}" for c in changed[:20])
    more = f" and {len(changed) - 20} more" if len(changed) > 20 else ""
    return [f"Columns of types that Kumo does not take were cast, every value kept: {listed}{more}."]


async def refuse_misfits(
    file: SourceFile, footer: Footer, columns: Sequence[ColumnType], options: UploadOptions
) -> list[ColumnType]:
    """Refuse columns of uint64 whose values do not fit into an int64: by the statistics, else by reading them.

    Of a column that turns out not to fit no more is read. With `validate="full"` statistics are not believed, and all
    values are read.

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
    owners = footer.schema.owners
    leaves = [leaf for leaf, owner in enumerate(owners) if columns[owner].must_fit]
    if not leaves:
        return list(columns)
    # Kumo's names are unique and have no dots, so pyarrow cannot take one column for another.
    names = clean_names(footer.columns)
    proofs = options.validate == "fast"
    pages = await to_thread.run_sync(lambda: ParquetPages(file, footer, names))
    misfits: dict[int, int] = {}
    for group, leaf in await to_thread.run_sync(lambda: list(uint64_to_check(footer, leaves, proofs=proofs))):
        column = owners[leaf]
        if column not in misfits and not await to_thread.run_sync(pages.fits, group, names[column]):
            misfits[column] = group
    return [
        replace(column, action=Action.REFUSE, remedy=_TOO_LARGE.format(misfits[number]))
        if number in misfits
        else column
        for number, column in enumerate(columns)
    ]
