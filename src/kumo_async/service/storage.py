"""The part storage: presigned PUTs that stream a part from where its bytes are."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from yarl import URL

from ..errors import KumoError, ServiceError
from .addresses import is_link_local, is_loopback, is_odd_number
from .answers import AnswerError, Break, Seen
from .clocks import url_life
from .foreign import said
from .http import MOST_ERROR, NETWORK_ERRORS, STALL_SECONDS, HttpClient, read_text, retry_after, seen_of, server_time
from .integrity import PartDigest, md5_of
from .messages import PartUrl
from .s3errors import not_promised, s3_error
from .stall import StallTimer, unsent

__all__ = ["PartStorage", "StoredPart"]

#: Opens a part's bytes from the first one. A block is good until the next one is asked for.
ReadPart = Callable[[], AsyncGenerator[bytes | memoryview, None]]

#: Told how many bytes went out; a negative number where they have to go out again.
OnSent = Callable[[int], None]

#: Printable ASCII without blanks: https://www.rfc-editor.org/rfc/rfc3986#section-2
_VISIBLE = re.compile(r"[!-~]+")

#: Parameters of a part URL; each is looked for in what the storage says. Signed ones have some ten.
_MOST_PARAMETERS = 100

#: Beside the stall timer, which knows what is still on its way while aiohttp has nothing left to write.
_NO_OTHER_LIMIT = aiohttp.ClientTimeout(total=None, sock_connect=30.0)


@dataclass(frozen=True)
class StoredPart:
    """A part that the storage has: its ETag as it came, and whether that confirmed what was sent."""

    etag: str
    verified: bool


class PartStorage:
    """Sends parts through a client of its own, which carries no API key."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        # Hashing takes a second and more a GiB, so nothing is hashed on its way before an ETag was an MD5: the first
        # parts are hashed once it turns out to be worth it.
        self._etags_tell = False

    async def put_part(
        self,
        url: PartUrl,
        size: int,
        read: ReadPart,
        on_sent: OnSent,
        *,
        stall_seconds: float = STALL_SECONDS,
        verify: bool = True,
    ) -> StoredPart:
        """Send one part, once.

        Args:
            url: Where it goes.
            size: Its exact size in bytes.
            read: Opens its bytes.
            on_sent: Told of progress; on failure what was told is taken back.
            stall_seconds: How long no byte may move.
            verify: Whether its MD5 is compared with the ETag, where that is one. It is computed on the way where the
                last ETag was one, and otherwise from the part's bytes, read once more.

        Raises:
            AnswerError: If the storage did not take it.
            ServiceError: If the URL is not one that anything may be sent to.
            SourceChangedError: If the source does not give `size` bytes.
        """
        body = _PartBody(size, read, on_sent, verify=verify, hash_now=self._etags_tell)
        target = _checked(url)
        stall = StallTimer(stall_seconds, body.position)
        failure: AnswerError | None = None
        try:
            async with (
                stall,
                self._client.request(
                    "PUT", target, data=body, headers={"Content-Length": str(size)}, timeout=_NO_OTHER_LIMIT
                ) as response,
            ):
                if 200 <= response.status < 300 and response.headers.get("ETag", "").strip('" '):
                    await read_text(response, MOST_ERROR)
                    self._etags_tell = md5_of(response.headers) is not None
                    return await body.stored(response)
                failure = await _refusal(response, url)
        except AnswerError as error:
            failure = error
        except NETWORK_ERRORS as error:
            host = target.host or "the storage"
            seen = seen_of(error, host)
            if stall.stalled:
                seen = replace(seen, message=f"no byte moved between here and {host} for {stall_seconds:g} s")
            failure = AnswerError(seen)
        finally:
            if failure is not None:
                body.take_back()
        # Raised out here, since aiohttp's own errors name the URL with its signature.
        raise body.error or failure


class _PartBody(aiohttp.Payload):
    """A request body that is read anew from its first byte whenever aiohttp writes it."""

    _autoclose = True

    def __init__(self, size: int, read: ReadPart, on_sent: OnSent, *, verify: bool, hash_now: bool) -> None:
        super().__init__(read, content_type="application/octet-stream")
        self._size = size
        self._read = read
        self._on_sent = on_sent
        self._given = self._sent = self._read_again = 0
        self._verify = verify
        self._digest = PartDigest() if verify and hash_now else None
        self._hashing: asyncio.Future[object] | None = None
        self._writer: StreamWriter | None = None
        self.error: KumoError | None = None

    @property
    def consumed(self) -> bool:
        """Whether it was begun: aiohttp repeats a PUT by itself otherwise, without a wait and beside the budget."""
        return self._writer is not None

    def position(self) -> object:
        """Return a value that changes whenever a byte of the body leaves this machine, or is hashed after that."""
        return self._sent, self._read_again, unsent(self._writer.transport if self._writer else None)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the whole body."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the whole body; its length is what Content-Length says."""
        del content_length
        self.take_back()
        self._digest = None if self._digest is None else PartDigest()
        self._given = 0
        try:
            stream = self._writer = cast(StreamWriter, writer)
            reusable = _hold_nothing(stream)
            async with aclosing(self._read()) as blocks:
                async for block in blocks:
                    self._hashing = None if self._digest is None else self._digest.update(block)
                    self._given += len(block)
                    await stream.write(block if reusable else bytes(block), drain=False)
                    await stream.drain()
                    self._tell(self._given)
                    if self._hashing is not None:
                        # A quick storage has answered by now, which makes aiohttp end the writing, but not this.
                        await asyncio.shield(self._hashing)
        except KumoError as error:
            # aiohttp turns what a body raises into a connection error; the reason is kept for put_part.
            self.error = error
            raise

    async def stored(self, response: aiohttp.ClientResponse) -> StoredPart:
        """Return what the storage says that it stored.

        Raises:
            AnswerError: If that is not what was sent.
        """
        if self._given != self._size:
            raise AnswerError(Seen(broken=Break.LOST, message="the storage answered before it had the whole part"))
        if self._hashing is not None:
            await self._hashing
        self._tell(self._size)
        told = md5_of(response.headers) if self._verify else None
        if told is not None and told != await self._md5():
            words = (
                "the storage's ETag is not the MD5 of what was sent, so other bytes arrived; if its ETags look like "
                "MD5s and are none, use UploadOptions(verify_parts=False)"
            )
            raise AnswerError(Seen(broken=Break.DAMAGED, message=words))
        return StoredPart(response.headers["ETag"], verified=told is not None)

    async def _md5(self) -> str:
        """Return the MD5 of the body, which is read once more where it was not hashed on its way."""
        if self._digest is None:
            self._digest = PartDigest()
            async with aclosing(self._read()) as blocks:
                async for block in blocks:
                    hashing = self._digest.update(block)
                    if hashing is not None:
                        await hashing
                    self._read_again += len(block)
        return self._digest.hexdigest()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Refuse: a part is never held as text."""
        del encoding, errors
        raise TypeError("A part's body is a stream of bytes.")

    def _tell(self, sent: int) -> None:
        if sent > self._sent:
            self._on_sent(sent - self._sent)
            self._sent = sent

    def take_back(self) -> None:
        """Tell the observer that what was sent so far does not count."""
        if self._sent:
            self._on_sent(-self._sent)
            self._sent = 0


def _hold_nothing(writer: StreamWriter) -> bool:
    """Let a drain last until the system has taken every byte; return whether a block may be used again after it.

    TLS keeps what it could not encrypt yet in a buffer that no limit reaches, so there a block must be copied.
    """
    transport = writer.transport
    if transport is None or transport.get_extra_info("ssl_object") is not None:
        return False
    transport.set_write_buffer_limits(0)
    return True


def _checked(url: PartUrl) -> URL:
    """Return the URL for aiohttp, as it was signed, if it is one that a part may be sent to."""
    if not _safe(url):
        raise ServiceError(f"The service gave a part URL that is not safe to send to: {url!r}.")
    return _parsed(url)


def _parsed(url: PartUrl) -> URL:
    return URL(url.reveal(), encoded=True)


def _safe(url: PartUrl) -> bool:
    """Return whether a URL is https or loopback, without user info, and not link-local in any way of writing it."""
    # One that was signed has no other characters; line breaks would be an error, or a header, of the request.
    if not _VISIBLE.fullmatch(url.reveal()) or url.reveal().count("&") > _MOST_PARAMETERS:
        return False
    try:
        # Read by the same parser that the request goes by: two parsers may see two hosts.
        target = _parsed(url)
        host, _ = target.host or "", target.port
        # Other scripts have dots and digits of their own, which a resolver or a proxy reads as ours.
        plain = host.encode("idna").decode("ascii")
    except ValueError:
        return False
    secure = target.scheme == "https" or (target.scheme == "http" and is_loopback(host))
    good = host != "" and "%" not in host and target.user is None and target.password is None
    return secure and good and not is_link_local(plain) and not is_odd_number(plain)


async def _refusal(response: aiohttp.ClientResponse, url: PartUrl) -> AnswerError:
    text = url.hidden_in(await read_text(response, MOST_ERROR))
    seen = s3_error(response.status, text)
    if response.status < 300 and seen.code:
        seen = not_promised(text, "")
    elif response.status < 300:
        # The completion needs the ETag, and an empty one would be a lie.
        seen = Seen(status=response.status, message="the storage gave no ETag for the part")
    life = url_life(url.reveal())
    seen = replace(
        seen,
        request_id=said(response.headers.get("x-amz-request-id", "")) or seen.request_id,
        date=server_time(response),
        clock=time.time(),
        expires=None if life is None else life.expires,
    )
    return AnswerError(seen, retry_after=retry_after(response))
