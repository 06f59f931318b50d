"""What a CSV file becomes as Parquet, without the way to the service; and the slow, obvious judge of its types."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
import pyarrow as pa
import pyarrow.parquet as pq

from kumo_async import CsvOptions, UploadOptions
from kumo_async.sources import Source, convert_types, open_source


async def partitions_of(path: Path, size: int | None, options: UploadOptions) -> tuple[Source, list[bytes]]:
    """The source, and each partition as it would be sent."""
    found = []
    async with open_source(path, "parquet", options) as source:
        async for partition in source.partitions(size):
            content = b"".join([bytes(block) async for block in partition.read(0, partition.size)])
            assert len(content) == partition.size
            assert pq.read_metadata(io.BytesIO(content)).num_rows == partition.rows
            found.append(content)
    return source, found


def converted(path: Path, *, block: int = 4 * 1024**2, size: int | None = None, **csv: Any) -> pa.Table:
    """A CSV file as the table that it becomes, looked at in blocks of so many bytes."""
    options = UploadOptions(convert="parquet", csv=CsvOptions(**csv), partition_threshold=0)
    with mock.patch.object(convert_types, "BLOCK_BYTES", block):
        source, parts = anyio.run(partitions_of, path, size, options)
    # Seconds are milliseconds in Parquet.
    table = pa.concat_tables([pq.read_table(io.BytesIO(part)) for part in parts])
    assert table.num_rows == source.rows
    assert table.schema.names == list(source.columns) == list(source.types)
    stored = [re.sub(r"timestamp\[s(?=[],])", "timestamp[ms", kind) for kind in source.types.values()]
    assert [str(field.type) for field in table.schema] == stored
    return table


def _is_int(text: str) -> bool:
    return bool(re.fullmatch(r"0|-?[1-9][0-9]*", text)) and -(2**63) <= int(text) < 2**63


def _is_double(text: str) -> bool:
    if text.removeprefix("-") in ("nan", "NaN", "NAN", "inf", "Inf", "INF", "infinity", "Infinity", "INFINITY"):
        return True
    plain, letter, exponent = re.fullmatch(r"([^eE]*)([eE]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if not re.fullmatch(r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)", plain):
        return False
    if letter and not _is_scientific(plain, letter, exponent):
        return False
    if re.fullmatch(r"-?[0-9]+", text) and not -(2**63) <= int(text) < 2**63:
        return False
    return _is_printed(text, Decimal(plain))


def _is_scientific(plain: str, letter: str, exponent: str) -> bool:
    if not re.fullmatch(r"[-+]?[0-9]{1,3}", exponent) or not re.fullmatch(r"-?[0-9]([.].*)?", plain):
        return False
    if Decimal(plain) == 0 and int(exponent) != 0:
        return False
    if Decimal(plain) != 0 and plain.removeprefix("-")[0] == "0":
        return False
    if exponent[0] in "+-":  # C and JavaScript
        return True
    # Rust, and Java, which has no E without digits after a point.
    java = letter == "E" and re.search(r"[.][0-9]", plain)
    return exponent == str(int(exponent)) and (letter == "e" or bool(java))


def _is_printed(text: str, mantissa: Decimal) -> bool:
    value, number = float(text), Decimal(text)
    digits = len("".join(map(str, mantissa.as_tuple().digits)).strip("0"))
    if not digits or value in (0, float("inf"), -float("inf")):
        return not digits
    rounded = Context(prec=digits, Emin=-2000, Emax=2000).create_decimal(Decimal(value))
    return number in (rounded, Decimal(repr(value)))


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_stamp(text: str, ending: str, fraction: str) -> bool:
    found = re.fullmatch(rf"([0-9-]{{10}})[ T]([0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}({fraction})?)?){ending}", text)
    try:
        return bool(found and _is_date(found[1]) and datetime.fromisoformat(f"{found[1]} {found[2][:8]}"))
    except ValueError:
        return False


def _stamp(text: str) -> tuple[datetime, int]:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC), int(fraction.ljust(9, "0")) if fraction else 0


def _nanoseconds(text: str) -> int:
    whole, rest = _stamp(text)
    return (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 10**9 + rest


def _in_range(text: str) -> bool:
    return -(2**63) < _nanoseconds(text) < 2**63


#: For each type in the order of preference: whether it keeps a text.
JUDGES: dict[str, Callable[[str], bool]] = {
    "bool": lambda text: text in ("true", "True", "TRUE", "false", "False", "FALSE"),
    "int64": _is_int,
    "double": _is_double,
    "date32[day]": _is_date,
    "timestamp[s]": lambda text: _is_date(text) or _is_stamp(text, "", "$^"),
    "timestamp[ns]": lambda text: (_is_date(text) or _is_stamp(text, "", r"\.[0-9]{1,9}")) and _in_range(text),
    "timestamp[s, tz=UTC]": lambda text: _is_stamp(text, "Z", "$^"),
    "timestamp[ns, tz=UTC]": lambda text: _is_stamp(text, "Z", r"\.[0-9]{1,9}") and _in_range(text),
}


def type_of(texts: Sequence[str | None]) -> str:
    """The type that a column has to have."""
    values = [text for text in texts if text is not None]
    if not values:
        return "string"
    return next((kind for kind, judge in JUDGES.items() if all(map(judge, values))), "string")


def value_of(text: str | None, kind: str) -> Any:
    """What a text is as a value of a type; a timestamp as nanoseconds since 1970."""
    if text is None or kind == "string":
        return text
    if kind == "bool":
        return text.lower() == "true"
    if kind == "date32[day]":
        return date.fromisoformat(text)
    if kind.startswith("timestamp"):
        return _nanoseconds(text)
    return int(text) if kind == "int64" else repr(float(text))


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """The same of a column that was read."""
    if pa.types.is_timestamp(column.type):
        factor = 10**9 // {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
        return [None if value is None else value * factor for value in column.cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return [repr(value) if isinstance(value, float) else value for value in values]
