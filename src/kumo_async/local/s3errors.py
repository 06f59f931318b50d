"""How the embedded data plane refuses: S3's codes and words, as XML for part URLs and as JSON for control calls."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

__all__ = ["Refused", "json_refusal", "request_id", "xml_refusal"]

# S3's own status and words for each code. Clients decide by status and code, people by the words.
_S3: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationQueryParametersError": (400, "Error parsing the query parameters of the presigned URL."),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "ExpiredToken": (400, "The provided token has expired."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header"),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidDigest": (400, "The Content-MD5 you specified was invalid."),
    "InvalidPart": (
        400,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag.",
    ),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
    ),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "NoSuchUpload": (
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
    ),
    "RequestTimeout": (
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "ServiceUnavailable": (503, "Reduce your request rate."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
}
_CODES = {403: "AccessDenied", 404: "NoSuchUpload", 500: "InternalError", 503: "SlowDown"}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        # Gateways have some of their own, such as Cloudflare's 520.
        return f"Status {status}"


class Refused(Exception):  # noqa: N818 - not an error of the plane: it is the answer that a call gets
    """A call is answered with a refusal.

    Args:
        code: S3's code, such as ``"NoSuchUpload"``; None for a refusal that S3 has no code for.
        message: The words; S3's own for the code when left out.
        status: The HTTP status; S3's own for the code when left out.
        headers: Headers to add to the answer.
        details: Further elements of the XML body, such as ``Expires``.
    """

    def __init__(
        self,
        code: str | None = None,
        message: str | None = None,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        usual_status, usual_words = _S3.get(code or "", (400, ""))
        self.status = status or usual_status
        self.code = code
        self.message = message or usual_words or _phrase(self.status)
        self.headers = dict(headers or {})
        self.details = dict(details or {})
        super().__init__(self.message)


def request_id() -> str:
    """Make an id for one answer, of the form that S3 uses."""
    return uuid4().hex[:16].upper()


def xml_refusal(refused: Refused) -> web.Response:
    """Word a refusal as S3 does."""
    code = refused.code or _CODES.get(refused.status) or _phrase(refused.status).replace(" ", "")
    answer_id = request_id()
    facts = {"Code": code, "Message": refused.message, **refused.details, "RequestId": answer_id}
    elements = "".join(f"<{tag}>{escape(value)}</{tag}>" for tag, value in facts.items())
    return web.Response(
        status=refused.status,
        text=f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{elements}</Error>',
        content_type="application/xml",
        headers={"x-amz-request-id": answer_id, **refused.headers},
    )


def json_refusal(refused: Refused) -> web.Response:
    """Word a refusal as the REST calls do: one ``detail``, with S3's code in front when there is one."""
    words = f"{refused.code}: {refused.message}" if refused.code else refused.message
    return web.json_response({"detail": words}, status=refused.status, headers=refused.headers)
