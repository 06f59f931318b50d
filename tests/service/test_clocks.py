"""Times in answers and URLs."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.service.clocks import UrlLife, http_date, url_life, wait_asked

NOW = 1_767_323_045.0
DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("query", "life"),
    [
        ("X-Amz-Date=20260102T030405Z&X-Amz-Expires=3600&X-Amz-Signature=s", UrlLife(NOW + 3600, 3600.0)),
        ("X-Amz-Expires=1&a=b&X-Amz-Date=20260102T030405Z", UrlLife(NOW + 1, 1.0)),
        ("AWSAccessKeyId=k&Expires=1767323045&Signature=s", UrlLife(NOW, None)),
        ("", None),
        ("X-Amz-Expires=3600", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20260102T030405Z&X-Amz-Expires=-5", None),
        ("X-Amz-Date=20260102T030405Z&X-Amz-Expires=99999999", None),
        ("Expires=never", None),
        ("Expires=" + "9" * 400, None),
    ],
)
def test_a_url_says_how_long_it_lives(query: str, life: UrlLife | None) -> None:
    assert url_life(f"https://bucket.example/key?{query}") == life


@pytest.mark.parametrize("url", ["", "http://[", "https://x/?X-Amz-Expires", "\0"])
def test_a_url_that_is_none_has_no_life(url: str) -> None:
    assert url_life(url) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        (DATE, 5.0),
        ("Fri, 02 Jan 2026 03:03:05 GMT", 0.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_wait_is_asked_for_as_a_number_or_a_date(text: str | None, seconds: float | None) -> None:
    assert wait_asked(text, NOW - 5) == seconds


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    http_date(text)
    url_life(f"https://b.example/k?{text}")
    asked = wait_asked(text, NOW)
    assert asked is None or asked >= 0


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)))
def test_dates_are_read_as_they_are_written(when: datetime) -> None:
    when = when.replace(tzinfo=UTC, microsecond=0)
    assert http_date(format_datetime(when, usegmt=True)) == when.timestamp()
