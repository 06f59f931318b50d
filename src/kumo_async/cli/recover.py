"""recover: what is done about uploads whose process died."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ..errors import ConfigurationError
from ..recovery import recover_uploads, unfinished_uploads
from ..report import UnfinishedUpload, format_bytes
from .exit_codes import ExitCode
from .interrupts import interruptible
from .output import cell, escaped, new_table, print_json, printing, stdout_console
from .tables import AsJson
from .wording import as_typed
from .workspace import client_of

__all__ = ["recover"]

_NEEDS_THE_USER = ("failed", "taken back")
_STOPPING = "Stopping; a commit under way is finished first. A second Ctrl-C leaves at once; recover then goes on."


def recover(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only uploads of the tables of this name.")] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Only list what is there, for all services; ask none of them.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Forget the uploads; delete what their commits have made visible.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Discard without asking. Needed where there is no terminal.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Finish uploads whose process died, or list those to resume.

    Uploads from this machine that died in their commit are finished. One that died earlier has changed nothing: the
    same `kumo-async upload` resumes it: partitions that are stored are not sent again, and a table of one object, as of
    a file up to 1000 MiB, that was not stored whole is sent from its beginning. Exit code 6: some table could not be
    finished, and must be uploaded again or recovered later.
    """
    found = [each for each in unfinished_uploads() if name in (None, each.table)]
    if found and not only_list:
        if discard:
            _confirm(len(found), yes=yes)
        client = client_of(context)
        others = [each for each in found if each.endpoint != client.credentials.scoped_endpoint]
        with interruptible(lambda: _STOPPING):
            found = recover_uploads(name, discard=discard, client=client)
        if others:
            typer.echo(f"Uploads to other services: {len(others)}. --list shows them, --url reaches them.", err=True)
    _print(found, as_json=as_json)
    if any(each.outcome in _NEEDS_THE_USER for each in found):
        raise typer.Exit(ExitCode.UNFINISHED)


def _confirm(count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("Discarding asks first, and there is no terminal to ask on. Give --yes.")
    typer.confirm(f"Discard {count} unfinished upload{'s' if count > 1 else ''}?", abort=True, err=True)


@printing()
def _print(found: Sequence[UnfinishedUpload], *, as_json: bool) -> None:
    if as_json:
        print_json([each.to_dict() for each in found])
        return
    if not found:
        typer.echo("There are no unfinished uploads.", err=True)
        return
    table = new_table("table", "type", "state", "stored", "started", "source", "outcome")
    for each in found:
        stored = f"{each.partitions} ({format_bytes(each.bytes)})"
        started = each.started.astimezone().strftime("%Y-%m-%d %H:%M")
        outcome = each.outcome or _next_step(each)
        table.add_row(*map(cell, (each.table, each.file_type, each.state, stored, started, each.path, outcome)))
    stdout_console().print(table)
    for each in found:
        if each.problem is not None:
            typer.echo(escaped(f"{each.table}: {as_typed(each.problem)}"), err=True)


def _next_step(upload: UnfinishedUpload) -> str:
    if upload.state != "sending" or upload.problem is not None:
        return ""
    return "same upload resumes it" if upload.partitions else "nothing stored: same upload starts again"
