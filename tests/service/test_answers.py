"""The table of answers in the documentation, row by row."""

from __future__ import annotations

import pytest

from kumo_async.service.answers import Seen, Verdict, classify, s3_error

RETRY, THROTTLE, RESTART, REFUSED, UNAUTHORIZED = (
    Verdict.RETRY,
    Verdict.THROTTLE,
    Verdict.RESTART,
    Verdict.REFUSED,
    Verdict.UNAUTHORIZED,
)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Seen(status=None, message="refused"), RETRY),
        (Seen(status=None, verified=False), REFUSED),
        *[(Seen(status=status), RETRY) for status in (408, 500, 502, 504)],
        *[(Seen(status=400, code=code), RETRY) for code in ("RequestTimeout", "BadDigest", "IncompleteBody")],
        *[(Seen(status=503, code=code), THROTTLE) for code in ("SlowDown", "ServiceUnavailable", None)],
        (Seen(status=429), THROTTLE),
        (Seen(status=403, code="AccessDenied", message="Request has expired"), RESTART),
        (Seen(status=400, code="ExpiredToken"), RESTART),
        (Seen(status=404, code="NoSuchUpload"), RESTART),
        (Seen(status=403, code="AccessDenied", message="Access Denied"), REFUSED),
        (Seen(status=404), REFUSED),
        (Seen(status=301), REFUSED),
        (Seen(status=307), REFUSED),
        (Seen(status=401), UNAUTHORIZED),
        (Seen(status=422), REFUSED),
        (Seen(status=400, code="EntityTooSmall"), REFUSED),
    ],
)
def test_each_answer_has_its_verdict(seen: Seen, verdict: Verdict) -> None:
    assert classify(seen) is verdict


def test_s3s_xml_is_read() -> None:
    body = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce.</Message></Error>'
    assert s3_error(503, body) == Seen(status=503, code="SlowDown", message="Please reduce.")


@pytest.mark.parametrize("body", ["", "not XML", "<Error>", "<Error><Code></Code></Error>", "\0" * 100])
def test_any_other_body_is_no_error(body: str) -> None:
    assert not s3_error(500, body).code
