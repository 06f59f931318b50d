"""Whether Kumo takes the columns of a Parquet file, decided before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from anyio import to_thread

from ..errors import SourceError
from ..formats.parquet import Footer, whole_footer
from ..formats.parquet_retype import arrow_schema, retyped
from ..formats.types import Action, ColumnType, decide, refusal
from ..options import UploadOptions
from .decode import ParquetPages, uint64_to_check
from .files import SourceFile
from .names import ColumnNames

__all__ = ["AcceptedTypes", "accept_types", "check_uint64"]


_TOO_LARGE = (
    "it has values over 2^63 - 1 in row group {}, which no integer that Kumo takes can hold; cast it to double, "
    "decimal or string, as its meaning allows"
)


@dataclass(frozen=True)
class AcceptedTypes:
    """The columns of a file, all of which Kumo takes in one form or another.

    Attributes:
        columns: What becomes of each column.
        footer: A footer for the same pages with the types that Kumo takes, as far as a footer can do that.
        casts: Whether some column's pages must be written anew.
        warnings: What the user should know.
    """

    columns: tuple[ColumnType, ...]
    footer: Footer
    casts: bool
    warnings: tuple[str, ...]


def accept_types(path: str, footer: Footer, options: UploadOptions) -> AcceptedTypes:
    """Decide for each column by its type.

    Raises:
        SourceError: If Kumo cannot take some of them; all are in the one message.
        ParquetError: If the footer cannot be rewritten.
    """
    columns = decide(arrow_schema(footer), allow_casts=options.on_unsupported == "cast")
    if message := refusal(path, columns):
        raise SourceError(message, path=path)
    return AcceptedTypes(
        columns=tuple(columns),
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


async def check_uint64(
    file: SourceFile, footer: Footer, names: ColumnNames, columns: Sequence[ColumnType], options: UploadOptions
) -> None:
    """Check that the values of columns of uint64 fit into an int64: by the statistics, else by reading them.

    Of a column that turns out not to fit no more is read. With `validate="full"` statistics are not believed, and all
    values are read.

    Args:
        file: The open file.
        footer: Its own footer.
        names: Its columns' names.
        columns: What becomes of them.
        options: What the user asked for.

    Raises:
        SourceError: If some do not; all such columns are in the one message, each with the row group.
    """
    leaves = [position for position, column in enumerate(columns) if column.must_fit]
    if not leaves:
        return
    # Kumo's names are unique and have no dots, so pyarrow cannot take one column for another.
    proofs = options.validate == "fast"
    pages = await to_thread.run_sync(lambda: ParquetPages(file, whole_footer(footer, names.new)))
    misfits: dict[int, int] = {}
    for group, leaf in await to_thread.run_sync(lambda: list(uint64_to_check(footer, leaves, proofs=proofs))):
        if leaf not in misfits and not await to_thread.run_sync(pages.fits, group, names.new[leaf]):
            misfits[leaf] = group
    found = [
        replace(columns[leaf], name=names.old[leaf], action=Action.REFUSE, remedy=_TOO_LARGE.format(group))
        for leaf, group in misfits.items()
    ]
    if message := refusal(file.path, found):
        raise SourceError(message, path=file.path)
