"""Every place of a Parquet footer in which the name of a top-level column stands, and what a rename makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kumo_async.formats import thrift
from kumo_async.formats.arrow_schema import renamed_value
from kumo_async.formats.parquet_footer import KEY_VALUES, MAX_KEY_VALUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kumo_async.formats.parquet_footer import Footer
    from kumo_async.formats.thrift import Patch

__all__ = ["Renames"]


@dataclass(frozen=True, slots=True)
class Renames:
    """The changes that new column names ask for.

    Attributes:
        schema: Patches of the footer's schema.
        metadata: Patches of the file's own metadata.
        paths: The new encoded path of each renamed leaf, by the leaf's position.
    """

    schema: list[Patch]
    metadata: list[Patch]
    paths: dict[int, bytes]

    @property
    def patches(self) -> list[Patch]:
        """All patches outside of the row groups."""
        return [*self.schema, *self.metadata]

    @classmethod
    def of(cls, footer: Footer, names: Sequence[str] | None) -> Renames:
        """Work out the changes; there are none where `names` is None or the footer has these names.

        Raises:
            ValueError: There are not as many names as columns.
        """
        if names is not None and len(names) != len(footer.columns):
            raise ValueError(f"There are {len(names)} names for {len(footer.columns)} columns.")
        if names is None or tuple(names) == footer.columns:
            return cls([], [], {})
        metadata = _renamed_metadata(footer, names)
        return cls(footer.schema.name_patches(names), metadata, footer.schema.renamed_paths(names))


def _renamed_metadata(footer: Footer, names: Sequence[str]) -> list[Patch]:
    entries = thrift.structs(footer.data, footer.fields, KEY_VALUES, MAX_KEY_VALUES)
    if not entries:
        return []
    kept = []
    for struct, (key, value) in zip(entries, footer.key_value_metadata, strict=True):
        values: dict[int, bytes | None] = {}
        if value is not None:
            renamed = renamed_value(key, value, footer.columns, names)
            if renamed is None:
                continue
            values = {2: thrift.write_binary(renamed)}
        kept.append(thrift.spliced(footer.data, struct, values))
    new = thrift.write_list(thrift.STRUCT, kept) if kept else None
    return thrift.changes(footer.fields, {KEY_VALUES: new})
