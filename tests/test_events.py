"""What the library's log says of events."""

from __future__ import annotations

import asyncio
import logging

import pytest

import kumo_async
from kumo_async.events import notifier


@pytest.mark.parametrize(
    ("error", "said"),
    [(asyncio.CancelledError(), "CancelledError"), (kumo_async.UploadError("It is full."), "It is full.")],
)
def test_it_says_why_an_upload_failed(error: BaseException, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kumo_async"):
        notifier(None)(kumo_async.UploadFailed(table="t", error=error))
    assert caplog.messages == [f"Table 't': upload failed: {said}"]
