r"""Whole records of CSV text as columns of Arrow, split exactly where the project's own scanner splits them.

pyarrow's reader is generous: it reads text after a closing quote, too. But what it is given was scanned before, by the
strict grammar, and there it agrees with Python's `csv` on quotes, escapes and newlines, but for two things, which are
evened out before it sees the text: it drops a byte order mark at the beginning of any data that it gets; and it takes
an empty last field without a newline after it for a quoted one, which is never null, where the field before is quoted.
It also reads numbers beyond a type of floating point as infinities, which is refused here; and it takes escapes off
before it looks for null values, so that it would never see the ``\N`` of databases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kumo_async.formats.record_bits import BitScanner
from kumo_async.formats.record_states import State
from kumo_async.formats.record_words import behind, flags

if TYPE_CHECKING:
    from kumo_async.formats.csv_dialect import CsvDialect

__all__ = ["MOST_BYTES", "BlockReader", "doubled"]

MOST_BYTES: Final = 256 * 1024 * 1024
"""The most that one record may have, in bytes, to be read at once."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class BlockReader:
    r"""Reads whole records of one file.

    An unquoted field that is one of the null values is null, in a column of any type; a quoted one is only where that
    was asked for. Otherwise ``""`` is an empty text, and the difference that CSV can make between the two is kept.

    Attributes:
        names: The names of all columns, all different.
        dialect: How the file separates and quotes its fields; it skips no spaces.
        null_values: The texts that mean null.
        quoted_nulls: Whether they mean null in quotes as well.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> reader = BlockReader(("id", "name"), CsvDialect(), ("",))
        >>> reader.read(b'1,""\n,Ada\n', {}, ["id", "name"]).to_pydict()
        {'id': [1, None], 'name': ['', 'Ada']}
    """

    names: tuple[str, ...]
    dialect: CsvDialect
    null_values: tuple[str, ...]
    quoted_nulls: bool = False

    def read(self, data: bytes, types: Mapping[str, Any], columns: Sequence[str]) -> Any:
        """Return some columns of records as a table.

        Args:
            data: Whole records, each with as many fields as there are names; blank lines are skipped.
            types: The Arrow types of columns; those of the others are inferred from these records alone.
            columns: The columns to convert, at least one.

        Raises:
            pyarrow.ArrowException: A value does not fit its column's type. The message has the value in it.
        """
        table = self._read(data, types, columns)
        if overflowing := _with_infinity(table, types):
            import pyarrow as pa

            texts = self._read(data, dict.fromkeys(overflowing, pa.string()), overflowing)
            for name in overflowing:
                _refuse_overflow(table[name], texts[name])
        return table

    def _read(self, data: bytes, types: Mapping[str, Any], columns: Sequence[str]) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        data = self._evened(data)
        return csv.read_csv(
            pa.BufferReader(data),
            # One block, since it is for the scanner to say where records end.
            read_options=csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self.names),
            parse_options=self._parse_options(),
            convert_options=csv.ConvertOptions(
                column_types=dict(types),
                include_columns=list(columns),
                null_values=list(self.null_values),
                strings_can_be_null=True,
                quoted_strings_can_be_null=self.quoted_nulls,
                # Without 1 and 0, which are numbers.
                true_values=["true", "True", "TRUE"],
                false_values=["false", "False", "FALSE"],
            ),
        )

    def _parse_options(self) -> Any:
        from pyarrow import csv

        dialect = self.dialect
        return csv.ParseOptions(
            delimiter=dialect.delimiter.decode(),
            quote_char=dialect.quote.decode() if dialect.quote else False,
            double_quote=dialect.quote is not None,
            escape_char=dialect.escape.decode() if dialect.escape else False,
            newlines_in_values=True,
            ignore_empty_lines=True,
        )

    def _evened(self, data: bytes) -> bytes:
        if escape := self.dialect.escape:
            nulls = [value for value in map(str.encode, self.null_values) if value.startswith(escape)]
            if any(null in data for null in nulls):
                data = doubled(data, self.dialect, nulls)
        if data.endswith(self.dialect.delimiter):
            data += b"\n"
        return _BOM + data if data.startswith(_BOM) else data


def _with_infinity(table: Any, types: Mapping[str, Any]) -> list[str]:
    """Name the columns of the given types of floating point that hold an infinity."""
    import pyarrow as pa
    import pyarrow.compute as pc

    floating: dict[Any, dict[str, Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in types and pa.types.is_floating(column.type):
            floating.setdefault(column.type, {})[name] = column
    found = []
    for kind, columns in floating.items():
        # Most tables have none: one look at all columns takes far less than one at each of thousands.
        chunks = [chunk for column in columns.values() for chunk in column.chunks]
        if pc.any(pc.is_inf(pa.chunked_array(chunks, kind))).as_py():
            found += [name for name, column in columns.items() if pc.any(pc.is_inf(column)).as_py()]
    return found


def _refuse_overflow(values: Any, texts: Any) -> None:
    """Refuse infinities that pyarrow made of numbers: those that are meant are written without digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    written = texts.filter(pc.is_inf(values))
    if pc.any(pc.match_substring_regex(written, "[0-9]")).as_py():
        raise pa.ArrowInvalid(f"a number is too large for {values.type}")


def doubled(data: bytes, dialect: CsvDialect, nulls: Sequence[bytes]) -> bytes:
    r"""Double the escapes of null values, so that they stay.

    Args:
        data: Whole records.
        dialect: How they are written, with an escape.
        nulls: Null values that begin with an escape, such as ``\N``, which a field is as a whole and without quotes.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> print(doubled(rb'"a\N","\"b",\N,\Na', CsvDialect(escape=b"\\"), [rb"\N"]).decode())
        "a\N","\"b",\\N,\Na
    """
    bits = BitScanner(dialect).scan(data, State.RECORD, separate=True)
    assert bits.delimiters is not None
    begins = flags(behind(bits.ends | bits.delimiters, first=True))
    found = [match.start() for match in _null_values(dialect, tuple(nulls)).finditer(data)]
    escape = data[found[0]] if found else 0
    return np.insert(np.frombuffer(data, np.uint8), [at for at in found if begins[at]], escape).tobytes()


@lru_cache(maxsize=8)
def _null_values(dialect: CsvDialect, nulls: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Match null values up to where a field may end."""
    return re.compile(rb"(?:%b)(?=[%b\r\n]|\Z)" % (b"|".join(map(re.escape, nulls)), re.escape(dialect.delimiter)))
