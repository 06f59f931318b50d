"""PUT of one part: S3's rules, and the way of the body to the disk."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import TYPE_CHECKING

from aiohttp import web

from kumo_async.local.s3errors import Refused, request_id

if TYPE_CHECKING:
    from kumo_async.local.store import DiskStore, Place
    from kumo_async.local.threads import Threads

__all__ = ["LARGEST_PART_BYTES", "check_headers", "put_part"]

LARGEST_PART_BYTES = 5 * 1024**3
_HOP_BYTES = 1024**2


def check_headers(request: web.Request) -> int:
    """Check a PUT by its headers, and give the size of its body.

    Raises:
        Refused: S3 would not take it.
    """
    unsigned = sorted(name.lower() for name in request.headers if name.lower().startswith("x-amz-"))
    if unsigned:
        message = "There were headers present in the request which were not signed"
        raise Refused("AccessDenied", message, details={"HeadersNotSigned": ", ".join(unsigned)})
    size = request.content_length
    if size is None or "Transfer-Encoding" in request.headers:
        raise Refused("MissingContentLength")
    if size > LARGEST_PART_BYTES:
        raise Refused("EntityTooLarge")
    return size


async def put_part(
    request: web.Request, store: DiskStore, threads: Threads, upload_id: str, number: int
) -> web.Response:
    """Store the body of a PUT as a part, whole or not at all.

    Raises:
        Refused: S3 would not take it, or the body is shorter than it was said to be.
    """
    size = check_headers(request)
    digest = _content_md5(request)
    place = await threads.run(store.claim, upload_id, number, size)
    try:
        etag = await _receive(request, await threads.run(_Sink, store, place), threads, size, digest)
        await threads.run(store.keep, place, size, etag)
    except BaseException:
        await threads.run(store.drop, place)
        raise
    return web.Response(headers={"ETag": f'"{etag}"', "x-amz-request-id": request_id()})


async def _receive(request: web.Request, sink: _Sink, threads: Threads, size: int, digest: bytes | None) -> str:
    try:
        received = await _drain(request, sink, threads)
    except (ConnectionError, web.RequestPayloadError):
        # The client has gone, so this answer is only for the record.
        raise Refused("IncompleteBody") from None
    finally:
        await threads.run(sink.close)
    if received != size:
        raise Refused("IncompleteBody")
    if digest is not None and digest != sink.md5.digest():
        raise Refused("BadDigest")
    return sink.md5.hexdigest()


async def _drain(request: web.Request, sink: _Sink, threads: Threads) -> int:
    """Move the body to the disk by about 1 MiB for each change of thread, which would cost too much for less."""
    received = 0
    blocks: list[bytes] = []
    gathered = 0
    while not request.content.at_eof():
        # Unlike `readany`, this hands over the buffer's own blocks without joining them.
        block, _ = await request.content.readchunk()
        blocks.append(block)
        gathered += len(block)
        if gathered >= _HOP_BYTES:
            await threads.run(sink.write, blocks)
            received += gathered
            blocks, gathered = [], 0
    await threads.run(sink.write, blocks)
    return received + gathered


def _content_md5(request: web.Request) -> bytes | None:
    value = request.headers.get("Content-MD5")
    if value is None:
        return None
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Refused("InvalidDigest") from None
    if len(digest) != hashlib.md5(usedforsecurity=False).digest_size:
        raise Refused("InvalidDigest")
    return digest


class _Sink:
    """The file and the MD5 of one part. Everything here runs in worker threads."""

    def __init__(self, store: DiskStore, place: Place) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        # Opened without truncation: other parts are being written to the same file.
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = os.fdopen(os.open(store.path(place.file), flags, 0o600), "wb")
        self._file.seek(place.offset)

    def write(self, blocks: list[bytes]) -> None:
        for block in blocks:
            self.md5.update(block)
            self._file.write(block)

    def close(self) -> None:
        self._file.close()
