r"""Whether the first record of a CSV file looks like its header, by itself and compared with the records after it.

Nothing is decided here: what looks like something else is said, with the option that would read it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kumo_async.formats.csv_preview import seeming_type

if TYPE_CHECKING:
    from kumo_async.formats.csv_preview import FirstRecord

__all__ = ["data_row_doubts", "header_doubts", "other_delimiter", "why_no_header"]

#: What may separate fields that is never detected, the likeliest first.
_RARE_DELIMITERS: Final = (" ", ":", "^", "~", "\x01", "!", "#", "/", "&", "@")
_LISTED: Final = 10
_YEAR: Final = re.compile(r"(19|20)\d\d|2100", re.ASCII)
_NUMBERS: Final = ("int64", "double")
_TIMES: Final = ("date32", "timestamp")


def why_no_header(records: Sequence[FirstRecord], *, may_be_short: bool = False) -> str | None:
    r"""Tell why the first record cannot be the header of those after it, and what to do, as two sentences.

    Args:
        records: The first records, the supposed header among them.
        may_be_short: Whether records may have fewer fields than the header.

    Returns:
        None where most of the records have as many fields as the first one.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> from kumo_async.formats.csv_preview import first_records
        >>> why_no_header(first_records(b"Sales\n\na,b\n1,2\n3,4\n", CsvDialect(), complete=True))
        'its first record has 1 field, and most records after it have 2. Pass csv=CsvOptions(skip_rows=2) if ...'
    """
    fields, rows = len(records[0].fields), [record.fields for record in records[1:]]
    most, times = Counter(map(len, rows)).most_common(1)[0] if rows else (fields, 0)
    if most == fields or 2 * times <= len(rows) or (most < fields and may_be_short):
        return None
    what = f"its first record has {_fields(fields)}, and most records after it have {most:,}."
    if most < fields:
        return f"{what} {_why_shorter(records, most)}"
    header = next(at for at, record in enumerate(records) if len(record.fields) == most)
    if most == fields + 1 and header == 1 and not _is_header(rows[0], rows[1:]):
        return f"{what} {_why_one_less(rows, most)}"
    remedy = f"Pass csv=CsvOptions(skip_rows={records[header].lines}) if the table begins after the first lines"
    if all(record.fields[0].startswith("#") for record in records[:header]):
        remedy += ", or comment='#' if lines that begin with # are comments"
    return f"{what} {remedy}."


def _why_shorter(records: Sequence[FirstRecord], most: int) -> str:
    header = next(at for at, record in enumerate(records) if len(record.fields) == most)
    return (
        f"Pass csv=CsvOptions(skip_rows={records[header].lines}) if the first lines are not part of the table, or "
        "short_rows='fill' if empty fields were left off at the ends of records."
    )


def _why_one_less(rows: Sequence[Sequence[str]], most: int) -> str:
    names = f"csv=CsvOptions(column_names=[...]) with {most:,} names"
    if all(not row[-1] for row in rows if len(row) == most):
        return f"Each record ends with a delimiter that the header lacks: remove it, or pass {names}."
    return (
        "The header is one name short, as R writes it where rows have names: write the file without them "
        f"(row.names=FALSE), or pass {names}."
    )


def header_doubts(records: Sequence[FirstRecord]) -> Iterator[str]:
    r"""Tell what makes the first record look like something else than the names of the columns.

    Example:
        >>> from kumo_async.formats.csv_dialect import CsvDialect
        >>> from kumo_async.formats.csv_preview import first_records
        >>> next(header_doubts(first_records(b"3,0.5\n4,1.5\n", CsvDialect(), complete=True)))
        "The first record names the columns, and 2 of its fields look like values: if the file has no header, pass ..."
    """
    names, rows = records[0].fields, [record.fields for record in records[1:]]
    if values := _count_values(names, rows):
        listed = ", ".join(f"'column_{number + 1}'" for number in range(len(names)))
        chosen = f", column_names=[{listed}]" if len(names) <= _LISTED else ""
        looks = "1 of its fields looks like a value" if values == 1 else f"{values:,} of its fields look like values"
        yield (
            f"The first record names the columns, and {looks}: if the file has no header, pass "
            f"csv=CsvOptions(header=False{chosen})."
        )
    elif rows and _is_header(rows[0], rows[1:]):
        lines = records[1].lines
        yield (
            "The second record looks like names or units above the values: if the first record is a title, pass "
            f"csv=CsvOptions(skip_rows={lines}); if the second is not a row, pass csv=CsvOptions(skip_rows="
            f"{records[2].lines}, header=False, column_names=[...])."
        )
    elif rows and _is_prose(names, rows):
        yield (
            "The first record looks like a sentence rather than names: if it is a title, pass "
            f"csv=CsvOptions(skip_rows={records[1].lines})."
        )


def data_row_doubts(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Tell of rows that look like no data: the header once more, or comments.

    Args:
        header: The names of the columns as they are in the file.
        rows: The first rows.
    """
    again = [number for number, row in enumerate(rows, 1) if list(row) == list(header)]
    if again:
        yield (f"Record {again[0]:,} repeats the header, as where files were joined, and is sent as a row. Remove it.")
    comments = [number for number, row in enumerate(rows, 1) if re.match(r"#(\s|$)", row[0])]
    if comments:
        yield (
            f"Record {comments[0]:,} begins with # and a blank: if such lines are comments, pass "
            "csv=CsvOptions(comment='#')."
        )


def other_delimiter(lines: Sequence[str]) -> str | None:
    r"""Tell what seems to separate the fields of lines that have none of the usual delimiters, and what to do.

    Example:
        >>> other_delimiter(["a b", "1 2"])
        "Its fields seem to be separated by spaces: pass csv=CsvOptions(delimiter=' '), with convert='parquet', ..."
    """
    lines = [line for line in lines if line]
    if len(lines) < 2:
        return None
    for delimiter in _RARE_DELIMITERS:
        counts = {line.strip().count(delimiter) for line in lines}
        if len(counts) == 1 and counts != {0}:
            if delimiter == " ":
                return (
                    "Its fields seem to be separated by spaces: pass csv=CsvOptions(delimiter=' '), with "
                    "convert='parquet', since Kumo's published rules take no space for a delimiter."
                )
            return f"Its fields seem to be separated by {delimiter!r}: pass csv=CsvOptions(delimiter={delimiter!r})."
    counts = {len(line.split()) for line in lines}
    if len(counts) == 1 and counts != {1}:
        return (
            "Its fields seem to be separated by runs of blanks: write it with one delimiter between two fields, for "
            "example with pandas.read_csv(path, sep=r'\\s+').to_csv(path, index=False)."
        )
    return None


def _count_values(names: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Count the names that look like values: numbers, unless they are years or a counter; and times above times."""
    kinds = [seeming_type([name]) for name in names]
    numbers = [name for name, kind in zip(names, kinds, strict=True) if kind in _NUMBERS]
    times = [at for at, kind in enumerate(kinds) if kind in _TIMES]
    above = sum(seeming_type(row[at] for row in rows if at < len(row)) in _TIMES for at in times)
    if _is_counter(numbers) or all(_YEAR.fullmatch(number) for number in numbers):
        return above
    return len(numbers) + above


def _is_counter(numbers: Sequence[str]) -> bool:
    """Whether these are 0, 1, 2 and so on, or 1, 2, 3; a single 1 is more likely the number of the first row."""
    counted = any(list(numbers) == [str(first + n) for n in range(len(numbers))] for first in (0, 1))
    return counted and list(numbers) != ["1"]


def _is_header(row: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a row is text wherever all rows after it have numbers or times, and there is such a column."""
    types = [seeming_type(each[at] for each in rows if at < len(each)) for at in range(len(row))]
    own = [seeming_type([field]) for field in row]
    typed = [at for at, kind in enumerate(types) if kind in (*_NUMBERS, *_TIMES)]
    return bool(typed) and all(own[at] == "string" for at in typed) and not {*_NUMBERS, *_TIMES} & set(own)


def _is_prose(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a name goes on after a blank as a sentence does, and no field of the rows begins with a blank."""
    continued = any(name.startswith(" ") and " " in name.strip() for name in names)
    return continued and not any(field.startswith(" ") for row in rows for field in row)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count:,} fields"
