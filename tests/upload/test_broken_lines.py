"""Uploads over lines that break at chosen bytes, plain and with TLS: the promise of `one_of_two` holds on each."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
import trustme

import kumo_async
from kumo_async.local import LocalDataPlane
from one_of_two import FORMATS, check_upload, ids, write
from tcp_proxy import CUT, RESET, SLOW, STALL, Break, TcpProxy

ROWS = range(100_000, 112_000)
ONE = kumo_async.UploadOptions(max_concurrent_parts=1)
MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=50_000, max_concurrent_parts=1)


@dataclass(frozen=True)
class Lines:
    """A plane, and the two lines to it: one for the control calls, and one for the parts."""

    plane: LocalDataPlane
    control: TcpProxy
    parts: TcpProxy

    def connector(self, file_type: str) -> kumo_async.FileUploadConnector:
        client = kumo_async.KumoClient(f"{self.control.origin}/api", self.plane.api_key)
        return kumo_async.FileUploadConnector(file_type, client=client)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side of TLS; clients trust it."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_async.service.retry.wait_before", lambda attempt, error: 0.0)


@pytest.fixture(params=["plain", "tls"])
async def lines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lines]:
    """Lines that break between the client and the plane; with TLS they see what is in it."""
    tls = request.getfixturevalue("server_tls") if request.param == "tls" else None
    async with AsyncExitStack() as stack:
        control, parts = [await stack.enter_async_context(TcpProxy(tls)) for _ in range(2)]
        plane = await stack.enter_async_context(LocalDataPlane(tmp_path / "plane", public_url=parts.origin))
        control.target = parts.target = plane.port
        yield Lines(plane, control, parts)


async def measured(lines: Lines, file_type: str, path: Path) -> tuple[int, int]:
    """Upload once without harm, and give how many bytes the one part took up and down."""
    await lines.connector(file_type).upload_async("t", path, options=ONE)
    (line,) = lines.parts.lines
    return line.passed["up"], line.passed["down"]


PLACES = ["start", "headers", "first", "middle", "last", "answer start", "answer middle", "answer last"]


def place(where: str, size: int, up: int, down: int) -> Break:
    """Make a cut at a place of a part's way up and of its answer's way down."""
    offsets = {"start": 0, "headers": 50, "first": up - size + 1, "middle": up - size // 2, "last": up - 1}
    if where in offsets:
        return Break(CUT, "up", offsets[where])
    return Break(CUT, "down", {"answer start": 0, "answer middle": down // 2, "answer last": down - 1}[where])


@pytest.mark.parametrize("how", [CUT, RESET])
@pytest.mark.parametrize("where", PLACES)
async def test_a_part_whose_line_breaks_once_is_sent_again(lines: Lines, tmp_path: Path, where: str, how: str) -> None:
    for file_type in FORMATS:
        path = write(tmp_path / f"t.{file_type}", ROWS)
        lines.parts.lines.clear()
        up, down = await measured(lines, file_type, path)
        each = place(where, path.stat().st_size, up, down)
        each.how = how  # type: ignore[assignment]
        lines.parts.breaks[:] = [each]
        assert await check_upload(lines.plane, lines.connector(file_type), path, ONE, ROWS) is None
        assert each.reached.is_set()
        lines.parts.breaks.clear()


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("file_type", FORMATS)
async def test_a_part_whose_line_always_breaks_leaves_the_old_table(
    lines: Lines, tmp_path: Path, where: str, file_type: str
) -> None:
    path = write(tmp_path / f"t.{file_type}", ROWS)
    up, down = await measured(lines, file_type, path)
    each = place(where, path.stat().st_size, up, down)
    each.times = 1000
    lines.parts.breaks[:] = [each]
    new = write(tmp_path / f"new.{file_type}", range(200_000, 212_000))
    options = kumo_async.UploadOptions(max_attempts=3)
    error = await check_upload(lines.plane, lines.connector(file_type), new, options, range(200_000, 212_000))
    assert error is not None
    assert ids(lines.plane, "t", file_type) == list(ROWS)


CALLS = [b"start_file_upload", b"validate_table", b"delete_uploaded_file", b"complete_file_upload"]


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("how", [CUT, RESET])
@pytest.mark.parametrize("call", CALLS, ids=bytes.decode)
async def test_a_control_call_whose_line_breaks(
    lines: Lines, tmp_path: Path, call: bytes, how: str, times: int
) -> None:
    options = kumo_async.UploadOptions(partition_threshold=0, partition_size=50_000, max_attempts=2)
    for direction, offset in (("up", 0), ("up", 5), ("up", 150), ("down", 0), ("down", 20)):
        await lines.connector("csv").upload_async("t", write(tmp_path / "old.csv", range(500)), options=ONE)
        each = Break(how, direction, offset, needle=call, times=times)  # type: ignore[arg-type]
        lines.control.breaks[:] = [each]
        path = write(tmp_path / "t.csv", ROWS)
        error = await check_upload(lines.plane, lines.connector("csv"), path, options, ROWS)
        assert each.reached.is_set()
        # Once is what retries are for.
        assert times > 1 or error is None
        lines.control.breaks.clear()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_slow_line_only_takes_longer(lines: Lines, tmp_path: Path, direction: str) -> None:
    lines.parts.breaks.append(Break(SLOW, direction, 10, times=1000))  # type: ignore[arg-type]
    path = write(tmp_path / "t.parquet", ROWS)
    assert await check_upload(lines.plane, lines.connector("parquet"), path, MANY, ROWS) is None


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_stalled_line_that_goes_on_does_no_harm(lines: Lines, tmp_path: Path, direction: str) -> None:
    each = Break(STALL, direction, 60)  # type: ignore[arg-type]
    lines.parts.breaks.append(each)
    path = write(tmp_path / "t.parquet", ROWS)
    async with anyio.create_task_group() as group:

        async def upload() -> None:
            assert await check_upload(lines.plane, lines.connector("parquet"), path, MANY, ROWS) is None

        group.start_soon(upload)
        await each.reached.wait()
        assert ids(lines.plane, "t", "parquet") == []
        each.go.set()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_line_that_stalls_for_good_is_given_up_and_another_one_taken(
    lines: Lines, tmp_path: Path, direction: str
) -> None:
    options = replace(ONE, stall_timeout=0.3)
    each = Break(STALL, direction, 60)  # type: ignore[arg-type]
    lines.parts.breaks.append(each)
    path = write(tmp_path / "t.parquet", ROWS)
    assert await check_upload(lines.plane, lines.connector("parquet"), path, options, ROWS) is None
    assert each.reached.is_set()
    assert not each.go.is_set()


@pytest.mark.parametrize("how", [CUT, RESET])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_line_that_breaks_inside_tls_records(
    server_tls: ssl.SSLContext, tmp_path: Path, how: str, direction: str
) -> None:
    """The line that breaks knows nothing of TLS: it may break in a handshake, and in the middle of a record."""
    async with AsyncExitStack() as stack:
        line, end = await stack.enter_async_context(TcpProxy()), await stack.enter_async_context(TcpProxy(server_tls))
        origin = f"https://127.0.0.1:{line.port}"
        plane = await stack.enter_async_context(LocalDataPlane(tmp_path / "plane", public_url=origin))
        line.target, end.target = end.port, plane.port
        connector = kumo_async.FileUploadConnector(
            "parquet", client=kumo_async.KumoClient(plane.endpoint, plane.api_key)
        )
        path = write(tmp_path / "t.parquet", ROWS)
        for offset in (0, 3, 100, 1_000, 2_000, 60_000):
            each = Break(how, direction, offset, times=1)  # type: ignore[arg-type]
            line.breaks[:] = [each]
            assert await check_upload(plane, connector, path, ONE, ROWS) is None
            assert each.reached.is_set() or (direction, offset) == ("down", 60_000)


async def test_a_certificate_of_somebody_else_is_never_accepted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with TcpProxy(context) as parts, LocalDataPlane(tmp_path / "plane", public_url=parts.origin) as plane:
        parts.target = plane.port
        client = kumo_async.KumoClient(f"http://127.0.0.1:{plane.port}/api", plane.api_key)
        connector = kumo_async.FileUploadConnector("parquet", client=client)
        path = write(tmp_path / "t.parquet", ROWS)
        error = await check_upload(plane, connector, path, ONE, ROWS)
        assert "certificate" in str(error)
        assert parts.lines == []
