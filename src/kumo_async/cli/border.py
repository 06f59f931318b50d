"""Where errors become messages, JSON and exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import typer
from typer.core import TyperCommand

from ..errors import KumoError
from .exit_codes import ExitCode, exit_code
from .interrupts import code_of
from .output import escaped, give_up_stdout, print_json
from .wording import as_typed

__all__ = ["Command", "reported"]

#: The facts of an error that its JSON has, where they apply.
_FACTS = ("path", "table", "partition", "part", "status", "code", "attempts")

#: Its records tell of calls that are tried again: without them a service that is down is a long silence.
_RETRIES = "kumo_async.retries"


class Command(TyperCommand):
    """A command that also takes the program's `--verbose`, and whose errors end as a message and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters and, before `--help`, the program's `--verbose`."""
        own = super().get_params(ctx)
        shared = [param for param in ctx.parent.command.params if param.name == "verbose"] if ctx.parent else []
        return [*own[:-1], *shared, *own[-1:]]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; with `--json` among them, what is wrong with them is JSON as well."""
        wants_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if wants_json:
                _print_error(error.format_message(), type(error).__name__, ExitCode.USAGE)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        # People write it on either side of the command's name, so it is understood on both.
        verbose = bool(ctx.params.pop("verbose", False)) or bool(ctx.find_root().params.get("verbose"))
        ctx.obj = verbose
        quiet = bool(ctx.params.get("quiet"))
        with _logged(verbose, quiet), reported(verbose, as_json=bool(ctx.params.get("as_json"))):
            return super().invoke(ctx)


@contextmanager
def reported(verbose: bool, *, as_json: bool = False) -> Iterator[None]:
    """Turn an error that has an explanation into `error: ...` on stderr and an exit code; others pass.

    Args:
        verbose: Whether the traceback is printed too.
        as_json: Whether the error is also printed as one JSON document on stdout, in place of a result.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Whoever read our output has left, as `head -1` does.
        give_up_stdout()
        raise typer.Exit(ExitCode.FAILED) from error
    except KeyboardInterrupt as interruption:
        raise typer.Exit(code_of(interruption)) from None
    except (KumoError, OSError) as error:
        if verbose:
            traceback.print_exception(error)
        code, words = exit_code(error), _words(error)
        if as_json:
            _print_error(words, type(error).__name__, code, error)
        message = escaped(words, keep="\n")
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(code) from error


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    return as_typed(str(error)) if isinstance(error, KumoError) else str(error)


def _print_error(message: str, kind: str, code: ExitCode, error: Exception | None = None) -> None:
    facts = {name: fact for name in _FACTS if (fact := getattr(error, name, None)) is not None}
    columns = [asdict(column) for column in getattr(error, "columns", None) or ()]
    document = {"type": kind, "message": message, "exit_code": int(code), **facts}
    print_json({"error": document | ({"columns": columns} if columns else {})})


@contextmanager
def _logged(verbose: bool, quiet: bool) -> Iterator[None]:
    """Show the library's log on stderr, or only which calls are tried again: reports and errors say all else."""
    name = "kumo_async" if verbose or quiet else _RETRIES
    handler = logging.NullHandler() if quiet and not verbose else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s" if verbose else "%(message)s"))
    library, logger = logging.getLogger("kumo_async"), logging.getLogger(name)
    level = library.level
    silent = logging.NullHandler()
    logger.addHandler(handler)
    library.addHandler(silent)
    if verbose:
        library.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        library.removeHandler(silent)
        library.setLevel(level)
