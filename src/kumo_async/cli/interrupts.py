"""What Ctrl-C and SIGTERM do while a command waits: what is printed, and that the second one always ends the process.

SIGTERM is what Kubernetes, Airflow, `timeout` and systemd send to end a process; it is handled as Ctrl-C is.
"""

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
from .exit_codes import ExitCode
from .output import stderr_console

__all__ = ["Interruption", "UploadWatch", "code_of", "interruptible"]

_SIGNALS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

_STDERR = 2

_COMMITTING = (
    "Finishing the commit, which must not stop halfway. A second Ctrl-C leaves at once; `kumo-async recover`, or the "
    "same command, then finishes it."
)


class Interruption(KeyboardInterrupt):
    """A signal that asks the process to end.

    Attributes:
        number: The signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def code_of(interruption: KeyboardInterrupt) -> ExitCode:
    """Return the exit code by which shells know a command that a signal has ended: 128 + the signal's number.

    Example:
        >>> code_of(Interruption(15))
        <ExitCode.TERMINATED: 143>
    """
    number = interruption.number if isinstance(interruption, Interruption) else signal.SIGINT
    return ExitCode(128 + number)


@contextmanager
def interruptible(words: Callable[[], str | None]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM raise `Interruption` in the block, and the second one end the process at once.

    The library answers the first by cancelling, but waits for a commit that has begun. A process that leaves meanwhile
    is no worse off than one that is killed, for which the journals are made. A signal that is ignored, as in the
    background of a script, or that another handler waits for, is left alone.

    Args:
        words: Returns what to print at the first one, if anything.
    """
    pressed = False

    def press(number: int, _: Any) -> None:
        nonlocal pressed
        if pressed:
            _leave(128 + number)
        pressed = True
        _say(words())
        raise Interruption(number)

    ours = {number: default for number, default in _SIGNALS.items() if signal.getsignal(number) is default}
    for number in ours:
        signal.signal(number, press)
    try:
        yield
    finally:
        for number, default in ours.items():
            signal.signal(number, default)


def _leave(code: int) -> NoReturn:
    # An exit would wait for the event loop's thread. Nothing of ours is buffered: what is printed is flushed at once.
    with suppress(OSError):
        # The live view had hidden it. What it puts in place of sys.stderr says of itself that it is no terminal in
        # older versions of rich, among them the oldest that we allow.
        if os.isatty(_STDERR):
            stderr_console().show_cursor()
    os._exit(code)


def _say(words: str | None) -> None:
    # A stream that cannot be written must not get between the signal and the interruption.
    with suppress(OSError):
        if words is not None:
            typer.echo(words, err=True)


class UploadWatch:
    """An observer that can tell, when a signal ends the command, what became of the upload.

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
        """Run the upload in this block; Ctrl-C and SIGTERM end it with a line on stderr and exit code 130 or 143.

        Raises:
            KumoError: If the upload was interrupted in its commit, which then failed; says what is there now.
        """
        with interruptible(self._at_once):
            try:
                yield
            except KeyboardInterrupt as interruption:
                if self._failure is not None:
                    raise self._failure from None
                _say(self._in_the_end())
                raise typer.Exit(code_of(interruption)) from None

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
