"""One object of a bucket, read in ranges: describing a table needs the ends of its files, and not gigabytes."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

__all__ = ["S3Object"]

_BUFFER_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object of a bucket; see `StoredFile`.

    Args:
        client: boto3's.
        bucket: Its name.
        key: The object's key.
    """

    client: Any
    bucket: str
    key: str

    def size(self) -> int:
        """Give its size in bytes."""
        return int(_ask(self.client.head_object, Bucket=self.bucket, Key=self.key)["ContentLength"])

    def open(self) -> BinaryIO:
        """Open it for reading, in ranges of about 1 MiB."""
        return cast(BinaryIO, io.BufferedReader(_Ranges(self, self.size()), _BUFFER_BYTES))


class _Ranges(io.RawIOBase):
    """The bytes of an object, each read a request."""

    def __init__(self, source: S3Object, size: int) -> None:
        self._source = source
        self._size = size
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        self._offset = max(0, start + offset)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        end = min(self._offset + len(view), self._size)
        if end <= self._offset:
            return 0
        source = self._source
        answer = _ask(
            source.client.get_object, Bucket=source.bucket, Key=source.key, Range=f"bytes={self._offset}-{end - 1}"
        )
        with closing(answer["Body"]) as body:
            data = body.read()
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)


def _ask(call: Any, **arguments: str) -> Any:
    """Make a call of boto3, whose errors come out as those of a file."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**arguments)
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind = FileNotFoundError if status in (404, 416) else OSError
        raise kind(f"The object cannot be read ({status}).") from None
    except BotoCoreError as error:
        raise OSError(f"The S3 server gave no answer ({type(error).__name__}).") from None
