"""Every place of a Parquet footer in which the name of a top-level column stands, and what a rename makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kumo_async.formats import thrift
from kumo_async.formats.arrow_schema import rewritten_value
from kumo_async.formats.key_values import Changes
from kumo_async.formats.parquet_footer import KEY_VALUES, MAX_KEY_VALUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kumo_async.formats.arrow_schema import Fields
    from kumo_async.formats.parquet_footer import Footer
    from kumo_async.formats.thrift import Patch

__all__ = ["Names", "Renames", "metadata_patches"]


@dataclass(frozen=True, slots=True)
class Renames:
    """The changes that new column names ask for.

    Attributes:
        schema: Patches of the footer's schema.
        metadata: Patches of the file's own metadata.
        paths: The new encoded path of each renamed leaf, by the leaf's position.
        dropped: Keys of the metadata that are dropped, since a renamed column stands in their values.
    """

    schema: list[Patch]
    metadata: list[Patch]
    paths: dict[int, bytes]
    dropped: tuple[str, ...]

    @property
    def patches(self) -> list[Patch]:
        """All patches outside of the row groups."""
        return [*self.schema, *self.metadata]

    @classmethod
    def of(cls, footer: Footer, names: Names) -> Renames:
        """Work out the changes; there are none where `names` is None or the footer has these names.

        Raises:
            ValueError: There are not as many names as columns.
        """
        if isinstance(names, Renames):
            return names
        if names is not None and len(names) != len(footer.columns):
            raise ValueError(f"There are {len(names)} names for {len(footer.columns)} columns.")
        if names is None or tuple(names) == footer.columns:
            return cls([], [], {}, ())
        changes = Changes(footer.columns, names)
        metadata = metadata_patches(footer, changes)
        schema, paths = footer.schema.name_patches(names), footer.schema.renamed_paths(names)
        return cls(schema, metadata, paths, tuple(changes.dropped))


Names: TypeAlias = "Sequence[str] | Renames | None"
"""The new names of all top-level columns, or what was worked out of them for the same footer; None to keep the old."""


def metadata_patches(footer: Footer, changes: Changes, fields: Fields | None = None) -> list[Patch]:
    """Say how the file's own metadata change; see `rewritten_value`."""
    entries = thrift.structs(footer.data, footer.fields, KEY_VALUES, MAX_KEY_VALUES)
    old = [value for _, value in footer.key_value_metadata]
    new = [
        None if value is None else rewritten_value(key, value, changes, fields)
        for key, value in footer.key_value_metadata
    ]
    if new == old:
        return []
    kept = [
        thrift.spliced(footer.data, entry, {} if value is None else {2: thrift.write_binary(value)})
        for entry, value, before in zip(entries, new, old, strict=True)
        if value is not None or before is None
    ]
    return thrift.changes(footer.fields, {KEY_VALUES: thrift.write_list(thrift.STRUCT, kept) if kept else None})
