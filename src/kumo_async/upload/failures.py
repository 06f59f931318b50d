"""Why an object could not be stored, in words that say what would help: plain functions on values."""

from __future__ import annotations

from datetime import UTC, datetime

from ..errors import UploadError
from ..options import MAX_PARTITION_SIZE_MB, MIB, MIN_PARTITION_SIZE_MB
from ..report import format_bytes
from ..service.answers import AnswerError, Seen, Verdict

__all__ = ["GONE", "expiry_advice", "given_up", "most_starts", "refused"]

#: The object must be started anew; its parts that are stored are lost with it.
GONE = frozenset({Verdict.EXPIRED, Verdict.SKEWED, Verdict.RESTART})

_AS_BEFORE = "The table is as it was before."


def most_starts(verdict: Verdict) -> int:
    """Return how often an object is started at the most, the first time included, when it ends with `verdict`.

    New URLs are signed by the same clock, so a clock that is wrong is seen at the second start.
    """
    return 2 if verdict is Verdict.SKEWED else 3


def given_up(error: AnswerError, *, table: str, partition: str, starts: int, advice: str) -> UploadError:
    """Return the error for an object that was started as often as is sensible; `advice` is against expiry."""
    match error.verdict:
        case Verdict.SKEWED:
            why = f"the clocks differ too much for its part URLs ({error}). {_clocks(error.seen)}"
        case Verdict.EXPIRED:
            why = f"its part URLs had run out before all parts were stored ({error}). {advice}"
        case _:
            why = (
                f"its upload was gone each time before all parts were stored ({error}). Something ends or replaces it: "
                f"another upload of this table, or the bucket's lifecycle rule."
            )
    return UploadError(
        f"Partition {partition} was started {starts} times, and {why} {_AS_BEFORE}",
        table=table,
        partition=partition,
        status=error.seen.status,
        code=error.seen.code,
        attempts=starts,
    )


def expiry_advice(size: int, rate: float | None, life: float | None) -> str:
    """Return what would let an object be stored before its part URLs run out.

    Args:
        size: Its size in bytes.
        rate: Bytes a second that it was sent with; None if that was not measured.
        life: Seconds that its URLs live; None if that is not known.

    Example:
        >>> expiry_advice(1000 * MIB, 200 * 1024.0, 3600.0)  # doctest: +NORMALIZE_WHITESPACE
        'Its 1000.0 MiB need a line of at least 284.4 KiB/s to be sent in the 3600 s that its URLs live; it was sent
        with 200.0 KiB/s, for which partitions of 351.6 MiB would do (partition_size_mb=351).'
        >>> expiry_advice(1000 * MIB, None, None)
        'Use smaller partitions (partition_size_mb), or a faster line.'
    """
    if life is None or life <= 0:
        return "Use smaller partitions (partition_size_mb), or a faster line."
    need = (
        f"Its {format_bytes(size)} need a line of at least {format_bytes(size / life)}/s to be sent in the {life:.0f} s"
    )
    if not rate or rate * life >= size:
        return f"{need} that its URLs live. Use smaller partitions (partition_size_mb), or a faster line."
    # A little less than would just do, since no line is the same all the time.
    fits = max(1, int(rate * life / 2))
    whole = fits // MIB
    known = MIN_PARTITION_SIZE_MB <= whole <= MAX_PARTITION_SIZE_MB
    how = f"partition_size_mb={whole}" if known else f"UploadOptions(partition_threshold=0, partition_size={fits})"
    return (
        f"{need} that its URLs live; it was sent with {format_bytes(rate)}/s, for which partitions of "
        f"{format_bytes(fits)} would do ({how})."
    )


def refused(error: AnswerError, *, table: str, partition: str, part: int, parts: int, first: bool) -> UploadError:
    """Return the error for a part that the storage did not take.

    Args:
        error: What became of the last attempt.
        table: The table's name.
        partition: The partition's name.
        part: The part's number.
        parts: The number of parts.
        first: Whether no part of the whole upload has been taken yet.
    """
    seen = error.seen
    hint = ""
    if seen.status == 403 and first:
        hint = " No part of this upload was taken at all: a proxy or the bucket's policy may be the reason."
    if seen.request_id:
        hint += f" The storage's request id is {seen.request_id}."
    return UploadError(
        f"Part {part} of {parts} of partition {partition} could not be stored in {error.tries}: {error}.{hint} "
        f"{_AS_BEFORE}",
        table=table,
        partition=partition,
        part=part,
        status=seen.status,
        code=seen.code,
        attempts=error.attempts,
    )


def _clocks(seen: Seen) -> str:
    ours = f"this machine's says {_utc(seen.clock)}" if seen.clock is not None else "this machine's was not read"
    if seen.date is None:
        return f"The storage did not tell its time; {ours}. Set the clocks right."
    return f"The storage's clock says {_utc(seen.date)}, {ours}. Set the wrong one right."


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
