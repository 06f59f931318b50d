"""Part URLs: what a plane hands out at the start of an upload, and who is let in with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from aiohttp import web

from kumo_async.local.calls import Entry
from kumo_async.local.parts import put_part
from kumo_async.local.s3errors import Refused
from kumo_async.local.signing import Signer
from kumo_async.local.store import DiskStore
from kumo_async.local.stores import Upload
from kumo_async.local.threads import Threads

__all__ = ["BUCKET", "Door", "Elsewhere", "OwnDoor"]

BUCKET = "/kumo-local"


class Door(Protocol):
    """Where the parts of an upload go in."""

    def url(self, upload: Upload, part: int) -> str:
        """Make the URL of a part. Runs in a worker thread."""

    async def permit(self, request: web.Request, entry: Entry) -> Callable[[], Awaitable[web.Response]]:
        """Say what a request to a part URL of this plane may do.

        Raises:
            Refused: Nothing.
        """


class OwnDoor:
    """The plane takes the parts itself.

    Args:
        origin: What its URLs begin with, such as ``http://127.0.0.1:41234``.
        store: Where the parts go.
        signer: Signs the URLs.
        threads: Where blocking work is done.
    """

    def __init__(self, origin: str, store: DiskStore, signer: Signer, threads: Threads) -> None:
        self._origin = origin
        self._store = store
        self._signer = signer
        self._threads = threads

    def url(self, upload: Upload, part: int) -> str:
        """Make the URL of a part."""
        path = f"{BUCKET}/{upload.temp_path}"
        return f"{self._origin}{path}?{self._signer.query(path, upload.upload_id, part)}"

    async def permit(self, request: web.Request, entry: Entry) -> Callable[[], Awaitable[web.Response]]:
        """Let a PUT in whose URL is signed, has not expired, and is of an upload that is under way."""
        if request.method != "PUT":
            raise Refused("MethodNotAllowed", headers={"Allow": "PUT"})
        signed = self._signer.check(request.path, request.query.items())
        upload = await self._threads.run(self._store.upload, signed.upload_id)
        if upload is None or request.path != f"{BUCKET}/{upload.temp_path}":
            entry.about(None, part=signed.part)
            raise Refused("NoSuchUpload")
        entry.about(f"{upload.file_type}_upload_connector", upload.name, signed.part)
        return partial(put_part, request, self._store, self._threads, signed.upload_id, signed.part)


class Elsewhere:
    """The parts go straight to another server, and none of them here.

    Args:
        part_url: Makes a URL of that server.
    """

    def __init__(self, part_url: Callable[[Upload, int], str]) -> None:
        self._part_url = part_url

    def url(self, upload: Upload, part: int) -> str:
        """Make the URL of a part."""
        return self._part_url(upload, part)

    async def permit(self, request: web.Request, entry: Entry) -> Callable[[], Awaitable[web.Response]]:
        """Let nobody in."""
        del request, entry
        raise Refused("AccessDenied", "This data plane takes no parts itself: they go to its S3 server.")
