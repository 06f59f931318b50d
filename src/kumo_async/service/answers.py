"""What each answer of the service means: one pure function from what was seen to a verdict.

S3's codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
Google's, over the same protocol: https://cloud.google.com/storage/docs/xml-api/reference-status
Cloudflare R2's: https://developers.cloudflare.com/r2/api/error-codes/
MinIO's: https://github.com/minio/minio/blob/master/cmd/api-errors.go
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

__all__ = [
    "AnswerError",
    "Break",
    "Seen",
    "Verdict",
    "classify",
    "is_repeated",
    "most_attempts",
]


class Verdict(Enum):
    """What to do about a request that failed."""

    RETRY = auto()  #: it passes: the same request again, its body from the first byte
    THROTTLE = auto()  #: the server asks for patience: again after a longer wait, and less at a time
    EXPIRED = auto()  #: the object's URLs have run out: start the object anew
    SKEWED = auto()  #: the clocks differ too much for the URLs: start the object anew, once
    RESTART = auto()  #: the object's upload is gone: start the object anew
    UNKNOWN = auto()  #: the object may have been completed or not: ask before saying either
    ABSENT = auto()  #: the service says that there is no such thing
    UNAUTHORIZED = auto()  #: the key is not accepted
    REFUSED = auto()  #: it will not get better: fail


class Break(Enum):
    """How a request failed without an answer that could be used."""

    UNREACHED = auto()  #: no connection: refused, no such name, no handshake
    LOST = auto()  #: the connection broke or stood still, or the answer was cut off
    DAMAGED = auto()  #: what is stored is not what was sent
    NAMELESS = auto()  #: there is no such host name
    UNEXPECTED = auto()  #: the answer says "success", and has not what the call promises
    UNTRUSTED = auto()  #: the server's certificate does not verify
    UNUSABLE = auto()  #: nothing can be sent to that address


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen of a failed request.

    Attributes:
        status: The HTTP status, or None where there was no answer that could be used.
        broken: How it failed where there was none.
        code: S3's error code.
        message: S3's, or the service's, own words.
        request_id: S3's id of the request.
        own: Whether the answer has the form of the service's answers; a proxy's page has not.
        completes: Whether the request was to make an object visible.
        deletes: Whether the request was to delete something.
        date: The server's clock, from its ``Date`` header, in seconds since the epoch.
        clock: Our own clock at that time.
        expires: When the URL expires by its own words.
    """

    status: int | None = None
    broken: Break | None = None
    code: str | None = None
    message: str = ""
    request_id: str | None = None
    own: bool = True
    completes: bool = False
    deletes: bool = False
    date: float | None = None
    clock: float | None = None
    expires: float | None = None


#: 425: https://www.rfc-editor.org/rfc/rfc8470#section-5.2
_TRANSIENT_STATUS = frozenset({408, 425})
#: Whoever does not know a 5xx takes it for 500: https://www.rfc-editor.org/rfc/rfc9110#section-15; Cloudflare has 520
#: to 530. But the same request will always be answered with these: not implemented, not this version of HTTP, log in to
#: this network first (https://www.rfc-editor.org/rfc/rfc6585#section-6).
_LASTING_STATUS = frozenset({501, 505, 511})
#: 509 and 529 are nobody's standard: "bandwidth limit exceeded" and "overloaded".
_THROTTLE_STATUS = frozenset({429, 503, 509, 529})
_TRANSIENT_CODES = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "CrcMismatch",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
#: The last ones are what AWS's SDKs take for throttling:
#: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_THROTTLE_CODES = frozenset(
    {
        "KMS.ThrottlingException",
        "RateLimitExceeded",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "TooManyRequests",
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "Throttling",
        "ThrottlingException",
    }
)
_EXPIRED_CODES = frozenset({"ExpiredRequest", "ExpiredToken", "RequestExpired", "TokenRefreshRequired"})
#: MinIO's words for a full disk: "delete a few objects to proceed".
_LASTING_CODES = frozenset({"NotImplemented", "XMinioStorageFull"})
_BREAKS = {
    Break.UNREACHED: Verdict.RETRY,
    Break.LOST: Verdict.RETRY,
    Break.DAMAGED: Verdict.RETRY,
    Break.NAMELESS: Verdict.RETRY,
    Break.UNEXPECTED: Verdict.RETRY,
    Break.UNTRUSTED: Verdict.REFUSED,
    Break.UNUSABLE: Verdict.REFUSED,
}


#: How often a request is made to a host whose name does not exist: one that has just been set up shows at once.
_NAMELESS_ATTEMPTS = 3


def classify(seen: Seen) -> Verdict:
    """Return what to do about a failed request.

    Example:
        >>> classify(Seen(status=503, code="SlowDown"))
        <Verdict.THROTTLE: 2>
        >>> classify(Seen(status=403, code="AccessDenied", message="Request has expired"))
        <Verdict.EXPIRED: 3>
    """
    if (seen.completes and _may_have_happened(seen)) or (seen.deletes and _may_happen_yet(seen)):
        return Verdict.UNKNOWN
    # S3 says some of its errors in an answer whose status is 200.
    if seen.broken is not None and seen.code is None:
        return _BREAKS[seen.broken]
    if _asks_for_patience(seen):
        return Verdict.THROTTLE
    if _passes(seen):
        return Verdict.RETRY
    return _gone(seen) or _denied(seen)


def is_repeated(seen: Seen) -> bool:
    """Return whether the same request is worth making again.

    Example:
        >>> is_repeated(Seen(status=502, completes=True)), is_repeated(Seen(status=404, completes=True))
        (True, False)
        >>> is_repeated(Seen(status=504, deletes=True))  # it may take effect yet
        False
    """
    verdict = classify(seen)
    if verdict is Verdict.UNKNOWN:
        return seen.completes and seen.status != 404
    return verdict in (Verdict.RETRY, Verdict.THROTTLE)


def most_attempts(seen: Seen, attempts: int) -> int:
    """Return how often a request that failed so is made, of the number of attempts that it has.

    Example:
        >>> most_attempts(Seen(broken=Break.NAMELESS), 8), most_attempts(Seen(broken=Break.LOST), 8)
        (3, 8)
    """
    return min(attempts, _NAMELESS_ATTEMPTS) if seen.broken is Break.NAMELESS else attempts


def _asks_for_patience(seen: Seen) -> bool:
    return seen.code in _THROTTLE_CODES or seen.status in _THROTTLE_STATUS


def _passes(seen: Seen) -> bool:
    if seen.code in _TRANSIENT_CODES or seen.status in _TRANSIENT_STATUS:
        return True
    return seen.status is not None and seen.status >= 500 and not _lasts(seen)


def _lasts(seen: Seen) -> bool:
    return seen.status in _LASTING_STATUS or seen.code in _LASTING_CODES


def _may_have_happened(seen: Seen) -> bool:
    """Return whether a completion may have taken effect.

    "Not found" counts too: the first of two requests, which a proxy may have made for us, could have been the one.
    """
    if seen.status is None:
        return seen.broken in (Break.LOST, Break.UNEXPECTED)
    return seen.status in (404, 408) or seen.status >= 500


def _may_happen_yet(seen: Seen) -> bool:
    """Return whether a deletion may have taken effect, or take effect later. A service that is busy has not begun it.

    One that is answered as if it had succeeded, with something else than was promised, is at its end.
    """
    if seen.status is None:
        return seen.broken is Break.LOST
    return seen.status == 408 or (seen.status >= 500 and not _asks_for_patience(seen) and not _lasts(seen))


def _gone(seen: Seen) -> Verdict | None:
    """Return what is to be done where the object must be started anew, else None."""
    if seen.code == "RequestTimeTooSkewed":
        return Verdict.SKEWED
    # Some stores refuse what has run out with 400, in words of their own.
    if seen.code in _EXPIRED_CODES or ((seen.status == 403 or seen.code == "AccessDenied") and _expired(seen)):
        return Verdict.EXPIRED
    return Verdict.RESTART if seen.code == "NoSuchUpload" else None


def _expired(seen: Seen) -> bool:
    if seen.code == "AccessDenied" and "has expired" in seen.message.lower():
        return True
    # The server's clock is the one that counts; ours may be wrong.
    now = seen.clock if seen.date is None else seen.date
    return seen.expires is not None and now is not None and now >= seen.expires


def _denied(seen: Seen) -> Verdict:
    if seen.status == 401:
        return Verdict.UNAUTHORIZED
    return Verdict.ABSENT if seen.status == 404 and seen.own else Verdict.REFUSED


class AnswerError(Exception):
    """A request that failed, with its verdict. It stays inside the package; its border turns it into a KumoError.

    Attributes:
        seen: What was seen.
        verdict: What to do about it.
        retry_after: The seconds that the server asks to wait.
        attempts: How often the request was made.
        doubtful: Whether an attempt before this one may have had its effect.
        stopped: Why it is not made again although that might help, where attempts were left.
    """

    def __init__(self, seen: Seen, *, retry_after: float | None = None) -> None:
        super().__init__(describe(seen))
        self.seen = seen
        self.verdict = classify(seen)
        self.retry_after = retry_after
        self.attempts = 1
        self.doubtful = False
        self.stopped: str | None = None

    @property
    def tries(self) -> str:
        """How often it was tried, and why not more often, in words."""
        count = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return count if self.stopped is None else f"{count}, and {self.stopped}"

    @property
    def throttled(self) -> bool:
        """Whether the server asked for patience; the outcome of a completion may be unknown besides."""
        return _asks_for_patience(self.seen)


def describe(seen: Seen) -> str:
    """Return what was seen in words.

    Example:
        >>> describe(Seen(status=403, code="AccessDenied", message="Access Denied"))
        '403 AccessDenied: Access Denied'
        >>> describe(Seen(status=502, message="502 Bad Gateway"))
        '502: Bad Gateway'
    """
    if seen.status is None:
        return seen.message
    # Many servers begin their words with the status, which stands before them here anyway.
    message = re.sub(rf"^{seen.status}\b[\s:]*", "", seen.message)
    words = [message] if message else []
    if 300 <= seen.status < 400:
        words.append("a redirect, which is never followed")
    elif not seen.own and seen.status < 500:
        words.append("not an answer of the service itself, rather one of a proxy, or the endpoint is wrong")
    said = f": {'; '.join(words)}" if words else ""
    return f"{seen.status}{f' {seen.code}' if seen.code else ''}{said}"
