"""Where errors become messages and exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand

from ..errors import KumoError
from .output import escaped, give_up_stdout
from .wording import as_typed

__all__ = ["FAILED", "Command", "reported"]

FAILED = 1


class Command(TyperCommand):
    """A command that also takes the program's `--verbose`, and whose errors end as a message and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters and, before `--help`, the program's `--verbose`."""
        own = super().get_params(ctx)
        shared = [param for param in ctx.parent.command.params if param.name == "verbose"] if ctx.parent else []
        return [*own[:-1], *shared, *own[-1:]]

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        # People write it on either side of the command's name, so it is understood on both.
        verbose = bool(ctx.params.pop("verbose", False)) or bool(ctx.find_root().params.get("verbose"))
        ctx.obj = verbose
        with _logged(verbose), reported(verbose):
            return super().invoke(ctx)


@contextmanager
def reported(verbose: bool) -> Iterator[None]:
    """Turn an error that has an explanation into `error: ...` on stderr and exit code 1; others pass."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Whoever read our output has left, as `head -1` does.
        give_up_stdout()
        raise typer.Exit(FAILED) from error
    except (KumoError, OSError) as error:
        if verbose:
            traceback.print_exception(error)
        message = escaped(_words(error), keep="\n")
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(FAILED) from error


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    return as_typed(str(error)) if isinstance(error, KumoError) else str(error)


@contextmanager
def _logged(verbose: bool) -> Iterator[None]:
    """Show the library's log on stderr, or keep it quiet: reports and errors say all that a user must know."""
    handler = logging.StreamHandler(sys.stderr) if verbose else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("kumo_async")
    level = logger.level
    logger.addHandler(handler)
    if verbose:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
