"""What Ctrl-C does while a command waits for the library: what is said, and that the second one always ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer

from ..errors import KumoError
from ..events import (
    CommitStarted,
    Event,
    Observer,
    PartitionResumed,
    PartitionStored,
    RetryScheduled,
    UploadFailed,
)
from .output import stderr_console

__all__ = ["INTERRUPTED", "UploadWatch", "interruptible"]

#: The exit code by which shells know a command that Ctrl-C has ended: 128 + SIGINT.
INTERRUPTED = 130

_STDERR = 2

_COMMITTING = (
    "Finishing the commit, which must not stop halfway. A second Ctrl-C leaves at once; `kumo-async recover`, or the "
    "same command, then finishes it."
)


@contextmanager
def interruptible(words: Callable[[], str | None]) -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt in the block, and the second one end the process at once.

    The library answers the first by cancelling, but waits for a commit that has begun. A process that leaves meanwhile
    is no worse off than one that is killed, for which the journals are made.

    Args:
        words: Returns what to say at the first one, if anything.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        # Ignored, as in the background of a script, or in the hands of whoever runs us.
        yield
        return
    pressed = False

    def press(*_: Any) -> None:
        nonlocal pressed
        if pressed:
            _leave()
        pressed = True
        _say(words())
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave() -> NoReturn:
    # An exit would wait for the event loop's thread. Nothing of ours is buffered: what is printed is flushed at once.
    with suppress(OSError):
        # The live view had hidden it. What it puts in place of sys.stderr says of itself that it is no terminal in
        # older versions of rich, among them the oldest that we allow.
        if os.isatty(_STDERR):
            stderr_console().show_cursor()
    os._exit(INTERRUPTED)


def _say(words: str | None) -> None:
    # A stream that cannot be written must not get between the signal and the interruption.
    with suppress(OSError):
        if words is not None:
            typer.echo(words, err=True)


class UploadWatch:
    """An observer that can tell, when Ctrl-C comes, what became of the upload.

    Args:
        table: The table's name.
        file_type: Its file type.
        shown: The observer that events are passed on to.
        resumes: Whether the same command would resume the upload.
    """

    def __init__(self, table: str, file_type: str, shown: Observer | None, *, resumes: bool) -> None:
        self._table, self._file_type = table, file_type
        self._shown, self._resumes = shown, resumes
        self._stored = 0
        self._committing = self._interrupted = False
        self._failure: KumoError | None = None

    def on_event(self, event: Event) -> None:
        """Take note of one event, and pass it on."""
        match event:
            case PartitionStored() | PartitionResumed():
                self._stored += 1
            case CommitStarted():
                self._committing = True
                if self._interrupted:
                    _say(_COMMITTING)
            case RetryScheduled(call="commit"):
                self._committing = False
            case UploadFailed(error=error):
                # What a commit fails with while it is cancelled is the cause of the cancellation.
                failure = error if isinstance(error, Exception) else error.__cause__
                self._failure = failure if isinstance(failure, KumoError) else None
        if self._shown is not None:
            self._shown.on_event(event)

    @contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Run the upload in this block; Ctrl-C ends it with a line on stderr and exit code 130.

        Raises:
            KumoError: If the upload was interrupted in its commit, which then failed; says what is there now.
        """
        with interruptible(self._at_once):
            try:
                yield
            except KeyboardInterrupt:
                if self._failure is not None:
                    raise self._failure from None
                _say(self._in_the_end())
                raise typer.Exit(INTERRUPTED) from None

    def _at_once(self) -> str | None:
        self._interrupted = True
        return _COMMITTING if self._committing else None

    def _in_the_end(self) -> str:
        if self._committing:
            return f"Interrupted. The commit had begun and was finished: table {self._table!r} is there."
        return f"Interrupted. This upload has changed nothing in Kumo; {self._what_next()}"

    def _what_next(self) -> str:
        if not self._is_kept():
            return "the same command starts it again."
        command = "the same command" if self._resumes else "the same command without --no-resume"
        return f"{command} goes on where it stopped (partitions stored: {self._stored})."

    def _is_kept(self) -> bool:
        """Return whether the journal really has what was stored; a full disk, say, could have kept it from it."""
        from ..recovery import unfinished_uploads

        ours = (self._table, self._file_type, "sending")
        kept = [e.partitions for e in unfinished_uploads() if (e.table, e.file_type, e.state) == ours]
        return 0 < self._stored <= max(kept, default=0)
