"""S3's rules for the PUT of a part."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from local_client import MIB, Client, Started, running, until
from yarl import URL


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_the_answer_has_the_quoted_md5_and_a_request_id() -> None:
    async with running() as client:
        answer = await client.put(await client.start("users"), 1, b"abc")
        assert (answer.status, answer.text) == (200, "")
        assert answer.headers["ETag"] == f'"{md5(b"abc")}"'
        assert answer.headers["x-amz-request-id"]


async def test_a_part_url_has_the_query_of_s3() -> None:
    async with running(url_seconds=90) as client:
        started = await client.start("users", 2)
        query = parse_qs(urlsplit(started.urls[1]).query)
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == ["90"]
        assert query["X-Amz-SignedHeaders"] == ["host"]
        assert query["uploadId"] == [started.upload_id]
        assert query["partNumber"] == ["2"]
        assert {"X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"} < set(query)
        assert "users" not in started.urls[1]


async def test_an_expired_url_is_refused_until_then_it_is_not() -> None:
    clock = Clock()
    async with running(url_seconds=60, clock=clock) as client:
        started = await client.start("users")
        clock.now += 59
        assert (await client.put(started, 1, b"x")).status == 200
        clock.now += 1
        answer = await client.put(started, 1, b"x")
        assert (answer.status, answer.code) == (403, "AccessDenied")
        assert "<Message>Request has expired</Message>" in answer.text
        assert "<Expires>2023-11-14T22:14:20Z</Expires>" in answer.text
        assert (await client.complete(started)).status == 200


def changed(url: str, **values: str | None) -> str:
    parsed = URL(url)
    query = {key: value for key, value in (dict(parsed.query) | values).items() if value is not None}
    return str(parsed.with_query(query))


@pytest.mark.parametrize(
    "values",
    [
        {"partNumber": "2"},
        {"uploadId": "other"},
        {"X-Amz-Expires": "604800"},
        {"X-Amz-Date": "20990101T000000Z"},
        {"X-Amz-Signature": "0" * 64},
        {"X-Amz-Signature": "\u00e9"},
        {"X-Amz-Signature": None},
        {"partNumber": None},
        {"x-id": "UploadPart"},
    ],
)
async def test_a_url_that_was_changed_is_refused(values: dict[str, str | None]) -> None:
    async with running() as client:
        started = await client.start("users")
        answer = await client.send("PUT", changed(started.urls[0], **values), data=b"x")
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
        assert answer.headers["x-amz-request-id"] in answer.text


async def test_a_parameter_that_comes_twice_is_refused() -> None:
    async with running() as client:
        started = await client.start("users")
        answer = await client.send("PUT", started.urls[0] + "&partNumber=1", data=b"x")
        assert answer.code == "SignatureDoesNotMatch"


async def test_another_path_and_no_query_are_refused() -> None:
    async with running() as client:
        first, second = await client.start("users"), await client.start("users")
        other = URL(first.urls[0]).with_path(URL(second.urls[0]).path, keep_query=True)
        assert (await client.send("PUT", str(other), data=b"x")).code == "SignatureDoesNotMatch"
        bare = str(URL(first.urls[0]).with_query(None))
        assert (await client.send("PUT", bare, data=b"x")).code == "AccessDenied"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_only_put_is_allowed(method: str) -> None:
    async with running() as client:
        started = await client.start("users")
        answer = await client.send(method, started.urls[0])
        assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "MethodNotAllowed", "PUT")


async def pieces() -> AsyncIterator[bytes]:
    yield b"abc"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (pieces, {}, 411, "MissingContentLength"),
        (b"x", {"x-amz-acl": "private"}, 403, "AccessDenied"),
        (b"x", {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, 403, "AccessDenied"),
        (b"x", {"Content-MD5": base64.b64encode(b"0" * 16).decode()}, 400, "BadDigest"),
        (b"x", {"Content-MD5": "abc"}, 400, "InvalidDigest"),
        (b"x", {"Content-MD5": "AAAA"}, 400, "InvalidDigest"),
    ],
)
async def test_what_s3_refuses_is_refused_and_nothing_is_stored(
    body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    async with running() as client:
        started = await client.start("users")
        answer = await client.put(started, 1, body() if callable(body) else body, headers=headers)
        assert (answer.status, answer.code) == (status, code)
        started.etags[1] = md5(b"x")
        assert (await client.complete(started)).code == "InvalidPart"


async def test_unsigned_headers_are_named() -> None:
    async with running() as client:
        answer = await client.put(
            await client.start("users"), 1, b"x", headers={"x-amz-acl": "a", "X-Amz-Tagging": "b"}
        )
        assert "There were headers present in the request which were not signed" in answer.text
        assert "<HeadersNotSigned>x-amz-acl, x-amz-tagging</HeadersNotSigned>" in answer.text


async def test_a_right_content_md5_is_taken() -> None:
    async with running() as client:
        digest = base64.b64encode(bytes.fromhex(md5(b"x"))).decode()
        assert (await client.put(await client.start("users"), 1, b"x", headers={"Content-MD5": digest})).status == 200


@asynccontextmanager
async def by_hand(started: Started, head: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection and send the head of a PUT."""
    url = URL(started.urls[0])
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(f"PUT {url.raw_path_qs} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n".encode())
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_part_beyond_5_gib_is_refused_before_its_body() -> None:
    async with running() as client:
        head = f"Content-Length: {5 * 1024**3 + 1}"
        async with by_hand(await client.start("users"), head) as (reader, _):
            answer = await reader.readuntil(b"</Error>")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"<Code>EntityTooLarge</Code>" in answer


async def break_off(started: Started) -> None:
    """Promise 10 bytes, send 3, and go."""
    async with by_hand(started, "Content-Length: 10") as (reader, writer):
        writer.write(b"abc")
        writer.write_eof()
        await reader.read()


async def test_of_a_body_that_breaks_off_nothing_is_stored() -> None:
    async with running() as client:
        started = await client.start("users")
        await break_off(started)
        started.etags[1] = md5(b"abc")
        assert (await client.complete(started)).code == "InvalidPart"
        assert await files_of(client) == []


async def test_a_body_that_breaks_off_leaves_the_part_that_was_there() -> None:
    async with running() as client:
        started = await client.start("users")
        await client.put(started, 1, b"first")
        await break_off(started)
        assert (await client.complete(started)).status == 200
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"first"
        assert len(await files_of(client)) == 1


async def files_of(client: Client) -> list[bytes]:
    """Wait for all calls to be over, then read all files that hold something."""
    await until(lambda: all(call.finished for call in client.plane.calls))
    return [data for path in (client.plane.root / "files").iterdir() if (data := path.read_bytes())]


@pytest.mark.parametrize("sizes", [(5, 5, 1), (5, 5, 7), (6, 5, 1), (5, 6, 7), (7,), (0,), (5, 0)])
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_parts_of_any_sizes_in_any_order_make_the_object(sizes: tuple[int, ...], order: str) -> None:
    bodies = [bytes([number]) * (size * MIB + (number if size == 1 else 0)) for number, size in enumerate(sizes)]
    async with running() as client:
        started = await client.start("users", len(bodies))
        numbers = range(1, len(bodies) + 1)
        for number in numbers if order == "ascending" else reversed(numbers):
            await client.put(started, number, bodies[number - 1])
        assert (await client.complete(started)).status == 200
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"".join(bodies)
        assert len(await files_of(client)) == (0 if sizes == (0,) else 1)


async def test_a_part_that_is_sent_again_replaces_the_first() -> None:
    async with running() as client:
        started = await client.start("users", 2)
        for body in (b"a", b"b", b"c"):
            await client.put(started, 1, body * 5 * MIB)
        await client.put(started, 2, b"tail")
        await client.put(started, 2, b"end")
        assert (await client.complete(started)).status == 200
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"c" * 5 * MIB + b"end"
        assert len(await files_of(client)) == 1


async def test_parts_that_are_sent_at_once_do_not_mix() -> None:
    bodies = [bytes([number]) * (5 * MIB) for number in range(1, 9)]
    async with running() as client:
        started = await client.start("users", 8)
        async with asyncio.TaskGroup() as group:
            for number, body in enumerate(bodies, start=1):
                group.create_task(client.put(started, number, body))
                group.create_task(client.put(started, number, body))
        assert (await client.complete(started)).status == 200
        assert client.plane.table_files("users", "parquet")[0].read_bytes() == b"".join(bodies)


async def test_an_unknown_upload_is_refused() -> None:
    async with running() as client:
        started = await client.start("users")
        await client.put(started, 1, b"x")
        await client.complete(started)
        answer = await client.put(started, 1, b"x")
        assert (answer.status, answer.code) == (404, "NoSuchUpload")
