"""A live view of uploads, made from their events."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from ..events import (
    BytesSent,
    CommitStarted,
    Event,
    Observer,
    PartitionResumed,
    PartitionStored,
    RetryScheduled,
    UploadCommitted,
    UploadFailed,
    UploadStarted,
)
from ..report import format_bytes
from .output import stderr_console

__all__ = ["UploadProgress", "live_progress"]


@contextmanager
def live_progress(*, wanted: bool) -> Iterator[Observer | None]:
    """Show uploads on stderr while the block runs, if that is wanted and somebody is there to see it."""
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    with _new_progress() as progress:
        yield UploadProgress(progress)


def _new_progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=24)),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        DownloadColumn(binary_units=True, table_column=Column(no_wrap=True)),
        _RateColumn(table_column=Column(no_wrap=True, justify="right", min_width=11)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[state]}", markup=False, style="dim", table_column=Column(no_wrap=True)),
        console=stderr_console(),
        expand=True,
        transient=True,
    )


class _RateColumn(ProgressColumn):
    """Bytes per second over the last seconds, in the units of the reports."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed or speed < 0 else f"{format_bytes(speed)}/s", style="progress.data.speed")


@dataclass
class _Shown:
    """What is known of one upload."""

    task: TaskID
    stored: int = 0
    retries: int = 0

    @property
    def state(self) -> str:
        stored = f"{_count(self.stored, 'partition')} stored" if self.stored else ""
        retries = _count(self.retries, "retry", "retries") if self.retries else ""
        return ", ".join(filter(None, (stored, retries)))


class UploadProgress:
    """An observer that keeps one line for each table.

    Args:
        progress: Where the lines are shown.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown: dict[str, _Shown] = {}

    def on_event(self, event: Event) -> None:
        """Show what happened."""
        if isinstance(event, UploadStarted):
            task = self._progress.add_task(event.table, total=event.plan.size, state="")
            self._shown[event.table] = _Shown(task)
        elif (shown := self._shown.get(event.table)) is not None:
            self._update(shown, event)

    def _update(self, shown: _Shown, event: Event) -> None:
        match event:
            case BytesSent(count=count):
                self._progress.update(shown.task, advance=count)
            case PartitionResumed(size=size):
                shown.stored += 1
                self._progress.update(shown.task, advance=size, state=shown.state)
            case PartitionStored():
                shown.stored += 1
                self._progress.update(shown.task, state=shown.state)
            case RetryScheduled():
                shown.retries += 1
                self._progress.update(shown.task, state=shown.state)
            case CommitStarted():
                self._fill(shown, "committing")
            case UploadCommitted():
                self._progress.update(shown.task, state=shown.state)
            case UploadFailed():
                self._progress.update(shown.task, state="failed")

    def _fill(self, shown: _Shown, state: str) -> None:
        # Headers, footers and new encodings make what is sent differ a little from the size of the source.
        sent = next(task.completed for task in self._progress.tasks if task.id == shown.task)
        self._progress.update(shown.task, total=sent, state=state)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
