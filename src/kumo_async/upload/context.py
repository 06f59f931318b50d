"""What everything that works for one upload has in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from ..events import ConcurrencyReduced, Notify, RetryScheduled
from ..options import UploadOptions
from ..service.answers import AnswerError
from ..service.retry import OnRetry
from ..service.session import Session
from .limits import Limits

__all__ = ["Context", "Tally"]


@dataclass
class Tally:
    """What was done so far, over all partitions of an upload.

    Attributes:
        parts: The parts that were stored.
        orders: Numbers the objects in the order in which they are begun.
        committing: Whether what was sent last is being committed, or was: then the commit says what is visible.
        warnings: What the user should know of the commit.
    """

    parts: int = 0
    orders: Iterator[int] = field(default_factory=count)
    committing: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """One upload: what it is about, and what it works with.

    Attributes:
        user: Who it is among those who share the limits.
    """

    session: Session
    limits: Limits
    options: UploadOptions
    notify: Notify
    table: str
    connector: str
    user: object = None
    tally: Tally = field(default_factory=Tally)

    def retries(self, call: str, name: str, part: int | None = None) -> OnRetry:
        """Return a function that turns a retry into an event, for a call that begins now."""
        era = self.limits.parts.pace.era

        def on_retry(attempt: int, error: AnswerError) -> None:
            self.slow_down(error, era)
            reason = str(error)
            self.notify(
                RetryScheduled(table=self.table, call=call, attempt=attempt, reason=reason, partition=name, part=part)
            )

        return on_retry

    def slow_down(self, error: AnswerError, era: int) -> None:
        """Let the client send less at once if the service or its storage asks for it; `era` is that of the request."""
        limit = self.limits.parts
        if error.throttled and limit.pace.throttled(era, limit.held):
            self.notify(ConcurrencyReduced(table=self.table, parts=int(limit.pace.window)))
