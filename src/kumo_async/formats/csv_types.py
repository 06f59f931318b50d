r"""Which type each column of a CSV file has: the first that keeps every value of the whole file.

Each block of records tells for each column which types would keep all of its values; what is left of these sets over
all blocks decides. So the answer depends on the values alone, not on where blocks end, and blocks may be looked at in
any order, side by side:

    bool  int64  double  date32  timestamp[s]  timestamp[ns]  the same in UTC  string

What a text means is for pyarrow's reader to say. A type keeps a value if the text says no more than the value does:

* an int64, if the value written out is the text: not ``00501``, ``+1``, ``-0``, ``0x1F`` or a number with blanks;
* a double, if the text is a decimal number without leading zeros, plus sign or blanks, and the nearest double is that
  number, or is written in its shortest form as that number: ``0.10`` is one, ``0.12345678901234567890`` is not, nor is
  an integer over 64 bits;
* a timestamp with a zone, if the zone is UTC: of ``+02:00`` only the instant would be left.

Times without a date, which Kumo does not take, stay strings, and so does a column without any value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from kumo_async.errors import ConfigurationError
from kumo_async.formats.arrow_errors import arrow_errors
from kumo_async.formats.types import Action, decide

__all__ = ["chosen", "every_type", "given_types", "possible_types"]

_PLAIN_DOUBLE: Final = r"^-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?$"
_FRACTION_OR_EXPONENT: Final = r"^-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*|(?:\.[0-9]*)?[eE][-+]?[0-9]{1,2})$"
_MOST_DIGITS: Final = 15  # that every double keeps, where its exponent has less than three:
_MOST_BOUNDED: Final = 99  # characters, so that zeros do not make up for that
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_IS_UTC: Final = r"(?:Z|\+00(?::?00)?)$"
_DATE_LENGTH: Final = len("2020-02-29")
_EXACT: Final = 2**53
_INT64: Final = 2**63
_DAYS_OF_NS, _SECONDS_OF_NS = 106_751, 9_223_372_036


@cache
def every_type() -> tuple[Any, ...]:
    """Return the types that come into question, the first choice first; any value is a string."""
    import pyarrow as pa

    stamps = [pa.timestamp(unit, zone) for zone in (None, "UTC") for unit in ("s", "ns")]
    return (pa.bool_(), pa.int64(), pa.float64(), pa.date32(), *stamps, pa.string())


def chosen(possible: frozenset[Any]) -> Any:
    """Return the type of a column, of which these types keep all values; string where there are no values.

    Example:
        >>> import pyarrow as pa
        >>> chosen(frozenset([pa.float64(), pa.int64(), pa.string()]))
        DataType(int64)
    """
    every = every_type()
    return every[-1] if len(possible) == len(every) else next(each for each in every if each in possible)


def possible_types(values: Any, texts: Any) -> frozenset[Any]:
    """Return the types that keep all of some values.

    Args:
        values: A column as pyarrow infers it.
        texts: The same column as strings.

    Example:
        >>> import pyarrow as pa
        >>> types = possible_types(pa.chunked_array([[501]]), pa.chunked_array([["00501"]]))
        >>> sorted(map(str, types))
        ['string']
    """
    import pyarrow.compute as pc
    from pyarrow import types

    every = every_type()
    if types.is_null(values.type):
        return frozenset(every)
    string = {every[-1]}
    if types.is_int64(values.type):
        return frozenset(_of_integers(values, texts) | string)
    if types.is_float64(values.type):
        return frozenset(string | ({values.type} if _are_doubles(texts, values) else set()))
    if types.is_date32(values.type):
        # It has one form, so that only blanks around it make it longer.
        written = _all(pc.equal(pc.binary_length(texts), _DATE_LENGTH))
        return frozenset((_of_dates(values) if written else set()) | string)
    if values.type in every and _are_trimmed(texts) and _are_utc(values.type, texts):
        return frozenset(_of_others(values) | string)
    return frozenset(string)


def _all(flags: Any) -> bool:
    import pyarrow.compute as pc

    # No value at all is all of them.
    return pc.all(flags).as_py() is not False


def _written(values: Any, texts: Any) -> Any:
    """Say for each value whether it is written as the text."""
    import pyarrow.compute as pc

    return pc.equal(values.cast(texts.type), texts)


def _of_integers(values: Any, texts: Any) -> set[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    written = _written(values, texts)
    are_integers = _all(written)
    # Beyond these bounds only some integers are doubles, too.
    odd = pc.or_(pc.invert(written), pc.or_(pc.greater(values, _EXACT), pc.less(values, -_EXACT)))
    found = {pa.int64()} if are_integers else set()
    return found | ({pa.float64()} if all(map(_is_double, _distinct(texts.filter(odd)))) else set())


def _are_doubles(texts: Any, values: Any) -> bool:
    import pyarrow.compute as pc

    short = pc.less_equal(pc.binary_length(texts), _MOST_DIGITS)
    plain = texts.filter(short)
    odd = plain.filter(pc.invert(pc.match_substring_regex(plain, _PLAIN_DOUBLE)))
    long, values = texts.filter(pc.invert(short)), values.filter(pc.invert(short))
    # What is written as it was read is certain, save for integers that no int64 holds.
    certain = pc.and_(_written(values, long), pc.less(pc.abs(values), float(_EXACT)))
    rest = long.filter(pc.invert(certain))
    return all(map(_is_double, _distinct(_uncertain(odd)))) and all(map(_is_double, _distinct(_uncertain(rest))))


def _uncertain(texts: Any) -> Any:
    """Leave out numbers that are doubles by their few digits alone, since one by one takes twenty times as long."""
    import pyarrow.compute as pc

    decimal = pc.match_substring_regex(texts, _FRACTION_OR_EXPONENT)
    bounded = pc.less_equal(pc.binary_length(texts), _MOST_BOUNDED)
    digits = pc.ascii_trim(pc.replace_substring_regex(texts, "[eE].*|[-.]", ""), "0")
    few = pc.less_equal(pc.binary_length(digits), _MOST_DIGITS)
    return texts.filter(pc.invert(pc.and_(pc.and_(decimal, bounded), few)))


def _distinct(texts: Any) -> Sequence[str]:
    found: Sequence[str] = texts.unique().to_pylist()
    return found


def _is_double(text: str) -> bool:
    if not any(character.isdigit() for character in text):
        # Infinities and NaN have several spellings and no digits; blanks around them are not part of any.
        return text == text.strip() and not text.startswith("+")
    if not _DECIMAL.fullmatch(text):
        return False
    try:
        number, value = Decimal(text), float(text)
        if text.removeprefix("-").isdigit() and not -_INT64 <= int(number) < _INT64:
            return False
        return number in (Decimal(value), Decimal(repr(value)))
    except (InvalidOperation, OverflowError, ValueError):
        return False


def _of_dates(values: Any) -> set[Any]:
    import pyarrow as pa

    stamps = {pa.timestamp("s")}
    if _within(values.cast(pa.int32()), _DAYS_OF_NS):
        stamps.add(pa.timestamp("ns"))
    return {values.type} | stamps


def _of_others(values: Any) -> set[Any]:
    import pyarrow as pa
    from pyarrow import types

    if types.is_timestamp(values.type) and values.type.unit == "s" and _within(values.cast(pa.int64()), _SECONDS_OF_NS):
        return {values.type, pa.timestamp("ns", values.type.tz)}
    return {values.type}


def _within(numbers: Any, most: int) -> bool:
    import pyarrow.compute as pc

    return _all(pc.and_(pc.less_equal(numbers, most), pc.greater_equal(numbers, -most)))


def _are_trimmed(texts: Any) -> bool:
    import pyarrow.compute as pc

    return _all(pc.equal(pc.utf8_trim_whitespace(texts), texts))


def _are_utc(found: Any, texts: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(found) or found.tz is None:
        return True
    return _all(pc.match_substring_regex(texts, _IS_UTC))


def given_types(types: Mapping[str, Any], old: Sequence[str], new: Sequence[str]) -> dict[str, Any]:
    """Return the Arrow types that a user gave, by the names that the columns have in Kumo.

    Args:
        types: A type, or its name, for the name that a column has in the file or in Kumo.
        old: The columns' names in the file.
        new: Their names in Kumo.

    Raises:
        ConfigurationError: If there is no such column or type, or Kumo does not take the type.

    Example:
        >>> given_types({"zip code": "string", "x": "decimal128(9, 2)"}, ["zip code", "x"], ["zip_code", "x"])
        {'zip_code': DataType(string), 'x': Decimal128Type(decimal128(9, 2))}
    """
    times = Counter(old)
    known = {name: to for name, to in zip(old, new, strict=True) if times[name] == 1} | {name: name for name in new}
    found = {}
    for name, kind in types.items():
        if name not in known:
            raise ConfigurationError(f"CsvOptions.types names a column {name!r}, and there is none of that name.")
        found[known[name]] = _checked(name, _parsed(kind))
    return found


def _parsed(kind: Any) -> Any:
    """Return the type that a text or a type of Arrow means; None if it means none."""
    import pyarrow as pa

    if not isinstance(kind, str):
        return kind if isinstance(kind, pa.DataType) else None
    if found := re.fullmatch(r"decimal(?:128)?\((\d{1,2}), ?(-?\d{1,2})\)", kind):
        return pa.decimal128(int(found[1]), int(found[2])) if 0 < int(found[1]) <= 38 else None
    if found := re.fullmatch(r"timestamp\[(s|ms|us|ns), ?tz=([^\]]+)\]", kind):
        return pa.timestamp(found[1], found[2])
    try:
        return pa.type_for_alias(kind)
    except ValueError:
        return None


def _checked(name: str, kind: Any) -> Any:
    import pyarrow as pa

    if kind is None:
        raise ConfigurationError(
            f"CsvOptions.types has no type for column {name!r} that Arrow knows: use a name such as 'string', 'int64', "
            f"'double', 'bool', 'date32', 'timestamp[us]' or 'decimal128(9, 2)'."
        )
    column = decide(pa.schema([(name, kind)]))[0]
    if column.action is not Action.KEEP:
        remedy = column.remedy or f"use {column.target}"
        raise ConfigurationError(f"CsvOptions.types gives column {name!r} the type {kind}: {remedy}.")
    if pa.types.is_timestamp(kind) and kind.tz and not _is_zone(kind):
        raise ConfigurationError(
            f"CsvOptions.types gives column {name!r} the type {kind}, and there is no time zone {kind.tz!r}: use 'UTC' "
            f"or a name such as 'Europe/Berlin', or an offset such as '+02:00'."
        )
    _check_holds(kind)
    return kind


def _is_zone(kind: Any) -> bool:
    """Whether the zone of a timestamp is known; true as well where Arrow finds no time zones at all."""
    import pyarrow as pa

    for zone in (kind.tz, "UTC"):
        with suppress(*arrow_errors()):
            pa.scalar(0, pa.timestamp("s", zone)).cast(pa.string())
            return bool(zone == kind.tz)
    return True


def _check_holds(kind: Any) -> None:
    """Refuse what pyarrow cannot read from CSV, or cannot write to Parquet."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    what = "no column of CSV can be read as"
    try:
        convert = csv.ConvertOptions(column_types={"x": kind})
        read = csv.ReadOptions(column_names=["x", "y"])
        table = csv.read_csv(pa.BufferReader(b",\n"), read, convert_options=convert)
        what = "no column of Parquet can hold"
        parquet.write_table(table.slice(0, 0), pa.BufferOutputStream())
    except arrow_errors() as error:
        raise ConfigurationError(f"CsvOptions.types: {what} {kind}.") from error
