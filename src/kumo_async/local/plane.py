"""The embedded data plane itself."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import web
from anyio.from_thread import start_blocking_portal

from kumo_async.errors import ConfigurationError
from kumo_async.local import models
from kumo_async.local.app import Services, is_loopback, make_app
from kumo_async.local.calls import Call, CallLog
from kumo_async.local.control import Control
from kumo_async.local.door import Door, Elsewhere, OwnDoor
from kumo_async.local.faults import Fault, Faults
from kumo_async.local.inflight import InFlight
from kumo_async.local.names import check_file_type
from kumo_async.local.opening import usable
from kumo_async.local.s3store import S3Options, S3Store, parse_place
from kumo_async.local.signing import Signer, check_seconds
from kumo_async.local.store import DiskStore
from kumo_async.local.stores import Store
from kumo_async.local.threads import Threads
from kumo_async.serving import serving

__all__ = ["LocalDataPlane"]

_READ_BUFFER_BYTES = 512 * 1024
_HEADER_BYTES = 8190
_GRACE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Running:
    """What there is only between start and stop."""

    store: Store
    endpoint: str
    port: int
    stack: AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Opened:
    """A store, and how it makes the door for parts when the plane's origin is known."""

    store: Store
    door: Callable[[str], Door]


class LocalDataPlane:
    """A Kumo data plane on this machine: a real HTTP server that speaks every call of the file upload.

    It keeps tables on disk or in S3, and several planes (in one or several processes) may work on one place at once.
    What was completed survives a killed process. It is meant for tests, for trying things out and for measuring; it
    binds loopback addresses only.

    With ``async with`` it answers on the event loop that started it, so nothing may block that; with ``with`` it has a
    thread with an event loop of its own.

    With ``store`` the parts go from the client straight to the S3 server, as they do with Kumo. So faults of
    ``put_part`` do nothing then and ``calls`` has no parts, the server's own clock decides when a URL has expired, and
    what the server is lax about is not enforced. Of rclone's (``rclone serve s3``, 1.75) that is known: it takes parts
    of any size, it keeps unfinished uploads in memory, so that they are gone when it is started again, it drops an
    upload that is completed with a wrong ETag, and it answers 400 instead of 403 to an expired URL.

    Args:
        root: The directory to keep everything in, `~` understood; it is made when missing. None is a temporary
            directory that is removed at the end.
        store: Instead of a directory, a place in S3 or a server like it: ``"s3://bucket"`` or
            ``"s3://bucket/prefix"``. The bucket must exist. It needs ``pip install 'kumo-async[s3]'``.
        s3: How to reach that server; what is left out comes from the variables ``AWS_*``.
        port: The TCP port; 0 takes a free one.
        host: A loopback address or ``"localhost"``.
        public_url: The origin that clients reach the plane under when something sits in between, such as
            ``"https://127.0.0.1:8443"``; `endpoint` and part URLs begin with it. None is the plane's own address.
        api_key: The key that clients must send; None makes one of the form ``local:<secret>``.
        faults: What goes wrong on purpose.
        url_seconds: How long part URLs are valid, in seconds, at most seven days.
        clock: The time that URLs are signed and checked with, in seconds since the epoch.
        delete_removes_partitions: Whether deleting a table's name also deletes its partitions
            (``name.parquet/part_*``). The real service's way is not known, so clients have to work with both.
        second_complete_succeeds: Whether completing an upload once more succeeds while this plane runs, as it does at
            S3 (https://github.com/minio/minio/issues/13318), also when its object has been deleted, which it does not
            bring back. Otherwise the upload is no longer known. Clients have to work with both.

    Raises:
        ConfigurationError: An argument cannot be used.

    Example:
        >>> from kumo_async.local import LocalDataPlane
        >>> with LocalDataPlane() as plane:
        ...     plane.table_names("parquet")
        []
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        store: str | None = None,
        s3: S3Options | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        public_url: str | None = None,
        api_key: str | None = None,
        faults: Iterable[Fault] = (),
        url_seconds: float = 3600.0,
        clock: Callable[[], float] = time.time,
        delete_removes_partitions: bool = True,
        second_complete_succeeds: bool = False,
    ) -> None:
        if not is_loopback(host):
            raise ConfigurationError(f"host must be a loopback address or 'localhost', not {host!r}.")
        if api_key is not None and not (api_key and api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("api_key must be printable ASCII, and not empty.")
        if store is not None and root is not None:
            raise ConfigurationError("Give either root or store: the tables are kept in one place.")
        self.api_key = api_key or f"local:{secrets.token_urlsafe(24)}"
        # No shell has seen the `~` of `--root=~/kumo`; that of an unknown user is left as it is.
        self._root = None if root is None else Path(os.path.expanduser(root))  # noqa: PTH111
        self._bucket = None if store is None else parse_place(store)
        self._s3 = s3 or S3Options()
        self._public_url = None if public_url is None else _check_origin(public_url)
        self._host = host.removeprefix("[").removesuffix("]")
        self._port = port
        self._url_seconds = check_seconds(url_seconds)
        self._clock = clock
        self._delete_removes_partitions = delete_removes_partitions
        self._second_complete_succeeds = second_complete_succeeds
        self._calls = CallLog()
        self._faults = Faults(faults)
        self._running: _Running | None = None
        self._thread = ExitStack()

    def __repr__(self) -> str:
        place = self._running.endpoint if self._running else "stopped"
        return f"<LocalDataPlane {place}>"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            portal.call(self.start)
            stack.callback(portal.call, self.stop)
            self._thread = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def endpoint(self) -> str:
        """The endpoint for clients, such as ``http://127.0.0.1:41234/api``."""
        return self._started.endpoint

    @property
    def port(self) -> int:
        """The TCP port that the plane itself listens on."""
        return self._started.port

    @property
    def root(self) -> Path:
        """The directory that everything is kept in.

        Raises:
            ConfigurationError: It is kept in S3, or the plane is not running.
        """
        return self._started.store.root

    @property
    def place(self) -> str:
        """The directory or the S3 URL that everything is kept in."""
        return self._started.store.place

    @property
    def calls(self) -> list[Call]:
        """The last 100,000 calls in order of arrival; `Call.finished` has the order of completion."""
        return list(self._calls)

    def inject(self, fault: Fault) -> None:
        """Make further calls go wrong, from now on."""
        self._faults.add(fault)

    def table_names(self, file_type: str) -> list[str]:
        """List the tables of a file type, ``"parquet"`` or ``"csv"``, by the names they are read under.

        Raises:
            ConfigurationError: There is no such file type, or the plane is not running.
        """
        return self._started.store.tables(check_file_type(file_type))

    def object_names(self, file_type: str) -> list[str]:
        """List all objects of a file type; each partition of a table is one.

        Raises:
            ConfigurationError: There is no such file type, or the plane is not running.
        """
        return self._started.store.objects(check_file_type(file_type))

    def table_files(self, name: str, file_type: str) -> list[Path]:
        """List the files of a table in the order of its partitions; none when there is no such table.

        They are ordinary files that pyarrow or DuckDB can open. Do not change them.

        Raises:
            ConfigurationError: There is no such file type, the tables are in S3, or the plane is not running.
        """
        return self._started.store.files(check_file_type(file_type), name)

    async def start(self) -> None:
        """Begin to answer calls.

        Raises:
            ConfigurationError: The plane is running already, or the root or the bucket of ``store`` cannot be used.
            OSError: The port cannot be used.
        """
        if self._running is not None:
            raise ConfigurationError("The data plane is running already.")
        async with AsyncExitStack() as stack:
            threads = Threads()
            stack.callback(threads.close)
            opened = await threads.run(self._open_disk if self._bucket is None else self._open_s3, threads)
            if self._root is None and self._bucket is None:
                stack.push_async_callback(threads.run, shutil.rmtree, opened.store.root)
            stack.push_async_callback(threads.run, opened.store.close)
            await threads.run(models.load)
            endpoint, port = await self._serve(stack, opened, threads)
            self._running = _Running(opened.store, endpoint, port, stack.pop_all())

    async def stop(self) -> None:
        """Stop answering. Calls that are running are broken off; without a ``root``, all tables are removed."""
        running, self._running = self._running, None
        if running is not None:
            await running.stack.aclose()

    @property
    def _started(self) -> _Running:
        if self._running is None:
            raise ConfigurationError(
                "The data plane is not running: use `with` or `async with`, or call start() first."
            )
        return self._running

    def _open_disk(self, threads: Threads) -> _Opened:
        root = self._root or Path(tempfile.mkdtemp(prefix="kumo-local-"))
        with usable(root), ExitStack() as stack:
            store = DiskStore(root)
            stack.callback(store.close)
            store.sweep()
            signer = Signer(store.secret(), self._url_seconds, self._clock)
            stack.pop_all()
        return _Opened(store, lambda origin: OwnDoor(origin, store, signer, threads))

    def _open_s3(self, threads: Threads) -> _Opened:
        del threads
        assert self._bucket is not None
        store = S3Store(self._bucket, self._s3, self._url_seconds)
        return _Opened(store, lambda _origin: Elsewhere(store.part_url))

    async def _serve(self, stack: AsyncExitStack, opened: _Opened, threads: Threads) -> tuple[str, int]:
        listener = _listen(self._host, self._port)
        stack.callback(listener.close)
        host = f"[{self._host}]" if ":" in self._host else self._host
        port: int = listener.getsockname()[1]
        origin = self._public_url or f"http://{host}:{port}"
        door = opened.door(origin)
        control = Control(
            opened.store,
            door.url,
            delete_removes_partitions=self._delete_removes_partitions,
            second_complete_succeeds=self._second_complete_succeeds,
        )
        in_flight = InFlight()
        services = Services(self.api_key, threads, door, control, self._calls, self._faults, in_flight)
        await _run_app(stack, make_app(services), listener, in_flight)
        for url in (origin, f"http://{host}:{port}"):
            stack.enter_context(serving(url))
        return f"{origin}/api", port


def _check_origin(url: str) -> str:
    parts = urlsplit(url)
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise ConfigurationError("public_url must be an origin, such as 'https://127.0.0.1:8443'.")
    return url.rstrip("/")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    # A name means what this machine's settings say, so what counts is the address that came of it.
    if not is_loopback(listener.getsockname()[0]):
        listener.close()
        raise ConfigurationError(f"host {host!r} does not lead to a loopback address here.")
    return listener


async def _run_app(stack: AsyncExitStack, app: web.Application, listener: socket.socket, in_flight: InFlight) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        read_bufsize=_READ_BUFFER_BYTES,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        handler_cancellation=False,
        shutdown_timeout=_GRACE_SECONDS,
    )
    # Undone from the last to the first: no new connections, no calls, no connections, and no call that slipped in.
    stack.push_async_callback(in_flight.end, 0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    stack.push_async_callback(in_flight.end, _GRACE_SECONDS)
    site = web.SockSite(runner, listener, backlog=1024)
    await site.start()
    stack.push_async_callback(site.stop)
