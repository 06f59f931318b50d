from __future__ import annotations

from io import StringIO
from typing import Any

from rich.progress import Progress

import kumo_async
from kumo_async.cli.progress import UploadProgress, live_progress


def _plan(size: int) -> kumo_async.UploadPlan:
    return kumo_async.UploadPlan(
        table="t", file_type="csv", path="t.csv", size=size, columns=("a",), partition_size=None, rows=None
    )


def _task(progress: Progress) -> Any:
    (task,) = progress.tasks
    return task


def test_follows_the_events_of_an_upload() -> None:
    progress = Progress(disable=True)
    observer = UploadProgress(progress)
    part: dict[str, Any] = {"table": "t", "partition": "t", "part": 1}
    observer.on_event(kumo_async.UploadStarted(table="t", plan=_plan(100)))
    observer.on_event(kumo_async.BytesSent(count=80, **part))
    observer.on_event(kumo_async.BytesSent(count=-80, **part))
    observer.on_event(kumo_async.RetryScheduled(table="t", call="put_part", attempt=1, reason="503"))
    assert (_task(progress).completed, _task(progress).total) == (0, 100)
    assert _task(progress).fields["state"] == "1 retry"
    observer.on_event(kumo_async.BytesSent(count=103, **part))
    observer.on_event(kumo_async.PartitionStored(table="t", partition="t", size=103, rows=1))
    assert _task(progress).fields["state"] == "1 partition stored, 1 retry"
    observer.on_event(kumo_async.CommitStarted(table="t", partitions=1))
    assert (_task(progress).percentage, _task(progress).fields["state"]) == (100, "committing")
    observer.on_event(kumo_async.UploadFailed(table="t", error=ValueError()))
    assert _task(progress).fields["state"] == "failed"


def test_what_is_resumed_counts_as_sent() -> None:
    progress = Progress(disable=True)
    observer = UploadProgress(progress)
    observer.on_event(kumo_async.UploadStarted(table="t", plan=_plan(100)))
    observer.on_event(kumo_async.PartitionResumed(table="t", partition="t", size=60, rows=1))
    assert (_task(progress).completed, _task(progress).fields["state"]) == (60, "1 partition stored")


def test_a_failure_before_the_start_is_no_news() -> None:
    progress = Progress(disable=True)
    UploadProgress(progress).on_event(kumo_async.UploadFailed(table="t", error=ValueError()))
    assert progress.tasks == []


def test_no_terminal_no_progress(monkeypatch: Any) -> None:
    monkeypatch.setattr("sys.stderr", StringIO())
    with live_progress(wanted=True) as observer:
        assert observer is None
