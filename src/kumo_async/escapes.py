"""Text from outside in one line of printable characters: service's words, paths, names.

A line break in them could forge a record of the log, and an escape sequence could change what a terminal shows.
"""

from __future__ import annotations

import logging

__all__ = ["escaped"]


def escaped(text: str, keep: str = "") -> str:
    r"""Return text in which all that is not printable is written as an escape, except the characters in `keep`.

    Example:
        >>> escaped("a\x1b[31mb\n")
        'a\\x1b[31mb\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def _in_one_line(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if not message.isprintable():
        record.msg, record.args = escaped(message), None
    return True


# Every module that logs imports the errors, and they import this one.
logging.getLogger("kumo_async").addFilter(_in_one_line)
