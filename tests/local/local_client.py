"""A client of the data plane that is as plain as can be, so that the tests show what goes over the wire."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio.lowlevel

from kumo_async.local import LocalDataPlane

PARQUET = "parquet_upload_connector"
CSV = "csv_upload_connector"
MIB = 1024**2
START = "/connectors/utils/start_file_upload"
COMPLETE = "/connectors/utils/complete_file_upload"
DELETE = "/connectors/utils/delete_uploaded_file"
LIST = "/source_tables/list_tables"
VALIDATE = "/source_tables/validate_table"
CONFIG = "/source_tables/get_table_config"
DATA = "/source_tables/get_table_data"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """S3's code, in XML or in the words of the control plane."""
        if "<Code>" in self.text:
            return self.text.partition("<Code>")[2].partition("</Code>")[0]
        return str(self.json["detail"]).partition(":")[0]


@dataclass(frozen=True)
class Started:
    name: str
    connector: str
    upload_id: str
    temp_upload_path: str
    urls: Sequence[str]
    etags: dict[int, str] = field(default_factory=dict)


class Client:
    def __init__(self, plane: LocalDataPlane, session: aiohttp.ClientSession) -> None:
        self.plane = plane
        self.session = session

    async def send(self, method: str, url: str, **options: Any) -> Answer:
        if isinstance(options.get("data"), bytes):
            options["data"] = io.BytesIO(options["data"])  # aiohttp warns of large bodies as bytes
        async with self.session.request(method, url, **options) as response:
            return Answer(response.status, response.headers.copy(), await response.text())

    async def get(self, path: str, **options: Any) -> Answer:
        headers = {"X-API-Key": self.plane.api_key, **options.pop("headers", {})}
        return await self.send("GET", self.plane.endpoint + path, headers=headers, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> Answer:
        headers = {"X-API-Key": self.plane.api_key, **options.pop("headers", {})}
        if "data" not in options:
            options["data"] = json.dumps(body).encode()
        return await self.send("POST", f"{self.plane.endpoint}/v1{path}", headers=headers, **options)

    async def start(self, name: str, parts: int = 1, connector: str = PARQUET) -> Started:
        answer = await self.post(START, {"source_table_name": name, "connector_id": connector, "num_parts": parts})
        assert answer.status == 200, answer.text
        urls = answer.json["presigned_part_urls"]
        ordered = [urls[str(number)] for number in range(1, parts + 1)]
        return Started(name, connector, answer.json["upload_id"], answer.json["temp_upload_path"], ordered)

    async def put(self, started: Started, number: int, body: bytes, **options: Any) -> Answer:
        answer = await self.send("PUT", started.urls[number - 1], data=body, **options)
        if "ETag" in answer.headers:
            started.etags[number] = answer.headers["ETag"]
        return answer

    async def complete(self, started: Started, **changes: object) -> Answer:
        parts = [{"part_number": number, "etag": started.etags[number]} for number in sorted(started.etags)]
        body = {
            "source_table_name": started.name,
            "connector_id": started.connector,
            "temp_upload_path": started.temp_upload_path,
            "upload_id": started.upload_id,
            "parts_metadata": parts,
            "validate_data": False,
        }
        return await self.post(COMPLETE, body | changes)

    async def upload(self, name: str, *bodies: bytes, connector: str = PARQUET, **changes: object) -> Answer:
        started = await self.start(name, len(bodies), connector)
        for number, body in enumerate(bodies, start=1):
            answer = await self.put(started, number, body)
            assert answer.status == 200, answer.text
        return await self.complete(started, **changes)

    async def ask(self, path: str, connector: str = PARQUET, **values: object) -> Answer:
        return await self.post(path, {"connector_id": connector, "source_type": "S3", **values})

    async def data(self, *names: str, connector: str = PARQUET, rows: int = 0) -> Answer:
        table = {"s3_root_dir": "", "connector_id": connector, "table_names": names, "source_type": "S3"}
        return await self.post(DATA, {"source_table_request": table, "sample_rows": rows})

    async def delete(self, name: str, connector: str = PARQUET) -> Answer:
        return await self.post(DELETE, {"source_table_name": name, "connector_id": connector})


async def until(condition: Callable[[], object]) -> None:
    """Let everybody else go on until something has happened; the time-out of the test ends a wait in vain."""
    while not condition():
        await anyio.lowlevel.checkpoint()


async def broken(call: Awaitable[object]) -> str:
    """Give the name of the error with which a connection breaks."""
    try:
        await call
    except aiohttp.ClientError as error:
        return type(error).__name__
    raise AssertionError("the connection did not break")


@asynccontextmanager
async def running(*arguments: Any, **options: Any) -> AsyncIterator[Client]:
    """Run a plane with the given arguments, and a client for it."""
    async with LocalDataPlane(*arguments, **options) as plane, aiohttp.ClientSession() as session:
        yield Client(plane, session)
