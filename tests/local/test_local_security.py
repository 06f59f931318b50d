"""Who is let in to the embedded data plane, and how much anybody may send; test_local_control and _parts have more."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from local_client import LIST, MIB, running

from kumo_async.errors import ConfigurationError
from kumo_async.local import LocalDataPlane


async def raw(plane: LocalDataPlane, request: str) -> str:
    """Send a request byte for byte, and return the status line of the answer."""
    port = int(plane.endpoint.removesuffix("/api").rpartition(":")[2])
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request.encode())
        return (await stream.receive()).split(b"\r\n")[0].decode()


def config(plane: LocalDataPlane, *headers: str, version: str = "1.1") -> str:
    lines = [f"GET /api/config HTTP/{version}", f"X-API-Key: {plane.api_key}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""])


async def test_it_takes_one_host_header_and_only_a_loopback_one() -> None:
    async with running() as client:
        plane = client.plane
        assert "200" in await raw(plane, config(plane, "Host: 127.0.0.1"))
        for headers in (
            [],
            ["Host:"],
            ["Host: evil.example"],
            ["Host: evil.example", "X-Forwarded-Host: 127.0.0.1"],
            ["Host: 127.0.0.1.evil.example"],
            ["Host: 127.0.0.1@evil.example"],
            ["Host: evil.example", "Host: 127.0.0.1"],
            ["Host: 127.0.0.1", "Host: evil.example"],
            ["Host: 0.0.0.0"],
            ["Host: [::]"],
        ):
            for version in ("1.0", "1.1"):
                status = await raw(plane, config(plane, *headers, version=version))
                assert status.split()[1] in ("400", "403"), (headers, version)


async def test_part_urls_answer_to_loopback_hosts_only_too() -> None:
    async with running() as client:
        started = await client.start("t")
        target = started.urls[0].partition("://")[2].partition("/")[2]
        request = f"PUT /{target} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        assert "403" in await raw(client.plane, request)


async def test_it_listens_on_loopback_and_nowhere_else() -> None:
    async with running() as client:
        port = int(client.plane.endpoint.removesuffix("/api").rpartition(":")[2])
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as other:
            # The wildcard would take the port on every address.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            other.bind(("127.0.0.2", port))


async def test_a_name_that_does_not_lead_to_loopback_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = socket.socket.bind

    def misled(self: socket.socket, address: Any) -> None:
        bind(self, ("0.0.0.0" if address[0] == "localhost" else address[0], address[1]))

    monkeypatch.setattr(socket.socket, "bind", misled)
    with pytest.raises(ConfigurationError, match="loopback"):
        await LocalDataPlane(host="localhost").start()


@contextmanager
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, Any]]]:
    """Note what is compared in constant time."""
    made: list[tuple[Any, Any]] = []
    compare = hmac.compare_digest

    def noted(one: Any, other: Any) -> bool:
        made.append((one, other))
        return compare(one, other)

    with monkeypatch.context() as patch:
        patch.setattr(hmac, "compare_digest", noted)
        yield made


async def test_keys_and_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as client:
        with comparisons(monkeypatch) as made:
            assert (await client.get("/config", headers={"X-API-Key": "almost"})).status == 401
            assert made == [(b"almost", client.plane.api_key.encode())]
        started = await client.start("t")
        with comparisons(monkeypatch) as made:
            url = started.urls[0]
            assert (await client.send("PUT", url[:-1] + ("0" if url[-1] != "0" else "1"), data=b"a,b\n")).status == 403
            assert len(made) == 1


async def test_the_number_and_the_length_of_headers_and_of_the_request_line_are_bounded() -> None:
    async with running() as client:
        plane = client.plane
        many = [f"X-{number}: x" for number in range(1000)]
        assert "400" in await raw(plane, config(plane, "Host: 127.0.0.1", *many))
        assert "400" in await raw(plane, config(plane, "Host: 127.0.0.1", f"X-Long: {'x' * 20_000}"))
        line = config(plane, "Host: 127.0.0.1").replace("/config", f"/config?{'x' * 20_000}")
        assert "400" in await raw(plane, line)


async def test_no_body_that_comes_without_a_good_url_or_key_is_kept(tmp_path: Path) -> None:
    async with running(root=tmp_path) as client:
        started = await client.start("t")
        before = sorted(path.name for path in (tmp_path / "files").iterdir())
        stolen = started.urls[0].replace("partNumber=1", "partNumber=2")
        assert (await client.send("PUT", stolen, data=b"x" * MIB)).status == 403
        assert (await client.post(LIST, data=b"x" * MIB, headers={"X-API-Key": "no"})).status == 401
        assert sorted(path.name for path in (tmp_path / "files").iterdir()) == before


async def test_nobody_else_can_look_into_the_tables(tmp_path: Path) -> None:
    async with running(root=tmp_path / "plane"):
        assert (tmp_path / "plane" / "files").stat().st_mode & 0o077 == 0
        assert (tmp_path / "plane" / "secret").stat().st_mode & 0o077 == 0
