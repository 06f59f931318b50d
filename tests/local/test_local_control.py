"""Who may call the control plane, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from kumoapi.data_source import ConnectorResponse, StartFileUploadResponse
from kumoapi.json_serde import from_json
from kumoapi.source_table import S3SourceTable, SourceTableConfigResponse
from local_client import COMPLETE, CONFIG, CSV, DATA, DELETE, LIST, PARQUET, START, VALIDATE, running

from kumo_async.errors import ConfigurationError
from kumo_async.local import LocalDataPlane


async def test_the_feature_flags_and_connectors_are_those_of_a_workspace_without_rbac() -> None:
    async with running() as client:
        assert (await client.get("/config")).json == {"rbac": False}
        answer = await client.get("/v1/connectors")
        assert [from_json(item, ConnectorResponse).id for item in answer.json] == [PARQUET, CSV]


@pytest.mark.parametrize("key", ["", "local:wrong", "Bearer x", "\u00e9"])
@pytest.mark.parametrize("path", ["/config", "/v1/connectors"])
async def test_a_wrong_key_is_refused(key: str, path: str) -> None:
    async with running() as client:
        answer = await client.get(path, headers={"X-API-Key": key})
        assert (answer.status, answer.json) == (401, {"detail": "The API key is not valid."})


async def test_no_key_and_two_keys_are_refused_on_every_call() -> None:
    async with running() as client:
        for path in (START, COMPLETE, DELETE, LIST, VALIDATE, CONFIG, DATA):
            url = f"{client.plane.endpoint}/v1{path}"
            for headers in ([], [("X-API-Key", client.plane.api_key), ("X-API-Key", "other")]):
                assert (await client.send("POST", url, json={}, headers=headers)).status == 401
        assert {call.status for call in client.plane.calls} == {401}


async def test_a_key_can_be_chosen() -> None:
    async with running(api_key="local:chosen") as client:
        answer = await client.get("/config", headers={"X-API-Key": "local:chosen"})
        assert answer.status == 200


START_BODY = {"source_table_name": "users", "connector_id": PARQUET, "num_parts": 1}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (START, START_BODY | {"num_parts": 0}, 422, "num_parts must be between 1 and 1000"),
        (START, START_BODY | {"num_parts": 1001}, 422, "num_parts must be between 1 and 1000"),
        (START, START_BODY | {"num_parts": "x"}, 422, "num_parts"),
        (START, {}, 422, "source_table_name"),
        (START, [], 422, "dictionary"),
        (START, None, 422, "dictionary"),
        (START, START_BODY | {"connector_id": "s3"}, 404, "no connector 's3'"),
        (START, START_BODY | {"source_table_name": ""}, 422, "1 to 1024 bytes"),
        (START, START_BODY | {"source_table_name": "\u00e9" * 513}, 422, "1 to 1024 bytes"),
        (START, START_BODY | {"source_table_name": "\ud800"}, 422, "Unicode"),
        (COMPLETE, {}, 422, "upload_id"),
        (DELETE, {"source_table_name": "users", "connector_id": "s3"}, 404, "no connector"),
        (DELETE, {"source_table_name": "users", "connector_id": PARQUET}, 404, "'users'"),
        (LIST, {"connector_id": None, "source_type": "S3"}, 404, "no connector None"),
        (LIST, {"connector_id": PARQUET, "source_type": "SNOWFLAKE"}, 422, "holds files on S3"),
        (LIST, {"connector_id": PARQUET, "source_type": "moon"}, 422, "source_type"),
        (VALIDATE, {"connector_id": PARQUET, "source_type": "S3"}, 422, "table_name"),
        (CONFIG, {"connector_id": PARQUET, "source_type": "S3", "table_name": "users"}, 404, "no table 'users'"),
        (
            CONFIG,
            {"connector_id": PARQUET, "source_type": "S3", "table_name": "users", "file_type": "CSV"},
            422,
            "holds parquet files",
        ),
    ],
)
async def test_what_the_official_models_refuse_is_refused_with_words(
    path: str, body: object, status: int, words: str
) -> None:
    async with running() as client:
        answer = await client.post(path, body)
        assert answer.status == status
        assert words in answer.json["detail"]


@pytest.mark.parametrize("rows", [-1, 1001])
async def test_sample_rows_beyond_the_limits_are_refused(rows: int) -> None:
    async with running() as client:
        answer = await client.data("users", rows=rows)
        assert answer.status == 422
        assert "sample_rows cannot be" in answer.json["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    async with running() as client:
        answer = await client.post(START, data=body)
        assert (answer.status, answer.json) == (422, {"detail": "The body is not JSON."})


async def test_a_body_beyond_1_mib_is_refused_and_1000_parts_fit() -> None:
    async with running() as client:
        assert (await client.post(START, data=b"x" * (1024**2 + 1))).status == 413
        answer = await client.post(START, START_BODY | {"num_parts": 1000})
        response = from_json(answer.text, StartFileUploadResponse)
        assert sorted(response.presigned_part_urls) == list(range(1, 1001))
        body = START_BODY | {
            "upload_id": response.upload_id,
            "temp_upload_path": response.temp_upload_path,
            "parts_metadata": [{"part_number": number, "etag": '"' + "0" * 32 + '"'} for number in range(1, 1001)],
        }
        answer = await client.post(COMPLETE, body)
        assert (answer.status, answer.code) == (400, "InvalidPart")


async def test_compressed_bodies_are_not_expanded() -> None:
    async with running() as client:
        answer = await client.post(START, data=b"{}", headers={"Content-Encoding": "gzip"})
        assert "source_table_name" in answer.json["detail"]


async def test_headers_are_bounded() -> None:
    async with running() as client:
        assert (await client.get("/config", headers={"X-Long": "x" * 10_000})).status == 400


@pytest.mark.parametrize("host", ["example.com", "example.com:80", "127.0.0.1.example.com", "10.0.0.1", "", "x:y"])
async def test_only_loopback_host_names_are_answered(host: str) -> None:
    async with running() as client:
        answer = await client.get("/config", headers={"Host": host})
        assert answer.status == 403
        assert client.plane.calls == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.9.9.9", "127.0.0.1:80", "[::1]", "[::1]:80"])
async def test_every_loopback_host_name_is_answered(host: str) -> None:
    async with running() as client:
        assert (await client.get("/config", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "options",
    [
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": "example.com"},
        {"host": ""},
        {"api_key": ""},
        {"api_key": "caf\u00e9"},
        {"api_key": "a\nb"},
        {"url_seconds": 0},
        {"url_seconds": float("nan")},
        {"url_seconds": 8 * 24 * 3600},
    ],
)
def test_arguments_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LocalDataPlane(**options)


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "::1"])
async def test_any_loopback_address_can_be_bound(host: str) -> None:
    async with running(host=host) as client:
        assert (await client.get("/config")).status == 200
        assert (await client.upload("users", b"x")).status == 200


async def test_a_table_config_is_read_by_the_official_models() -> None:
    async with running() as client:
        await client.upload("users.parquet/part_0001.parquet", b"x")
        answer = await client.ask(CONFIG, table_name="users")
        table = from_json(answer.text, SourceTableConfigResponse).source_table
        assert isinstance(table, S3SourceTable)
        assert (table.table, table.connector_id, table.file_type) == ("users", PARQUET, "PARQUET")


async def test_rbac_parameters_do_no_harm() -> None:
    async with running() as client:
        answer = await client.post(LIST, {"connector_id": CSV, "source_type": "S3"}, params={"group_id": "a"})
        assert answer.json == {"table_names": []}
