"""Servers and uploads as processes of their own, and what one such process took."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import MIB, scratch

__all__ = ["Run", "Server", "import_alone", "read_once", "serving", "spread", "upload"]

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Server:
    """A server that is running, and how to reach it.

    Attributes:
        endpoint: Its URL.
        api_key: The key that it takes.
        ca_file: The certificate of the authority that vouches for it; None where it does not speak TLS.
    """

    endpoint: str
    api_key: str
    ca_file: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which both libraries trust it; the official SDK asks the second one."""
        return {} if self.ca_file is None else {"SSL_CERT_FILE": self.ca_file, "REQUESTS_CA_BUNDLE": self.ca_file}


@dataclass(frozen=True)
class Run:
    """What one process took, from its start to its end.

    Attributes:
        wall: Seconds.
        cpu: Seconds of all its threads, in the program and in the kernel.
        peak: Its resident memory at the most, in bytes.
    """

    wall: float
    cpu: float
    peak: int


@contextlib.contextmanager
def serving(kind: str, data: Path) -> Iterator[Server]:
    """Start a server and stop it in the end.

    It is a store that drops every byte (``"drop"``), one that computes ETags before that (``"md5"``), one behind TLS
    (``"tls"``), or the embedded data plane (``"local"``), of which what it keeps is removed.
    """
    with contextlib.ExitStack() as stack:
        command, ca_file = [str(_HERE / "store.py")], None
        match kind:
            case "md5":
                command.append("--md5")
            case "tls":
                ca_file = str(stack.enter_context(scratch(data)) / "ca.pem")
                command += ["--tls", ca_file]
            case "local":
                command = [str(_HERE / "plane.py"), str(stack.enter_context(scratch(data)))]
        pipe = subprocess.PIPE
        process = stack.enter_context(subprocess.Popen([sys.executable, *command], stdin=pipe, stdout=pipe))
        assert process.stdin is not None
        assert process.stdout is not None
        stack.callback(process.stdin.close)
        yield Server(**json.loads(process.stdout.readline()), ca_file=ca_file)


def upload(library: str, server: Server, file_type: str, path: Path) -> Run:
    """Upload a file with a library in a new process."""
    arguments = (library, server.endpoint, server.api_key, file_type, str(path))
    return run_python("one_upload.py", *arguments, environment=server.environment)


def import_alone(library: str) -> Run:
    """Import a library in a new process, and do nothing with it."""
    return run_python("one_upload.py", library)


def run_python(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Run:
    """Run one of the scripts here, which prints a JSON object with its ``peak``.

    Raises:
        RuntimeError: If it fails; what it wrote is in the message.
    """
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(_HERE / script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # As pip does when it installs a package, the first run compiles what is imported; the measured ones read it.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})},
        text=True,
    )
    before = _children_cpu()
    out, err = process.communicate()
    wall = time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(f"{script} {arguments[0]} failed:\n{err[-4000:]}")
    result: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return Run(wall, _children_cpu() - before, result["peak"])


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def read_once(path: Path) -> None:
    """Read a file to its end, so that every run finds it in the page cache, or none does if it is too large."""
    with path.open("rb", buffering=0) as file:
        block = bytearray(8 * MIB)
        while file.readinto(block):
            pass


def spread(values: Sequence[float], form: str = "6.2f") -> str:
    """Return the least, the median and the largest value in columns."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return " ".join(format(value, form) for value in (ordered[0], median, ordered[-1]))
