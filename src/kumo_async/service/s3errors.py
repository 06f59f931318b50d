"""S3's errors in XML, as a storage gives them, and as they come in answers that say "success"."""

from __future__ import annotations

import re

from .answers import Break, Seen
from .foreign import said

__all__ = ["not_promised", "s3_error"]


def s3_error(status: int, body: str) -> Seen:
    """Read S3's XML error; a body of any other form is no error here, it only says less.

    Example:
        >>> s3_error(404, "<Error><Code>NoSuchUpload</Code><Message>Gone.</Message></Error>").code
        'NoSuchUpload'
    """
    code = _element("Code", body)
    return Seen(
        status=status,
        code=code,
        message=_element("Message", body) or "",
        request_id=_element("RequestId", body),
        own=bool(code),
    )


def not_promised(body: str, words: str, *, completes: bool = False, deletes: bool = False) -> Seen:
    """Return what is seen where an answer says "success", and has not what the call promises.

    S3 begins to answer before it is done, and may say in the body of such an answer that it failed:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html

    Args:
        body: The answer's body.
        words: What is wrong with it, where it is no error of S3.
        completes: As in `Seen`.
        deletes: As in `Seen`.

    Example:
        >>> seen = not_promised("<Error><Code>InternalError</Code><Message>Try again.</Message></Error>", "")
        >>> seen.message, seen.code
        ('200, and in it InternalError: Try again.', 'InternalError')
    """
    found = s3_error(200, body)
    if found.code:
        words = f"200, and in it {found.code}{f': {found.message}' if found.message else ''}"
    return Seen(
        broken=Break.UNEXPECTED,
        code=found.code or None,
        message=words,
        request_id=found.request_id,
        completes=completes,
        deletes=deletes,
    )


#: Both are a bounded step at each place of a text: it comes from a stranger, who must not decide how long it takes.
_OPENED = {name: re.compile(rf"<(?:\w{{1,20}}:)?{name}\s{{0,20}}>") for name in ("Code", "Message", "RequestId")}
_CLOSED = {name: re.compile(rf"</(?:\w{{1,20}}:)?{name}\s{{0,20}}>") for name in _OPENED}

_CDATA, _CDATA_END = "<![CDATA[", "]]>"


def _element(name: str, body: str) -> str | None:
    # Two words of it are wanted, and no XML parser with its entities is.
    opened = _OPENED[name].search(body)
    if opened is None:
        return None
    rest = body[opened.end() :].lstrip()
    text, _, after = rest.removeprefix(_CDATA).partition(_CDATA_END if rest.startswith(_CDATA) else "<")
    closed = after.lstrip() if rest.startswith(_CDATA) else f"<{after}"
    return said(text) if _CLOSED[name].match(closed) else None
