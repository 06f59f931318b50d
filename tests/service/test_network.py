"""TLS, proxies and sessions: whom the client believes, through whom it goes, and what it takes along."""

from __future__ import annotations

import inspect
import socket
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from certificates import Authority
from connect_proxy import proxying
from front import Front, standing_before
from typer.testing import CliRunner, Result

import kumo_async
from kumo_async.cli import app
from kumo_async.errors import ConfigurationError, KumoError, ServiceError
from kumo_async.local import LocalDataPlane
from kumo_async.service.network import network_of, proxy_for, proxy_from_environment, tls_context
from kumo_async.service.resolver import SafeResolver

NAMES = ("kumo.test", "storage.test")


@dataclass
class World:
    """A data plane behind TLS, a file to upload, and what an upload brought about."""

    plane: LocalDataPlane
    directory: Path
    stack: AsyncExitStack
    fronts: list[Front] = field(default_factory=list)

    async def front(self, tls: ssl.SSLContext, **options: Any) -> Front:
        front = await self.stack.enter_async_context(standing_before(self.plane, tls, **options))
        self.fronts.append(front)
        return front

    async def upload(self, **options: Any) -> kumo_async.UploadReport:
        path = self.directory / "t.csv"
        path.write_text("a,b\n1,2\n")
        client = kumo_async.KumoClient(self.fronts[-1].endpoint, "acme:canary-key", **options)
        return await kumo_async.FileUploadConnector("csv", client=client).upload_async("t", path)


@pytest.fixture
async def world(plane: LocalDataPlane, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(plane, tmp_path, stack)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# TLS


async def test_a_private_authority_is_believed_on_both_planes_where_it_is_given(
    world: World, authority: Authority
) -> None:
    front = await world.front(authority.server("localhost"))
    report = await world.upload(ca_file=authority.file)
    assert report.rows == 1
    assert world.plane.table_names("csv") == ["t"]
    assert (len(front.storage), front.endpoint[:5], front.origin[:5]) == (1, "https", "https")


async def test_openssls_variable_is_respected(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.front(authority.server("localhost"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert (await world.upload()).rows == 1


async def test_the_command_line_takes_an_authority_too(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = await world.front(authority.server("localhost"))
    await world.upload(ca_file=authority.file)
    monkeypatch.setenv("KUMO_API_KEY", "acme:canary-key")

    def ls(*args: str) -> Result:
        return CliRunner().invoke(app, ["ls", "--url", front.endpoint, *args])

    assert (await to_thread.run_sync(ls, "--ca-file", str(authority.file))).stdout == "t\tcsv\n"
    failed = await to_thread.run_sync(ls)
    assert (failed.exit_code, failed.stdout) == (5, "")
    assert "cannot be verified" in failed.stderr


@pytest.mark.parametrize(
    ("names", "expired", "given", "words"),
    [
        (["localhost"], False, None, "unable to get local issuer certificate"),
        (["localhost"], False, "other", "unable to get local issuer certificate|signature failure"),
        (["localhost"], True, "right", "certificate has expired"),
        (["elsewhere.test"], False, "right", "Hostname mismatch"),
    ],
)
async def test_a_certificate_that_does_not_verify_is_one_clear_error_and_is_not_tried_again(
    world: World,
    authority: Authority,
    names: list[str],
    expired: bool,
    given: str | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {None: None, "right": authority.file, "other": Authority(world.directory, "other.pem").file}
    front = await world.front(authority.server(*names, expired=expired))
    tries = count_connections(monkeypatch)
    with pytest.raises(ServiceError, match=words) as caught:
        await world.upload(ca_file=files[given])
    assert "cannot be verified" in str(caught.value)
    assert caught.value.attempts == 1
    assert front.control == []
    assert tries == ["localhost"]


async def test_the_part_storages_certificate_is_verified_too(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = await world.front(authority.server("localhost"), storage_tls=authority.server("elsewhere.test"))
    with pytest.raises(KumoError, match="Hostname mismatch") as caught:
        await world.upload(ca_file=authority.file)
    assert caught.value.attempts == 1
    assert front.storage == []
    assert world.plane.table_names("csv") == []


def count_connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the host of each connection that is tried."""
    tried: list[str] = []
    resolve = SafeResolver.resolve

    async def noted(self: SafeResolver, host: str, *args: Any, **options: Any) -> Any:
        tried.append(host)
        return await resolve(self, host, *args, **options)

    monkeypatch.setattr(SafeResolver, "resolve", noted)
    return tried


def test_there_is_one_kind_of_context_and_it_verifies(authority: Authority) -> None:
    for file in (None, str(authority.file)):
        context = tls_context(file)
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert len(tls_context(str(authority.file)).get_ca_certs()) > 0


def test_no_option_switches_verification_off() -> None:
    for function in (kumo_async.KumoClient, kumo_async.init):
        names = set(inspect.signature(function).parameters)
        assert names == {"url", "api_key", "headers", "group", "project", "ca_file", "proxy"}


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"", "no certificates"), (b"not PEM", "no certificates")]
)
def test_a_file_without_authorities_is_refused_at_once(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        kumo_async.KumoClient("https://acme.example/api", "k", ca_file=path)
    assert caught.value.path == str(path)


def test_init_makes_no_connection(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection, or a look-up of a name")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    kumo_async.init("https://acme.example/api", "k", group="g", project="p", ca_file=authority.file, proxy="http://h:1")


# Proxies


@pytest.mark.parametrize("user", [None, "me:pa%20ss"])
@pytest.mark.parametrize("by", ["argument", "HTTPS_PROXY", "all_proxy"])
async def test_both_planes_are_reached_through_the_proxy_with_tls_verified_through_it(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch, user: str | None, by: str
) -> None:
    front = await world.front(authority.server(*NAMES), hosts=NAMES)
    async with proxying(user.replace("%20", " ") if user else None) as proxy:
        url = f"http://{user}@127.0.0.1:{proxy.port}" if user else proxy.url
        if by != "argument":
            monkeypatch.setenv(by, url)
        report = await world.upload(ca_file=authority.file, proxy=url if by == "argument" else None)
        assert report.rows == 1
        assert {target.partition(":")[0] for target in proxy.asked} == set(NAMES)
        assert "canary-key" not in str(proxy.headers)
        assert {name for headers in proxy.headers for name in headers if name} <= {
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "proxy-authorization",
        }
    for request in [*front.control, *front.storage]:
        assert "Proxy-Authorization" not in request.headers


async def test_a_proxy_may_be_spoken_to_over_tls_and_is_verified_as_well(world: World, authority: Authority) -> None:
    await world.front(authority.server(*NAMES), hosts=NAMES)
    async with proxying(tls=authority.server("127.0.0.1")) as proxy:
        await world.upload(ca_file=authority.file, proxy=f"https://127.0.0.1:{proxy.port}")
        assert len(proxy.asked) > 1
    async with proxying(tls=authority.server("other.test")) as proxy:
        with pytest.raises(ServiceError, match="cannot be verified"):
            await world.upload(ca_file=authority.file, proxy=f"https://127.0.0.1:{proxy.port}")
        assert proxy.asked == []


async def test_a_proxy_that_shows_its_own_certificate_is_found_out(world: World, authority: Authority) -> None:
    await world.front(Authority(world.directory, "evil.pem").server(*NAMES), hosts=NAMES)
    async with proxying() as proxy:
        with pytest.raises(ServiceError, match="cannot be verified") as caught:
            await world.upload(ca_file=authority.file, proxy=proxy.url)
        assert caught.value.attempts == 1
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden"])
async def test_a_proxy_that_refuses_is_a_clear_error_without_its_password(
    world: World, authority: Authority, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await world.front(authority.server(*NAMES), hosts=NAMES)
    async with proxying(status=status) as proxy:
        url = f"http://me:canary-password@127.0.0.1:{proxy.port}"
        with pytest.raises(ServiceError, match=f"{status[:3]}.*proxy") as caught:
            await world.upload(ca_file=authority.file, proxy=url)
        assert len(proxy.asked) == 1
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "canary" not in told


async def test_a_proxy_that_is_not_there_is_named_without_its_password(world: World, authority: Authority) -> None:
    front = await world.front(authority.server(*NAMES), hosts=NAMES)
    client = kumo_async.KumoClient(front.endpoint, "acme:k", proxy="http://me:canary@127.0.0.1:9")
    async with client.connected() as connection:
        with pytest.raises(KumoError, match="no connection to the proxy") as caught:
            await connection.session.control._call("/v1/x", {}, 1, None)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_a_proxy_whose_name_cannot_be_resolved_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    client = kumo_async.KumoClient("https://192.0.2.1/api", "acme:k", proxy="http://nosuchproxy.invalid:3128")
    async with client.connected() as connection:
        with pytest.raises(KumoError, match=r"the name nosuchproxy\.invalid cannot be resolved"):
            await connection.session.control._call("/v1/x", {}, 1, None)


@pytest.mark.parametrize("no_proxy", ["localhost", "*", "kumo.test,.localhost"])
async def test_loopback_and_no_proxy_are_reached_directly(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    await world.front(authority.server("localhost"))
    async with proxying() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        assert (await world.upload(ca_file=authority.file)).rows == 1
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("host", "no_proxy", "through"),
    [
        ("acme.kumoai.cloud", "", True),
        ("acme.kumoai.cloud", "kumoai.cloud", False),
        ("acme.kumoai.cloud", ".kumoai.cloud", False),
        ("acme.kumoai.cloud", "acme.kumoai.cloud:443", False),
        ("acme.kumoai.cloud", "acme.kumoai.cloud:444", True),
        ("acme.kumoai.cloud", "notkumoai.cloud", True),
        ("acme.kumoai.cloud", "a.example, KUMOAI.cloud", False),
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("localhost", "", False),
    ],
)
def test_which_hosts_are_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, host: str, no_proxy: str, through: bool
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    given = network_of(None, "proxy.example:3128")
    assert (proxy_for(given, None, "https", host, None) is not None) == through
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert (proxy_for(network_of(None, None), proxy_from_environment(), "https", host, None) is not None) == through
    assert proxy_for(network_of(None, ""), proxy_from_environment(), "https", host, None) is None


@pytest.mark.parametrize("url", ["socks5://h:1", "http://", "http://me:canary@", "http://me:canary@h:x", "ftp://h"])
def test_what_is_no_http_proxy_is_refused_without_being_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="proxy=") as caught:
        kumo_async.KumoClient("https://acme.example/api", "k", proxy=url)
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as also:
        proxy_from_environment()
    assert "canary" not in "".join([*traceback.format_exception(caught.value), *traceback.format_exception(also.value)])


async def test_the_embedded_plane_needs_no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1")
    async with kumo_async.KumoClient(f"local:{tmp_path}") as client:
        assert await kumo_async.FileUploadConnector("csv", client=client).table_names_async() == []


# Sessions


async def test_netrc_is_not_read(
    world: World, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("".join(f"machine {name} login me password canary\n" for name in ("localhost", "127.0.0.1")))
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_bytes(netrc.read_bytes())
    front = await world.front(authority.server("localhost"))
    await world.upload(ca_file=authority.file)
    assert [request for request in [*front.control, *front.storage] if "Authorization" in request.headers] == []


async def test_the_key_goes_with_each_control_call_and_never_to_the_storage(world: World, authority: Authority) -> None:
    front = await world.front(authority.server("localhost"))
    await world.upload(ca_file=authority.file)
    assert {request.headers.get("X-API-Key") for request in front.control} == {"acme:canary-key"}
    assert "canary" not in str(front.storage)
    assert {name for request in front.storage for name in request.headers} == {
        "Accept",
        "Accept-Encoding",
        "Content-Length",
        "Content-Type",
        "Host",
        "User-Agent",
    }
