"""What can go wrong, as one tree.

    KumoError
    ├── ConfigurationError (ValueError)    credentials, endpoint, an option, an argument of a call
    ├── SourceError (ValueError)           the file cannot be uploaded as it is
    ├── SourceChangedError                 the file changed while it was being uploaded
    ├── TableNotFoundError (ValueError)    there is no table of that name behind the connector
    ├── UploadError                        a part or a commit failed; says what the table's state is now
    └── ServiceError                       the service refused a call, or answered what it may not
        ├── AuthenticationError            it does not accept the key, or there are no headers to show it
        └── ServiceUnavailableError        it could not be reached, or gave no good answer in all attempts

Each error carries its facts as attributes, None where a fact does not apply, and its message says what to do. None of
them ever holds a presigned URL, a key, or a value out of the user's data.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from traceback import StackSummary, TracebackException, format_list, walk_tb
from types import FrameType
from typing import NoReturn

from .escapes import escaped

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "KumoError",
    "RefusedColumn",
    "ServiceError",
    "ServiceUnavailableError",
    "SourceChangedError",
    "SourceError",
    "TableNotFoundError",
    "UploadError",
]


@dataclass(frozen=True, slots=True)
class RefusedColumn:
    """A column of a file that Kumo cannot take as it is.

    Attributes:
        name: Its name in the file; of a nested column that of the whole, which is what Kumo would see.
        type: Its Arrow type there.
        remedy: What can be done.

    Example:
        >>> import kumo_async
        >>> column = kumo_async.RefusedColumn("wait", "duration[s]", "cast it to a number")
        >>> kumo_async.SourceError("No.", columns=(column,)).columns[0].type
        'duration[s]'
    """

    name: str
    type: str
    remedy: str


class KumoError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        path: The local file that the error is about.
        table: The table as the user named it.
        partition: The partition's name in Kumo.
        part: The part's number within its partition, from 1.
        status: The HTTP status of the answer.
        code: The service's or S3's own code for the failure, such as ``"NoSuchUpload"``.
        attempts: How often the call was made before this was raised.
        columns: All columns of the file that are refused for their types, also where the message does not name all.

    Example:
        >>> import kumo_async
        >>> error = kumo_async.KumoError("No table.", table="users")
        >>> error.table, error.status
        ('users', None)
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        table: str | None = None,
        partition: str | None = None,
        part: int | None = None,
        status: int | None = None,
        code: str | None = None,
        attempts: int | None = None,
        columns: tuple[RefusedColumn, ...] | None = None,
    ) -> None:
        if path is not None and not path.isprintable():
            message = message.replace(path, escaped(path))
        # Only the package itself breaks lines; what it quotes came with none.
        super().__init__(escaped(message, keep="\n"))
        self.path = path
        self.table = table
        self.partition = partition
        self.part = part
        self.status = status
        self.code = code
        self.attempts = attempts
        self.columns = columns

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the user's own line, and the message.

        IPython calls this in place of its own traceback, which for a mistake in an argument would be a hundred lines of
        this package and of the event loop: https://ipython.readthedocs.io/en/stable/config/integrating.html
        """
        frames = list(takewhile(_is_foreign, walk_tb(self.__traceback__)))
        own = [frame for frame in StackSummary.extract(iter(frames)) if not _is_notebook(frame.filename)]
        words = TracebackException(type(self), self, None).format_exception_only()
        return "".join([*format_list(own[-1:]), *words]).splitlines()


_PACKAGE = str(Path(__file__).parent)


def _is_foreign(entry: tuple[FrameType, int]) -> bool:
    return not entry[0].f_code.co_filename.startswith(_PACKAGE)


def _is_notebook(filename: str) -> bool:
    return any(part in ("IPython", "ipykernel") for part in Path(filename).parts)


class ConfigurationError(KumoError, ValueError):
    """Credentials, the endpoint, an option or an argument of a call cannot be used as given."""


class SourceError(KumoError, ValueError):
    """The source cannot be uploaded as it is; the message says what, where and how to mend it.

    Most of it is found before anything is sent, and all of it before anything is visible: no table was made from it.
    """


class SourceChangedError(KumoError):
    """The source was changed, replaced or removed while it was being uploaded. No table was made from it."""


class TableNotFoundError(KumoError, ValueError):
    """The connector has no table of that name."""


class UploadError(KumoError):
    """The upload could not be finished; the message says what is visible in Kumo now."""


class ServiceError(KumoError):
    """The service refused a call, or answered something that it may not answer."""


class AuthenticationError(ServiceError):
    """The service does not accept the API key or the token, or the headers provider gave none."""


class ServiceUnavailableError(ServiceError):
    """The service could not be reached, or gave no usable answer within all attempts."""


@contextmanager
def no_groups() -> Iterator[None]:
    """Raise the first real error of an `ExceptionGroup` instead of the group: callers see one error.

    Task groups wrap what their tasks raise; a public method promises one error with its own cause. An error of this
    package goes before any other, since a foreign one that came with it usually follows from it. Nothing foreign is in
    its chain.
    """
    outside = sys.exception()
    try:
        yield
    except BaseExceptionGroup as group:
        error = _first(group)
    except BaseException as single:
        hide_foreign(single, outside)
        raise
    else:
        return
    _raise_alone(error, outside)


def _raise_alone(error: BaseException, outside: BaseException | None) -> NoReturn:
    """Raise an error out of its group, which would be its context, with all that other tasks have raised."""
    cause, context, suppressed = error.__cause__, error.__context__, error.__suppress_context__
    try:
        raise error  # noqa: TRY301 - it is raised to be changed after it has got its context
    except BaseException:
        error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppressed
        hide_foreign(error, outside)
        raise


class ForeignError(Exception):
    """Stands in a chain for an error of another library, whose words may quote what it was given."""


def hide_foreign(error: BaseException, outside: BaseException | None = None) -> None:
    """Replace every foreign error in the chain of an error of this package, or of a cancellation, by a stand-in.

    What parsers and other libraries raise holds what they were given: a JSON error the whole answer with its presigned
    URLs, a Unicode error the bytes of the file, an error of aiohttp the request with its headers.

    Args:
        error: The error.
        outside: What the caller was handling when the call began, which is the caller's own and stays.

    Example:
        >>> error = KumoError("The answer is no JSON.")
        >>> error.__cause__ = UnicodeDecodeError("utf-8", b"a cell", 0, 1, "no")
        >>> hide_foreign(error)
        >>> error.__cause__
        ForeignError('builtins.UnicodeDecodeError')
    """
    if not _is_ours(error):
        return
    waiting, known = [error], {id(outside)}
    while waiting:
        each = waiting.pop()
        known.add(id(each))
        suppressed = each.__suppress_context__
        cause, context = (link if link is outside else _shown(link) for link in (each.__cause__, each.__context__))
        each.__cause__, each.__context__ = cause, context
        each.__suppress_context__ = suppressed
        waiting += [link for link in (cause, context) if link is not None and id(link) not in known and _is_ours(link)]


def _is_ours(error: BaseException) -> bool:
    """Return whether an error holds only words of this package, or is a cancellation or an interruption."""
    ours = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    return (ours or not isinstance(error, Exception)) and not isinstance(error, BaseExceptionGroup)


def _shown(error: BaseException | None) -> BaseException | None:
    if error is None or _is_ours(error):
        return error
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        # Its own words are the system's. Other libraries raise it with theirs.
        stand_in: Exception = OSError(error.errno, error.strerror, error.filename) if error.errno else OSError()
    else:
        stand_in = ForeignError(f"{type(error).__module__}.{type(error).__qualname__}")
    return stand_in.with_traceback(error.__traceback__)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, KumoError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
