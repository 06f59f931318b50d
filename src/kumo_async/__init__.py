"""Async streaming uploader: puts Parquet and CSV files into the Kumo data plane, whole or not at all.

    cli                    the command line
    connector, tables      what the user calls; source_table what comes back, client whom it talks to
    recovery               uploads that were interrupted: listed, finished, discarded
    blocking               the one bridge from blocking code to the event loop
    upload                 plan, pipeline, transfer, journal, commit: the way of a table
    sources                Parquet and CSV files as partitions made of byte ranges
    formats                knowledge of the formats, without I/O
    service                the Kumo data plane over HTTP
    local                  the embedded data plane, for trying, tests and benchmarks
    errors, escapes, checks, options, events, report    what everything may use
    shield, threads, loop  work that must not stop halfway; threads and an event loop of the package's own
    serving                which threads serve an embedded data plane

Imports point down this list. Importing the package is cheap: aiohttp, pyarrow and pandas are loaded when they are used.
"""

from ._version import __version__
from .client import HeadersProvider, KumoClient, init, snowflake_headers
from .connector import FileUploadConnector
from .errors import (
    AuthenticationError,
    ConfigurationError,
    KumoError,
    RefusedColumn,
    ServiceError,
    ServiceUnavailableError,
    SourceChangedError,
    SourceError,
    TableNotFoundError,
    UploadError,
)
from .events import (
    BytesSent,
    CommitStarted,
    ConcurrencyReduced,
    Event,
    Observer,
    PartitionResumed,
    PartitionStarted,
    PartitionStored,
    RetryScheduled,
    UploadCommitted,
    UploadFailed,
    UploadStarted,
)
from .options import CsvOptions, UploadOptions
from .recovery import recover_uploads, recover_uploads_async, unfinished_uploads, unfinished_uploads_async
from .report import PartitionReport, UnfinishedUpload, UploadPlan, UploadReport
from .source_table import SourceTable
from .tables import delete_uploaded_table, replace_table, upload_table

__all__ = [  # noqa: RUF022
    # Connecting
    "init",
    "KumoClient",
    "HeadersProvider",
    "snowflake_headers",
    # Tables
    "FileUploadConnector",
    "SourceTable",
    "upload_table",
    "delete_uploaded_table",
    "replace_table",
    # After a crash
    "recover_uploads",
    "recover_uploads_async",
    "unfinished_uploads",
    "unfinished_uploads_async",
    # Options and results
    "UploadOptions",
    "CsvOptions",
    "UploadPlan",
    "UploadReport",
    "PartitionReport",
    "UnfinishedUpload",
    # Events
    "Observer",
    "Event",
    "UploadStarted",
    "PartitionStarted",
    "BytesSent",
    "RetryScheduled",
    "PartitionStored",
    "PartitionResumed",
    "CommitStarted",
    "ConcurrencyReduced",
    "UploadCommitted",
    "UploadFailed",
    # Errors
    "KumoError",
    "ConfigurationError",
    "SourceError",
    "SourceChangedError",
    "TableNotFoundError",
    "UploadError",
    "ServiceError",
    "AuthenticationError",
    "ServiceUnavailableError",
    "RefusedColumn",
    # About
    "__version__",
]
