"""Bytes of strangers: bounded work and memory for any answer, and one line for any words."""

from __future__ import annotations

import logging
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async.local import Exchange, Fault, Garbage, LocalDataPlane, Status
from kumo_async.service.answers import AnswerError
from kumo_async.service.clocks import http_date, url_life, wait_asked
from kumo_async.service.foreign import said, unsigned
from kumo_async.service.integrity import md5_of
from kumo_async.service.messages import MOST_URL, PartUrl
from kumo_async.service.s3errors import s3_error

MIB = 1024**2

#: Text that a reader of it may go over again and again.
PUMPS = [
    "<Error><Code>" + " " * 4096,
    "<Error><Code>\n",
    "<Code>",
    "<Code >" + " " * 64,
    "<a:Code",
    "<" + "a" * 64,
    "<Code><![CDATA[",
    "<Code>x</Code",
    "X-Amz-",
    "X-Amz-X-Amz-Signature",
    "X-Amz-Signature=",
    "X-Goog-",
    "AWSAccessKeyId",
    "Signature",
    "sig%3D",
    "<title",
    "<title ",
    "<title>",
    "&#1",
    "&amp",
    "1",
    " ",
    "\0",
    "Mon, ",
    "(",
    "&X-Amz-Expires=1",
    "é\u2028",
    '{"detail": "',
    "[",
]


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


READERS: dict[str, Callable[[str], object]] = {
    "s3_error": lambda text: s3_error(500, text),
    "unsigned": unsigned,
    "said": said,
    "describe": lambda text: AnswerError(s3_error(500, f"<Code>A</Code><Message>{text}</Message>")),
    "http_date": http_date,
    "wait_asked": lambda text: wait_asked(text, 0.0),
    "md5_of": lambda text: md5_of({"ETag": text}),
    "url_life": lambda text: url_life(f"https://b/k?X-Amz-Date={text}&X-Amz-Expires={text}"),
    "hidden_in": lambda text: PartUrl("https://b/k?" + "&".join(f"a{n}=secret{n}" for n in range(100))).hidden_in(text),
}


def long(pump: str, size: int) -> str:
    return (pump * (size // len(pump) + 1))[:size]


@pytest.mark.parametrize("reader", READERS)
def test_what_reads_foreign_text_takes_time_in_proportion_to_its_length(reader: str) -> None:
    read = READERS[reader]
    # The first sizes are small, so that even what takes the cube of them comes to an end.
    for size in (1_000, 4_000, 16_000, 64_000):
        for pump in PUMPS:
            for text in (long(pump, size), f"<Error><Code>{long(pump, size)}x"):
                assert seconds(partial(read, text)) < 0.25, (pump, size)


async def test_errors_of_both_planes_do_not_stop_the_loop(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    for pump in PUMPS:
        words = Words(403, long(pump, 70_000))
        plane.inject(Fault(call="put_part", answer=words))
        plane.inject(Fault(call="list", answer=words))
        begin = time.process_time()
        with pytest.raises(kumo_async.KumoError) as caught:
            await csv.upload_async("t", tmp_path / "t.csv")
        assert len(str(caught.value)) < 1_000
        with pytest.raises(kumo_async.ServiceError) as caught:
            await csv.table_names_async()
        assert len(str(caught.value)) < 1_000
        assert time.process_time() - begin < 2, pump


@dataclass(frozen=True)
class Words:
    """An answer in words of its own."""

    status: int
    text: str

    async def give(self, exchange: Exchange) -> web.Response:
        del exchange
        return web.Response(status=self.status, text=self.text)


class Endless:
    """A service whose answers are of one text again and again, and how much of it went out."""

    def __init__(self, block: bytes, most: int, status: int = 200) -> None:
        self.block = block * (64 * 1024 // len(block))
        self.most = most
        self.status = status
        self.sent = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"table_names": [')
        while self.sent < self.most:
            await response.write(self.block)
            self.sent += len(self.block)
        return response


@asynccontextmanager
async def serving(endless: Endless) -> AsyncIterator[kumo_async.FileUploadConnector]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endless.answer)
    async with (
        TestServer(app) as server,
        kumo_async.KumoClient(f"http://127.0.0.1:{server.port}", "acme:key") as client,
    ):
        yield kumo_async.FileUploadConnector("csv", client=client)


TWICE = kumo_async.UploadOptions(max_attempts=2)

#: How each call is made, and the most that its answers may take, in MiB.
BOUNDED: dict[str, tuple[Callable[[kumo_async.FileUploadConnector, Path], Any], float]] = {
    "list_tables": (lambda connector, _: connector.table_names_async(), 8),
    "validate_table": (lambda connector, _: connector.has_table_async("t"), 0.0625),
    "start_file_upload": (lambda connector, path: connector.upload_async("t", path, options=TWICE), 0.0625 + 8 / 1024),
    "get_table_data": (lambda connector, _: kumo_async.SourceTable("t", connector).head_async(2), 4.125),
}


@pytest.mark.parametrize("block", [b"[],", b'"a name",', b"1e5,", b"\xff"], ids=repr)
@pytest.mark.parametrize("call", BOUNDED)
async def test_no_more_is_read_than_a_call_can_need(tmp_path: Path, call: str, block: bytes) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    ask, mib = BOUNDED[call]
    endless = Endless(block, 64 * MIB)
    words = f"{call} got no usable answer .* longer than the {int(mib * MIB):,} bytes"
    async with serving(endless) as connector:
        tracemalloc.start()
        try:
            with pytest.raises(kumo_async.ServiceUnavailableError, match=words):
                await ask(connector, tmp_path / "t.csv")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # What lies in the buffers of four connections comes on top.
    assert endless.sent < 8 * (mib + 8) * MIB
    assert peak < (4 * mib + 16) * MIB


@pytest.mark.parametrize("status", [400, 500])
async def test_no_more_of_an_error_is_read_than_can_be_quoted(status: int) -> None:
    endless = Endless(b"[],", 64 * MIB, status)
    async with serving(endless) as connector:
        with pytest.raises(kumo_async.ServiceError, match=f"{status}: "):
            await connector.table_names_async()
    assert endless.sent < 32 * MIB


async def test_a_list_as_long_as_documented_is_read(plane: LocalDataPlane, csv: kumo_async.FileUploadConnector) -> None:
    names = [f"{number:06}".ljust(75, "x") for number in range(100_000)]
    text = '{"table_names": ["' + '", "'.join(names) + '"]}'
    plane.inject(Fault(call="list", answer=Garbage(text.encode())))
    assert await csv.table_names_async() == names


async def test_a_thousand_part_urls_of_the_greatest_length_are_read(
    plane: LocalDataPlane, client: kumo_async.KumoClient
) -> None:
    from kumo_async.service.messages import StartUpload

    url = "https://bucket.example/key?X-Amz-Security-Token=".ljust(MOST_URL, "x")
    urls = ", ".join(f'"{number}": "{url}"' for number in range(1, 1001))
    text = f'{{"temp_upload_path": "p", "upload_id": "u", "presigned_part_urls": {{{urls}}}}}'
    plane.inject(Fault(call="start", answer=Garbage(text.encode())))
    async with client.connected() as connection:
        request = StartUpload(source_table_name="t", connector_id="csv_upload_connector", num_parts=1000)
        started = await connection.session.control.start_upload(request)
    assert len(started.urls) == 1000


FORGED = "No.\r\n2026-01-01 ERROR kumo_async forged\x1b[31m\u2028\x85again"


@pytest.mark.parametrize("call", ["start", "put_part", "complete", "list", "validate", "delete"])
async def test_words_of_the_service_are_one_line_in_logs_and_errors(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    call: Any,
) -> None:
    caplog.set_level(logging.DEBUG, "kumo_async")
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    await csv.upload_async("t", path)
    for status in (500, 418):
        plane.inject(Fault(call=call, answer=Status(status, "Odd\nCode", FORGED, headers={"Retry-After": "0"})))

    async def ask() -> None:
        await csv.upload_async("t", path)
        await csv.table_names_async()
        await csv.delete_async("t")

    with pytest.raises(kumo_async.KumoError) as caught:
        await ask()
    assert "forged" in str(caught.value)
    messages = [record.getMessage() for record in caplog.records if record.name == "kumo_async"]
    assert messages
    assert all(message.isprintable() for message in [*messages, str(caught.value)])


async def test_a_path_is_one_line_in_logs_and_errors(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kumo_async")
    path = tmp_path / f"t\nERROR {FORGED}.csv"
    path.write_text("a,b\n1,2\n")
    report = await csv.upload_async("t", path)
    assert report.rows == 1
    assert FORGED not in str(await csv.plan_async("t", path))
    path.write_text("a,b\n1,2,3\n")
    with pytest.raises(kumo_async.SourceError) as caught:
        await csv.upload_async("t", path)
    assert caught.value.path == str(path)
    assert str(caught.value).isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records if record.name == "kumo_async")


@given(st.text())
def test_what_is_said_is_one_line_of_a_bounded_length(text: str) -> None:
    words = said(text)
    assert words.isprintable()
    assert len(words) <= 300


async def test_a_name_that_does_not_exist_is_tried_three_times_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    asked: list[object] = []

    def unknown(host: object, *_args: object, **_kwargs: object) -> None:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient("https://nobody.example/api", "a:k"))
    begin = time.monotonic()
    for ask in (lambda: connector.upload_async("t", tmp_path / "t.csv"), connector.table_names_async):
        asked.clear()
        with pytest.raises(kumo_async.ServiceUnavailableError, match=r"in 3 attempts: the name nobody\.example cannot"):
            await ask()
        assert len(asked) == 3
    assert time.monotonic() - begin < 5
