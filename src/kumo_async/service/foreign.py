"""The border for text from servers: what becomes of it before it is in a message, a log line or an error."""

from __future__ import annotations

import re

from ..escapes import escaped

__all__ = ["said", "unsigned"]

#: How many characters of a server's words are quoted.
_MOST_QUOTED = 300

#: What makes a URL a presigned one: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html,
#: https://cloud.google.com/storage/docs/authentication/signatures and
#: https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas. In JSON and in another URL "=" has
#: other forms. The name's length is bounded, so that a text takes time in proportion to its length, whatever it is.
_SIGNING = re.compile(
    r"\b(X-(?:Amz|Goog)-[A-Za-z0-9-]{1,40}|AWSAccessKeyId|GoogleAccessId|Signature|sig)"
    r"(=|%3D|%253D|\\u003d|&#61;)[^&\s\"'<>\\]+",
    re.IGNORECASE,
)


def unsigned(text: str) -> str:
    """Return a text without the signatures of presigned URLs, of any service.

    Example:
        >>> unsigned("PUT /key?partNumber=1&X-Amz-Signature=5d41 failed")
        'PUT /key?partNumber=1&X-Amz-Signature=… failed'
    """
    return _SIGNING.sub(r"\1\2…", text)


def said(text: str, most: int = _MOST_QUOTED) -> str:
    r"""Return a server's words as they can be quoted: without signatures, in one line, and not too many.

    Example:
        >>> said("No:\n  ?X-Amz-Signature=5d41 \x07")
        'No: ?X-Amz-Signature=… \\x07'
    """
    return escaped(" ".join(unsigned(text).split())[:most])[:most]
