"""Exit codes of the program: what a script can tell from them."""

from __future__ import annotations

from enum import IntEnum

from ..errors import (
    AuthenticationError,
    ConfigurationError,
    ServiceError,
    SourceChangedError,
    SourceError,
    UploadError,
)

__all__ = ["ExitCode", "exit_code"]


class ExitCode(IntEnum):
    """How the program ended. A shell reports 130 and 143 for what a signal has ended: 128 + the signal's number."""

    FAILED = 1  # anything else, such as a table that is not there
    USAGE = 2  # an argument, an option or the environment cannot be used as given
    SOURCE = 3  # the file cannot be uploaded as it is, or has changed meanwhile
    AUTHENTICATION = 4  # the service does not accept the key
    SERVICE = 5  # the service refused, or could not be reached
    UNFINISHED = 6  # an upload, a commit or a recovery ended in part; the message says what is there
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


#: The first that fits counts.
_CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ConfigurationError, ExitCode.USAGE),
    (SourceError, ExitCode.SOURCE),
    (SourceChangedError, ExitCode.SOURCE),
    (UploadError, ExitCode.UNFINISHED),
    (AuthenticationError, ExitCode.AUTHENTICATION),
    (ServiceError, ExitCode.SERVICE),
)


def exit_code(error: Exception) -> ExitCode:
    """Return the exit code for an error.

    Example:
        >>> exit_code(SourceError("a.csv is empty."))
        <ExitCode.SOURCE: 3>
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)
