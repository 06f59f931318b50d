"""Making a request again where that helps: backoff with jitter around one request, within one budget for all."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from .answers import AnswerError, Verdict, is_repeated

__all__ = ["OnRetry", "RetryBudget", "retrying", "wait_before"]

T = TypeVar("T")


#: Tells of the first failure that is followed by another attempt, and then once in a while: a service that is down
#: would otherwise be a long silence. The command line shows these records.
logger = logging.getLogger("kumo_async.retries")

#: Seconds between two such records of one client.
_NOTICE_SECONDS = 60.0

#: Called with the number of the attempt that failed, from 1, and the failure, when it will be tried again.
OnRetry = Callable[[int, AnswerError], None]

#: Seconds; https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/ says why they grow and
#: jitter.
_RETRY_WAIT = 0.2
_THROTTLE_WAIT = 2.0
_LONGEST_WAIT = 20.0

#: The most that a server's own wish is followed, in seconds.
_LONGEST_ASKED = 300.0


def wait_before(attempt: int, error: AnswerError) -> float:
    """Return the seconds to wait before an attempt (2 or more): what the server asks for, else full jitter.

    Example:
        >>> from kumo_async.service.answers import Seen
        >>> 0 <= wait_before(2, AnswerError(Seen(status=500))) <= 0.2
        True
    """
    if error.retry_after is not None:
        # A little later than asked for, since all who were asked would come back at one moment.
        return min(error.retry_after, _LONGEST_ASKED) * random.uniform(1, 1.1)  # noqa: S311
    first = _THROTTLE_WAIT if error.throttled else _RETRY_WAIT
    return random.uniform(0, min(first * 2 ** min(attempt - 2, 10), _LONGEST_WAIT))  # noqa: S311


class RetryBudget:
    """What keeps a client from storming a store that is broken: one budget of retries for all its requests.

    A retry takes tokens out of a bucket, and what succeeds puts some back: a request that did after a retry what the
    retry took, any other one token. When the bucket is empty, failures count at once. The numbers are those of the
    retry quota in AWS's SDKs (standard mode): https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
    and https://github.com/boto/botocore/blob/develop/botocore/retries/quota.py. So a hundred requests are made again
    while none succeeds.

    Nor is anything tried again when nothing has got any further for `patience` seconds.

    Example:
        >>> budget = RetryBudget(tokens=5)
        >>> budget.refusal(since=0.0) is None, budget.refusal(since=0.0)
        (True, 'too many requests of this client have failed of late')
    """

    def __init__(self, tokens: int = 500, patience: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._most = self._tokens = tokens
        self._patience = patience
        self._moved = clock()
        self._noticed = -math.inf

    def refusal(self, since: float) -> str | None:
        """Take the tokens for one retry; return None, or why there must be none.

        Args:
            since: When the request was first made.
        """
        if self.clock() - max(self._moved, since) > self._patience:
            return f"nothing has got any further for {self._patience:.0f} s"
        if self._tokens < _COST:
            return "too many requests of this client have failed of late"
        self._tokens -= _COST
        return None

    def notice(self, attempts: int, error: AnswerError) -> None:
        """Log a failure that is followed by another attempt, unless one was logged a moment ago."""
        if (now := self.clock()) - self._noticed >= _NOTICE_SECONDS:
            self._noticed = now
            logger.warning("A request failed and is made again, up to %d times: %s", attempts - 1, error)

    def moved(self) -> None:
        """Note that something got further than before."""
        self._moved = self.clock()

    def succeeded(self, attempts: int) -> None:
        """Note that a request succeeded in so many attempts."""
        self.moved()
        self._tokens = min(self._most, self._tokens + (_COST if attempts > 1 else 1))


_COST = 5


async def retrying(request: Callable[[], Awaitable[T]], attempts: int, on_retry: OnRetry, budget: RetryBudget) -> T:
    """Return what `request` returns, making it again after failures that pass.

    Args:
        request: Makes one attempt, from the beginning.
        attempts: How often it is made at the most.
        on_retry: Told of each failure that is followed by another attempt.
        budget: The client's; it may end this earlier.

    Raises:
        AnswerError: The last failure; its `attempts` says how many were made, and `stopped` why there are no more.
    """
    from tenacity import AsyncRetrying, retry_if_exception

    made, since, doubtful, wait = 0, budget.clock(), False, 0.0

    def again(error: BaseException) -> bool:
        nonlocal wait
        if not isinstance(error, AnswerError) or not is_repeated(error.seen) or made >= attempts:
            return False
        error.stopped = budget.refusal(since)
        if error.stopped is not None:
            return False
        on_retry(made, error)
        budget.notice(attempts, error)
        wait = wait_before(made + 1, error)
        return True

    async for attempt in AsyncRetrying(
        retry=retry_if_exception(again), wait=lambda _: wait, sleep=anyio.sleep, reraise=True
    ):
        with attempt:
            made += 1
            try:
                result = await request()
            except AnswerError as error:
                error.attempts, error.doubtful = made, doubtful
                doubtful |= error.verdict is Verdict.UNKNOWN
                raise
            budget.succeeded(made)
            return result
    raise AssertionError("AsyncRetrying returns or raises")
