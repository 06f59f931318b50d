"""What is printed: consoles for the two streams, values that cannot harm a terminal, JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

from ..errors import KumoError
from ..escapes import escaped

__all__ = [
    "OutputError",
    "cell",
    "ensure_streams",
    "escaped",
    "give_up_stdout",
    "new_table",
    "on_terminal",
    "print_json",
    "printing",
    "stderr_console",
    "stdout_console",
]

#: Columns that a pipe has: enough that nothing is ever cut or wrapped for a program that reads it.
_PIPE_WIDTH = 1_000_000


class OutputError(KumoError):
    """Results could not be written to stdout."""


def ensure_streams() -> None:
    """Put the null device in place of standard streams that were closed, as by ``2>&-``.

    Python has None for them, which few libraries expect; and without that, the next file or connection that is opened
    would get the number of one, and whatever is printed.
    """
    # Each takes the lowest free number, which is the stream's own, since those below it are taken.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - till the end


@contextmanager
def printing(done: str = "") -> Iterator[None]:
    """Print results in this block, and flush them.

    Args:
        done: What has been done all the same if they cannot be written, as a sentence.

    Raises:
        OutputError: If they cannot be, for another reason than that whoever read them has left.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_stdout()
        reason = error.strerror or type(error).__name__
        raise OutputError(f"The result could not be written to stdout: {reason}. {done}".strip()) from error


def give_up_stdout() -> None:
    """Let all that is still buffered for stdout, or printed later, vanish.

    It must go somewhere, or Python complains about it at its exit:
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def on_terminal() -> bool:
    """Return whether a person sees stdout."""
    return sys.stdout.isatty()


def stdout_console() -> Console:
    """Return a console for results. In a pipe it has no colours and no end of line to wrap or cut at."""
    return _console(stderr=False, width=None if on_terminal() else _PIPE_WIDTH)


def stderr_console() -> Console:
    """Return a console for progress."""
    return _console(stderr=True, width=None)


def _console(*, stderr: bool, width: int | None) -> Console:
    from rich.console import Console

    # Markup, emoji codes and highlighting would change what users' data looks like; styles are given where wanted.
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def cell(value: object, style: str = "") -> Text:
    """Return a value as the text of a table's cell: no markup, and nothing unprintable."""
    from rich.text import Text

    return Text("null", style="dim") if value is None else Text(escaped(str(value)), style=style)


def new_table(*columns: str | Text, numbers: Container[int] = ()) -> Table:
    """Return an empty table.

    Args:
        columns: The column names.
        numbers: The positions of the columns that are aligned to the right.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for position, name in enumerate(columns):
        justify: JustifyMethod = "right" if position in numbers else "left"
        table.add_column(_heading(name), justify=justify, no_wrap=True, overflow="ellipsis")
    return table


def _heading(name: str | Text) -> Text:
    return cell(name, "bold") if isinstance(name, str) else name


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
