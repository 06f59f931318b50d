"""What the embedded data plane was asked, as frozen records in the order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

__all__ = ["Call", "CallLog", "CallName", "Entry"]

CallName = Literal[
    "config",
    "connectors",
    "start",
    "put_part",
    "complete",
    "delete",
    "list",
    "validate",
    "table_config",
    "table_data",
]
"""What a call is named in `Call.call` and `Fault.call`; the guide says which request each is."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached the plane.

    Attributes:
        sequence: The number of the call in order of arrival, from 1.
        call: Which call it was.
        connector: The connector that it was about, such as ``"csv_upload_connector"``.
        name: The object or table that it was about.
        part: The number of the part, from 1.
        status: The HTTP status of the answer; None while there is none, and for good if the connection broke first.
        finished: The number of the call in order of completion, from 1; None while it is running.
    """

    sequence: int
    call: CallName
    connector: str | None = None
    name: str | None = None
    part: int | None = None
    status: int | None = None
    finished: int | None = None


class Entry:
    """The record of a call that is still running."""

    def __init__(self, log: CallLog, call: Call) -> None:
        self._log = log
        self._call = call

    @property
    def call(self) -> Call:
        """The record as it stands."""
        return self._call

    def about(self, connector: str | None, name: str | None = None, part: int | None = None) -> None:
        """Note what the call is about, once it is known."""
        self._set(replace(self._call, connector=connector, name=name, part=part))

    def answered(self, status: int | None) -> None:
        """Note the status of the answer."""
        self._set(replace(self._call, status=status))

    def finish(self, position: int) -> None:
        """Note that the call is over."""
        self._set(replace(self._call, finished=position))

    def _set(self, call: Call) -> None:
        self._call = call
        self._log.put(call)


class CallLog:
    """The last ``limit`` calls."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._arrivals = count(1)
        self._endings = count(1)
        # A dict keeps the order of arrival while its values are replaced, which a deque cannot do in constant time.
        self._calls: dict[int, Call] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls.values()))

    def put(self, call: Call) -> None:
        """Replace the record of a call, unless it has been dropped meanwhile."""
        if call.sequence in self._calls:
            self._calls[call.sequence] = call

    @contextmanager
    def arrive(self, call: CallName) -> Iterator[Entry]:
        """Record a call from its arrival to its end."""
        record = Call(next(self._arrivals), call)
        self._calls[record.sequence] = record
        if len(self._calls) > self._limit:
            del self._calls[next(iter(self._calls))]
        entry = Entry(self, record)
        try:
            yield entry
        finally:
            entry.finish(next(self._endings))
