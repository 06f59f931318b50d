"""Each message of ours is the official model's, both ways."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from kumoapi.data_source import CompleteFileUploadRequest, StartFileUploadRequest, StartFileUploadResponse
from kumoapi.json_serde import to_json_dict
from kumoapi.source_table import SourceTableDataRequest, SourceTableListRequest, SourceTableValidateRequest
from pydantic import TypeAdapter

from kumo_async.errors import ServiceError
from kumo_async.service.messages import (
    MAX_PARTS,
    CompleteUpload,
    PartMetadata,
    PartUrl,
    StartedUpload,
    StartUpload,
    TableRequest,
    connector_id,
    table_data_request,
)


def same(ours: dict[str, Any], model: type) -> None:
    """Check that our body is what the official model writes after reading it, field for field."""
    theirs = to_json_dict(TypeAdapter(model).validate_python(ours), insecure=True)
    assert {key: value for key, value in theirs.items() if value is not None} == ours


def test_start_is_the_official_request() -> None:
    same(StartUpload(source_table_name="t", connector_id="c", num_parts=3).to_json(), StartFileUploadRequest)


def test_complete_is_the_official_request() -> None:
    parts = (PartMetadata(part_number=1, etag='"a"'), PartMetadata(part_number=2, etag='"b"'))
    ours = CompleteUpload(
        source_table_name="t", connector_id="c", temp_upload_path="p", upload_id="u", parts_metadata=parts
    )
    same(json.loads(json.dumps(ours.to_json())), CompleteFileUploadRequest)
    # The service would read the whole object, in the middle of a burst.
    assert ours.to_json()["validate_data"] is False


def test_table_requests_are_the_official_ones() -> None:
    same(TableRequest(connector_id="c", table_name="t").to_json(), SourceTableValidateRequest)
    same(TableRequest(connector_id="c").to_json(), SourceTableListRequest)
    same(table_data_request("c", "t", "parquet", 5), SourceTableDataRequest)


def test_our_limit_on_parts_is_the_official_one() -> None:
    TypeAdapter(StartFileUploadRequest).validate_python(
        StartUpload(source_table_name="t", connector_id="c", num_parts=MAX_PARTS).to_json()
    )
    with pytest.raises(ValueError, match="between 1 and 1000"):
        TypeAdapter(StartFileUploadRequest).validate_python(
            StartUpload(source_table_name="t", connector_id="c", num_parts=MAX_PARTS + 1).to_json()
        )


def test_an_official_answer_is_read_whatever_the_order_of_its_urls() -> None:
    answer = StartFileUploadResponse(
        "tmp/x",
        "u1",
        {10: "https://s/10", 2: "https://s/2", 1: "https://s/1"}
        | {number: f"https://s/{number}" for number in range(3, 10)},
    )
    started = StartedUpload.from_json(json.loads(json.dumps(to_json_dict(answer))), 10)
    assert [url.reveal() for url in started.urls] == [f"https://s/{number}" for number in range(1, 11)]
    assert (started.upload_id, started.temp_upload_path) == ("u1", "tmp/x")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"upload_id": "u"},
        {"upload_id": "u", "temp_upload_path": "p", "presigned_part_urls": {"1": "a"}},
        {"upload_id": "u", "temp_upload_path": "p", "presigned_part_urls": {"1": "a", "3": "b"}},
        {"upload_id": "u", "temp_upload_path": "p", "presigned_part_urls": {"x": "a", "2": "b"}},
    ],
)
def test_an_answer_of_another_form_is_an_error(body: Any) -> None:
    with pytest.raises(ServiceError):
        StartedUpload.from_json(body, 2)


def test_a_part_url_never_shows_its_signature() -> None:
    url = PartUrl("https://me:pw@host/key?X-Amz-Signature=secret")
    assert "secret" not in f"{url} {url!r} {[url]}"
    assert "pw" not in repr(url)
    with pytest.raises(TypeError):
        pickle.dumps(url)


def test_connector_ids() -> None:
    assert [connector_id(kind) for kind in ("parquet", "csv")] == ["parquet_upload_connector", "csv_upload_connector"]
