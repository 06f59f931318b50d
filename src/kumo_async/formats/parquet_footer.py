"""A Parquet footer, read from its encoded form and checked before anything is believed.

The format is https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift; the field numbers
below are those of its FileMetaData.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kumo_async.formats import thrift
from kumo_async.formats.parquet_row_groups import (
    ENCRYPTED,
    EXTENSION_HEADS,
    RowGroup,
    RowGroupReader,
    blooms_are_sound,
    bridged,
    sharing_indexes,
    without_extension,
)
from kumo_async.formats.parquet_schema import MAX_ELEMENTS, WRITE_AGAIN, ParquetError, Schema, SchemaElement
from kumo_async.formats.thrift import LIST, STRUCT, Allowance, Patch, Struct, ThriftError

__all__ = ["ENCRYPTED_MAGIC", "MAGIC", "MAX_FOOTER_BYTES", "MAX_ROW_GROUPS", "Footer", "tail_length"]

MAGIC = b"PAR1"
ENCRYPTED_MAGIC = b"PARE"

MAX_FOOTER_BYTES = 256 * 1024 * 1024
"""The largest footer that is read, some 1.5 million columns over all row groups. It is held in memory as it is."""

MAX_ROW_GROUPS = 1_000_000
"""Row groups of a file. Arrow's reader refuses longer lists, too."""

MAX_KEY_VALUES = 100_000
"""Entries of the file's own metadata."""

SCHEMA, NUM_ROWS, ROW_GROUPS, KEY_VALUES, CREATED_BY, ENCRYPTION, SIGNING_KEY = 2, 3, 4, 5, 6, 8, 9

_LOST_HEADER_BYTES = 100
"""What readers allow for the page header that old writers forgot to count; Arrow uses the same number."""


@dataclass(frozen=True, slots=True, eq=False)
class Footer:
    """A footer that was read and found sound.

    Attributes:
        data: Its encoded bytes, without the length and the magic number after them, and without extensions
            (https://github.com/apache/parquet-format/blob/master/BinaryProtocolExtensions.md): a footer that is made
            of it must have none, since they repeat what is changed.
        data_end: Where it starts in the file, which is where the data end.
        fields: Its top-level fields within `data`.
        schema: The columns with their nested fields.
        num_rows: Rows of all row groups.
        row_groups: The row groups in order.
        created_by: The program that wrote the file, as it names itself.
        key_value_metadata: The file's own metadata, keys and values as they are stored.
        keep_blooms: Whether all Bloom filters lie where they can be, so that they can be copied.
        corrected: Whether `data` says something other than the file's own footer, which was wrong where readers do not
            look. Only a corrected footer may be sent.
    """

    data: bytes
    data_end: int
    fields: Struct
    schema: Schema
    num_rows: int
    row_groups: tuple[RowGroup, ...]
    created_by: str | None
    key_value_metadata: tuple[tuple[bytes, bytes | None], ...]
    keep_blooms: bool
    corrected: bool = False

    @classmethod
    def parse(cls, data: bytes, data_end: int) -> Footer:
        """Read a footer and check that what it says can be true.

        Args:
            data: The Thrift bytes of the footer, without the length and the magic number behind them.
            data_end: The position in the file at which the footer starts, in bytes.

        Returns:
            The footer. Reading takes time in proportion to its size, about a second for 100,000 columns of row groups.

        Raises:
            ParquetError: It is damaged, encrypted, describes data outside the file, or exceeds a documented limit.
        """
        try:
            return _parse(data, data_end)
        except ThriftError as error:
            raise ParquetError(f"The footer is damaged: {error}") from error

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the top-level columns."""
        return self.schema.names

    @property
    def elements(self) -> tuple[SchemaElement, ...]:
        """The top-level columns with their types and nested fields."""
        return self.schema.columns


def tail_length(tail: bytes, file_size: int) -> int:
    """Read how long the footer is from the last eight bytes of a file.

    Args:
        tail: The last eight bytes.
        file_size: Bytes of the whole file.

    Returns:
        Bytes of the footer, which ends where `tail` starts.

    Raises:
        ParquetError: The file is not Parquet, is encrypted, was cut off, or its footer is larger than 256 MiB.

    Example:
        >>> tail_length(bytes([2, 1, 0, 0]) + b"PAR1", file_size=1_000)
        258
    """
    if len(tail) != 8:
        raise ParquetError(f"It has {file_size} bytes, too few for Parquet.")
    if tail[4:] == ENCRYPTED_MAGIC:
        raise ParquetError(ENCRYPTED)
    if tail[4:] != MAGIC:
        raise ParquetError("It does not end with PAR1: it is not Parquet, or was cut off.")
    length = int.from_bytes(tail[:4], "little")
    if not 0 < length <= file_size - len(tail) - len(MAGIC):
        raise ParquetError(f"It declares a footer of {length} bytes, which a file of {file_size} bytes cannot hold.")
    if length > MAX_FOOTER_BYTES:
        raise ParquetError(f"Its footer has {length} bytes, more than {MAX_FOOTER_BYTES}. Write larger row groups.")
    return length


def _parse(data: bytes, data_end: int) -> Footer:
    schema: list[Schema] = []
    groups: list[RowGroup] = []
    readers: list[RowGroupReader] = []
    allowance = Allowance()

    def read_row_groups(data: bytes, pos: int, found: Struct) -> int:
        schema.append(Schema.parse(data, found))
        kind, count, pos = thrift.list_head(data, pos)
        if (kind != STRUCT and count) or count > MAX_ROW_GROUPS:
            raise ParquetError(f"The footer has no usable list of row groups: {count} elements of type {kind}.")
        readers.append(RowGroupReader(data, data_end, schema[0], allowance))
        for number in range(count):
            groups.append(readers[0].read(number, pos))
            pos += groups[-1].described_by
        return pos

    fields, end = thrift.scan(data, 0, ROW_GROUPS, read_row_groups, allowance)
    if ENCRYPTION in fields or SIGNING_KEY in fields:
        raise ParquetError(ENCRYPTED)
    if ROW_GROUPS not in fields or fields[ROW_GROUPS][0] != LIST:
        raise ParquetError("The footer has no list of row groups.")
    rows = _total_rows(groups)
    corrections = [*readers[0].corrections, *_corrected_rows(data, fields, rows)]
    if patches := sorted([*corrections, *readers[0].extensions, *_without_extensions(data, fields)]):
        return replace(_parse(thrift.splice(data, 0, end, patches), data_end), corrected=bool(corrections))
    created_by = (thrift.binary(data, fields, CREATED_BY) or b"").decode(errors="replace") or None
    row_groups, keep_blooms = _placed(groups, data_end, created_by)
    return Footer(
        data=data[:end],
        data_end=data_end,
        fields=fields,
        schema=schema[0],
        num_rows=rows,
        row_groups=row_groups,
        created_by=created_by,
        key_value_metadata=_key_values(data, fields),
        keep_blooms=keep_blooms,
    )


def _placed(groups: list[RowGroup], data_end: int, created_by: str | None) -> tuple[tuple[RowGroup, ...], bool]:
    ranges = sorted(piece for group in groups for piece in group.ranges)
    lost = _LOST_HEADER_BYTES if _miscounts_dictionaries(created_by) else 0
    # What seems to be a Bloom filter behind a column may be the bytes that its size leaves out, so those go together.
    keep_blooms = not lost and blooms_are_sound(ranges, groups, data_end)
    others = [bloom for group in groups for bloom in group.blooms] if keep_blooms else []
    for number in sharing_indexes([*ranges, *others], groups):
        groups[number] = groups[number].without_page_indexes()
    others += (piece for group in groups for piece in (*group.column_indexes, *group.offset_indexes))
    longer = bridged(ranges, others, data_end, lost)
    if longer or not keep_blooms:
        groups = [group.placed(longer, keep_blooms) for group in groups]
    return tuple(groups), keep_blooms


def _miscounts_dictionaries(created_by: str | None) -> bool:
    # parquet-mr before 1.2.9 left the dictionary's page header out of the column's size (PARQUET-816). Readers know it
    # by its name and read further, so those bytes must travel, too.
    match = re.match(r"parquet-mr(?: version (\d{1,9})\.(\d{1,9})\.(\d{1,9}))?", created_by or "")
    return match is not None and tuple(int(part or 0) for part in match.groups()) < (1, 2, 9)


def _total_rows(groups: list[RowGroup]) -> int:
    total = sum(group.num_rows for group in groups)
    if total >= 1 << 63:
        raise ParquetError(f"Its row groups declare {total} rows together. {WRITE_AGAIN}")
    return total


def _corrected_rows(data: bytes, fields: Struct, rows: int) -> list[Patch]:
    """Make the number of rows that of all row groups together, which is what nearly all readers go by."""
    declared = thrift.integer(data, fields, NUM_ROWS)
    return [] if declared == rows else thrift.changes(fields, {NUM_ROWS: thrift.write_integer(rows)})


def _without_extensions(data: bytes, fields: Struct) -> list[Patch]:
    if not any(head in data for head in EXTENSION_HEADS):
        return []
    elements = thrift.structs(data, fields, SCHEMA, MAX_ELEMENTS)
    return [patch for struct in (fields, *elements) for patch in without_extension(struct)]


def _key_values(data: bytes, fields: Struct) -> tuple[tuple[bytes, bytes | None], ...]:
    entries = thrift.structs(data, fields, KEY_VALUES, MAX_KEY_VALUES)
    return tuple((thrift.binary(data, entry, 1) or b"", thrift.binary(data, entry, 2)) for entry in entries)
