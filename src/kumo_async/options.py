"""What a user may set for an upload: frozen values, validated once."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from .errors import ConfigurationError

__all__ = ["GIB", "MIB", "CsvOptions", "UploadOptions"]

MIB = 1024**2
GIB = 1024**3

#: S3's limits for one part of a multipart upload:
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MIN_PART_SIZE = 5 * MIB
MAX_PART_SIZE = 5 * GIB

#: Documented by Kumo for `FileUploadConnector.upload`, in MiB.
MIN_PARTITION_SIZE_MB = 100
MAX_PARTITION_SIZE_MB = 1000


def _check_int(name: str, value: object, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name} must be a whole number; got {type(value).__name__}.")
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigurationError(f"{name} must be {allowed}; got {value}.")
    return value


def _repr(options: CsvOptions | UploadOptions) -> str:
    """Show the values that differ from their defaults."""
    changed = (each for each in fields(options) if getattr(options, each.name) != each.default)
    return f"{type(options).__name__}({', '.join(f'{f.name}={getattr(options, f.name)!r}' for f in changed)})"


def _check_characters(delimiter: str | None, quote: str | None, escape: str | None) -> None:
    given = {"delimiter": delimiter, "quote": quote or None, "escape": escape}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0":
            raise ConfigurationError(
                f"CsvOptions.{name} must be one ASCII character that is neither a newline nor NUL; got {value!r}."
            )
    if len(set(given.values())) < len(given):
        raise ConfigurationError(f"CsvOptions: {', '.join(given)} must differ from each other.")


def _check_encoding(encoding: object) -> None:
    try:
        # Codecs that do not make text of bytes, such as "hex", refuse this; a NUL in the name is a ValueError.
        "".encode(encoding)  # type: ignore[arg-type]
        codecs.getincrementaldecoder(encoding)  # type: ignore[call-overload]
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"CsvOptions.encoding must name a text codec of Python that decodes streams; got {encoding!r}."
        ) from error


def _names_of(names: object) -> tuple[str, ...]:
    listed = tuple(names) if isinstance(names, Sequence) and not isinstance(names, str | bytes) else ()
    if not listed or not all(isinstance(name, str) for name in listed):
        raise ConfigurationError("CsvOptions.column_names must be a list of one name or more, each a str.")
    return listed


@dataclass(frozen=True, kw_only=True)
class CsvOptions:
    r"""How a CSV file is written, where that should not be, or cannot be, detected from its first MiB.

    What was detected or given is shown in `UploadPlan.dialect` and `UploadReport.dialect`. Records end with LF, CRLF or
    CR in every dialect, also mixed.

    Attributes:
        delimiter: The character between two fields, any of ASCII but newlines and NUL. Default None: detected among
            ``,`` ``;`` tab and ``|``.
        quote: The character around a field that holds delimiters or newlines, doubled where it is meant itself; ``""``
            where the file knows no quoting and every quote is a plain character. Default None: detected, ``"`` or
            ``'``.
        escape: The character that makes the next one literal, such as a backslash. Default None: there is none, as in
            RFC 4180. Never detected, since a backslash in the data says nothing about its meaning.
        encoding: Name of the Python codec that the file is written in, such as ``"cp1252"`` or ``"utf-16"``; it is
            converted to UTF-8 on the way, through temporary files. Default None: UTF-8, and the file's own bytes are
            sent. Never guessed: a wrong guess would change names and values without a word.
        header: Whether the first record names the columns. Default True. With False it is data, and `column_names` is
            needed.
        column_names: The names of the columns, one for each field of the first record. Default None: the header's.
            Beside a header they replace its names; the header is then dropped. Kumo's rule for names holds for them
            too.

    Raises:
        ConfigurationError: If a value is not of the right type, or they contradict each other.

    Example:
        >>> import kumo_async
        >>> csv = kumo_async.CsvOptions(delimiter=";", encoding="cp1252", header=False, column_names=["id", "price"])
        >>> kumo_async.UploadOptions(csv=csv)
        UploadOptions(csv=CsvOptions(delimiter=';', encoding='cp1252', header=False, column_names=('id', 'price')))
    """

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: str | None = None
    header: bool = True
    column_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _check_characters(self.delimiter, self.quote, self.escape)
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if not isinstance(self.header, bool):
            raise ConfigurationError(f"CsvOptions.header must be True or False; got {type(self.header).__name__}.")
        if self.column_names is not None:
            object.__setattr__(self, "column_names", _names_of(self.column_names))
        elif not self.header:
            raise ConfigurationError("CsvOptions(header=False) needs column_names, one for each field of a record.")

    def __repr__(self) -> str:
        return _repr(self)


@dataclass(frozen=True, kw_only=True)
class UploadOptions:
    """How an upload is cut and sent. Every option has a default that suits a fast line; none changes the data.

    The two limits hold for the whole client: no partition (or part) of this upload starts while so many partitions
    (or parts) of any upload on the same client and event loop are under way. Places are shared fairly among uploads,
    whatever their size, and while one of them has none, the last free place is kept for it.

    Attributes:
        partition_threshold: Size of the source in bytes up to which it is sent as one object; of a CSV file that is
            decompressed or converted, the size of its text. Default 1000 MiB, which is what the official SDK uses for
            the documented "1 GB".
        partition_size: Target size of a partition in bytes, 1 or more; a partition exceeds it only where one row or
            record alone does, or a Parquet row group of up to 64 KiB. Default None: the `partition_size_mb` argument
            of the call. Stands above that argument when given, and is not bound to its limits.
        part_size: Size in bytes of the pieces of a partition that are sent in parallel, 5 MiB to 5 GiB (S3's limits).
            Default 16 MiB: large enough that the cost of a request does not show (`benchmarks/part_size.py`), small
            enough that a repeated one is cheap. Raised by itself where an object would have over 1000 parts, and
            lowered to no less than 5 MiB where the line is measured to be so slow that one would take over a minute.
        max_concurrent_partitions: How many partitions are under way at once, 1 or more. Default 4: the next ones are
            being prepared while the last parts of the one before are still being sent. On a slow line fewer, so that
            each is stored well before its part URLs run out.
        max_concurrent_parts: How many parts are being sent at once, 1 or more. Default 8: several
            connections fill a line that one does not; the best number for yours is to be tried.
        max_attempts: How often one request is made before its failure counts, 1 or more. Default 10: with waits that
            double from 0.2 s to 20 s, of which a random share is kept, that rides out about half a minute. All uploads
            of a client share one budget of retries besides: after a hundred of them without any success, and where
            nothing has got any further for five minutes, failures count at once.
        stall_timeout: How many seconds no byte of a part may move before the attempt is given up and made anew, above
            0. Default 60: no server that works is silent for longer. There is no limit on the whole of a transfer,
            since a slow line must be able to finish.
        verify_parts: Whether the MD5 of each part is compared with the ETag that the storage gives for it; a part that
            arrived otherwise is sent again. Default True. It is computed beside the event loop, at some 700 MB/s of a
            processor (`benchmarks/README.md`). Where ETags are no MD5s, as with keys of KMS, `UploadReport` says how
            many parts could not be verified.
        spool_dir: Existing directory for temporary files where content must be encoded anew. Default None: the
            system's directory for temporary files. Files that travel as they are need no spool file.
        validate: How much of the content is checked before anything becomes visible. Default ``"fast"``: what can be
            checked without reading more than the upload reads anyway; ``docs/csv.md`` says what that is for CSV.
            ``"full"``: every record of a CSV file; every page of every row group of a Parquet file, which is decoded
            and, where the file has checksums, compared with them, while partitions are already being sent. Costs about
            the time of reading the table once.
        on_unsupported: What is done with a Parquet column of a type that Kumo does not take, where a cast keeps every
            value: unsigned integers, half floats, binary of fixed size. Default ``"cast"``: it is cast, and the report
            says so. ``"error"``: the file is refused, for those who would rather change it themselves. Types that no
            such cast exists for are refused either way; ``docs/parquet.md`` lists them all.
        csv: How a CSV file is written. Default: all of it is detected, in UTF-8, with a header.

    Raises:
        ConfigurationError: If a value is not of the right type or outside its range.

    Example:
        >>> import kumo_async
        >>> options = kumo_async.UploadOptions(max_concurrent_parts=16)
        >>> options.part_size
        16777216
    """

    partition_threshold: int = 1000 * MIB
    partition_size: int | None = None
    part_size: int = 16 * MIB
    max_concurrent_partitions: int = 4
    max_concurrent_parts: int = 8
    max_attempts: int = 10
    stall_timeout: float = 60.0
    verify_parts: bool = True
    spool_dir: str | os.PathLike[str] | None = None
    validate: Literal["fast", "full"] = "fast"
    on_unsupported: Literal["cast", "error"] = "cast"
    csv: CsvOptions = field(default=CsvOptions())

    def __post_init__(self) -> None:
        _check_int("partition_threshold", self.partition_threshold, 0)
        if self.partition_size is not None:
            _check_int("partition_size", self.partition_size, 1)
        _check_int("part_size", self.part_size, MIN_PART_SIZE, MAX_PART_SIZE)
        _check_int("max_concurrent_partitions", self.max_concurrent_partitions, 1)
        _check_int("max_concurrent_parts", self.max_concurrent_parts, 1)
        _check_int("max_attempts", self.max_attempts, 1)
        if isinstance(self.stall_timeout, bool) or not isinstance(self.stall_timeout, int | float):
            raise ConfigurationError(f"stall_timeout must be a number; got {type(self.stall_timeout).__name__}.")
        if not 0 < self.stall_timeout < float("inf"):
            raise ConfigurationError(
                f"stall_timeout must be above 0 seconds, and not infinite; got {self.stall_timeout}."
            )
        if self.spool_dir is not None and not Path(self.spool_dir).is_dir():
            raise ConfigurationError(
                f"UploadOptions.spool_dir is {os.fspath(self.spool_dir)!r}, which is not an existing directory. "
                f"Create it, or leave the option out to use the system's temporary directory."
            )
        if not isinstance(self.verify_parts, bool):
            raise ConfigurationError(f"verify_parts must be True or False; got {type(self.verify_parts).__name__}.")
        if self.validate not in ("fast", "full"):
            raise ConfigurationError(f"UploadOptions.validate must be 'fast' or 'full'; got {self.validate!r}.")
        if self.on_unsupported not in ("cast", "error"):
            given = repr(self.on_unsupported)
            raise ConfigurationError(f"UploadOptions.on_unsupported must be 'cast' or 'error'; got {given}.")
        if not isinstance(self.csv, CsvOptions):
            raise ConfigurationError(f"UploadOptions.csv must be CsvOptions; got {type(self.csv).__name__}.")

    def __repr__(self) -> str:
        return _repr(self)


def check_partition_size_mb(value: object) -> int:
    """Return `value` if it is a whole number of MiB that Kumo documents for a partition, else raise.

    Raises:
        ConfigurationError: If it is not an int from 100 to 1000.

    Example:
        >>> check_partition_size_mb(250)
        250
    """
    return _check_int("partition_size_mb", value, MIN_PARTITION_SIZE_MB, MAX_PARTITION_SIZE_MB)
