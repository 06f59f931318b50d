"""Objects and unfinished uploads in a bucket of S3, or of a server that speaks its language.

    s3://bucket/prefix/parquet/users                              the table `users`, one object
    s3://bucket/prefix/parquet/users.parquet/part_0001.parquet    a partition of it

The plane remembers nothing itself: an upload is a multipart upload of the bucket under the object's own key, its part
URLs are presigned and lead straight to the server, and completing it there is what makes the object visible. So any
number of planes may work on one bucket, and S3's own rules are the ones that hold: its expiry of URLs, its check of
ETags and of part sizes, its lifecycle rules for what was given up.

boto3 is loaded when a store is opened, and not before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from kumo_async.errors import ConfigurationError
from kumo_async.local.completion import Completion
from kumo_async.local.names import Belonging, FileType, belonging
from kumo_async.local.s3errors import Refused
from kumo_async.local.s3object import S3Object
from kumo_async.local.stores import StoredFile, Upload

__all__ = ["Bucket", "S3Options", "S3Store", "parse_place"]

_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_CONNECTIONS = 16
_MOST_DELETED = 1000  # that one call of S3 takes


@dataclass(frozen=True, kw_only=True)
class S3Options:
    """How to reach an S3 server. What is left out comes from the usual variables and files of AWS.

    Attributes:
        endpoint: The server's URL, such as ``"http://127.0.0.1:9000"``. Uploading clients are sent to it too. Default
            None: ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL``, else Amazon's.
        access_key_id: Default None: ``AWS_ACCESS_KEY_ID``, or whatever else boto3 finds.
        secret_access_key: Default None: ``AWS_SECRET_ACCESS_KEY``, or whatever else boto3 finds. Never shown.
        region: Default None: ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else ``"us-east-1"``.

    Example:
        >>> S3Options(endpoint="http://127.0.0.1:9000", access_key_id="me", secret_access_key="secret")
        S3Options(endpoint='http://127.0.0.1:9000', region=None)
    """

    endpoint: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in S3.

    Attributes:
        name: The bucket.
        prefix: What every key in it begins with: empty, or ending in a slash.
    """

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def key(self, file_type: FileType, name: str) -> str:
        """Give the key of an object."""
        return f"{self.prefix}{file_type}/{name}"


def parse_place(url: str) -> Bucket:
    """Read an URL of the form ``s3://bucket/prefix``.

    Raises:
        ConfigurationError: It is not of that form.

    Example:
        >>> parse_place("s3://tables/test/")
        Bucket(name='tables', prefix='test/')
    """
    parts = urlsplit(url)
    path = parts.path.strip("/")
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError("store must be of the form 's3://bucket' or 's3://bucket/prefix'.")
    return Bucket(parts.netloc, f"{path}/" if path else "")


class S3Store:
    """The objects under one prefix of a bucket; see `Store`.

    Args:
        bucket: The place; the bucket must exist.
        options: How to reach it.
        url_seconds: How long part URLs are valid.

    Raises:
        ConfigurationError: The bucket cannot be used.
    """

    def __init__(self, bucket: Bucket, options: S3Options, url_seconds: int) -> None:
        self._bucket = bucket
        self._url_seconds = url_seconds
        self._s3 = _client(options)
        try:
            with _refusals():
                self._s3.head_bucket(Bucket=bucket.name)
        except Refused as refused:
            self.close()
            raise ConfigurationError(
                f"The bucket {bucket.name!r} cannot be used ({refused.status} {refused.message}). Check its name, the "
                f"endpoint and the keys (S3Options, or the variables AWS_*)."
            ) from None

    @property
    def place(self) -> str:
        """The URL of the place."""
        return str(self._bucket)

    @property
    def root(self) -> Path:
        """Refuse: there is no directory."""
        self._no_files()

    def close(self) -> None:
        """Close the connections."""
        self._s3.close()

    def start(self, file_type: FileType, name: str, num_parts: int) -> Upload:
        """Start a multipart upload."""
        _check_segments(name)
        key = self._bucket.key(file_type, name)
        with _refusals():
            answer = self._s3.create_multipart_upload(Bucket=self._bucket.name, Key=key)
        return Upload(answer["UploadId"], key, file_type, name, num_parts)

    def part_url(self, upload: Upload, part: int) -> str:
        """Presign the URL that one part of an upload is PUT to."""
        where = {
            "Bucket": self._bucket.name,
            "Key": upload.temp_path,
            "UploadId": upload.upload_id,
            "PartNumber": part,
        }
        with _refusals():
            return str(self._s3.generate_presigned_url("upload_part", Params=where, ExpiresIn=self._url_seconds))

    def complete(self, completion: Completion, check: Callable[[StoredFile], None] | None = None) -> None:
        """Complete a multipart upload.

        The parts of an unfinished upload cannot be read, so ``check`` sees the object when it is visible already; one
        that it refuses is deleted, and what was there before under its name is gone.
        """
        key = self._bucket.key(completion.file_type, completion.name)
        if completion.temp_path != key:
            raise Refused("InvalidArgument", "temp_upload_path is not the one of this upload.")
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in completion.parts]
        with _refusals():
            self._s3.complete_multipart_upload(
                Bucket=self._bucket.name, Key=key, UploadId=completion.upload_id, MultipartUpload={"Parts": parts}
            )
        if check is not None:
            self._check(key, check)

    def _check(self, key: str, check: Callable[[StoredFile], None]) -> None:
        try:
            check(S3Object(self._s3, self._bucket.name, key))
        except BaseException:
            self._delete([key])
            raise

    def delete(self, file_type: FileType, name: str, *, partitions: bool) -> None:
        """Delete an object, or a table."""
        found = [key for key, each, _ in self._of(file_type, name) if partitions or each == name]
        if not found:
            raise Refused(message=f"There is no uploaded file or table {name!r}.", status=404)
        self._delete(found)

    def tables(self, file_type: FileType) -> list[str]:
        """List the names that tables are read under."""
        return sorted({place.table for _, _, place in self._list(file_type)})

    def objects(self, file_type: FileType) -> list[str]:
        """List the names of all objects."""
        return sorted(name for _, name, _ in self._list(file_type))

    def stored(self, file_type: FileType, name: str) -> Sequence[StoredFile]:
        """List the objects of a table, or the one of that name."""
        found = sorted((place.number, each, key) for key, each, place in self._of(file_type, name))
        return [S3Object(self._s3, self._bucket.name, key) for _, _, key in found]

    def files(self, file_type: FileType, name: str) -> list[Path]:
        """Refuse: they are not files."""
        del file_type, name
        self._no_files()

    def _no_files(self) -> NoReturn:
        raise ConfigurationError(f"The tables of this data plane are not files of this machine: they are in {self}.")

    def __str__(self) -> str:
        return self.place

    def _of(self, file_type: FileType, name: str) -> Iterator[tuple[str, str, Belonging]]:
        for key, each, place in self._list(file_type, name):
            if name in (each, place.table):
                yield key, each, place

    def _list(self, file_type: FileType, start: str = "") -> Iterator[tuple[str, str, Belonging]]:
        """Give key, name and belonging of every object whose name begins with ``start``."""
        root = self._bucket.key(file_type, "")
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.name, Prefix=root + start)
        with _refusals():
            for page in pages:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(root)
                    yield item["Key"], name, belonging(name, file_type)

    def _delete(self, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), _MOST_DELETED):
            objects = [{"Key": key} for key in keys[first : first + _MOST_DELETED]]
            with _refusals():
                answer = self._s3.delete_objects(Bucket=self._bucket.name, Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                raise Refused("InternalError", f"{len(answer['Errors'])} of {len(objects)} objects were not deleted.")


def _check_segments(name: str) -> None:
    # To S3 these are names like all others, but to servers that keep objects in directories they are not.
    if any(segment in ("", ".", "..") for segment in name.split("/")):
        raise Refused(message="source_table_name must not have empty segments, '.' or '..'.", status=422)


def _client(options: S3Options) -> Any:
    try:
        from boto3.session import Session
        from botocore.config import Config
    except ImportError as error:
        raise ConfigurationError("Tables in S3 need boto3: pip install 'kumo-async[s3]'.") from error
    endpoint = options.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    session = Session(region_name=options.region or os.environ.get("AWS_REGION"))
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Whoever calls the plane tries again, and has to see what went wrong to know that it may.
        retries={"total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        # With a checksum, a presigned URL would demand a header that no client of Kumo sends.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return session.client(
        "s3",
        region_name=session.region_name or "us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        config=config,
    )


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what boto3 raises into a refusal that words it as S3 does."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        answer = error.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        code = str(answer.get("Error", {}).get("Code", ""))
        refused = Refused(code if code and not code.isdecimal() else None, status=status)
    except BotoCoreError as error:
        # Its words name URLs; the kind of error has to do.
        refused = Refused("InternalError", f"The S3 server gave no answer ({type(error).__name__}).")
    else:
        return
    raise refused
