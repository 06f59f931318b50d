"""What becomes of a Parquet column's type: Kumo takes it as it is, in another form, or not at all.

For each column one of five things is right, and the first that keeps every value with the least work is chosen:

    KEEP      Kumo takes the type
    RELABEL   the pages hold it already, only Arrow's schema in the footer says otherwise (large_string, views, …)
    RETYPE    the pages hold it already, the footer's own schema says otherwise (uint8, uint16, uint64 that fits)
    CAST      the pages must be encoded again (uint32, half float, binary of fixed size, null, wide decimals that fit)
    REFUSE    no cast keeps what the column means, so the user must choose one

Types are decided from the schema alone; whether the values of a uint64 or of a wide decimal fit is for the reader of
its pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kumo_async.errors import RefusedColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "MAX_DECIMAL_DIGITS",
    "MAX_LISTED",
    "Action",
    "ColumnType",
    "decide",
    "refusal",
    "refused_columns",
    "shortened",
]

MAX_DECIMAL_DIGITS = 18
"""Documented by Kumo for decimals."""

MAX_LISTED = 200
"""Columns that one message names; a table may have thousands. The error's `columns` has all of them."""

_NARROWER = f"cast it to decimal({MAX_DECIMAL_DIGITS}, s) or to double"

_MAX_SHOWN = 120
"""Characters of a name or a type that a message shows; a nested type may have thousands."""

#: Bits of the signed type that holds every value of an unsigned one; uint64 has none, so its values must be looked at.
_SIGNED = {8: "int16", 16: "int32", 32: "int64", 64: "int64"}


class Action(StrEnum):
    """What has to be done so that Kumo takes a column."""

    KEEP = "keep"
    RELABEL = "relabel"
    RETYPE = "retype"
    CAST = "cast"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What becomes of one top-level column.

    Attributes:
        name: The column's name in the file.
        source: Its Arrow type in the file.
        target: Its Arrow type in Kumo; the same as `source` where it is refused.
        action: What has to be done.
        remedy: What the user can do where it is refused, or its values do not fit.
        must_fit: Whether the values have to be looked at, since the target does not hold all that the type could.
        code: How the remedy is written: `table` is what pyarrow reads of the file, and `x` the column's name.
    """

    name: str
    source: Any
    target: Any
    action: Action
    remedy: str = ""
    must_fit: bool = False
    code: str = ""


def decide(schema: Any, *, allow_casts: bool = True) -> list[ColumnType]:
    """Decide for each column of a file's Arrow schema.

    Args:
        schema: The schema as pyarrow reads it from the footer.
        allow_casts: Whether a column may get another type; if not, whatever would need one is refused.

    Returns:
        One decision for each top-level column, in order.

    Example:
        >>> import pyarrow as pa
        >>> schema = pa.schema({"a": pa.large_string(), "b": pa.uint32(), "c": pa.time64("us")})
        >>> [(str(column.target), column.action.value) for column in decide(schema)]
        [('string', 'relabel'), ('int64', 'cast'), ('time64[us]', 'refuse')]
    """
    columns = [_decide(field.name, field.type) for field in schema]
    return columns if allow_casts else [_without_cast(column) for column in columns]


def _without_cast(column: ColumnType) -> ColumnType:
    if column.action not in (Action.CAST, Action.RETYPE):
        return column
    remedy = f"cast it to {column.target}, or leave UploadOptions.on_unsupported at 'cast'"
    return ColumnType(column.name, column.source, column.source, Action.REFUSE, remedy)


def _decide(name: str, source: Any) -> ColumnType:
    import pyarrow as pa

    plain = source.storage_type if isinstance(source, pa.BaseExtensionType) else source
    is_list, item = _item_of(plain)
    found = _number_or_none(item) if is_list else _scalar(plain)
    if found is None:
        remedy, code = _remedy(plain)
        return ColumnType(name, source, source, Action.REFUSE, remedy, code=code)
    target, action = found
    must_fit = _must_fit(item if is_list else plain)
    if is_list:
        field = plain.value_field.with_type(target)
        # A list with other offsets has the same pages as a plain one. An embedding's length is part of what it means.
        target = pa.list_(field, plain.list_size if pa.types.is_fixed_size_list(plain) else -1)
    if action is Action.KEEP and target != source:
        action = Action.RELABEL
    remedy = _NARROWER if must_fit and pa.types.is_decimal(target) else ""
    return ColumnType(name, source, target, action, remedy, must_fit)


def _must_fit(source: Any) -> bool:
    """Say whether a type that has a target has values that the target does not hold."""
    from pyarrow import types

    if types.is_dictionary(source):
        return _must_fit(source.value_type)
    is_wide = types.is_decimal(source) and source.precision > MAX_DECIMAL_DIGITS
    return bool(is_wide or types.is_uint64(source))


def _item_of(source: Any) -> tuple[bool, Any]:
    from pyarrow import types

    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    if any(test(source) for test in tests):
        return True, source.value_type
    return False, None


def _number_or_none(source: Any) -> tuple[Any, Action] | None:
    """Decide for an integer or a floating point number, alone or in a list."""
    import pyarrow as pa

    if pa.types.is_signed_integer(source) or pa.types.is_float32(source) or pa.types.is_float64(source):
        return source, Action.KEEP
    if pa.types.is_float16(source):
        return pa.float32(), Action.CAST
    if pa.types.is_unsigned_integer(source):
        # All but uint32 lie in pages of a signed type that holds every value; a uint32 above 2^31 looks negative there.
        action = Action.CAST if source.bit_width == 32 else Action.RETYPE
        return pa.type_for_alias(_SIGNED[source.bit_width]), action
    return None


def _scalar(source: Any) -> tuple[Any, Action] | None:
    import pyarrow as pa
    from pyarrow import types

    keep = (types.is_boolean, types.is_string, types.is_binary, types.is_date, types.is_timestamp)
    if any(test(source) for test in keep):
        return source, Action.KEEP
    if types.is_large_string(source) or types.is_string_view(source):
        return pa.string(), Action.KEEP
    if types.is_large_binary(source) or types.is_binary_view(source):
        return pa.binary(), Action.KEEP
    if types.is_fixed_size_binary(source):
        return pa.binary(), Action.CAST
    if types.is_decimal(source):
        if source.precision <= MAX_DECIMAL_DIGITS:
            return pa.decimal128(source.precision, source.scale), Action.KEEP
        return pa.decimal128(MAX_DECIMAL_DIGITS, min(source.scale, MAX_DECIMAL_DIGITS)), Action.CAST
    if types.is_null(source):
        return pa.string(), Action.CAST
    if types.is_dictionary(source):
        return _dictionary(source)
    return _number_or_none(source)


def _dictionary(source: Any) -> tuple[Any, Action] | None:
    import pyarrow as pa

    if not (found := _scalar(source.value_type)):
        return None
    value, action = found
    if action is not Action.KEEP or not pa.types.is_string(value):
        # Parquet stores the values, whatever Arrow's type of the column is.
        return value, action
    index = source.index_type
    # Arrow reads any dictionary with indices of 32 bits, so no table can have more values than these hold.
    regular = index if pa.types.is_signed_integer(index) else pa.int32()
    return pa.dictionary(regular, value, ordered=source.ordered), Action.KEEP


_AS_JSON = "`[json.dumps(value, default=str) for value in table[x].to_pylist()]`"
_AS_TEXT = "`[value and str(value) for value in table[x].to_pylist()]`"
_JOINED = "`pyarrow.compute.binary_join(table[x], pyarrow.scalar(',', table[x].type.value_type))`"
_OWN_ROWS = "give each item its own row in a second table"


def _remedy(source: Any) -> tuple[str, str]:
    """Say what helps, and with what code: `table` is what pyarrow reads of the file, `x` the column's name."""
    from pyarrow import types

    remedies = (
        (types.is_struct, "make each of its fields a column", "`table.flatten()`, or in Polars `df.unnest([x])`"),
        (types.is_map, "write it as JSON text, or make its keys columns", _AS_JSON),
        (types.is_time32, "cast it to an integer", "`table[x].cast('int32')`"),
        (types.is_time64, "cast it to an integer", "`table[x].cast('int64')`"),
        (types.is_duration, "cast it to a number", "`table[x].cast('int64')`, or in pandas `df[x].dt.total_seconds()`"),
        (types.is_dictionary, "decode it and cast its values to string", "`table[x].cast(table[x].type.value_type)`"),
        (types.is_run_end_encoded, "decode it", "`pyarrow.compute.run_end_decode(table[x])`"),
        (types.is_union, "make each of its members a column", ""),
    )
    if found := next(((words, code) for test, words, code in remedies if test(source)), None):
        return found
    is_list, item = _item_of(source)
    return _list_remedy(item) if is_list else ("cast it to string", _AS_TEXT)


def _list_remedy(item: Any) -> tuple[str, str]:
    from pyarrow import types

    if types.is_boolean(item):
        return "cast it to list<int8>", "`table[x].cast(pyarrow.list_(pyarrow.int8()))`"
    if types.is_string(item) or types.is_large_string(item):
        return f"join it to one string, or {_OWN_ROWS}", _JOINED
    if types.is_binary(item) or types.is_large_binary(item) or types.is_fixed_size_binary(item):
        return _OWN_ROWS, ""
    if types.is_nested(item) or types.is_string_view(item):
        return f"write it as JSON text, or {_OWN_ROWS}", _AS_JSON
    has_32_bits = types.is_date32(item) or types.is_time32(item)
    number = "float64" if types.is_decimal(item) else "int32" if has_32_bits else "int64"
    return "cast its items to integers or floats", f"`table[x].cast(pyarrow.list_(pyarrow.{number}()))`"


def shortened(text: str) -> str:
    """Cut a name or a type that is too long for a message.

    Example:
        >>> shortened("user_id"), len(shortened("x" * 1_000))
        ('user_id', 120)
    """
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def refused_columns(columns: Iterable[ColumnType]) -> tuple[RefusedColumn, ...]:
    """Give the columns that Kumo cannot take, with what helps."""
    return tuple(RefusedColumn(c.name, str(c.source), _instruction(c)) for c in columns if c.action is Action.REFUSE)


def _instruction(column: ColumnType) -> str:
    name = repr(shortened(column.name))
    code = column.code.replace("[x]", f"[{name}]")
    return f"{column.remedy}: {code}" if code else column.remedy


def refusal(path: str, refused: Sequence[RefusedColumn]) -> str:
    """Say in one message which columns Kumo cannot take and what helps: each of up to 200, and how many more.

    Example:
        >>> import pyarrow as pa
        >>> print(refusal("a.parquet", refused_columns(decide(pa.schema({"wait": pa.duration("s")})))))
        a.parquet has columns of types that Kumo does not take:
          'wait' is duration[s]: cast it to a number: `table['wait'].cast('int64')`, or in pandas ...
        Nothing was sent. Write the file again with these columns cast or left out.
    """
    lines = [
        f"  {shortened(column.name)!r} is {shortened(column.type)}: {column.remedy}." for column in refused[:MAX_LISTED]
    ]
    if len(refused) > MAX_LISTED:
        lines.append(f"  and {len(refused) - MAX_LISTED} more; in Python the error's `columns` has all of them.")
    return "\n".join(
        [
            f"{path} has columns of types that Kumo does not take:",
            *lines,
            "Nothing was sent. Write the file again with these columns cast or left out.",
        ]
    )
