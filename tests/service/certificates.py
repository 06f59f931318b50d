"""A certificate authority, and servers that it vouches for."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

__all__ = ["Authority"]


class Authority:
    """A private certificate authority.

    Attributes:
        file: Its certificate, as `ca_file` takes it.
    """

    def __init__(self, directory: Path, name: str = "ca.pem") -> None:
        self._ca = trustme.CA()
        self.file = directory / name
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """Return the context of a server with a certificate for some names."""
        now = datetime.now(UTC)
        certificate = self._ca.issue_cert(
            *names,
            not_before=now - timedelta(days=20),
            not_after=now + timedelta(days=-10 if expired else 10),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context
