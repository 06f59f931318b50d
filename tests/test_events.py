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


def test_each_log_record_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    plan = kumo_async.UploadPlan(
        table="t",
        file_type="csv",
        path="t.csv",
        size=1,
        columns=("a",),
        partition_size=None,
        rows=None,
        renamed_columns={"a b": "a_b"},
        warnings=("first\nsecond",),
    )
    part = kumo_async.PartitionReport(name="t", size=1, rows=1)
    report = kumo_async.UploadReport(table="t", file_type="csv", partitions=(part,), seconds=1.0, warnings=("w",))
    with caplog.at_level(logging.DEBUG, "kumo_async"):
        notify = notifier(None)
        notify(kumo_async.UploadStarted(table="t", plan=plan))
        notify(kumo_async.UploadCommitted(table="t", report=report))
        notify(kumo_async.UploadFailed(table="t", error=kumo_async.SourceError("One.\nTwo.")))
    assert len(caplog.messages) == 4
    assert not any("\n" in message for message in caplog.messages)
    assert "renamed column 'a b' to 'a_b'" in caplog.messages[0]
