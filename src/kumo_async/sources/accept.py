"""Whether Kumo takes the columns of a Parquet file, decided before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import SourceError
from ..formats.parquet import Footer
from ..formats.parquet_rename import Renames
from ..formats.parquet_retype import retyped
from ..formats.parquet_unreadable import decide_columns
from ..formats.types import Action, ColumnType, refusal, refused_columns, shortened
from ..options import UploadOptions

__all__ = ["AcceptedTypes", "accept_types", "decide_types", "metadata_warnings"]


@dataclass(frozen=True)
class AcceptedTypes:
    """The columns of a file, all of which Kumo takes in one form or another.

    Attributes:
        footer: A footer for the same pages with the types that Kumo takes, as far as a footer can do that.
        columns: What becomes of each column.
        dropped: Keys of the file's own metadata that are dropped, since a column of another type stands in them.
        warnings: What the user should know.
    """

    footer: Footer
    columns: tuple[ColumnType, ...]
    dropped: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def casts(self) -> bool:
        """Whether some column's pages must be encoded again."""
        return any(column.action is Action.CAST for column in self.columns)


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
    adapted, dropped = retyped(footer, columns)
    return AcceptedTypes(adapted, tuple(columns), dropped, tuple(_warnings(columns)))


def metadata_warnings(types: AcceptedTypes, renames: Renames) -> Iterator[str]:
    """Name the entries of the file's own metadata that are dropped."""
    dropped = dict.fromkeys([*types.dropped, *renames.dropped])
    if dropped:
        yield (
            f"Entries of the file's metadata that name renamed or cast columns, in a form that is not known, were left "
            f"out: {_first(map(repr, map(shortened, dropped)))}."
        )


def _warnings(columns: Sequence[ColumnType]) -> Iterator[str]:
    changed = [c for c in columns if c.action in (Action.CAST, Action.RETYPE)]
    if changed:
        each = _first(f"{shortened(c.name)!r} from {shortened(str(c.source))} to {c.target}" for c in changed)
        yield f"Columns of types that Kumo does not take were cast, every value kept: {each}."


def _first(parts: Iterable[str], most: int = 20) -> str:
    """List the first of some parts, and say how many more there are."""
    parts = list(parts)
    more = f" and {len(parts) - most:,} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
