"""What each answer of the service means: one pure function from what was seen to a verdict.

S3's codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["AnswerError", "Seen", "Verdict", "classify", "s3_error"]


class Verdict(Enum):
    """What to do about a request that failed."""

    RETRY = auto()  #: it passes: the same request again, its body from the first byte
    THROTTLE = auto()  #: the server asks for patience: again after a longer wait
    RESTART = auto()  #: the object's URLs or its upload are gone: start the object anew
    REFUSED = auto()  #: it will not get better: fail
    UNAUTHORIZED = auto()  #: the key is not accepted


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of a failed request.

    Attributes:
        status: The HTTP status, or None where the connection failed before there was one.
        code: S3's error code.
        message: S3's, or the service's, own words.
        verified: False where the server's certificate could not be verified.
    """

    status: int | None
    code: str | None = None
    message: str = ""
    verified: bool = True


_TRANSIENT_STATUS = frozenset({408, 500, 502, 504})
_THROTTLE_STATUS = frozenset({429, 503})
_TRANSIENT_CODES = frozenset({"RequestTimeout", "BadDigest", "IncompleteBody", "InternalError"})
_THROTTLE_CODES = frozenset({"SlowDown", "ServiceUnavailable", "TooManyRequests"})


def classify(seen: Seen) -> Verdict:
    """Return what to do about a failed request.

    Example:
        >>> classify(Seen(status=503, code="SlowDown"))
        <Verdict.THROTTLE: 2>
        >>> classify(Seen(status=403, code="AccessDenied", message="Request has expired"))
        <Verdict.RESTART: 3>
    """
    if not seen.verified:
        return Verdict.REFUSED
    if seen.status is None:
        return Verdict.RETRY
    if seen.code in _THROTTLE_CODES or seen.status in _THROTTLE_STATUS:
        return Verdict.THROTTLE
    if seen.code in _TRANSIENT_CODES or seen.status in _TRANSIENT_STATUS:
        return Verdict.RETRY
    if seen.code in ("NoSuchUpload", "ExpiredToken") or _expired(seen):
        return Verdict.RESTART
    if seen.status == 401:
        return Verdict.UNAUTHORIZED
    return Verdict.REFUSED


def _expired(seen: Seen) -> bool:
    return seen.status == 403 and "expired" in seen.message.lower()


class AnswerError(Exception):
    """A request that failed, with its verdict. It stays inside the package; its border turns it into a KumoError."""

    def __init__(self, seen: Seen, *, retry_after: float | None = None, request_id: str | None = None) -> None:
        super().__init__(describe(seen))
        self.seen = seen
        self.verdict = classify(seen)
        self.retry_after = retry_after
        self.request_id = request_id
        self.attempts = 1


def describe(seen: Seen) -> str:
    """Return what was seen in words.

    Example:
        >>> describe(Seen(status=403, code="AccessDenied", message="Access Denied"))
        '403 AccessDenied: Access Denied'
    """
    if seen.status is None:
        return seen.message
    return f"{seen.status}{f' {seen.code}' if seen.code else ''}{f': {seen.message}' if seen.message else ''}"


def s3_error(status: int, body: str) -> Seen:
    """Read S3's XML error; a body of any other form is no error here, it only says less.

    Example:
        >>> s3_error(404, "<Error><Code>NoSuchUpload</Code><Message>Gone.</Message></Error>").code
        'NoSuchUpload'
    """
    return Seen(status=status, code=_element("Code", body), message=(_element("Message", body) or "")[:300])


def _element(name: str, body: str) -> str | None:
    # The body comes from a stranger: two words of it are wanted, and no XML parser with its entities is.
    found = re.search(rf"<{name}>([^<]*)</{name}>", body)
    return found[1].strip() if found else None
