"""A small real HTTP proxy: CONNECT, and nothing else. It leads every name to this machine."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

GOOD = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class ConnectProxy:
    """What the proxy was asked, and how it answers.

    Attributes:
        user: ``name:password`` that must be given; None for no matter who.
        status: The status line of its refusal; None lets everybody through.
        asked: The targets of all CONNECTs.
        headers: The headers of all CONNECTs.
    """

    user: str | None = None
    status: str | None = None
    port: int = 0
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{f'{self.user}@' if self.user else ''}127.0.0.1:{self.port}"

    async def serve(self, client: ByteStream) -> None:
        reader = BufferedByteReceiveStream(client)
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            async with client:
                head = (await reader.receive_until(b"\r\n\r\n", 65536)).decode().split("\r\n")
                refusal = self._refusal(head)
                if refusal:
                    await client.send(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
                    return
                await client.send(GOOD)
                port = int(head[0].split()[1].rpartition(":")[2])
                async with await anyio.connect_tcp("127.0.0.1", port) as server:
                    await _join(client, server)

    def _refusal(self, head: list[str]) -> str | None:
        method, target, _ = head[0].split()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        self.asked.append(target)
        self.headers.append(headers)
        if method != "CONNECT":
            return "405 Method Not Allowed"
        expected = None if self.user is None else f"Basic {base64.b64encode(self.user.encode()).decode()}"
        if expected is not None and headers.get("proxy-authorization") != expected:
            return "407 Proxy Authentication Required"
        return self.status


async def _join(one: ByteStream, other: ByteStream) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_pump, one, other, group)
        group.start_soon(_pump, other, one, group)


async def _pump(source: ByteStream, target: ByteStream, group: TaskGroup) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            await target.send(await source.receive())
    group.cancel_scope.cancel()


@asynccontextmanager
async def proxying(
    user: str | None = None, status: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ConnectProxy]:
    """Run a proxy, with `tls` one that is spoken to over TLS itself."""
    proxy = ConnectProxy(user, status)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        proxy.port = int(listener.extra(SocketAttribute.local_port))
        doors: Listener[ByteStream] = listener
        if tls is not None:
            doors = TLSListener(listener, tls, standard_compatible=False)
        group.start_soon(doors.serve, proxy.serve)
        yield proxy
        group.cancel_scope.cancel()
