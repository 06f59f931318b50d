"""What kind of place a host is: this machine, or one that only means something on this very line."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["is_link_local", "is_loopback", "is_odd_number"]

_Address = IPv4Address | IPv6Address

# Networks whose addresses hold an IPv4 address, and the bytes where: the deprecated compatible form
# (https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.1), the translated one
# (https://www.rfc-editor.org/rfc/rfc2765#section-2.1), NAT64
# (https://www.rfc-editor.org/rfc/rfc6052#section-2.1), and NAT64 with a prefix of the network's own, of any length
# (https://www.rfc-editor.org/rfc/rfc8215). `ipaddress` knows mapped, 6to4 and Teredo addresses.
_EMBEDDING = (
    (IPv6Network("::/96"), ((12, 13, 14, 15),)),
    (IPv6Network("::ffff:0:0:0/96"), ((12, 13, 14, 15),)),
    (IPv6Network("64:ff9b::/96"), ((12, 13, 14, 15),)),
    (IPv6Network("64:ff9b:1::/48"), ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))),
)

# What comes before the IPv4 address in the last 64 bits of an ISATAP address:
# https://www.rfc-editor.org/rfc/rfc5214#section-6.1
_ISATAP = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))

# Amazon's metadata service, which is as reachable as its link-local twin:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
_METADATA = IPv6Address("fd00:ec2::254")


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or address is this machine's loopback.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("localhost.example.com")
        (True, True, False)
    """
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_link_local(host: str) -> bool:
    """Return whether a host is an address that only means something on this very line, such as a cloud's metadata.

    Any way to write an address counts: mapped into IPv6, or as one decimal, octal or hexadecimal number.

    Example:
        >>> is_link_local("169.254.169.254"), is_link_local("0xa9fea9fe"), is_link_local("example.com")
        (True, True, False)
    """
    address = _address(host)
    return address is not None and any(each.is_link_local or each == _METADATA for each in _meanings(address))


def is_odd_number(host: str) -> bool:
    """Return whether a host is an IPv4 address that is not written as four decimal numbers, which nobody honest does.

    Example:
        >>> is_odd_number("2130706433"), is_odd_number("0177.0.0.1"), is_odd_number("127.0.0.1")
        (True, True, False)
    """
    address = _address(host)
    return isinstance(address, IPv4Address) and str(address) != host


def _address(host: str) -> _Address | None:
    with suppress(ValueError):
        return ip_address(host)
    try:
        # The C library's own reading, since that is what a connection would go by.
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    except (OSError, UnicodeError, ValueError):
        return None


def _meanings(address: _Address) -> list[_Address]:
    """Return an address and the IPv4 addresses that it stands for, if it stands for any."""
    if isinstance(address, IPv4Address):
        return [address]
    packed = address.packed
    known = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
    isatap = [IPv4Address(packed[12:])] if packed[8:12] in _ISATAP else []
    embedded = [
        IPv4Address(bytes(packed[place] for place in places))
        for network, held in _EMBEDDING
        if address in network
        for places in held
    ]
    return [address, *filter(None, known), *isatap, *embedded]
