"""One frozen table of faults: what goes wrong, which calls that makes, and what is there afterwards.

There is an old table of one object. The new one has two partitions of one part each, sent one after the other, with at
most three attempts for each request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import (
    Answer,
    CutAnswer,
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
from kumo_async.local.calls import CallName

State = Literal["new", "old", "none"]
ONCE, ALWAYS = 1, None
SOON = {"Retry-After": "0"}
OPTIONS = kumo_async.UploadOptions(
    partition_threshold=0,
    partition_size=600_000,
    max_attempts=3,
    max_concurrent_parts=1,
    max_concurrent_partitions=1,
)


#: Answers of success that have not what was promised.
FAILED = Garbage(b'{"detail": "Internal error"}')
INTERNAL = Garbage(
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal '
    b"error. Please try again.</Message></Error>"
)
EMPTY = Garbage(b"")
UNPROMISED = [Garbage(), FAILED, INTERNAL, Garbage(b'["no", "such", "form"]')]


@dataclass(frozen=True)
class Page:
    """A page of a proxy."""

    status: int

    async def give(self, exchange: Exchange) -> web.Response:
        return web.Response(status=self.status, text="<html>no</html>", content_type="text/html", headers=SOON)


@dataclass(frozen=True)
class Row:
    """A fault, once or always; how often start, put_part and complete are called; what is there; the error's words."""

    call: CallName
    answer: Answer
    times: int | None
    calls: tuple[int, int, int]
    state: State
    words: str | None = None

    def __str__(self) -> str:
        return f"{self.call}, {'always' if self.times is None else 'once'}: {self.answer}"


#: Refusals of a part, whether they come before its first byte is read, in the middle or behind the last one.
#: Once: calls. Always: calls, and the words of the error. Whatever these do, the old table is there or the new one.
PARTS: list[tuple[Status | Disconnect, tuple[int, int, int], tuple[int, int, int], str]] = [
    (Status(500, headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 500 InternalError"),
    (Status(502, headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 502"),
    (Status(408, headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 408"),
    (Status(400, "RequestTimeout", headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 400 RequestTimeout"),
    (Status(400, "BadDigest", headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 400 BadDigest"),
    (Status(400, "IncompleteBody", headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 400 IncompleteBody"),
    (Status(503, "SlowDown", headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 503 SlowDown"),
    (Status(429, headers=SOON), (2, 3, 2), (1, 3, 0), "3 attempts: 429"),
    (Disconnect(), (2, 3, 2), (1, 3, 0), "3 attempts: the connection to 127.0.0.1 broke"),
    (Status(403, "AccessDenied", "Request has expired"), (3, 3, 2), (3, 3, 0), "started 3 times.*run out"),
    (Status(400, "ExpiredToken"), (3, 3, 2), (3, 3, 0), "started 3 times.*run out"),
    (Status(404, "NoSuchUpload"), (3, 3, 2), (3, 3, 0), "started 3 times.*gone"),
    (Status(403, "RequestTimeTooSkewed"), (3, 3, 2), (2, 2, 0), "started 2 times.*clocks"),
    (Status(403, "AccessDenied"), (1, 1, 0), (1, 1, 0), "1 attempt: 403 AccessDenied.*proxy.*request id"),
    (Status(403, "SignatureDoesNotMatch"), (1, 1, 0), (1, 1, 0), "403 SignatureDoesNotMatch"),
    (Status(301, "PermanentRedirect"), (1, 1, 0), (1, 1, 0), "never followed"),
    (Status(307, headers={"Location": "/api/v1/connectors"}), (1, 1, 0), (1, 1, 0), "never followed"),
    (Status(401), (1, 1, 0), (1, 1, 0), "401"),
    (Status(404, "NoSuchKey"), (1, 1, 0), (1, 1, 0), "404 NoSuchKey"),
    (Status(400, "EntityTooSmall"), (1, 1, 0), (1, 1, 0), "400 EntityTooSmall"),
    (Status(411, "MissingContentLength"), (1, 1, 0), (1, 1, 0), "411 MissingContentLength"),
]

#: All other rows, one by one.
ROWS: list[Row] = [
    Row("put_part", CutAnswer(after_effect=True), ONCE, (2, 3, 2), "new"),
    Row("put_part", CutAnswer(after_effect=True), ALWAYS, (1, 3, 0), "old", "3 attempts: the connection"),
    Row("put_part", Disconnect(after_effect=True), ONCE, (2, 3, 2), "new"),
    Row("put_part", WrongETag(), ONCE, (2, 3, 2), "new"),
    Row("put_part", WrongETag(), ALWAYS, (1, 3, 0), "old", "not the MD5"),
    Row("put_part", NoETag(), ONCE, (1, 1, 0), "old", "no ETag"),
    Row("put_part", Garbage(), ONCE, (1, 1, 0), "old", "no ETag"),
    Row("put_part", Page(502), ONCE, (2, 3, 2), "new"),
    Row("put_part", Page(403), ONCE, (1, 1, 0), "old", "proxy"),
    Row("put_part", Page(404), ONCE, (1, 1, 0), "old", "proxy"),
    Row("start", Status(500, headers=SOON), ONCE, (3, 2, 2), "new"),
    Row("start", Status(500, headers=SOON), ALWAYS, (3, 0, 0), "old", "3 attempts: 500"),
    Row("start", Status(503, headers=SOON), ONCE, (3, 2, 2), "new"),
    Row("start", Status(429, headers=SOON), ALWAYS, (3, 0, 0), "old", "3 attempts: 429"),
    Row("start", Disconnect(), ONCE, (3, 2, 2), "new"),
    Row("start", Disconnect(after_effect=True), ONCE, (3, 2, 2), "new"),
    Row("start", Disconnect(), ALWAYS, (3, 0, 0), "old", "broke"),
    Row("start", CutAnswer(after_effect=True), ONCE, (3, 2, 2), "new"),
    *(Row("start", answer, ONCE, (3, 2, 2), "new") for answer in UNPROMISED),
    Row("start", Garbage(), ALWAYS, (3, 0, 0), "old", "3 attempts: .*JSON"),
    Row("start", INTERNAL, ALWAYS, (3, 0, 0), "old", "3 attempts: 200, and in it InternalError: We .*try again later"),
    Row("start", FAILED, ALWAYS, (3, 0, 0), "old", "no 'presigned_part_urls'"),
    Row("start", EMPTY, ALWAYS, (3, 0, 0), "old", "its answer to start_file_upload is empty"),
    Row("put_part", INTERNAL, ONCE, (2, 3, 2), "new"),
    Row("start", Page(404), ONCE, (1, 0, 0), "old", "proxy"),
    Row("start", Status(401), ONCE, (1, 0, 0), "old", "API key"),
    Row("start", Status(403), ONCE, (1, 0, 0), "old", "403"),
    Row("start", Status(422), ONCE, (1, 0, 0), "old", "422"),
    Row("start", Status(307), ONCE, (1, 0, 0), "old", "never followed"),
    Row("complete", Status(500, headers=SOON), ONCE, (2, 2, 3), "new"),
    Row("complete", Status(500, headers=SOON), ALWAYS, (2, 2, 4), "none", "may still take effect"),
    Row("complete", Status(503, headers=SOON), ALWAYS, (2, 2, 4), "none", "No table of that name"),
    Row("complete", Status(500, headers=SOON, after_effect=True), ONCE, (2, 2, 3), "new"),
    Row("complete", Status(500, headers=SOON, after_effect=True), ALWAYS, (2, 2, 4), "new"),
    Row("complete", Status(503, headers=SOON), ONCE, (2, 2, 3), "new"),
    Row("complete", Status(503, headers=SOON, after_effect=True), ALWAYS, (2, 2, 4), "new"),
    Row("complete", Disconnect(), ONCE, (2, 2, 3), "new"),
    Row("complete", Disconnect(), ALWAYS, (2, 2, 4), "none", "may still take effect"),
    Row("complete", Disconnect(after_effect=True), ONCE, (2, 2, 3), "new"),
    Row("complete", Disconnect(after_effect=True), ALWAYS, (2, 2, 4), "new"),
    Row("complete", CutAnswer(after_effect=True), ONCE, (2, 2, 3), "new"),
    Row("complete", Garbage(after_effect=True), ONCE, (2, 2, 2), "new"),
    Row("complete", Garbage(), ONCE, (2, 2, 3), "new"),
    Row("complete", Garbage(), ALWAYS, (2, 2, 4), "none", "JSON.*No table of that name"),
    # It says that it failed, in an answer of success: the object is asked for, and the complete made again.
    Row("complete", FAILED, ONCE, (2, 2, 3), "new"),
    Row("complete", FAILED, ALWAYS, (2, 2, 4), "none", "Internal error.*No table of that name"),
    Row("complete", replace(FAILED, after_effect=True), ALWAYS, (2, 2, 2), "new"),
    Row("complete", INTERNAL, ONCE, (2, 2, 3), "new"),
    Row("complete", INTERNAL, ALWAYS, (2, 2, 4), "none", "200, and in it InternalError: We .*No table of that name"),
    Row("complete", replace(INTERNAL, after_effect=True), ALWAYS, (2, 2, 2), "new"),
    Row("complete", Garbage(b'{"status": "done"}', after_effect=True), ALWAYS, (2, 2, 2), "new"),
    *(Row("complete", Garbage(text, after_effect=True), ALWAYS, (2, 2, 2), "new") for text in (b"null", b"{}", b" ")),
    *(Row("delete", answer, ONCE, (2, 2, 2), "new") for answer in UNPROMISED),
    Row("delete", FAILED, ALWAYS, (2, 2, 0), "old", "and is still there"),
    Row("delete", INTERNAL, ALWAYS, (2, 2, 0), "old", "InternalError.*try again later"),
    Row("delete", replace(FAILED, after_effect=True), ALWAYS, (2, 2, 2), "new"),
    *(Row("validate", answer, ONCE, (2, 2, 2), "new") for answer in UNPROMISED),
    *(Row("list", answer, ONCE, (2, 2, 2), "new") for answer in UNPROMISED),
    Row("complete", Status(404, after_effect=True), ONCE, (2, 2, 2), "new"),
    # The service has forgotten the upload, so it is sent again.
    Row("complete", Status(404), ONCE, (4, 4, 4), "new"),
    Row("complete", Status(404), ALWAYS, (6, 6, 6), "none", "in each of 3 rounds"),
    Row("complete", Status(400), ONCE, (2, 2, 2), "none", "400"),
    Row("complete", Status(401), ONCE, (2, 2, 2), "none", "API key"),
    Row("complete", Status(422), ONCE, (2, 2, 2), "none", "422"),
    Row("complete", Status(307), ONCE, (2, 2, 2), "none", "never followed"),
]


def part_rows() -> Iterator[tuple[str, Row]]:
    for answer, once, always, words in PARTS:
        name = f"{answer.status} {answer.code or ''}" if isinstance(answer, Status) else "disconnect"
        for when, count in (("first", 0), ("middle", 300_000), ("last", 10**9)):
            given = replace(answer, after_bytes=count)
            passes = once[2] == 2
            end: tuple[State, str | None] = ("new", None) if passes else ("old", words)
            yield f"{name}, {when} byte, once", Row("put_part", given, ONCE, once, *end)
            yield f"{name}, {when} byte, always", Row("put_part", given, ALWAYS, always, "old", words)


CASES = [*part_rows(), *((str(row), row) for row in ROWS)]


@pytest.fixture
def old(numbers: pa.Table) -> pa.Table:
    return numbers.slice(0, 1000)


async def test_a_refusal_after_a_lost_answer_is_no_plain_no(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: Callable[..., Path],
) -> None:
    # What a second completion of one upload gets is not known; here it is something else than "not found".
    plane.inject(Fault(call="complete", name="*part_0001*", answer=Disconnect(after_effect=True)))
    plane.inject(Fault(call="complete", name="*part_0001*", answer=Status(409)))
    await parquet.upload_async("numbers", write_parquet(numbers, row_group_size=30_000), options=OPTIONS)
    check_state(plane, "new", {"new": numbers})


@pytest.mark.parametrize("row", [row for _, row in CASES], ids=[name for name, _ in CASES])
async def test_each_fault_has_its_calls_and_its_end(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    old: pa.Table,
    write_parquet: Callable[..., Path],
    row: Row,
) -> None:
    path = write_parquet(numbers, row_group_size=30_000)
    await parquet.upload_async("numbers", write_parquet(old, "old.parquet"))
    before = len(plane.calls)
    name = "*part_0001*" if row.call == "complete" else None
    plane.inject(Fault(call=row.call, name=name, answer=row.answer, times=row.times))
    if row.words is None:
        report = await parquet.upload_async("numbers", path, options=OPTIONS)
        assert (report.rows, len(report.partitions)) == (numbers.num_rows, 2)
    else:
        with pytest.raises(kumo_async.KumoError, match=row.words) as caught:
            await parquet.upload_async("numbers", path, options=OPTIONS)
        assert "X-Amz" not in str(caught.value)
    made = Counter(call.call for call in plane.calls[before:])
    assert (made["start"], made["put_part"], made["complete"]) == row.calls
    assert made["connectors"] == 0, "a redirect was followed"
    check_state(plane, row.state, {"new": numbers, "old": old})


def check_state(plane: LocalDataPlane, state: State, tables: dict[State, pa.Table]) -> None:
    """Check that exactly one of the two tables is there, whole and once, or none."""
    files = plane.table_files("numbers", "parquet")
    if state == "none":
        assert plane.object_names("parquet") == []
    else:
        assert pa.concat_tables([pq.read_table(file) for file in files]).equals(tables[state])
        assert len(plane.object_names("parquet")) == len(files)


#: Frozen. Answers to the list of tables: how often it is asked for, and the words of the error.
LISTS: list[tuple[Answer, int | None, int, str | None]] = [
    (Status(500, headers=SOON), ONCE, 2, None),
    (Status(500, headers=SOON), ALWAYS, 4, "4 attempts: 500"),
    (Status(503, headers=SOON), ONCE, 2, None),
    (Status(429, headers=SOON), ALWAYS, 4, "4 attempts: 429"),
    (Disconnect(), ONCE, 2, None),
    (CutAnswer(after_effect=True), ONCE, 2, None),
    (Page(502), ONCE, 2, None),
    (Page(404), ONCE, 1, "proxy"),
    *[(answer, ONCE, 2, None) for answer in [*UNPROMISED, EMPTY]],
    (HalfAnswer(), ONCE, 2, None),
    (Garbage(), ALWAYS, 4, "4 attempts: .*JSON"),
    (EMPTY, ALWAYS, 4, "its answer to list_tables is empty"),
    (FAILED, ALWAYS, 4, "no 'table_names'"),
    (INTERNAL, ALWAYS, 4, "InternalError"),
    (Garbage(b'{"table_names": [7]}'), ALWAYS, 4, "names are not strings"),
    (Status(401), ONCE, 1, "API key"),
    (Status(403), ONCE, 1, "403"),
    (Status(404), ONCE, 1, "404"),
    (Status(422), ONCE, 1, "422"),
    (Status(307), ONCE, 1, "never followed"),
]


@pytest.mark.parametrize(("answer", "times", "calls", "words"), LISTS, ids=str)
async def test_each_fault_of_a_list(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    answer: Answer,
    times: int | None,
    calls: int,
    words: str | None,
) -> None:
    plane.inject(Fault(call="list", answer=answer, times=times))
    if words is None:
        assert await parquet.table_names_async() == []
    else:
        with pytest.raises(kumo_async.ServiceError, match=words):
            await parquet.table_names_async()
    assert len(plane.calls) == calls
