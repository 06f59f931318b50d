"""What a user may set for an upload: frozen values, validated once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .checks import (
    check_bool,
    check_characters,
    check_choice,
    check_encoding,
    check_existing_dir,
    check_int,
    check_journal_dir,
    check_seconds,
    names_of,
    null_values_of,
    types_of,
)
from .errors import ConfigurationError

__all__ = ["GIB", "MIB", "CsvOptions", "UploadOptions"]

MIB = 1024**2
GIB = 1024**3

#: S3's limits for one part of a multipart upload:
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MIN_PART_SIZE = 5 * MIB
MAX_PART_SIZE = 5 * GIB

#: Seconds without any progress after which a commit, or a deletion, is given up.
COMMIT_SECONDS = 300.0

#: Documented by Kumo for `FileUploadConnector.upload`, in MiB.
MIN_PARTITION_SIZE_MB = 100
MAX_PARTITION_SIZE_MB = 1000

_FILE_TYPES = ("parquet", "csv")


def _repr(options: CsvOptions | UploadOptions) -> str:
    """Show the values that differ from their defaults."""
    changed = (each for each in fields(options) if getattr(options, each.name) != each.default)
    return f"{type(options).__name__}({', '.join(f'{f.name}={getattr(options, f.name)!r}' for f in changed)})"


@dataclass(frozen=True, kw_only=True)
class CsvOptions:
    r"""How a CSV file is written, where that is not RFC 4180 with a header and a delimiter that can be detected.

    What is in use is shown in `UploadPlan.dialect` and `UploadReport.dialect`. Records end with LF, CRLF or
    CR in every dialect, also mixed.

    Attributes:
        delimiter: The character between two fields, any of ASCII but newlines and NUL. Default None: detected among
            ``,`` ``;`` tab and ``|``.
        quote: The character around a field that holds delimiters or newlines, doubled where it is meant itself; ``""``
            where the file knows no quoting and every quote is a plain character. Default None: ``"``, as in RFC 4180;
            an apostrophe is text unless it is given here, and a warning says where it seems to quote.
        escape: The character that makes the next one literal, such as the backslash of MySQL; ``""`` where there is
            none. Default None: none, as in RFC 4180; a warning says where backslashes seem to be escapes.
        skip_initial_space: Whether spaces at the beginning of a field are not part of it, so that a quote after them
            opens the field, as in ``1, "a, b"``; they are removed on the way. Default False: they are part of the
            field, as in RFC 4180, and a warning says where one keeps a quote from quoting.
        skip_rows: Lines before the header that are no part of the table, such as a title, 0 or more; those of a quoted
            field that spans lines are counted one by one. Default 0.
        comment: The character that a line begins with which is a comment, such as ``"#"``; where a record may begin,
            and not within a quoted field, such lines are removed on the way, before the header too. Default None: no
            line is a comment.
        encoding: Name of the Python codec that the file is written in, such as ``"cp1252"`` or ``"utf-16"``; it is
            converted to UTF-8 on the way, through temporary files. Default None: UTF-8, and the file's own bytes are
            sent. Never guessed: a wrong guess would silently change names and values.
        header: Whether the first record names the columns. Default True. With False it is data, and the columns are
            called `column_names`, or ``column_1``, ``column_2`` and so on.
        column_names: The names of the columns, one for each field of a record. Default None: the header's. Where there
            is a header, they replace its names, and it is dropped; it may then be one name short, as R writes it for
            rows with names. Kumo's rule for names holds for them too.
        short_rows: What is done with a record that has fewer fields than there are columns. Default ``"error"``: the
            file is refused. ``"fill"``: empty fields are added at its end on the way, for programs that leave those
            off, such as Excel. A record with more fields is refused either way.
        types: With `UploadOptions.convert`, the types of some columns: a name of Arrow such as ``"string"``,
            ``"int64"``, ``"timestamp[us]"``, ``"decimal128(9, 2)"``, or a `pyarrow.DataType`, for the name of the
            column in the file or in Kumo. A value that it does not hold is an error. Default None: the types that keep
            every value of the file, as ``docs/csv.md`` tells.
        null_values: With `UploadOptions.convert`, the texts that mean null in a field without quotes, whatever the
            column's type. Default ``[""]``: an empty field; ``""`` in quotes is an empty text.
        quoted_nulls: With `UploadOptions.convert`, whether the texts of `null_values` mean null in quotes as well, as
            where a writer puts every field in quotes. Default False: in quotes they are texts.

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
    skip_initial_space: bool = False
    skip_rows: int = 0
    comment: str | None = None
    encoding: str | None = None
    header: bool = True
    column_names: Sequence[str] | None = None
    short_rows: Literal["error", "fill"] = "error"
    types: Mapping[str, Any] | None = field(default=None, hash=False)
    null_values: Sequence[str] = ("",)
    quoted_nulls: bool = False

    def __post_init__(self) -> None:
        check_bool("CsvOptions.skip_initial_space", self.skip_initial_space)
        check_characters(
            self.delimiter, self.quote, self.escape, self.comment, skip_initial_space=self.skip_initial_space
        )
        check_int("CsvOptions.skip_rows", self.skip_rows, 0)
        check_choice("CsvOptions.short_rows", self.short_rows, "error", "fill")
        if self.encoding is not None:
            check_encoding(self.encoding)
        check_bool("CsvOptions.header", self.header)
        if self.column_names is not None:
            object.__setattr__(self, "column_names", names_of(self.column_names))
        if self.types is not None:
            object.__setattr__(self, "types", types_of(self.types))
        object.__setattr__(self, "null_values", null_values_of(self.null_values))
        check_bool("CsvOptions.quoted_nulls", self.quoted_nulls)

    def __repr__(self) -> str:
        return _repr(self)


@dataclass(frozen=True, kw_only=True)
class UploadOptions:
    """How an upload is cut and sent. Every option has a default that suits a fast line; none changes a value.

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
        max_attempts: How often one request that starts, sends or completes an object is made before its failure counts,
            1 or more; all others are made at most four times. Default 10: with waits that double from 0.2 s (2 s
            where the storage throttles) to 20 s, of which a random share is kept, that rides out about half a
            minute. All uploads of a client also share one budget of retries: after a hundred of them without any
            success, and where nothing has made progress for five minutes, failures count at once.
        stall_timeout: How many seconds no byte of a part may move before the attempt is given up and made again, above
            0. Default 60: no server that works is silent for longer. There is no limit on the whole of a transfer,
            since a slow line must be able to finish.
        commit_timeout: How many seconds a commit may take without any progress, which is an object deleted or made
            visible, above 0. Default 300: no complete that works takes that long. Then it is given up, what it made
            visible is deleted, for which it has as long again, and the error says so. A commit that is cancelled is
            given at most 30 seconds of it.
        verify_parts: Whether the MD5 of each part is compared with the ETag that the storage gives for it; a part that
            arrived otherwise is sent again. Default True. It is computed off the event loop, at some 700 MB/s of a
            processor (`benchmarks/README.md`). Where ETags are no MD5s, as with keys of KMS, nothing is computed, and
            `UploadReport` says how many could not be verified.
        spool_dir: Existing directory, `~` understood, for temporary files where content must be encoded again. Default
            None: the system's directory for temporary files. Files that travel as they are need no spool file.
        validate: How much of the content is checked before anything becomes visible. Default ``"fast"``: what can be
            checked without reading more than the upload reads anyway; ``docs/csv.md`` says what that is for CSV.
            ``"full"``: the fields of every record of a CSV file are counted as well; every page of every row group of a
            Parquet file is decoded and, where the file has checksums, compared with them, while partitions are already
            being sent. Costs about the time of reading the table once.
        on_unsupported: What is done with a Parquet column of a type that Kumo does not take, where a cast keeps every
            value: unsigned integers, half floats, binary of fixed size, nulls, decimals of over 18 digits whose values
            need no more than 18. Default ``"cast"``: it is cast, and the report says so. ``"error"``: the file is
            refused, for those who would rather change it themselves. Types that no such cast exists for are refused
            either way; ``docs/parquet.md`` lists them all.
        csv: How a CSV file is written. Default: as in RFC 4180, in UTF-8 and with a header; the delimiter is detected.
        convert: ``"parquet"`` to have a CSV file uploaded as Parquet, through a Parquet connector. The file is read
            twice: for the types that keep every value, or to check those of `CsvOptions.types`, before anything is
            sent, and to be encoded. Default None: a CSV file is uploaded as it is, through a CSV connector.
        resume: Whether to go on where an earlier call with the same arguments, for the same unchanged file, has failed
            or died. Default True. With False what it has stored is sent again; a commit that it had begun is finished
            first either way.
        journal_dir: Directory of the journals that make that possible, `~` understood; made where it is missing. They
            name tables, files and upload ids, never a URL or a key, and only their owner can read them. Default None:
            the user's state directory, ``~/.local/state/kumo-async/uploads`` on Linux. Where it cannot be written,
            uploads work, and warn in their report.

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
    commit_timeout: float = COMMIT_SECONDS
    verify_parts: bool = True
    spool_dir: str | os.PathLike[str] | None = None
    validate: Literal["fast", "full"] = "fast"
    on_unsupported: Literal["cast", "error"] = "cast"
    csv: CsvOptions = field(default=CsvOptions())
    convert: Literal["parquet"] | None = None
    resume: bool = True
    journal_dir: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        check_int("partition_threshold", self.partition_threshold, 0)
        if self.partition_size is not None:
            check_int("partition_size", self.partition_size, 1)
        check_int("part_size", self.part_size, MIN_PART_SIZE, MAX_PART_SIZE)
        check_int("max_concurrent_partitions", self.max_concurrent_partitions, 1)
        check_int("max_concurrent_parts", self.max_concurrent_parts, 1)
        check_int("max_attempts", self.max_attempts, 1)
        check_seconds("stall_timeout", self.stall_timeout)
        check_seconds("commit_timeout", self.commit_timeout)
        check_existing_dir("UploadOptions.spool_dir", self.spool_dir)
        check_bool("verify_parts", self.verify_parts)
        check_choice("UploadOptions.validate", self.validate, "fast", "full")
        check_choice("UploadOptions.on_unsupported", self.on_unsupported, "cast", "error")
        check_choice("UploadOptions.convert", self.convert, "parquet", None)
        check_bool("UploadOptions.resume", self.resume)
        check_journal_dir(self.journal_dir)
        self._check_csv()

    def _check_csv(self) -> None:
        if not isinstance(self.csv, CsvOptions):
            raise ConfigurationError(f"UploadOptions.csv must be CsvOptions; got {type(self.csv).__name__}.")
        meant = self.csv.types is not None or self.csv.null_values != ("",) or self.csv.quoted_nulls
        if self.convert is None and meant:
            raise ConfigurationError(
                "CsvOptions.types, null_values and quoted_nulls change what a CSV file becomes as Parquet, and need "
                "UploadOptions(convert='parquet')."
            )

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
    return check_int("partition_size_mb", value, MIN_PARTITION_SIZE_MB, MAX_PARTITION_SIZE_MB)


def check_file_type(file_type: str) -> str:
    """Return a file type in lower case.

    Raises:
        ConfigurationError: If it is neither ``"parquet"`` nor ``"csv"``.

    Example:
        >>> check_file_type("CSV")
        'csv'
    """
    known = file_type.lower() if isinstance(file_type, str) else file_type
    if known not in _FILE_TYPES:
        raise ConfigurationError(f'file_type must be "parquet" or "csv"; got {file_type!r}.')
    return known
