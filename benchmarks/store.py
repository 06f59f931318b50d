"""A store that speaks the protocol and drops every byte: what an upload to it costs is the client's own cost.

    python benchmarks/store.py --port 8080

It prints its endpoint as JSON and serves until its standard input ends. Parts are received into one buffer that all
connections share, which is as cheap as receiving can be in Python. What it does check is that no byte is missing: an
object can be completed only when all its parts came whole.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

__all__ = ["DropStore"]

API = "/api"
_BUFFER_BYTES = 1024 * 1024
_HEAD_BYTES = 64 * 1024
#: No MD5, so that clients which compare ETags have nothing to compare with; what they compute, they compute all the
#: same.
_ETAG = "dropped"


@dataclass
class _Upload:
    """An object that was started, and the sizes of its parts that came whole."""

    name: str
    num_parts: int
    sizes: dict[int, int] = field(default_factory=dict)


class DropStore:
    """The control plane: names and numbers, no data.

    Attributes:
        md5: Whether ETags are computed, as S3 does, or the same for all parts.
        received: The bytes of all parts.
    """

    def __init__(self, *, md5: bool = False) -> None:
        self.md5 = md5
        self.received = 0
        self.origin = ""
        self._uploads: dict[str, _Upload] = {}
        self._objects: dict[str, int] = {}
        self._calls: dict[str, Callable[[Mapping[str, Any]], tuple[int, Any]]] = {
            "/v1/connectors/utils/start_file_upload": self._start,
            "/v1/connectors/utils/complete_file_upload": self._complete,
            "/v1/connectors/utils/delete_uploaded_file": self._delete,
            "/v1/source_tables/list_tables": lambda body: (200, {"table_names": self._tables(body)}),
            "/v1/source_tables/validate_table": self._validate,
            "/v1/connectors": lambda _: (200, []),
            "/config": lambda _: (200, {"rbac": False}),
            "/received": lambda _: (200, {"bytes": self.received, "objects": len(self._objects)}),
        }

    def call(self, path: str, body: bytes) -> tuple[int, Any]:
        """Answer a call with a status and a JSON value."""
        known = self._calls.get(path.partition("?")[0].removeprefix(API))
        if known is None:
            return 404, {"detail": f"There is no {path}."}
        return known(json.loads(body or b"{}"))

    def put(self, path: str, size: int) -> int:
        """Note a part that came whole, and return the status of its PUT."""
        _, _, upload_id, number = path.split("/")
        upload = self._uploads.get(upload_id)
        if upload is None or not 1 <= int(number) <= upload.num_parts:
            return 404
        upload.sizes[int(number)] = size
        self.received += size
        return 200

    def _start(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        upload_id = uuid4().hex
        self._uploads[upload_id] = _Upload(body["source_table_name"], body["num_parts"])
        urls = {str(n): f"{self.origin}/parts/{upload_id}/{n}" for n in range(1, body["num_parts"] + 1)}
        return 200, {"temp_upload_path": f"parts/{upload_id}", "upload_id": upload_id, "presigned_part_urls": urls}

    def _complete(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        upload = self._uploads.get(body["upload_id"])
        if upload is None or [p["part_number"] for p in body["parts_metadata"]] != sorted(upload.sizes):
            return 400, {"detail": "The parts are not those that came."}
        if len(upload.sizes) != upload.num_parts:
            return 400, {"detail": "There are parts missing."}
        self._objects[upload.name] = sum(upload.sizes.values())
        return 200, None

    def _delete(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        name = body["source_table_name"]
        gone = [known for known in self._objects if name in (known, _table_of(known))]
        for known in gone:
            del self._objects[known]
        return (200, None) if gone else (404, {"detail": f"There is no {name!r}."})

    def _validate(self, body: Mapping[str, Any]) -> tuple[int, Any]:
        name = body["table_name"]
        there = name in self._objects or name in self._tables(body)
        return 200, {"is_valid": there, "msg": "" if there else f"There is no {name!r}."}

    def _tables(self, _: Mapping[str, Any]) -> list[str]:
        return sorted({_table_of(name) for name in self._objects})


def _table_of(name: str) -> str:
    table, slash, _ = name.partition("/")
    return table.rpartition(".")[0] if slash else name


class _Connection(asyncio.BufferedProtocol):
    """One connection: heads are gathered, bodies of PUT are counted, other bodies are gathered too."""

    # A buffer is filled and looked at before the event loop does anything else, so all connections can share one.
    _shared = memoryview(bytearray(_BUFFER_BYTES))

    def __init__(self, store: DropStore) -> None:
        self._store = store
        self._transport: asyncio.Transport | None = None
        self._gathered = bytearray()
        self._path = ""
        self._method = ""
        self._size = 0
        self._left = -1  # bytes of the body that are missing; -1 while a head is being read
        self._md5 = hashlib.md5(usedforsecurity=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._shared

    def buffer_updated(self, nbytes: int) -> None:
        data = self._shared[:nbytes]
        if self._left < 0:
            data = self._read_head(data)
        if self._left >= 0:
            self._read_body(data)

    def _read_head(self, data: memoryview) -> memoryview:
        """Take bytes until the head is whole; return those behind it, which belong to the body."""
        before = len(self._gathered)
        self._gathered += data[:_HEAD_BYTES]
        end = self._gathered.find(b"\r\n\r\n")
        if end < 0:
            return data[:0]
        head = self._gathered[:end].decode("latin-1").split("\r\n")
        self._gathered.clear()
        self._method, self._path, _ = head[0].split(" ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        self._size = self._left = int(fields.get("content-length", 0))
        self._md5 = hashlib.md5(usedforsecurity=False)
        return data[end + 4 - before :]

    def _read_body(self, data: memoryview) -> None:
        self._left -= len(data)
        assert self._left >= 0, "no client of these benchmarks sends a request before the answer to the last one"
        if self._method != "PUT":
            self._gathered += data
        elif self._store.md5:
            self._md5.update(data)
        if self._left == 0:
            self._answer()
            self._left = -1

    def _answer(self) -> None:
        if self._method == "PUT":
            etag = self._md5.hexdigest() if self._store.md5 else _ETAG
            self._send(self._store.put(self._path, self._size), f'ETag: "{etag}"\r\n', b"")
            return
        status, value = self._store.call(self._path, bytes(self._gathered))
        self._gathered.clear()
        self._send(status, "Content-Type: application/json\r\n", b"" if value is None else json.dumps(value).encode())

    def _send(self, status: int, fields: str, body: bytes) -> None:
        assert self._transport is not None
        start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        self._transport.write(f"{start}{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def serve(port: int, *, md5: bool, ca_file: Path | None) -> None:
    """Serve on loopback until standard input ends; with a path to write its authority's certificate to, over TLS."""
    store = DropStore(md5=md5)
    tls = None if ca_file is None else _certified(ca_file)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(store), "127.0.0.1", port, ssl=tls)
    store.origin = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(json.dumps({"endpoint": store.origin + API, "api_key": "bench:drop"}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def _certified(ca_file: Path) -> ssl.SSLContext:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def main() -> None:
    """Run the store from the command line."""
    parser = argparse.ArgumentParser(description="A store that drops every byte.")
    parser.add_argument("--port", type=int, default=0, help="the TCP port; 0 takes a free one")
    parser.add_argument("--md5", action="store_true", help="compute real ETags")
    parser.add_argument("--tls", type=Path, metavar="CA_FILE", help="serve over TLS; whom to trust is written there")
    options = parser.parse_args()
    asyncio.run(serve(options.port, md5=options.md5, ca_file=options.tls))


if __name__ == "__main__":
    main()
