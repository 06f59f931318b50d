"""Records as lines: a checksum, a blank, and a JSON array of the record's kind and its fields."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from .journal import Head, JournalError, JournalState, Record

__all__ = ["FORMAT", "decode", "encode"]

#: Changes with the meaning of the records; a journal of another format is not read.
FORMAT = 1

_KINDS: Mapping[str, type[Record]] = {kind.__name__.lower(): kind for kind in get_args(Record)}


def encode(record: Record) -> bytes:
    r"""Return a record as a line.

    Example:
        >>> from kumo_async.upload.journal import Completed
        >>> encode(Completed(name="users"))
        b'236655e1 ["completed",{"name":"users"}]\n'
    """
    text = json.dumps([type(record).__name__.lower(), asdict(record)], separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(data: bytes) -> tuple[JournalState, int]:
    """Read a journal.

    Returns:
        The state, and how many of the bytes count: a last line that was not written to its end does not.

    Raises:
        JournalError: If it is no journal, of another format, or damaged anywhere else.
    """
    lines = data.splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    records = [_record(line) for line in lines]
    head = records[0] if records else None
    if not isinstance(head, Head) or head.format != FORMAT or not re.fullmatch(r"[0-9a-f]{16}", head.id):
        raise JournalError("it does not begin as a journal of this version does")
    state = JournalState(head)
    for record in records[1:]:
        if record is None:
            raise JournalError("a line in it is damaged")
        state.apply(record)
    return state, sum(map(len, lines))


def _record(line: bytes) -> Record | None:
    """Return the record of a line, None for a line that is not whole."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    # It was written so, but perhaps by somebody else: what it means is checked as if it came from a stranger.
    try:
        kind, fields = json.loads(text)
        record: Record = _build(_KINDS[kind], fields)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise JournalError(f"a line in it has another form ({type(error).__name__})") from None
    return record


def _build(kind: Any, value: Any) -> Any:
    """Return a JSON value as what a type hint says, in the few forms that records have."""
    if is_dataclass(kind):
        hints: Mapping[str, Any] = _hints(kind)  # type: ignore[arg-type]
        if set(value) != set(hints):
            raise ValueError("other fields than known")
        return kind(**{name: _build(hint, value[name]) for name, hint in hints.items()})  # type: ignore[operator]
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError("not a list")
        return tuple(_build(get_args(kind)[0], each) for each in value)
    allowed = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    if type(value) not in allowed:
        raise TypeError("another type than known")
    return value


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)
