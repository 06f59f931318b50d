"""The options of all commands that talk to a service: which workspace, and how it is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..client import KumoClient
from .border import Command

__all__ = ["WorkspaceCommand", "client_of"]


def _options(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The service's endpoint, or local: for the embedded data plane. Default: KUMO_API_ENDPOINT, else the "
            "workspace that KUMO_API_KEY names. The key is taken from KUMO_API_KEY only.",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="The group to work in, in workspaces that have groups.")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="The project to work in, within --group.")] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM file with certificate authorities to trust besides the system's. Default: SSL_CERT_FILE, if set.",
        ),
    ] = None,
) -> None:
    """Stands for the options alone; nobody runs it."""


def _parameters() -> list[Any]:
    program = typer.Typer(add_completion=False)
    program.command()(_options)
    return list(typer.main.get_command(program).params)


class WorkspaceCommand(Command):
    """A command that also takes the options of a workspace; `client_of` makes a client of them."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's parameters, the workspace's and the program's."""
        own = len(self.params)
        every = super().get_params(ctx)
        return [*every[:own], *_parameters(), *every[own:]]

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        ctx.meta[__name__] = {param.name: ctx.params.pop(param.name) for param in _parameters()}
        return super().invoke(ctx)


def client_of(context: typer.Context) -> KumoClient:
    """Return a client of the workspace that the command line, or else the environment, names.

    Raises:
        ConfigurationError: If there are no credentials, or an option cannot be right.
    """
    return KumoClient(**context.meta[__name__])
