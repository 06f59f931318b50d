"""How many may be under way at once when the storage asks for patience: halved at once, regained slowly."""

from __future__ import annotations

import math

__all__ = ["Pace"]


class Pace:
    """Additive increase, multiplicative decrease, as in TCP's congestion avoidance.

    https://datatracker.ietf.org/doc/html/rfc5681#section-3.1: a window that is halved at most once for all that was
    under way at the time, and grows by one for each window's worth of successes.

    Attributes:
        window: How many may be under way at once; infinite before the first throttling.
        era: The number of the last halving; whatever begins notes it.

    Example:
        >>> pace = Pace()
        >>> pace.throttled(era=0, held=8), pace.throttled(era=0, held=7), pace.window
        (True, False, 4.0)
        >>> for _ in range(4):
        ...     pace.succeeded()
        >>> pace.window > 4.9
        True
    """

    def __init__(self) -> None:
        self.window = math.inf
        self.era = 0

    def throttled(self, era: int, held: int) -> bool:
        """Halve the window; return whether it was.

        Args:
            era: The era in which the request that was throttled began. Many begin together and are throttled together,
                which is one piece of news.
            held: How many are under way.
        """
        if era != self.era:
            return False
        self.window = max(1.0, min(self.window, held) / 2)
        self.era += 1
        return True

    def succeeded(self) -> None:
        """Widen the window a little."""
        self.window += 1 / self.window
