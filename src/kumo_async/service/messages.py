"""The messages that the sending path exchanges with the service.

They are the few that it needs of kumo-api's models, as plain dataclasses: importing the models themselves costs most of
a second and pandas. `tests/service/test_messages.py` holds every one of them against the official model, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from ..errors import ServiceError
from ..escapes import escaped

__all__ = [
    "MAX_PARTS",
    "MOST_URL",
    "CompleteUpload",
    "PartMetadata",
    "PartUrl",
    "StartUpload",
    "StartedUpload",
    "TableRequest",
    "connector_id",
    "file_type_of",
    "get_field",
    "table_data_request",
]

#: Most parts of one object: `kumoapi.data_source.StartFileUploadRequest`.
MAX_PARTS = 1000

#: Most characters of a part URL: four times as many as those with a session token have.
MOST_URL = 8 * 1024

_SHORTEST_SECRET = 6

#: Digits of a part's number.
_MOST_DIGITS = len(str(MAX_PARTS))


def connector_id(file_type: str) -> str:
    """Return the id of the connector that holds uploaded tables of a file type.

    Example:
        >>> connector_id("parquet")
        'parquet_upload_connector'
    """
    return f"{file_type}_upload_connector"


def file_type_of(connector: str) -> str:
    """Return the file type that an upload connector holds.

    Example:
        >>> file_type_of("parquet_upload_connector")
        'parquet'
    """
    return connector.removesuffix("_upload_connector")


class PartUrl:
    """A presigned URL. Whoever holds it may write, so it shows itself without its query.

    Example:
        >>> PartUrl("https://bucket.example/key?X-Amz-Signature=secret")
        PartUrl('https://bucket.example/key?…')
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """Return the whole URL, for the one place that sends to it."""
        return self._url

    def hidden_in(self, text: str) -> str:
        """Return a text without what the query holds, for answers that quote what they were asked.

        Example:
            >>> PartUrl("https://bucket.example/key?X-Amz-Signature=secret").hidden_in("You sent: secret")
            'You sent: …'
        """
        for pair in self._url.partition("?")[2].split("&"):
            value = pair.partition("=")[2]
            # Short ones, such as the part's number, are no secrets, and could be anything in a text.
            for form in {value, unquote_plus(value)}:
                text = text.replace(form, "…") if len(form) >= _SHORTEST_SECRET else text
        return text

    def __repr__(self) -> str:
        try:
            parts = urlsplit(self._url)
        except ValueError:
            return "PartUrl(?)"
        host = parts.netloc.rpartition("@")[2]
        return escaped(f"PartUrl('{parts.scheme}://{host}{parts.path}?…')")

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("A presigned URL is not pickled.")


@dataclass(frozen=True, kw_only=True)
class StartUpload:
    """Ask for an object to be started."""

    source_table_name: str
    connector_id: str
    num_parts: int

    def to_json(self) -> dict[str, Any]:
        """Return the request's body."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class StartedUpload:
    """An object that was started: where its parts go, in ascending order of their numbers."""

    temp_upload_path: str
    upload_id: str
    urls: tuple[PartUrl, ...]

    @classmethod
    def from_json(cls, body: Any, num_parts: int) -> StartedUpload:
        """Read the answer, checking that there is one URL for each part that was asked for.

        Raises:
            ServiceError: If the answer is not of the documented form.
        """
        call = "start_file_upload"
        urls = _numbered(get_field(body, "presigned_part_urls", Mapping, call))
        path, upload_id = (get_field(body, name, str, call) for name in ("temp_upload_path", "upload_id"))
        if urls is None or not path or not upload_id:
            raise ServiceError(f"The service answered {call} in a form that is not documented.")
        if sorted(urls) != list(range(1, num_parts + 1)):
            raise ServiceError(f"The service gave {len(urls)} part URLs where {num_parts} were asked for.")
        return cls(
            temp_upload_path=path,
            upload_id=upload_id,
            urls=tuple(PartUrl(urls[number]) for number in range(1, num_parts + 1)),
        )


def _numbered(urls: Mapping[Any, Any]) -> dict[int, str] | None:
    """Return URLs by the numbers of their parts, None where that is not what these are."""
    if not all(str(number).isdecimal() and len(str(number)) <= _MOST_DIGITS for number in urls):
        return None
    if not all(isinstance(url, str) and len(url) <= MOST_URL for url in urls.values()):
        return None
    return {int(number): url for number, url in urls.items()}


@dataclass(frozen=True, kw_only=True)
class PartMetadata:
    """A stored part, as the service wants to hear of it."""

    part_number: int
    etag: str


@dataclass(frozen=True, kw_only=True)
class CompleteUpload:
    """Ask for an object to be made visible. Its parts were validated here, so the service need not do it again."""

    source_table_name: str
    connector_id: str
    temp_upload_path: str
    upload_id: str
    parts_metadata: tuple[PartMetadata, ...]
    validate_data: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the request's body."""
        return {**asdict(self), "parts_metadata": [asdict(part) for part in self.parts_metadata]}


@dataclass(frozen=True, kw_only=True)
class TableRequest:
    """Name a table, or all tables, behind an upload connector."""

    connector_id: str
    table_name: str | None = None
    source_type: str = "S3"

    def to_json(self) -> dict[str, Any]:
        """Return the request's body; without a table name it fits list_tables."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def table_data_request(connector: str, table: str, file_type: str, sample_rows: int) -> dict[str, Any]:
    """Return the body of get_table_data for one table and a number of sample rows, 0 to 1000."""
    request = {
        "s3_root_dir": "",
        "connector_id": connector,
        "table_names": [table],
        "file_type": file_type.upper(),
        "source_type": "S3",
    }
    return {"source_table_request": request, "sample_rows": sample_rows}


def get_field(body: Any, name: str, kind: type, call: str) -> Any:
    """Return a field of a JSON answer.

    Raises:
        ServiceError: If it is missing or not of that type.
    """
    value = body.get(name) if isinstance(body, Mapping) else None
    if not isinstance(value, kind):
        raise ServiceError(f"The service answered {call} in a form that is not documented: no {name!r}.")
    return value
