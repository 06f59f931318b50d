"""Presigned part URLs: S3's query parameters, our own HMAC."""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

from kumo_async.errors import ConfigurationError
from kumo_async.local.s3errors import Refused

__all__ = ["Signed", "Signer", "check_seconds"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_DATE = "%Y%m%dT%H%M%SZ"
_LONGEST_SECONDS = 7 * 24 * 3600
_NAMES = frozenset(
    {
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
        "partNumber",
        "uploadId",
    }
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a valid part URL allows."""

    upload_id: str
    part: int


class Signer:
    """Sign part URLs and check them.

    Args:
        secret: The key of the HMAC. URLs stay valid over restarts, and between processes, as long as it is the same.
        seconds: How long a URL is valid, in seconds; S3 allows at most seven days.
        clock: The time now, in seconds since the epoch.
    """

    def __init__(self, secret: bytes, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._seconds = check_seconds(seconds)
        self._clock = clock

    def query(self, path: str, upload_id: str, part: int) -> str:
        """Make the query string that lets its holder PUT one part to ``path``."""
        date = datetime.fromtimestamp(self._clock(), UTC).strftime(_DATE)
        pairs = [
            ("X-Amz-Algorithm", _ALGORITHM),
            ("X-Amz-Credential", f"KUMOLOCAL/{date[:8]}/local/s3/aws4_request"),
            ("X-Amz-Date", date),
            ("X-Amz-Expires", str(self._seconds)),
            ("X-Amz-SignedHeaders", "host"),
            ("partNumber", str(part)),
            ("uploadId", upload_id),
        ]
        canonical = _canonical(pairs)
        return f"{canonical}&X-Amz-Signature={self._signature(path, canonical)}"

    def check(self, path: str, pairs: Iterable[tuple[str, str]]) -> Signed:
        """Say what the query of a PUT to ``path`` allows.

        Raises:
            Refused: The query is not one of ours, or it has expired.
        """
        query = dict(given := list(pairs))
        if not _NAMES.intersection(query):
            raise Refused("AccessDenied")
        if set(query) != _NAMES or len(given) != len(_NAMES):
            raise Refused("SignatureDoesNotMatch")
        signature = query.pop("X-Amz-Signature")
        expected = self._signature(path, _canonical(query.items()))
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise Refused("SignatureDoesNotMatch")
        self._check_age(query["X-Amz-Date"], query["X-Amz-Expires"])
        return Signed(query["uploadId"], int(query["partNumber"]))

    def _signature(self, path: str, canonical: str) -> str:
        # S3 signs the Host header too. We check that it is loopback, and leave the port out of the signature, because
        # a plane that is started again on the same root may get another port.
        text = "\n".join([_ALGORITHM, "PUT", path, canonical])
        return hmac.new(self._secret, text.encode(), sha256).hexdigest()

    def _check_age(self, date: str, seconds: str) -> None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        expires = datetime.strptime(date, _DATE).replace(tzinfo=UTC) + timedelta(seconds=int(seconds))
        if now >= expires:
            details = {
                "X-Amz-Expires": seconds,
                "Expires": expires.isoformat().replace("+00:00", "Z"),
                "ServerTime": now.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
            }
            raise Refused("AccessDenied", "Request has expired", details=details)


def check_seconds(seconds: float) -> int:
    """Round a URL's life up to whole seconds, as the query parameter has no others.

    Raises:
        ConfigurationError: It is not between 0 seconds and seven days.
    """
    if not 0 < seconds <= _LONGEST_SECONDS:
        message = f"url_seconds must be above 0 and at most {_LONGEST_SECONDS} (seven days), not {seconds!r}."
        raise ConfigurationError(message)
    return math.ceil(seconds)


def _canonical(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(pairs))
