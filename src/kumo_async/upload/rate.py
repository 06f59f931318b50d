"""How fast a client's line is, as it shows itself."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["RateMeter"]

#: Seconds of sending after which what was before counts half, and before which nothing is claimed.
_HALF_LIFE = 30.0
_LEAST = 2.0


class RateMeter:
    """Measures the bytes a second that all parts of a client have together, while any is on its way.

    Example:
        >>> now = 0.0
        >>> meter = RateMeter(lambda: now)
        >>> meter.begin()
        >>> meter.moved(1000)
        >>> now = 10.0
        >>> meter.end()
        >>> meter.rate
        100.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bytes = 0.0
        self._seconds = 0.0
        self._sending = 0
        self._since = 0.0

    @property
    def rate(self) -> float | None:
        """Bytes a second of late; None before there is enough to tell."""
        self._settle()
        return self._bytes / self._seconds if self._seconds >= _LEAST else None

    def begin(self) -> None:
        """Note that a part is on its way."""
        self._settle()
        self._sending += 1

    def end(self) -> None:
        """Note that a part is no longer on its way."""
        self._settle()
        self._sending -= 1

    def moved(self, count: int) -> None:
        """Note that so many bytes went out, or, below 0, have to go out again."""
        self._bytes = max(0.0, self._bytes + count)

    def _settle(self) -> None:
        now = self._clock()
        if self._sending and now > self._since:
            kept = 0.5 ** ((now - self._since) / _HALF_LIFE) if self._seconds >= _HALF_LIFE else 1.0
            self._bytes *= kept
            self._seconds = self._seconds * kept + now - self._since
        self._since = now
