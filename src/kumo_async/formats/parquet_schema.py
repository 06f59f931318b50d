"""The schema in a Parquet footer: a tree that is stored as a flat list, depth first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kumo_async.formats import thrift

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kumo_async.formats.thrift import Patch, Struct

__all__ = [
    "BYTE_ARRAY",
    "FIXED_BYTES",
    "INT96",
    "MAX_ELEMENTS",
    "REPEATED",
    "REQUIRED",
    "WRITE_AGAIN",
    "ParquetError",
    "Schema",
    "SchemaElement",
]

WRITE_AGAIN = """Write the file again, for example duckdb -c "copy (from 'old.parquet') to 'new.parquet'"."""
"""What helps where a file that other readers may take cannot be used."""

MAX_ELEMENTS = 100_000
"""Columns and nested fields of a schema. Each costs some hundred bytes of memory while a table is planned."""

MAX_DEPTH = 64
"""Levels of nesting in a schema."""

MAX_PATHS = 16 * 1024 * 1024
"""Bytes of all column paths together: every row group repeats them, so a larger schema has no usable footer."""

_TYPE, _TYPE_LENGTH, _REPETITION, _NAME, _NUM_CHILDREN, _CONVERTED, _SCALE, _PRECISION, _FIELD_ID, _LOGICAL = range(
    1, 11
)

INT96, BYTE_ARRAY, FIXED_BYTES = 3, 6, 7
"""Numbers of physical types."""

REQUIRED, REPEATED = 0, 2
"""Whether a field has one value in each row, or any number of them."""


class ParquetError(ValueError):
    """The bytes are not a Parquet footer that can be used; the message says why, and does not know the file's path."""


@dataclass(frozen=True, slots=True)
class SchemaElement:
    """One column or nested field, as the footer describes it.

    Attributes:
        name: Its name.
        physical_type: The number of its physical type (0 BOOLEAN, 1 INT32, 2 INT64, 3 INT96, 4 FLOAT, 5 DOUBLE,
            6 BYTE_ARRAY, 7 FIXED_LEN_BYTE_ARRAY), None for a group.
        type_length: Bytes of a value of FIXED_LEN_BYTE_ARRAY.
        repetition: 0 required, 1 optional, 2 repeated.
        converted_type: The number of its older logical type.
        logical_type: Its logical type as an encoded Thrift union.
        scale: Digits behind the point of a decimal.
        precision: Digits of a decimal.
        children: The fields of a group, empty for a leaf.
    """

    name: str
    physical_type: int | None
    type_length: int | None
    repetition: int | None
    converted_type: int | None
    logical_type: bytes | None
    scale: int | None
    precision: int | None
    children: tuple[SchemaElement, ...]

    @property
    def num_children(self) -> int:
        """How many fields a group has, 0 for a leaf."""
        return len(self.children)

    def leaf_paths(self) -> Iterator[tuple[bytes, ...]]:
        """Give the paths of this element's leaves, in the order in which their data are stored."""
        name = self.name.encode()
        if self.physical_type is not None:
            yield (name,)
        for child in self.children:
            for path in child.leaf_paths():
                yield (name, *path)


@dataclass(frozen=True, slots=True)
class Schema:
    """The top-level columns and where the footer keeps their names.

    Attributes:
        columns: The top-level columns.
        paths: For every leaf, its encoded `path_in_schema`.
        owners: For every leaf, the position of its top-level column.
        name_spans: For every top-level column, start and end of its encoded name in the footer.
    """

    columns: tuple[SchemaElement, ...]
    paths: tuple[bytes, ...]
    owners: tuple[int, ...]
    name_spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, data: bytes, fields: Struct) -> Schema:
        """Read the schema out of the fields of a footer.

        Raises:
            ParquetError: It is no tree, or exceeds a limit.
            ThriftError: Its encoding is broken.
        """
        elements = thrift.structs(data, fields, 2, MAX_ELEMENTS)
        if not elements:
            raise ParquetError("The footer has no schema.")
        reader = _TreeReader(data, elements)
        columns = reader.children(0, 1)
        if reader.next != len(elements):
            raise ParquetError(f"The schema's tree has {reader.next} elements, its list {len(elements)}.")
        spans = tuple(elements[position][_NAME][2:] for position in reader.top_level)
        paths = list(_bounded(path for column in columns for path in column.leaf_paths()))
        owners = tuple(owner for owner, column in enumerate(columns) for _ in column.leaf_paths())
        return cls(columns, tuple(map(_encoded, paths)), owners, spans)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the top-level columns."""
        return tuple(column.name for column in self.columns)

    def renamed_paths(self, names: Sequence[str]) -> dict[int, bytes]:
        """Give the new encoded path of each leaf whose top-level column gets another name, by the leaf's position."""
        renamed: dict[int, bytes] = {}
        leaves = iter(range(len(self.paths)))
        for column, new in zip(self.columns, names, strict=True):
            for (_, *rest), leaf in zip(column.leaf_paths(), leaves, strict=False):
                if column.name != new:
                    renamed[leaf] = _encoded((new.encode(), *rest))
        return renamed

    def name_patches(self, names: Sequence[str]) -> list[Patch]:
        """Say how the footer's schema changes under new top-level names."""
        old_and_new = zip(self.columns, names, self.name_spans, strict=True)
        return [(*span, thrift.write_binary(new.encode())) for old, new, span in old_and_new if old.name != new]


class _TreeReader:
    """Walks over the flat list and remembers where it is."""

    def __init__(self, data: bytes, elements: list[Struct]) -> None:
        self.next = 1
        self.top_level: list[int] = []
        self._data = data
        self._elements = elements

    def children(self, parent: int, depth: int) -> tuple[SchemaElement, ...]:
        count = thrift.integer(self._data, self._elements[parent], _NUM_CHILDREN, 0)
        if not 0 <= count <= len(self._elements) - self.next:
            raise ParquetError(f"Schema element {parent} declares {count} children, more than there are.")
        if depth > MAX_DEPTH:
            raise ParquetError(f"The schema is nested deeper than {MAX_DEPTH} levels.")
        return tuple(self._element(depth) for _ in range(count))

    def _element(self, depth: int) -> SchemaElement:
        if self.next >= len(self._elements):
            raise ParquetError("The schema ends within a group.")
        position = self.next
        self.next += 1
        if depth == 1:
            self.top_level.append(position)
        element = self._elements[position]
        children = self.children(position, depth + 1)
        if _TYPE in element and children:
            raise ParquetError(f"Schema element {position} is a column and a group at once.")
        logical = element.get(_LOGICAL)
        return SchemaElement(
            name=self._name(position),
            physical_type=self._number(element, _TYPE),
            type_length=self._number(element, _TYPE_LENGTH),
            repetition=self._number(element, _REPETITION),
            converted_type=self._number(element, _CONVERTED),
            logical_type=self._data[logical[2] : logical[3]] if logical else None,
            scale=self._number(element, _SCALE),
            precision=self._number(element, _PRECISION),
            children=children,
        )

    def _number(self, element: Struct, field: int) -> int | None:
        return thrift.integer(self._data, element, field) if field in element else None

    def _name(self, position: int) -> str:
        name = thrift.binary(self._data, self._elements[position], _NAME)
        if name is None:
            raise ParquetError(f"Schema element {position} has no name.")
        try:
            return name.decode()
        except UnicodeDecodeError:
            raise ParquetError(f"The name of schema element {position} is not UTF-8.") from None


def _bounded(paths: Iterator[tuple[bytes, ...]]) -> Iterator[tuple[bytes, ...]]:
    total = 0
    for path in paths:
        total += sum(map(len, path))
        if total > MAX_PATHS:
            raise ParquetError(f"The paths of all columns take more than {MAX_PATHS} bytes.")
        yield path


def _encoded(path: tuple[bytes, ...]) -> bytes:
    return thrift.write_list(thrift.BINARY, [thrift.write_binary(name) for name in path])
