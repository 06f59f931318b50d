"""The program: its commands, and the options that all of them have."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from .._version import __version__
from .border import Command
from .demo import demo
from .output import ensure_streams
from .recover import recover
from .serve import serve
from .tables import delete, head, ls, show
from .upload import upload
from .workspace import WorkspaceCommand

__all__ = ["app", "main"]

app = typer.Typer(
    name="kumo-async",
    no_args_is_help=True,
    # Boxes leave the words of a help text a third of 80 columns, and rich costs every --help a tenth of a second.
    rich_markup_mode=None,
    add_completion=False,
    # A traceback with local variables could show a key.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Credentials come from KUMO_API_KEY and KUMO_API_ENDPOINT, a proxy from HTTPS_PROXY and NO_PROXY. "
    "Without an account: kumo-async demo. Exit codes: 0 done; 1 anything not named here, such as no such table; "
    "2 wrong usage; 3 the file cannot be uploaded; 4 the key is not accepted; 5 the service failed; 6 an upload or "
    "recovery is unfinished; 130 Ctrl-C; 143 SIGTERM.",
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"kumo-async {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the library's log and tracebacks of errors on stderr.")
    ] = False,
) -> None:
    """Upload Parquet and CSV tables to Kumo: fast, in flat memory, whole or not at all."""


def _add(function: object, example: str, kind: type[Command] = WorkspaceCommand) -> None:
    app.command(cls=kind, epilog=f"Example: {example}")(function)  # type: ignore[type-var]


_add(demo, "kumo-async demo", Command)
_add(upload, "kumo-async upload orders.csv --name orders_2024")
_add(ls, "kumo-async ls --type csv")
_add(show, "kumo-async show orders")
_add(head, "kumo-async head orders -n 20")
_add(delete, "kumo-async delete orders --type csv --yes")
_add(recover, "kumo-async recover --list")
_add(serve, "kumo-async serve --root ./kumo --port 8123", Command)


def main() -> None:
    """Run the program and exit."""
    ensure_streams()
    for stream in (sys.stdout, sys.stderr):
        # A stream that cannot hold a character shows an escape for it instead of ending the program.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="kumo-async")
