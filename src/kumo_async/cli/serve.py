"""serve: the embedded data plane alone, until it is told to stop."""

from __future__ import annotations

import errno
import json
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigurationError
from ..loop import uvloop_if_there
from ..service.credentials import ENDPOINT_VARIABLE, KEY_VARIABLE, resolve
from .exit_codes import ExitCode

if TYPE_CHECKING:
    from ..local import LocalDataPlane

__all__ = ["serve"]


def serve(
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory to keep the tables in. Default: the one that local: stands for."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Keep the tables in S3 instead: s3://bucket/prefix. The variables AWS_* say how to reach it.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(metavar="HOST", help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="TCP port; 0 takes a free one.")] = 0,
    api_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Key that clients must send. Others on this machine can see it in the list of processes; --key-file "
            "keeps it from them. Default: a new random one.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File whose first line is the key that clients must send.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one line of JSON with endpoint, api_key and root instead.",
        ),
    ] = False,
) -> None:
    """Run the embedded data plane until Ctrl-C. Prints how to reach it as lines for the shell."""
    import anyio

    from ..local import LocalDataPlane

    if api_key and key_file:
        raise ConfigurationError("--api-key and --key-file both give the key. Leave one out.")
    key = api_key if key_file is None else _first_line(key_file)
    directory = root if root or store else resolve("local:", None).local_root
    plane = LocalDataPlane(root=directory, store=store, host=host, port=port, api_key=key)
    try:
        stopped_by = anyio.run(_serve, plane, as_json, backend_options=uvloop_if_there())
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL) or error.filename:
            raise
        reason = "is in use" if error.errno == errno.EADDRINUSE else "cannot be used by this process"
        raise ConfigurationError(
            f"Port {port} of {host} {reason}. Choose another with --port, or leave it out for a free one."
        ) from error
    if stopped_by == signal.SIGINT:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="surrogateescape") as lines:
        return lines.readline().rstrip("\r\n")


async def _serve(plane: LocalDataPlane, as_json: bool) -> signal.Signals:
    import anyio

    # Signals are received before anything is printed: whoever reads the lines may send one at once.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with plane:
            _announce(plane, as_json=as_json)
            return await anext(aiter(signals))


def _announce(plane: LocalDataPlane, *, as_json: bool) -> None:
    # typer.echo flushes, so a parent process that reads the pipe sees each line when it is printed.
    if as_json:
        typer.echo(json.dumps({"endpoint": plane.endpoint, "api_key": plane.api_key, "root": plane.place}))
        return
    typer.echo(
        f"export {ENDPOINT_VARIABLE}={shlex.quote(plane.endpoint)}\nexport {KEY_VARIABLE}={shlex.quote(plane.api_key)}"
    )
    typer.echo(f"Tables are kept in {plane.place}. Stop with Ctrl-C.", err=True)
