"""Part URLs are the server's choice: where they may lead, however an address is written, and whatever a name means."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from front import standing_before
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async.errors import KumoError, ServiceError
from kumo_async.local import Fault, LocalDataPlane, Status
from kumo_async.service.addresses import is_link_local, is_loopback, is_odd_number
from kumo_async.service.http import open_session
from kumo_async.service.messages import PartUrl
from kumo_async.service.resolver import LineAddressError, SafeResolver
from kumo_async.service.storage import PartStorage, _safe

METADATA = 0xA9FEA9FE  # 169.254.169.254


@pytest.mark.parametrize(
    "url",
    [
        "https://bucket.s3.amazonaws.com/key?X-Amz-Signature=s",
        "https://bucket.example:9000/key",
        "https://10.0.0.7/key",
        "https://[2001:db8::1]/key",
        "http://127.0.0.1:9000/key",
        "http://localhost:9000/key",
        "http://[::1]:9000/key",
        "http://127.0.0.1#@bucket.example/key",  # the request goes to what is before the mark
    ],
)
def test_https_and_loopback_are_good(url: str) -> None:
    assert _safe(PartUrl(url))


@pytest.mark.parametrize(
    "url",
    [
        "http://bucket.example/key",
        "http://10.0.0.7/key",
        "ftp://127.0.0.1/key",
        "file:///etc/passwd",
        "/key",
        "",
        "https://",
        "https:///key",
        "https://user@bucket.example/key",
        "https://user:pw@bucket.example/key",
        "https://:pw@bucket.example/key",
        "https://bucket.example:99999/key",
        "https://[::1/key",
        "https://[fe80::1%25eth0]/key",
        "https://[fe80::1]/key",
        "https://169.254.169.254/latest",
        "https://169.254.169.254./latest",
        "https://2852039166/latest",
        "https://0xa9fea9fe/latest",
        "https://0xA9.0xFE.0xA9.0xFE/latest",
        "https://0251.0376.0251.0376/latest",
        "https://169.254.43518/latest",
        "https://169.16689662/latest",
        "https://169\u3002254\u3002169\u3002254/latest",
        "https://\uff11\uff16\uff19.254.169.254/latest",
        "https://169%2E254%2E169%2E254/latest",
        "https://[::ffff:169.254.169.254]/latest",
        "https://[::ffff:a9fe:a9fe]/latest",
        "https://[::169.254.169.254]/latest",
        "https://[64:ff9b::a9fe:a9fe]/latest",
        "https://[2002:a9fe:a9fe::]/latest",
        "https://[::ffff:0:169.254.169.254]/latest",
        "https://[64:ff9b:1::a9fe:a9fe]/latest",
        "https://[64:ff9b:1:a9fe:a9:fe00::]/latest",
        "https://[64:ff9b:1:a9:fe:a9fe::]/latest",
        "https://[64:ff9b:1:0:a9:fea9:fe00:0]/latest",
        "https://[2001:0:4136:e378:8000:63bf:5601:5601]/latest",
        "https://[2001:0:a9fe:a9fe::1]/latest",
        "https://[2001:db8::5efe:a9fe:a9fe]/latest",
        "https://[2001:db8::200:5efe:a9fe:a9fe]/latest",
        "https://bucket.example/key\n",
        "https://bucket.example/ke\r\nX-Evil: 1\r\n\r\ny",
        "https://bucket.example/k y",
        "https://bucket.example/k\x00y",
        "https://bucket.example/k\x7fy",
        "https://bucket.example/k\ud800y",
        "https://bucket.example/k\u2028y",
        "https://bucket.example\t/key",
        "https://bucket.example/key?" + 200 * "&a=secret",
        "https://[fd00:ec2::254]/latest",
        "http://2130706433/key",
        "http://0177.0.0.1/key",
        "https://127.1/key",
        "http://localhost.example.com/key",
        "http://127.0.0.1@bucket.example/key",
        "http://127.0.0.1\\@bucket.example/key",
    ],
)
async def test_all_others_are_refused_before_anything_is_sent(url: str) -> None:
    assert not _safe(PartUrl(url))
    async with open_session() as client:
        with pytest.raises(ServiceError, match="not safe") as caught:
            await PartStorage(client).put_part(PartUrl(url + "?X-Amz-Signature=canary"), 0, _nothing, print)
    assert "canary" not in str(caught.value)
    assert "pw" not in str(caught.value)
    assert str(caught.value).isprintable()


def _nothing() -> Any:
    raise AssertionError("not a byte may be read for it")


@given(st.integers(0, 2**32 - 1), st.sampled_from(["", "::ffff:", "::", "64:ff9b::"]))
def test_an_ipv4_address_means_the_same_in_ipv6(number: int, prefix: str) -> None:
    plain = socket.inet_ntoa(number.to_bytes(4, "big"))
    if is_link_local(plain):
        assert is_link_local(prefix + plain)
    elif prefix != "::" or number > 0xFFFF:  # ::1 is another matter
        assert not is_link_local(prefix + plain)


#: Ways to write an IPv4 address into an IPv6 one, as bytes before and after; and those that write it in pieces.
EMBEDDED: dict[str, Callable[[bytes], bytes]] = {
    "mapped": lambda four: bytes(10) + b"\xff\xff" + four,
    "compatible": lambda four: bytes(12) + four,
    "translated": lambda four: bytes(8) + b"\xff\xff\0\0" + four,
    "NAT64": lambda four: bytes.fromhex("0064ff9b") + bytes(8) + four,
    "local NAT64, 48": lambda four: bytes.fromhex("0064ff9b0001") + four[:2] + b"\0" + four[2:] + bytes(5),
    "local NAT64, 56": lambda four: bytes.fromhex("0064ff9b000100") + four[:1] + b"\0" + four[1:] + bytes(4),
    "local NAT64, 64": lambda four: bytes.fromhex("0064ff9b00010000") + b"\0" + four + bytes(3),
    "local NAT64, 96": lambda four: bytes.fromhex("0064ff9b0001") + bytes(6) + four,
    "6to4": lambda four: bytes.fromhex("2002") + four + bytes(10),
    "Teredo server": lambda four: bytes.fromhex("20010000") + four + bytes(8),
    "Teredo client": lambda four: bytes.fromhex("20010000") + bytes(8) + bytes(255 - byte for byte in four),
    "ISATAP": lambda four: bytes.fromhex("20010db8000000000000 5efe".replace(" ", "")) + four,
    "ISATAP, global": lambda four: bytes.fromhex("20010db800000000 02005efe".replace(" ", "")) + four,
}


@pytest.mark.parametrize("form", EMBEDDED)
@given(low=st.integers(0, 2**16 - 1))
def test_a_link_local_address_is_known_within_any_form_of_ipv6(form: str, low: int) -> None:
    address = IPv6Address(EMBEDDED[form](((0xA9FE << 16) | low).to_bytes(4, "big")))
    assert is_link_local(str(address))
    assert is_link_local(address.exploded)
    assert not is_link_local(str(IPv6Address(EMBEDDED[form](bytes([203, 0, 113, 9])))))


async def test_a_name_that_resolves_to_one_within_ipv6_is_refused() -> None:
    addresses = [str(IPv6Address(write(bytes([169, 254, 169, 254])))) for write in EMBEDDED.values()]
    with pytest.raises(LineAddressError):
        await SafeResolver(resolver=Names(*addresses)).resolve("bucket.example", 443)


@given(st.integers(0, 2**16 - 1), st.data())
def test_a_link_local_address_is_known_in_any_notation(low: int, data: st.DataObject) -> None:
    number = (0xA9FE << 16) | low
    first, second, third, fourth = number.to_bytes(4, "big")
    styles: list[Callable[[int], str]] = [str, hex, lambda part: f"0{part:o}", lambda part: f"0X{part:X}"]
    write = [data.draw(st.sampled_from(styles)) for _ in range(4)]
    forms = [
        [(first, 0), (second, 1), (third, 2), (fourth, 3)],
        [(first, 0), (second, 1), ((third << 8) | fourth, 2)],
        [(first, 0), (number & 0xFFFFFF, 1)],
        [(number, 0)],
    ]
    host = ".".join(write[place](part) for part, place in data.draw(st.sampled_from(forms)))
    assert is_link_local(host)
    assert not is_loopback(host)
    assert is_odd_number(host) == (host != f"169.254.{third}.{fourth}")


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5})?", fullmatch=True))
def test_names_are_no_addresses(name: str) -> None:
    assert not is_link_local(name)
    assert not is_odd_number(name)


class Names(AbstractResolver):
    """Knows one name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_never_leads_to_a_link_local_address() -> None:
    mixed = SafeResolver(resolver=Names("169.254.169.254", "10.0.0.7", "fe80::1%1", "::ffff:169.254.0.1"))
    assert [found["host"] for found in await mixed.resolve("bucket.example", 443)] == ["10.0.0.7"]
    with pytest.raises(LineAddressError):
        await SafeResolver(resolver=Names("169.254.169.254")).resolve("bucket.example", 443)
    assert await SafeResolver(resolver=Names()).resolve("bucket.example", 443) == []
    for trusting in (
        SafeResolver("proxy.local", resolver=Names("fe80::1")),
        SafeResolver(trust_all=True, resolver=Names("fe80::1")),
    ):
        assert len(await trusting.resolve("proxy.local", 3128)) == 1


async def test_an_upload_to_a_name_that_leads_to_one_fails_at_once(
    plane: LocalDataPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("kumo_async.service.resolver.DefaultResolver", lambda: Names("169.254.169.254"))

    def elsewhere(text: str) -> str:
        return text.replace(front.origin, "https://storage.example")

    async with standing_before(plane, hosts=("127.0.0.1", "127.0.0.1"), part_url=elsewhere) as front:
        client = kumo_async.KumoClient(front.endpoint, "acme:k")
        with pytest.raises(KumoError, match=r"storage\.example leads to a link-local address") as caught:
            await kumo_async.FileUploadConnector("csv", client=client).upload_async("t", tmp_path / "t.csv")
    assert caught.value.attempts == 1
    assert plane.table_names("csv") == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", ["start", "put_part", "list"])
async def test_no_redirect_is_followed(plane: LocalDataPlane, tmp_path: Path, status: int, call: Any) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    async with standing_before(plane, hosts=("127.0.0.1", "127.0.0.1")) as elsewhere:
        location = {"Location": f"{elsewhere.origin}/stolen"}
        plane.inject(Fault(call=call, answer=Status(status, headers=location), times=None))
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("csv", client=client)
        ask: Awaitable[object] = (
            connector.table_names_async() if call == "list" else connector.upload_async("t", tmp_path / "t.csv")
        )
        with pytest.raises(KumoError, match=str(status)):
            await ask
        assert (elsewhere.control, elsewhere.storage) == ([], [])
