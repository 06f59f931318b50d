"""PUT of a part over connections that are slow, silent or cut: a server of our own that reads as it is told."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from kumo_async.service.answers import AnswerError, Break, Verdict
from kumo_async.service.http import open_session
from kumo_async.service.messages import PartUrl
from kumo_async.service.storage import PartStorage, StoredPart

SIZE = 4 * 1024**2
STORED = b'HTTP/1.1 200 OK\r\nETag: "abc"\r\nContent-Length: 0\r\n\r\n'

#: Talks to a client whose connection it is given, which has no limit on how little is read from it.
Talk = Callable[[socket.socket], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[PartUrl]:
    """Serve one connection on loopback with small buffers, and give the URL of a part."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)

        async def serve() -> None:
            connection, _ = await loop.sock_accept(listener)
            with connection:
                await talk(connection)

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            yield PartUrl(f"http://127.0.0.1:{listener.getsockname()[1]}/part")
            group.cancel_scope.cancel()


async def blocks() -> AsyncGenerator[bytes | memoryview, None]:
    for _ in range(8):
        yield memoryview(bytes(SIZE // 8))


async def put(url: PartUrl, stall_seconds: float) -> StoredPart:
    async with open_session() as session:
        return await PartStorage(session).put_part(url, SIZE, blocks, lambda _: None, stall_seconds=stall_seconds)


async def some(connection: socket.socket, most: int) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(connection, most)
    assert data
    return data


async def read_body(connection: socket.socket, each: Callable[[], None] = lambda: None) -> None:
    """Read a request of `SIZE` bytes a little at a time, and do something after each time."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await some(connection, 1024)
    left = SIZE - len(head.partition(b"\r\n\r\n")[2])
    while left > 0:
        left -= len(await some(connection, 256 * 1024))
        each()
        # What is due by the clock that `each` may have moved comes first.
        await asyncio.sleep(0)


async def test_a_slow_line_may_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    clock, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)

    def let_time_pass() -> None:
        nonlocal passed
        passed += 24

    async def talk(connection: socket.socket) -> None:
        await read_body(connection, let_time_pass)
        await loop.sock_sendall(connection, STORED)

    async with serving(talk) as url:
        assert (await put(url, stall_seconds=60)).etag == '"abc"'
    # The kernel had all of it long before: what counts is that it went on moving.
    assert passed > 600


@pytest.mark.parametrize("when", ["before the first byte", "in the middle", "before the answer"])
async def test_what_stands_still_is_given_up_as_something_that_passes(when: str) -> None:
    async def talk(connection: socket.socket) -> None:
        if when == "in the middle":
            await asyncio.get_running_loop().sock_recv(connection, 1024)
        if when == "before the answer":
            await read_body(connection)
        await anyio.sleep_forever()

    async with serving(talk) as url:
        with pytest.raises(AnswerError, match="no byte moved") as caught:
            await put(url, stall_seconds=0.3)
    assert (caught.value.seen.broken, caught.value.verdict) == (Break.LOST, Verdict.RETRY)


async def test_an_answer_that_is_cut_off_is_lost() -> None:
    async def talk(connection: socket.socket) -> None:
        await read_body(connection)
        cut = STORED.replace(b"Length: 0", b"Length: 9")
        await asyncio.get_running_loop().sock_sendall(connection, cut + b"1234")

    async with serving(talk) as url:
        with pytest.raises(AnswerError, match="broke") as caught:
            await put(url, stall_seconds=60)
    assert caught.value.verdict is Verdict.RETRY


async def test_an_answer_before_the_body_counts() -> None:
    async def talk(connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await some(connection, 1024)
        body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body)
        await loop.sock_sendall(connection, head + body)
        await anyio.sleep_forever()

    async with serving(talk) as url:
        with pytest.raises(AnswerError) as caught:
            await put(url, stall_seconds=60)
    assert caught.value.verdict is Verdict.EXPIRED


async def test_an_answer_before_the_body_is_none_that_says_that_it_is_stored() -> None:
    async def stuck() -> AsyncGenerator[bytes | memoryview, None]:
        yield bytes(1024)
        await anyio.sleep_forever()

    async def talk(connection: socket.socket) -> None:
        await some(connection, 2048)
        await asyncio.get_running_loop().sock_sendall(connection, STORED)
        await anyio.sleep_forever()

    async with serving(talk) as url, open_session() as session:
        with pytest.raises(AnswerError, match="before it had the whole part") as caught:
            await PartStorage(session).put_part(url, SIZE, stuck, lambda _: None)
    assert caught.value.verdict is Verdict.RETRY


async def test_nothing_is_sent_again_behind_our_back() -> None:
    async def talk(connection: socket.socket) -> None:
        await some(connection, 1024)

    # A second connection would be accepted by the system, and nobody would talk to it.
    async with serving(talk) as url:
        with pytest.raises(AnswerError, match="broke") as caught:
            await put(url, stall_seconds=30)
    assert caught.value.verdict is Verdict.RETRY


async def test_a_part_is_read_once_more_only_before_it_is_known_that_etags_tell() -> None:
    etag = hashlib.md5(bytes(SIZE)).hexdigest().encode()
    opened = 0

    def read() -> AsyncGenerator[bytes | memoryview, None]:
        nonlocal opened
        opened += 1
        return blocks()

    async def talk(connection: socket.socket) -> None:
        await read_body(connection)
        await asyncio.get_running_loop().sock_sendall(connection, STORED.replace(b"abc", etag))

    async with open_session() as session:
        storage = PartStorage(session)
        for times in (2, 3, 4):
            async with serving(talk) as url:
                assert (await storage.put_part(url, SIZE, read, lambda _: None)).verified
            assert opened == times


async def test_no_etag_is_refused_and_what_was_sent_is_taken_back() -> None:
    async def talk(connection: socket.socket) -> None:
        await read_body(connection)
        await asyncio.get_running_loop().sock_sendall(connection, STORED.replace(b'ETag: "abc"\r\n', b""))

    sent = list[int]()
    async with serving(talk) as url, open_session() as session:
        with pytest.raises(AnswerError, match="no ETag") as caught:
            await PartStorage(session).put_part(url, SIZE, blocks, sent.append)
    assert caught.value.verdict is Verdict.REFUSED
    assert sum(sent) == 0
