"""What each answer means: the table of the documentation, row by row, and how an answer is read."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.service.answers import AnswerError, Break, Seen, Verdict, classify, is_repeated
from kumo_async.service.http import seen_of
from kumo_async.service.s3errors import s3_error

HOST = "storage.example"
_KEY = ConnectionKey(HOST, 443, True, True, None, None, None)
NOW = 1_767_323_045.0


def _expiring(code: str, *, date: float | None = NOW, clock: float = NOW, expires: float | None = NOW) -> Seen:
    return Seen(status=403, code=code, message="Denied.", date=date, clock=clock, expires=expires)


#: Frozen. One line for each thing that can be seen: the class that it has, whether the same request is made again, and
#: what it is about. Statuses, S3's codes, expiry by the URL's own words, completions.
ANSWERS: list[tuple[Verdict, bool, Seen]] = [
    (Verdict.RETRY, True, Seen(status=500)),
    (Verdict.RETRY, True, Seen(status=500, code="InternalError")),
    (Verdict.RETRY, True, Seen(status=502, own=False)),
    (Verdict.RETRY, True, Seen(status=504)),
    (Verdict.RETRY, True, Seen(status=408)),
    (Verdict.RETRY, True, Seen(status=425)),
    (Verdict.RETRY, True, Seen(status=507, own=False)),
    *((Verdict.RETRY, True, Seen(status=status, own=False)) for status in (*range(520, 528), 530)),
    (Verdict.RETRY, True, Seen(status=599, own=False)),
    (Verdict.RETRY, True, Seen(status=409, code="OperationAborted")),
    (Verdict.RETRY, True, Seen(status=409, code="ConditionalRequestConflict")),
    (Verdict.RETRY, True, Seen(status=400, code="XAmzContentSHA256Mismatch")),
    (Verdict.RETRY, True, Seen(status=400, code="XAmzContentChecksumMismatch")),
    (Verdict.RETRY, True, Seen(status=400, code="CrcMismatch")),
    (Verdict.RETRY, True, Seen(status=400, code="RequestTimeout")),
    (Verdict.RETRY, True, Seen(status=400, code="BadDigest")),
    (Verdict.RETRY, True, Seen(status=400, code="IncompleteBody")),
    (Verdict.THROTTLE, True, Seen(status=503)),
    (Verdict.THROTTLE, True, Seen(status=503, code="SlowDown")),
    (Verdict.THROTTLE, True, Seen(status=503, code="ServiceUnavailable")),
    (Verdict.THROTTLE, True, Seen(status=429)),
    (Verdict.THROTTLE, True, Seen(status=429, own=False)),
    (Verdict.THROTTLE, True, Seen(status=509, own=False)),
    (Verdict.THROTTLE, True, Seen(status=529, own=False)),
    (Verdict.THROTTLE, True, Seen(status=503, code="SlowDownWrite")),
    (Verdict.THROTTLE, True, Seen(status=503, code="XMinioServerNotInitialized")),
    (Verdict.THROTTLE, True, Seen(status=400, code="KMS.ThrottlingException")),
    (Verdict.THROTTLE, True, Seen(status=400, code="ThrottlingException")),
    (Verdict.THROTTLE, True, Seen(status=429, code="TooManyRequests")),
    (Verdict.EXPIRED, False, Seen(status=403, code="AccessDenied", message="Request has expired")),
    (Verdict.EXPIRED, False, Seen(status=400, code="ExpiredRequest")),
    (Verdict.EXPIRED, False, Seen(status=400, code="RequestExpired")),
    (Verdict.EXPIRED, False, Seen(status=400, code="TokenRefreshRequired")),
    (Verdict.EXPIRED, False, Seen(status=400, code="ExpiredToken", message="The provided token has expired.")),
    (Verdict.EXPIRED, False, _expiring("AccessDenied")),
    (Verdict.EXPIRED, False, _expiring("SignatureDoesNotMatch")),
    (Verdict.EXPIRED, False, _expiring("AccessDenied", date=NOW + 1, clock=NOW - 9000)),
    (Verdict.EXPIRED, False, _expiring("AccessDenied", date=None)),
    (Verdict.SKEWED, False, Seen(status=403, code="RequestTimeTooSkewed")),
    (Verdict.SKEWED, False, _expiring("RequestTimeTooSkewed")),
    (Verdict.REFUSED, False, Seen(status=403, code="AccessDenied", message="Access Denied")),
    (Verdict.REFUSED, False, Seen(status=403, code="SignatureDoesNotMatch")),
    (Verdict.REFUSED, False, Seen(status=403, own=False, message="blocked, your licence has expired")),
    (Verdict.REFUSED, False, _expiring("AccessDenied", expires=NOW + 1)),
    (Verdict.REFUSED, False, _expiring("AccessDenied", date=NOW - 1, clock=NOW + 9000)),
    (Verdict.REFUSED, False, _expiring("AccessDenied", expires=None)),
    (Verdict.RESTART, False, Seen(status=404, code="NoSuchUpload")),
    (Verdict.ABSENT, False, Seen(status=404)),
    (Verdict.REFUSED, False, Seen(status=404, own=False)),
    (Verdict.REFUSED, False, Seen(status=301, code="PermanentRedirect")),
    (Verdict.REFUSED, False, Seen(status=302)),
    (Verdict.REFUSED, False, Seen(status=307, code="TemporaryRedirect")),
    (Verdict.REFUSED, False, Seen(status=308)),
    (Verdict.UNAUTHORIZED, False, Seen(status=401)),
    (Verdict.REFUSED, False, Seen(status=400)),
    (Verdict.REFUSED, False, Seen(status=400, code="EntityTooSmall")),
    *(
        (Verdict.REFUSED, False, Seen(status=status, code=code))
        for status, code in (
            (400, "EntityTooLarge"),
            (400, "InvalidArgument"),
            (400, "InvalidDigest"),
            (400, "InvalidPart"),
            (400, "InvalidRequest"),
            (400, "InvalidToken"),
            (400, "KMS.DisabledException"),
            (400, "UserProjectMissing"),
            (403, "AccountProblem"),
            (403, "AllAccessDisabled"),
            (403, "InvalidAccessKeyId"),
            (403, "InvalidObjectState"),
            (403, "QuotaExceeded"),
            (405, "MethodNotAllowed"),
            (409, "InvalidBucketState"),
            (412, "PreconditionFailed"),
            (507, "XMinioStorageFull"),
        )
    ),
    (Verdict.ABSENT, False, Seen(status=404, code="NoSuchBucket")),
    (Verdict.REFUSED, False, Seen(status=407, own=False)),
    (Verdict.REFUSED, False, Seen(status=409)),
    (Verdict.REFUSED, False, Seen(status=421)),
    (Verdict.REFUSED, False, Seen(status=411, code="MissingContentLength")),
    (Verdict.REFUSED, False, Seen(status=413)),
    (Verdict.REFUSED, False, Seen(status=422)),
    (Verdict.REFUSED, False, Seen(status=501, code="NotImplemented")),
    (Verdict.REFUSED, False, Seen(status=501, own=False)),
    (Verdict.REFUSED, False, Seen(status=505)),
    (Verdict.REFUSED, False, Seen(status=511, own=False)),
    (Verdict.REFUSED, False, Seen(status=200, message="no ETag")),
    # Completions: whatever may have taken effect is asked for, whatever cannot have is as above.
    (Verdict.UNKNOWN, True, Seen(broken=Break.LOST, completes=True)),
    (Verdict.UNKNOWN, True, Seen(status=408, completes=True)),
    (Verdict.UNKNOWN, True, Seen(status=500, completes=True)),
    (Verdict.UNKNOWN, True, Seen(status=502, completes=True)),
    (Verdict.UNKNOWN, True, Seen(status=503, completes=True)),
    (Verdict.UNKNOWN, True, Seen(status=504, completes=True)),
    (Verdict.UNKNOWN, True, Seen(status=524, completes=True)),
    (Verdict.UNKNOWN, False, Seen(status=404, completes=True)),
    (Verdict.RETRY, True, Seen(status=425, completes=True)),
    (Verdict.REFUSED, False, Seen(status=409, completes=True)),
    (Verdict.RETRY, True, Seen(broken=Break.UNREACHED, completes=True)),
    (Verdict.REFUSED, False, Seen(broken=Break.UNTRUSTED, completes=True)),
    (Verdict.THROTTLE, True, Seen(status=429, completes=True)),
    (Verdict.UNAUTHORIZED, False, Seen(status=401, completes=True)),
    (Verdict.REFUSED, False, Seen(status=400, completes=True)),
    # Answers of success without what was promised: S3's errors in them are judged as ever, all else is asked for again.
    (Verdict.RETRY, True, Seen(broken=Break.UNEXPECTED)),
    (Verdict.RETRY, True, Seen(broken=Break.UNEXPECTED, deletes=True)),
    (Verdict.UNKNOWN, True, Seen(broken=Break.UNEXPECTED, completes=True)),
    (Verdict.UNKNOWN, True, Seen(broken=Break.UNEXPECTED, code="InternalError", completes=True)),
    (Verdict.RETRY, True, Seen(broken=Break.UNEXPECTED, code="InternalError")),
    (Verdict.THROTTLE, True, Seen(broken=Break.UNEXPECTED, code="SlowDown")),
    (Verdict.RESTART, False, Seen(broken=Break.UNEXPECTED, code="NoSuchUpload")),
    (Verdict.REFUSED, False, Seen(broken=Break.UNEXPECTED, code="AccessDenied")),
    # Deletions: what may take effect later is not made again before that was asked for.
    (Verdict.UNKNOWN, False, Seen(broken=Break.LOST, deletes=True)),
    *((Verdict.UNKNOWN, False, Seen(status=status, deletes=True)) for status in (408, 500, 502, 504, 520, 524)),
    (Verdict.RETRY, True, Seen(broken=Break.UNREACHED, deletes=True)),
    (Verdict.RETRY, True, Seen(status=425, deletes=True)),
    (Verdict.THROTTLE, True, Seen(status=503, deletes=True)),
    (Verdict.THROTTLE, True, Seen(status=429, deletes=True)),
    (Verdict.REFUSED, False, Seen(status=501, deletes=True)),
    (Verdict.ABSENT, False, Seen(status=404, deletes=True)),
    (Verdict.REFUSED, False, Seen(status=400, deletes=True)),
]


def _os(number: int) -> OSError:
    return OSError(number, "words of the system")


#: Frozen. What aiohttp, TLS and the system raise, and what that is.
BREAKS: list[tuple[Verdict, Break, BaseException]] = [
    (Verdict.RETRY, Break.UNREACHED, aiohttp.ClientConnectorError(_KEY, _os(errno.ECONNREFUSED))),
    (Verdict.RETRY, Break.UNREACHED, aiohttp.ClientConnectorDNSError(_KEY, _os(-2))),
    (Verdict.RETRY, Break.UNREACHED, aiohttp.ClientConnectorDNSError(_KEY, socket.gaierror(socket.EAI_AGAIN, "busy"))),
    (Verdict.RETRY, Break.NAMELESS, aiohttp.ClientConnectorDNSError(_KEY, socket.gaierror(socket.EAI_NONAME, "none"))),
    (Verdict.RETRY, Break.UNREACHED, aiohttp.ClientConnectorSSLError(_KEY, ssl.SSLError(1, "handshake"))),
    (Verdict.RETRY, Break.UNREACHED, aiohttp.ClientProxyConnectionError(_KEY, _os(errno.ECONNREFUSED))),
    (Verdict.RETRY, Break.UNREACHED, aiohttp.ConnectionTimeoutError("slow")),
    (Verdict.RETRY, Break.LOST, aiohttp.ClientOSError(errno.ECONNRESET, "reset")),
    (Verdict.RETRY, Break.LOST, aiohttp.ClientOSError(errno.EPIPE, "broken pipe")),
    (Verdict.RETRY, Break.LOST, aiohttp.ServerDisconnectedError()),
    (Verdict.RETRY, Break.LOST, aiohttp.ClientPayloadError("short answer")),
    (Verdict.RETRY, Break.LOST, aiohttp.SocketTimeoutError("no byte")),
    (Verdict.RETRY, Break.LOST, ConnectionResetError(errno.ECONNRESET, "reset")),
    (Verdict.RETRY, Break.LOST, BrokenPipeError(errno.EPIPE, "broken pipe")),
    (Verdict.RETRY, Break.LOST, ssl.SSLError(1, "[SSL: BAD_RECORD_MAC] record")),
    (Verdict.RETRY, Break.LOST, ssl.SSLEOFError(8, "eof")),
    (Verdict.RETRY, Break.LOST, TimeoutError()),
    (Verdict.REFUSED, Break.UNTRUSTED, ssl.SSLCertVerificationError(1, "self-signed")),
    (
        Verdict.REFUSED,
        Break.UNTRUSTED,
        aiohttp.ClientConnectorCertificateError(_KEY, ssl.CertificateError("other name")),
    ),
    (Verdict.REFUSED, Break.UNTRUSTED, aiohttp.ServerFingerprintMismatch(b"a", b"b", HOST, 443)),
    (Verdict.REFUSED, Break.UNUSABLE, aiohttp.InvalidURL("https://user:secret@x")),
    (Verdict.REFUSED, Break.UNUSABLE, UnicodeError("label too long")),
]


@pytest.mark.parametrize(("verdict", "repeated", "seen"), ANSWERS, ids=lambda value: str(value) if value else None)
def test_each_answer_has_its_class(verdict: Verdict, repeated: bool, seen: Seen) -> None:
    assert (classify(seen), is_repeated(seen)) == (verdict, repeated)


@pytest.mark.parametrize(("verdict", "broken", "error"), BREAKS, ids=lambda value: type(value).__name__)
def test_each_break_has_its_class(verdict: Verdict, broken: Break, error: BaseException) -> None:
    seen = seen_of(error, HOST)
    assert (seen.broken, seen.status, classify(seen)) == (broken, None, verdict)
    assert HOST in seen.message
    assert "secret" not in seen.message


def test_every_class_and_every_break_is_in_the_tables() -> None:
    assert {verdict for verdict, _, _ in ANSWERS} == set(Verdict)
    assert {broken for _, broken, _ in BREAKS} | {Break.DAMAGED, Break.UNEXPECTED} == set(Break)
    assert classify(Seen(broken=Break.DAMAGED)) is Verdict.RETRY


def test_a_proxy_that_refuses_to_connect_is_judged_by_its_status() -> None:
    info: Any = None
    for status, verdict in ((407, Verdict.REFUSED), (403, Verdict.REFUSED), (502, Verdict.RETRY)):
        seen = seen_of(aiohttp.ClientHttpProxyError(info, (), status=status, message="no"), HOST)
        assert (seen.status, seen.own, classify(seen)) == (status, False, verdict)


def test_s3s_xml_is_read() -> None:
    body = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Wait.</Message><RequestId>4F</RequestId></Error>'
    assert s3_error(503, body) == Seen(status=503, code="SlowDown", message="Wait.", request_id="4F")
    for form in ("<s3:Code>SlowDown</s3:Code>", "<Code >\n SlowDown </Code >", "<Code><![CDATA[SlowDown]]></Code>"):
        assert s3_error(503, f"<Error>{form}</Error>").code == "SlowDown"
    quoted = s3_error(403, "<Message>PUT /k?X-Amz-Signature=5d41&X-Amz-Credential=AK%2Fx failed</Message>")
    assert quoted.message == "PUT /k?X-Amz-Signature=…&X-Amz-Credential=… failed"


@pytest.mark.parametrize(
    "body", ["", "not XML", "<Error>", "<Error><Code></Code></Error>", "\0" * 100, "<html>403</html>"]
)
def test_any_other_body_is_not_the_storages_own(body: str) -> None:
    seen = s3_error(403, body)
    assert not seen.code
    assert not seen.own
    assert "proxy" in str(AnswerError(seen))


@given(st.integers(200, 599), st.text())
def test_no_body_is_too_strange_to_read(status: int, body: str) -> None:
    assert classify(s3_error(status, body)) in Verdict


def test_a_redirect_is_said_to_be_one() -> None:
    assert "never followed" in str(AnswerError(Seen(status=307, code="TemporaryRedirect")))
