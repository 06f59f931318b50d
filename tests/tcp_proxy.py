"""A line that breaks where it is told to: a TCP proxy that cuts, resets, stalls and slows connections at byte offsets.

    async with TcpProxy() as proxy, LocalDataPlane(public_url=proxy.origin) as plane:
        proxy.target = plane.port
        proxy.breaks.append(Break(CUT, "up", 1000))

It moves bytes and knows nothing of what they mean, so TLS passes through it as it is. With ``ssl`` it ends the TLS of
the client and passes on what was in it; two in a row are a line that breaks in the middle of TLS records. Nothing here
waits for time: a stalled connection goes on when an event says so.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Literal, Self

__all__ = ["CUT", "RESET", "SLOW", "STALL", "Break", "Line", "TcpProxy"]

Direction = Literal["up", "down"]
How = Literal["cut", "reset", "stall", "slow"]
CUT: How = "cut"  # both sides are closed
RESET: How = "reset"  # both sides get an RST
STALL: How = "stall"  # nothing moves any more in this direction until `Break.go` is set
SLOW: How = "slow"  # from here on a few bytes at a time

_BLOCK = 65536
_SLOW_BYTES = 1000


@dataclass(eq=False)
class Break:
    """Something that happens to a connection, before the byte at an offset is passed on.

    Attributes:
        how: What happens.
        direction: Of the bytes that are counted: "up" to the server, "down" to the client.
        offset: How many bytes pass before it. They are counted from the beginning of the connection, or if there is a
            needle from where the needle begins (up), or from when it was seen (down).
        needle: Bytes that a client has to send on a connection before this counts there.
        times: How many connections it happens to.
        reached: Set when it happens.
        go: Lets a stalled connection go on.
    """

    how: How
    direction: Direction
    offset: int
    needle: bytes = b""
    times: int = 1
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


class _BrokenError(Exception):
    """The connection is to end now."""

    def __init__(self, how: How) -> None:
        super().__init__(how)
        self.how = how


class Line:
    """One connection: what has passed, and where what breaks are due.

    Attributes:
        passed: How many bytes went each way.
    """

    def __init__(self, breaks: list[Break]) -> None:
        self.passed: dict[Direction, int] = {"up": 0, "down": 0}
        self.slow: set[Direction] = set()
        self._breaks = breaks
        self._due: dict[Break, int] = {}
        self._done: set[Break] = set()
        self._tail = b""

    def see(self, direction: Direction, data: bytes) -> None:
        """Note which breaks count from now on."""
        text = self._tail + data if direction == "up" else b""
        for each in self._breaks:
            found = text.find(each.needle) if each.needle else 0
            if found >= 0 and each not in self._due and (direction == "up" or not each.needle):
                begin = self.passed["up"] - len(self._tail) + found if each.direction == "up" else self.passed["down"]
                self._due[each] = (begin if each.needle else 0) + each.offset
        if direction == "up":
            self._tail = text[-100:]

    def next_break(self, direction: Direction) -> tuple[Break, int] | None:
        """Give the first break that is due in a direction, and how many bytes pass before it."""
        due = [
            (at - self.passed[direction], each)
            for each, at in self._due.items()
            if each.direction == direction and each.times > 0 and each not in self._done
        ]
        room, first = min(due, key=lambda pair: pair[0], default=(0, None))
        return (first, max(0, room)) if first else None

    async def suffer(self, each: Break) -> None:
        """Let a break happen."""
        self._done.add(each)
        each.times -= 1
        each.reached.set()
        if each.how in (CUT, RESET):
            raise _BrokenError(each.how)
        if each.how == SLOW:
            self.slow.add(each.direction)
        else:
            await each.go.wait()


class TcpProxy:
    """The proxy, on a loopback port of its own.

    Args:
        ssl: Ends the TLS of clients here; None passes everything on as it is.

    Attributes:
        target: The loopback port to pass everything on to.
        breaks: What goes wrong; change it at will.
        lines: The connections there were, in order.
    """

    def __init__(self, ssl: SSLContext | None = None) -> None:
        self.target = 0
        self.breaks: list[Break] = []
        self.lines: list[Line] = []
        self._ssl = ssl
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def origin(self) -> str:
        """Its address for clients that speak plain HTTP, or TLS if it ends that."""
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._ssl)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        # A cancelled handler would be reported by asyncio.
        with suppress(OSError, asyncio.CancelledError):
            try:
                up = await asyncio.open_connection("127.0.0.1", self.target)
                ends.append(up[1])
                await self._connect((reader, writer), up)
            except _BrokenError as broken:
                if broken.how == RESET:
                    _linger_not(*ends)
            finally:
                for end in ends:
                    end.transport.abort()
        self._tasks.discard(task)

    async def _connect(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        line = Line(self.breaks)
        self.lines.append(line)
        for _, writer in (client, server):
            # With no buffer a drain lasts until the system has the bytes. asyncio's TLS would never end it.
            if writer.get_extra_info("ssl_object") is None:
                writer.transport.set_write_buffer_limits(0)
        pumps = {
            asyncio.ensure_future(_pump(line, "up", client[0], server[1])),
            asyncio.ensure_future(_pump(line, "down", server[0], client[1])),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            results = await asyncio.gather(*pumps, return_exceptions=True)
        for result in results:
            if isinstance(result, _BrokenError):
                raise result


async def _pump(line: Line, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_BLOCK):
        line.see(direction, data)
        while data:
            most = _SLOW_BYTES if direction in line.slow else len(data)
            due = line.next_break(direction)
            if due is not None and due[1] < len(data):
                most = min(most, due[1])
            if not most and due is not None:
                await line.suffer(due[0])
                continue
            writer.write(data[:most])
            await writer.drain()
            line.passed[direction] += most
            data = data[most:]


def _linger_not(*writers: asyncio.StreamWriter) -> None:
    """Let closing send an RST instead of a FIN: https://man7.org/linux/man-pages/man7/socket.7.html, SO_LINGER."""
    for writer in writers:
        end = writer.get_extra_info("socket")
        with suppress(OSError):
            if end is not None:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
