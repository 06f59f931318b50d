"""Times in what the service says: HTTP dates, how long to wait, and how long a presigned URL lives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

__all__ = ["UrlLife", "http_date", "url_life", "wait_asked"]

#: S3 signs a URL for a week at the most.
_LONGEST_LIFE = 7 * 24 * 3600.0


@dataclass(frozen=True)
class UrlLife:
    """What a presigned URL says about its own life.

    Attributes:
        expires: Its end, in seconds since the epoch by the server's clock.
        seconds: Its length; None where the URL does not say.
    """

    expires: float
    seconds: float | None


def url_life(url: str) -> UrlLife | None:
    """Return a URL's life by its own words: signature version 4, or 2; None if it has none that can be read.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html and
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html

    Example:
        >>> url_life("https://b.example/k?X-Amz-Date=20260102T030405Z&X-Amz-Expires=600")
        UrlLife(expires=1767323645.0, seconds=600.0)
        >>> url_life("https://b.example/k?Expires=1767323645&Signature=abc").seconds is None
        True
    """
    try:
        # The last of several wins here, as in most servers; an URL that says two things is not to be trusted anyway.
        query = dict(parse_qsl(urlsplit(url).query))
        if "X-Amz-Expires" in query:
            begin = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            seconds = _seconds(query["X-Amz-Expires"])
            return UrlLife(begin + seconds, seconds) if 0 < seconds <= _LONGEST_LIFE else None
        return UrlLife(_seconds(query["Expires"]), None)
    except (KeyError, ValueError, OverflowError):
        return None


def http_date(text: str | None) -> float | None:
    """Return an HTTP date in seconds since the epoch, or None if it is none.

    Example:
        >>> http_date("Fri, 02 Jan 2026 03:04:05 GMT")
        1767323045.0
    """
    try:
        parsed = parsedate_to_datetime(text or "")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def wait_asked(text: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait, given as a number or as a date.

    Args:
        text: The header's value.
        now: The server's time; its ``Date`` header, since dates are by its clock.

    Example:
        >>> wait_asked("120", 0.0), wait_asked("Fri, 02 Jan 2026 03:04:05 GMT", 1767323040.0), wait_asked("soon", 0.0)
        (120.0, 5.0, None)
    """
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return float(text)
    until = http_date(text)
    return None if until is None else max(0.0, until - now)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError("not a whole number of seconds")
    return float(text)
