"""Making a request again where that helps: backoff with jitter around one request."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .answers import AnswerError, is_repeated

__all__ = ["OnRetry", "retrying", "wait_before"]

T = TypeVar("T")

#: Called with the number of the attempt that failed, from 1, and the failure, when it will be tried again.
OnRetry = Callable[[int, AnswerError], None]

#: Seconds; https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/ says why they grow and
#: jitter.
_RETRY_WAIT = 0.2
_THROTTLE_WAIT = 2.0
_LONGEST_WAIT = 20.0


def wait_before(attempt: int, error: AnswerError) -> float:
    """Return the seconds to wait before an attempt (2 or more): what the server asks for, else full jitter.

    Example:
        >>> from kumo_async.service.answers import Seen
        >>> 0 <= wait_before(2, AnswerError(Seen(status=500))) <= 0.2
        True
    """
    if error.retry_after is not None:
        return min(error.retry_after, _LONGEST_WAIT)
    first = _THROTTLE_WAIT if error.throttled else _RETRY_WAIT
    return random.uniform(0, min(first * 2 ** (attempt - 2), _LONGEST_WAIT))  # noqa: S311


async def retrying(request: Callable[[], Awaitable[T]], attempts: int, on_retry: OnRetry) -> T:
    """Return what `request` returns, making it again after failures that pass.

    Args:
        request: Makes one attempt, from the beginning.
        attempts: How often it is made at the most.
        on_retry: Told of each failure that is followed by another attempt.

    Raises:
        AnswerError: The last failure; its `attempts` says how many were made.
    """
    import stamina

    made = 0

    def backoff(error: Exception) -> bool | float:
        if not isinstance(error, AnswerError) or not is_repeated(error.seen):
            return False
        if made < attempts:
            on_retry(made, error)
        return wait_before(made + 1, error)

    async for attempt in stamina.retry_context(on=backoff, attempts=attempts, timeout=None):
        with attempt:
            made = attempt.num
            try:
                return await request()
            except AnswerError as error:
                error.attempts = made
                raise
    raise AssertionError("stamina returns or raises")
