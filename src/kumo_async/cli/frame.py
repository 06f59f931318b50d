"""The first rows of a table, printed whole into a pipe and as far as they fit on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from .output import cell, new_table, on_terminal, stdout_console

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

__all__ = ["print_frame"]

_GAP = 3
_SHORT, _LONG = 24, 60


def print_frame(frame: pd.DataFrame) -> None:
    """Print a frame as a table.

    On a terminal, long values are cut, and columns that have no room are counted below it.
    """
    from pandas.api.types import is_numeric_dtype

    console = stdout_console()
    numbers = [is_numeric_dtype(dtype) for dtype in frame.dtypes]
    columns = _columns(frame)
    if on_terminal():
        columns = _fitted(columns, console.width)
    table = new_table(*(column[0] for column in columns), numbers={i for i, number in enumerate(numbers) if number})
    for row in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*row)
    console.print(table)
    if hidden := len(frame.columns) - len(columns):
        typer.echo(f"Columns without room: {hidden}. `kumo-async show` lists them, a pipe gets them.", err=True)


def _columns(frame: pd.DataFrame) -> list[list[Text]]:
    """Return the columns as cells, each with its name first."""
    values = frame.astype(object).where(frame.notna(), None)
    return [[cell(str(name), "bold"), *map(cell, values.iloc[:, at])] for at, name in enumerate(frame.columns)]


def _fitted(columns: Sequence[list[Text]], width: int) -> list[list[Text]]:
    """Return the columns that fit, from the left, with long values cut no more than they must be."""
    for most in (_LONG, _SHORT):
        widths = [min(most, max(text.cell_len for text in column)) + _GAP for column in columns]
        if sum(widths) - _GAP <= width:
            break
    count = next((n for n in range(len(columns), 0, -1) if sum(widths[:n]) - _GAP <= width), 1)
    return [[_cut(text, most) for text in column] for column in columns[:count]]


def _cut(text: Text, most: int) -> Text:
    short = text.copy()
    short.truncate(most, overflow="ellipsis")
    return short
