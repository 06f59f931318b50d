"""Canaries: a key, signed URLs and cells that must not turn up in anything that is said, logged, kept or raised."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import pickle
import re
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from anyio import to_thread
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli import app
from kumo_async.local import (
    Disconnect,
    Exchange,
    Fault,
    Garbage,
    HalfAnswer,
    LocalDataPlane,
    NoETag,
    Status,
    WrongETag,
)
from kumo_async.local.signing import Signer

KEY = "acme:canary-key-b41d"
CELL = "canary-cell-77e0"
ROW = f'1,"{CELL}"\n'
NOW = {"Retry-After": "0"}
ECHO = f"You sent key {KEY} from 127.0.0.1"


class Ears:
    """Everything that was to be heard: log records, events, texts."""

    def __init__(self, signatures: list[str]) -> None:
        self.signatures = signatures
        self.heard: list[str] = []

    def on_event(self, event: kumo_async.Event) -> None:
        self.hear(event)
        if isinstance(event, kumo_async.UploadFailed):
            self.hear_error(event.error)

    def hear(self, *things: object) -> None:
        for thing in things:
            self.heard += [str(thing), repr(thing)]

    def hear_error(self, error: BaseException) -> None:
        """Hear an error and all that hangs on it: attributes, arguments, notes, pickles and the traceback."""
        for each in chain(error):
            self.hear(each, each.args, *held(each))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with suppress(Exception):
                    self.heard.append(pickle.dumps(each, protocol).decode("utf-8", "backslashreplace"))
            self.heard += traceback.TracebackException.from_exception(each, capture_locals=False).format()
        self.heard += traceback.format_exception(error)

    def check(self) -> None:
        text = "\n".join(self.heard)
        for secret in (KEY, KEY.partition(":")[2], CELL, "X-Amz-Signature=", "KUMOLOCAL", *self.signatures):
            place = text.find(secret)
            assert place < 0, text[max(0, place - 300) : place + 100]


def chain(error: BaseException) -> list[BaseException]:
    """Return an error and all that hangs on it, even what Python would not print: tools that collect errors do."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in found:
            found.append(each)
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return found


def held(thing: object) -> list[object]:
    """Return all that an object holds, at any depth. What it shows of itself may hide that, as `repr` does."""
    found: list[object] = []
    waiting, known = [thing], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in known or isinstance(each, type | ModuleType | FrameType | TracebackType):
            continue
        known.add(id(each))
        found.append(each)
        if isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += each
        else:
            slots = [name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting += [*getattr(each, "__dict__", {}).values(), *(getattr(each, name, None) for name in slots)]
            waiting += [getattr(each, name, None) for name in ("doc", "object", "request_info", "headers")]
    return found


class Keep(logging.Handler):
    def __init__(self, ears: Ears) -> None:
        super().__init__(logging.NOTSET)
        self._ears = ears
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._ears.hear(self.format(record), record.args, vars(record).items())


@pytest.fixture
async def ears(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ears]:
    """Listen to all loggers at DEBUG, and to asyncio in its debug mode; in the end, nothing may have been said."""
    signatures: list[str] = []
    sign = Signer.query

    def noted(self: Signer, path: str, upload_id: str, part: int) -> str:
        query = sign(self, path, upload_id, part)
        signatures.append(query.rpartition("=")[2])
        return query

    monkeypatch.setattr(Signer, "query", noted)
    ears = Ears(signatures)
    handler, root = Keep(ears), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    yield ears
    root.removeHandler(handler)
    root.setLevel(level)
    ears.check()


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[LocalDataPlane]:
    async with LocalDataPlane(root=tmp_path / "plane", api_key=KEY) as plane:
        yield plane


def csv_file(directory: Path, content: str | bytes = "id,note\n" + 50 * ROW) -> Path:
    path = directory / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


async def upload(plane: LocalDataPlane, ears: Ears, path: Path, **options: Any) -> None:
    """Upload a file, whatever comes of it, and hear all of it."""
    client = kumo_async.KumoClient(plane.endpoint, KEY)
    connector = kumo_async.FileUploadConnector(path.suffix[1:], client=client)
    options = {"max_attempts": 2, **options}
    try:
        report = await connector.upload_async("t", path, options=kumo_async.UploadOptions(**options), observer=ears)
        ears.hear(report, report.to_dict())
    except Exception as error:  # noqa: BLE001 - every one is heard
        ears.hear_error(error)
    ears.hear(client, connector, client.credentials, vars(client), vars(connector), connector.client.endpoint)


class CutOff:
    """Start an upload, and answer with all that comes before the end of the last URL, or with the quote after it."""

    def __init__(self, beyond: int) -> None:
        self.beyond = beyond

    async def give(self, exchange: Exchange) -> web.Response:
        text = (await exchange.effect()).text or ""
        return web.Response(text=text[: text.rindex('"') + self.beyond], content_type="application/json")


class UpsideDown:
    """Start an upload, and answer with the number of each part by its URL."""

    async def give(self, exchange: Exchange) -> web.Response:
        body = json.loads((await exchange.effect()).text or "")
        urls = body["presigned_part_urls"]
        return web.json_response({**body, "presigned_part_urls": {url: number for number, url in urls.items()}})


class Broken:
    """Start an upload, and answer with URLs that no request can be made to."""

    async def give(self, exchange: Exchange) -> web.Response:
        body = json.loads((await exchange.effect()).text or "")
        urls = {number: f"{url}\r\nX-Evil: 1" for number, url in body["presigned_part_urls"].items()}
        return web.json_response({**body, "presigned_part_urls": urls})


REFUSALS = [
    Status(401, message=ECHO),
    Status(403, "AccessDenied", ECHO),
    Status(404, "NoSuchUpload"),
    Status(400, "ExpiredToken"),
    Status(422, message=ECHO),
    Status(500, "InternalError", ECHO, headers=NOW),
    Status(503, "SlowDown", headers=NOW),
    Status(307, headers={"Location": f"http://127.0.0.1:9/?X-Amz-Signature=1&key={KEY}"}),
    Disconnect(),
    Disconnect(after_effect=True),
    Garbage(),
    Garbage(
        b'{"upload_id": "u", "temp_upload_path": "t", "presigned_part_urls": {"1": "http://me:pw@h/?X-Amz-Signature=1"}}'
    ),
    NoETag(),
    WrongETag(),
]


#: Answers of success to start whose URLs are good, and which are no answers for another reason.
STARTS = [
    CutOff(0),
    CutOff(1),
    HalfAnswer(end="X-Amz-Signature="),
    UpsideDown(),
    Broken(),
    Garbage(b'{"presigned_part_urls": "http://127.0.0.1/?X-Amz-Signature=5d41402abc"}'),
    Garbage(b'{"presigned_part_urls": {"1": ["http://127.0.0.1/?X-Amz-Signature=5d41402abc"]}}'),
    Garbage(b'{"detail": "http://127.0.0.1/?X-Amz-Credential=me&X-Amz-Signature=5d41402abc'),
    Garbage(b'"http://127.0.0.1/?X-Amz-Signature=5d41402abc"'),
    Garbage(b"\xff http://127.0.0.1/?X-Amz-Signature=5d41402abc"),
    Garbage(b"[" * 50_000 + b"http://127.0.0.1/?X-Amz-Signature=5d41402abc"),
]


@pytest.mark.parametrize(
    "answer", STARTS, ids=lambda answer: f"{type(answer).__name__}{getattr(answer, 'end', '')}"[:40]
)
async def test_answers_with_urls_that_cannot_be_read_give_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, answer: Any
) -> None:
    plane.inject(Fault(call="start", answer=answer, times=None))
    await upload(plane, ears, csv_file(tmp_path))
    assert any("Error" in text for text in ears.heard)
    assert plane.object_names("csv") == []


def _rows(kind: str) -> str:
    fields = [{"name": "a", "type": kind}]
    return json.dumps({"schema": {"fields": fields}, "data": [{"a": CELL}]})


@pytest.mark.parametrize(
    "body",
    [
        f'[{{"table_name": "t", "cols": [{{"name": "{CELL}"}}], "sample_rows": "{CELL}"}}]',
        f'[{{"table_name": "t", "cols": "{CELL}", "sample_rows": "[{CELL}"}}]',
        f'[{{"table_name": "t", "sample_rows": "{CELL}',
        json.dumps([{"table_name": "t", "cols": [{CELL: {}}], "sample_rows": _rows("duration")}]),
        json.dumps([{"table_name": "t", "cols": [[CELL]], "sample_rows": _rows("integer")}]),
        json.dumps([{"table_name": "t", "cols": {CELL: 1}, "sample_rows": _rows("x")}]),
        f'["{CELL}"]',
        f'{{"table_names": [{{"{CELL}": "{CELL}"}}]}}',
        f'{{"is_valid": "{CELL}"}}',
    ],
)
async def test_answers_with_cells_that_cannot_be_read_give_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, body: str
) -> None:
    client = kumo_async.KumoClient(plane.endpoint, KEY)
    connector = kumo_async.FileUploadConnector("csv", client=client)
    await connector.upload_async("t", csv_file(tmp_path))
    table = await connector.table_async("t")
    for call in ("table_data", "list", "validate"):
        plane.inject(Fault(call=call, answer=Garbage(body.encode()), times=None))
    for ask in (
        table.head_async,
        table.columns_async,
        connector.table_names_async,
        partial(connector.has_table_async, "t"),
    ):
        with pytest.raises(kumo_async.ServiceError) as caught:
            await ask()
        ears.hear_error(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{KEY.partition(':')[2]}@[acme/api",
        f"https://me:{KEY.partition(':')[2]}/x@acme.example/api",
        f"https://me:pw@acme.{KEY.partition(':')[2]}\u2100.example/api",
        f"https://{KEY.partition(':')[2]}..{'a' * 70}/api",
    ],
)
def test_an_endpoint_that_cannot_be_read_is_not_shown(url: str) -> None:
    ears = Ears([])
    with pytest.raises(kumo_async.ConfigurationError) as caught:
        kumo_async.KumoClient(url, "acme:other-key")
    ears.hear_error(caught.value)
    ears.check()


CALLS = ["start", "put_part", "complete", "delete", "list", "validate"]
CASES = [
    pytest.param(call, answer, id=f"{call}-{type(answer).__name__}{getattr(answer, 'status', '')}")
    for call in CALLS
    for answer in REFUSALS
]


@pytest.mark.parametrize(("call", "answer"), CASES)
async def test_faults_give_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, call: Any, answer: Any
) -> None:
    if call == "put_part" and isinstance(answer, Status):
        answer = dataclasses.replace(answer, message=None)  # a storage cannot quote a key that it never gets
    plane.inject(Fault(call=call, answer=answer, times=2))
    await upload(plane, ears, csv_file(tmp_path))
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, KEY))
    for ask in (connector.table_names_async, lambda: connector.delete_async("t")):
        try:
            ears.hear(await ask())
        except kumo_async.KumoError as error:
            ears.hear_error(error)
    assert ears.signatures or call == "start"
    assert len(ears.heard) > 20


class Quote:
    """Refuse a part, and quote the signature of the URL that it was sent to, as S3 does in further elements."""

    async def give(self, exchange: Any) -> Any:
        signature = exchange.request.query["X-Amz-Signature"]
        return await Status(403, "SignatureDoesNotMatch", f"You sent {signature}.").give(exchange)


async def test_a_storage_that_quotes_the_url_gives_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path
) -> None:
    plane.inject(Fault(call="put_part", answer=Quote(), times=None))
    await upload(plane, ears, csv_file(tmp_path))
    assert "You sent …." in "".join(ears.heard)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instrument aiohttp as tools do: by what they add to each session that is made; return what that sees."""
    seen: list[str] = []

    async def note(_session: object, _context: object, params: Any) -> None:
        seen.extend([f"{params.method} {params.url}", str(params)])

    make = aiohttp.ClientSession.__init__

    def instrumented(self: Any, *args: Any, **options: Any) -> None:
        config = aiohttp.TraceConfig()
        for signal in (config.on_request_start, config.on_request_end, config.on_request_exception):
            signal.append(note)
        make(self, *args, **{**options, "trace_configs": [*(options.get("trace_configs") or []), config]})

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", instrumented)
    return seen


async def test_traces_of_aiohttp_give_no_part_url_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, traced: list[str]
) -> None:
    plane.inject(Fault(call="put_part", answer=Disconnect()))
    await upload(plane, ears, csv_file(tmp_path))
    assert plane.object_names("csv") == ["t"]
    ears.heard += [each.replace(KEY, "…") for each in traced]  # what they do with headers is up to their settings
    assert any("start_file_upload" in each for each in traced)
    assert not any(each.startswith("PUT") for each in traced)


async def test_spans_of_opentelemetry_give_no_part_url_away(plane: LocalDataPlane, ears: Ears, tmp_path: Path) -> None:
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.aiohttp_client")
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    provider, spans = trace.TracerProvider(), memory.InMemorySpanExporter()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    instrumentor = instrumentation.AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        plane.inject(Fault(call="put_part", answer=Disconnect()))
        await upload(plane, ears, csv_file(tmp_path))
    finally:
        instrumentor.uninstrument()
    names = [span.name for span in spans.get_finished_spans()]
    ears.heard += [span.to_json() for span in spans.get_finished_spans()]
    assert "POST" in names
    assert "PUT" not in names


BAD_CSV: dict[str, str | bytes] = {
    "ragged": "id,note\n" + ROW + f"2,{CELL},{CELL}\n" + ROW,
    "open quote": "id,note\n" + ROW + f'2,"{CELL}\n',
    "NUL": "id,note\n" + ROW + f"2,{CELL}\0\n",
    "not UTF-8": ("id,note\n" + ROW).encode() + CELL.encode() + b"\xff,x\n",
    "first record not UTF-8": f"1,{CELL}".encode() + b"\xff\n2,x\n",
    "UTF-16": ("id,note\n" + ROW).encode("utf-16"),
    "one column": f"note\n{CELL}\n{CELL}\n",
    "header only": "id,note\n",
    "Parquet by mistake": b"PAR1" + CELL.encode() + b"PAR1",
    "gzip by mistake": b"\x1f\x8b" + CELL.encode(),
}


@pytest.mark.parametrize("validate", ["fast", "full"])
@pytest.mark.parametrize("case", BAD_CSV)
async def test_bad_csv_files_give_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, case: str, validate: str
) -> None:
    await upload(plane, ears, csv_file(tmp_path, BAD_CSV[case]), validate=validate)
    assert any("Error" in text for text in ears.heard)


@pytest.mark.parametrize("types", [{}, {"id": "int64", "note": "date32"}])
@pytest.mark.parametrize("case", [*BAD_CSV, "good"])
async def test_conversions_give_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, case: str, types: dict[str, str]
) -> None:
    path = csv_file(tmp_path, BAD_CSV.get(case, "id,note\n" + 50 * ROW))
    client = kumo_async.KumoClient(plane.endpoint, KEY)
    options = kumo_async.UploadOptions(convert="parquet", csv=kumo_async.CsvOptions(types=types))
    with suppress(kumo_async.KumoError):
        try:
            connector = kumo_async.FileUploadConnector("parquet", client=client)
            await connector.upload_async("t", path, options=options, observer=ears)
        except kumo_async.KumoError as error:
            ears.hear_error(error)
            raise
    assert len(ears.heard) > 5


def _corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    place = data.find(CELL.encode())
    data[place - 12 : place - 2] = b"\xff" * 10
    path.write_bytes(data)


BAD_PARQUET: dict[str, tuple[dict[str, Any], Callable[[Path], None] | None]] = {
    "good": ({"note": [CELL] * 9}, None),
    "corrupt pages": ({"note": [CELL] * 9}, _corrupt),
    "cut off": ({"note": [CELL] * 9}, lambda path: os.truncate(path, path.stat().st_size - 9)),
    "struct": ({"note": [{"a": CELL}] * 9}, None),
    "uint64 too large": ({"n": pa.array([2**64 - 77], pa.uint64()), "note": [CELL]}, None),
    "uint32, re-encoded": ({"n": pa.array([7], pa.uint32()), "note": [CELL]}, None),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
async def test_parquet_files_give_nothing_away(plane: LocalDataPlane, ears: Ears, tmp_path: Path, case: str) -> None:
    columns, damage = BAD_PARQUET[case]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)
    if damage is not None:
        damage(path)
    await upload(plane, ears, path, validate="full")
    assert str(2**64 - 77) not in "".join(ears.heard)


async def test_a_file_that_changes_gives_nothing_away(plane: LocalDataPlane, ears: Ears, tmp_path: Path) -> None:
    path = csv_file(tmp_path)

    class Meddler:
        def on_event(self, event: kumo_async.Event) -> None:
            ears.on_event(event)
            if isinstance(event, kumo_async.PartitionStarted):
                path.write_text(f"id,note\n1,{CELL}")

    client = kumo_async.KumoClient(plane.endpoint, KEY)
    with pytest.raises(kumo_async.SourceChangedError) as caught:
        await kumo_async.FileUploadConnector("csv", client=client).upload_async("t", path, observer=Meddler())
    ears.hear_error(caught.value)


async def test_what_is_shown_or_pickled_gives_nothing_away(plane: LocalDataPlane, ears: Ears, tmp_path: Path) -> None:
    client = kumo_async.KumoClient(plane.endpoint, KEY)
    connector = kumo_async.FileUploadConnector("csv", client=client)
    await connector.upload_async("t", csv_file(tmp_path))
    async with client.connected() as connection:
        session = connection.session
        shown = [client, client.credentials, connector, await connector.table_async("t"), connection, session, plane]
        for thing in [*shown, session.control, session.storage, session.control._authentication]:
            held = [] if dataclasses.is_dataclass(thing) else list(getattr(thing, "__dict__", {}).items())
            ears.hear(thing, [item for item in held if thing is not plane])
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with suppress(Exception):
                    ears.hear(pickle.dumps(thing, protocol))


@pytest.mark.parametrize("verbose", [False, True])
async def test_the_command_line_gives_nothing_away(
    plane: LocalDataPlane, ears: Ears, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verbose: bool
) -> None:
    monkeypatch.setenv("KUMO_API_KEY", KEY)
    path = csv_file(tmp_path)
    bad = tmp_path / "bad.csv"
    bad.write_text(str(BAD_CSV["ragged"]))

    def run(args: list[str]) -> None:
        result = CliRunner().invoke(app, [*(["-v"] if verbose else []), *args])
        ears.hear(result.stdout, result.stderr, result)
        if result.exception is not None:
            ears.hear_error(result.exception)

    for args in (["upload", str(path)], ["upload", str(bad)], ["ls"], ["show", "t"], ["show", "nobody"]):
        await to_thread.run_sync(run, [*args, "--url", plane.endpoint])
    plane.inject(Fault(call="put_part", answer=Status(403, "AccessDenied"), times=None))
    plane.inject(Fault(call="list", answer=Status(401, message=ECHO), times=None))
    for args in (["upload", str(path), "--json"], ["ls", "--json"]):
        await to_thread.run_sync(run, [*args, "--url", plane.endpoint])
    assert re.search("error: ", "".join(ears.heard))


async def test_the_check_itself_hears_what_is_said(tmp_path: Path) -> None:
    for secret in (KEY, CELL, "s1gn4ture", "https://h/?X-Amz-Signature=x"):
        ears = Ears(["s1gn4ture"])
        error = RuntimeError("ours")
        error.__context__ = ValueError(secret)
        ears.hear_error(error)
        with pytest.raises(AssertionError):
            ears.check()
