"""What the control calls do. Everything here blocks, and runs in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kumo_async.local import models
from kumo_async.local.calls import CallName
from kumo_async.local.completion import Completion
from kumo_async.local.names import CONNECTORS, FileType, check_object_name, file_type_of
from kumo_async.local.s3errors import Refused
from kumo_async.local.stores import Store, StoredFile, Upload

__all__ = ["PATHS", "Control", "Understood"]

PATHS: dict[CallName, str] = {
    "start": "/connectors/utils/start_file_upload",
    "complete": "/connectors/utils/complete_file_upload",
    "delete": "/connectors/utils/delete_uploaded_file",
    "list": "/source_tables/list_tables",
    "validate": "/source_tables/validate_table",
    "table_config": "/source_tables/get_table_config",
    "table_data": "/source_tables/get_table_data",
}


@dataclass(frozen=True, slots=True)
class Understood:
    """A call whose body has been read.

    Attributes:
        connector: The connector that it is about.
        name: The object or table that it is about.
        run: Does it, and gives the text of the answer.
    """

    connector: str | None
    name: str | None
    run: Callable[[], str]


class Control:
    """The control calls of one plane.

    Args:
        store: Where everything is kept.
        part_url: Makes the URL of a part of an upload.
        delete_removes_partitions: Whether deleting a table's name deletes its partitions too.
        second_complete_succeeds: Whether completing an upload once more succeeds, without any effect.
    """

    def __init__(
        self,
        store: Store,
        part_url: Callable[[Upload, int], str],
        *,
        delete_removes_partitions: bool,
        second_complete_succeeds: bool,
    ) -> None:
        self._store = store
        self._part_url = part_url
        self._delete_removes_partitions = delete_removes_partitions
        self._completed: set[str] | None = set() if second_complete_succeeds else None
        self._calls: dict[CallName, Callable[[Any], str]] = {
            "start": self._start,
            "complete": self._complete,
            "delete": self._delete,
            "list": self._list,
            "validate": self._validate,
            "table_config": self._table_config,
            "table_data": self._table_data,
        }

    def understand(self, call: CallName, body: bytes) -> Understood:
        """Read the body of a call.

        Raises:
            Refused: It is not what the official model of this call allows.
        """
        request = models.parse(call, body)
        subject = getattr(request, "source_table_request", request)
        names = [
            *([subject.source_table_name] if hasattr(subject, "source_table_name") else []),
            *([subject.table_name] if hasattr(subject, "table_name") else []),
            *(getattr(subject, "table_names", None) or []),
        ]
        connector = getattr(subject, "connector_id", None)
        return Understood(connector, names[0] if names else None, partial(self._calls[call], request))

    def connectors(self) -> str:
        """List the connectors, in the form of the official models."""
        now = datetime.now(UTC).isoformat()
        return models.to_text(
            [
                {
                    "id": name,
                    "timestamps": {"created_at": now, "updated_at": now},
                    "config": {"name": name, "root_dir": "", "type": "file"},
                }
                for name in CONNECTORS
            ]
        )

    def _start(self, request: Any) -> str:
        from kumoapi.data_source import StartFileUploadResponse

        file_type = file_type_of(request.connector_id)
        check_object_name(request.source_table_name)
        upload = self._store.start(file_type, request.source_table_name, request.num_parts)
        numbers = range(1, request.num_parts + 1)
        urls = {number: self._part_url(upload, number) for number in numbers}
        return models.to_text(StartFileUploadResponse(upload.temp_path, upload.upload_id, urls))

    def _complete(self, request: Any) -> str:
        file_type = file_type_of(request.connector_id)
        parts = [(part.part_number, part.etag) for part in request.parts_metadata]
        completion = Completion(
            request.upload_id, request.temp_upload_path, file_type, request.source_table_name, parts
        )
        if self._completed is not None and request.upload_id in self._completed:
            return ""
        self._store.complete(completion, partial(_check_file, file_type) if request.validate_data else None)
        if self._completed is not None:
            self._completed.add(request.upload_id)
        return ""

    def _delete(self, request: Any) -> str:
        file_type = file_type_of(request.connector_id)
        self._store.delete(file_type, request.source_table_name, partitions=self._delete_removes_partitions)
        return ""

    def _list(self, request: Any) -> str:
        from kumoapi.source_table import SourceTableListResponse

        file_type = _file_type(request)
        return models.to_text(SourceTableListResponse(self._store.tables(file_type)))

    def _validate(self, request: Any) -> str:
        from kumoapi.source_table import SourceTableValidateResponse

        found = bool(self._store.stored(_file_type(request), request.table_name))
        words = "" if found else f"There is no table {request.table_name!r}."
        return models.to_text(SourceTableValidateResponse(is_valid=found, msg=words))

    def _table_config(self, request: Any) -> str:
        from kumoapi.source_table import FileType as OfficialFileType
        from kumoapi.source_table import S3SourceTable, SourceTableConfigResponse

        file_type = _file_type(request)
        self._files(file_type, request.table_name)
        table = S3SourceTable(
            s3_path="",
            connector_id=request.connector_id,
            source_table_name=request.table_name,
            file_type=OfficialFileType(file_type.upper()),
        )
        return models.to_text(SourceTableConfigResponse(table))

    def _table_data(self, request: Any) -> str:
        subject = request.source_table_request
        file_type = _file_type(subject)
        # The official model means to refuse such a number, but gives back the error in its place.
        if not isinstance(request.sample_rows, int):
            raise Refused(message=f"sample_rows: {request.sample_rows}", status=422)
        names = self._store.tables(file_type) if subject.table_names is None else subject.table_names
        return models.to_text([self._one_table(file_type, name, request.sample_rows) for name in names])

    def _one_table(self, file_type: FileType, name: str, sample_rows: int) -> Any:
        from kumo_async.local import tables

        return tables.describe(name, partial(self._files, file_type, name), file_type, sample_rows)

    def _files(self, file_type: FileType, name: str) -> Sequence[StoredFile]:
        files = self._store.stored(file_type, name)
        if not files:
            raise Refused(message=f"There is no table {name!r}.", status=404)
        return files


def _file_type(request: Any) -> FileType:
    file_type = file_type_of(request.connector_id)
    if request.source_type != "S3":
        raise Refused(message=f"source_type: {request.connector_id} holds files on S3.", status=422)
    asked = getattr(request, "file_type", None)
    if asked is not None and asked.lower() != file_type:
        raise Refused(message=f"file_type: {request.connector_id} holds {file_type} files.", status=422)
    return file_type


def _check_file(file_type: FileType, file: StoredFile) -> None:
    from kumo_async.local import tables

    tables.check(file, file_type)
