"""Random schedules of faults, seeded and shrinking: the promise of `one_of_two` holds under each of them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, seed, settings
from hypothesis import strategies as st
from switched import Switch

import kumo_async
from kumo_async.local import Answer, Disconnect, Fault, Garbage, LocalDataPlane, NoETag, Status, WrongETag
from one_of_two import FORMATS, check_upload, write

OLD, NEW = range(500), range(100_000, 106_000)
WHOLE = kumo_async.UploadOptions()
MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=30_000, max_attempts=3)
#: Two parts: S3 takes none below 5 MiB but the last.
PARTS = kumo_async.UploadOptions(part_size=5 * 1024**2, max_attempts=3)
LARGE = range(100_000, 460_000)

REFUSALS: list[Answer] = [
    Status(400),
    Status(403, "AccessDenied"),
    Status(404),
    Status(409),
    Status(410),
    Status(422),
    Status(307, headers={"Location": "http://127.0.0.1:1/"}),
    Status(401),
]
PASSING: list[Answer] = [
    Status(500),
    Status(503, "SlowDown", headers={"Retry-After": "0"}),
    Status(429, headers={"Retry-After": "0"}),
    Status(408),
    Status(425),
    Status(520),
    Status(529, headers={"Retry-After": "0"}),
    Status(500, after_effect=True),
    Status(504, after_effect=True),
    Disconnect(),
    Disconnect(after_effect=True),
]
BODIES: list[Answer] = [
    Garbage(),
    Garbage(after_effect=True),
    Garbage(b""),
    Garbage(b"{}"),
    Garbage(b'{"is_valid": 7}'),
]
PART_ANSWERS: list[Answer] = [
    *REFUSALS,
    *PASSING,
    Status(403, "AccessDenied", "Request has expired"),
    Status(400, "ExpiredToken"),
    Status(400, "BadDigest"),
    Status(404, "NoSuchUpload"),
    Disconnect(after_bytes=1),
    Disconnect(after_bytes=20_000),
    NoETag(),
    WrongETag(),
]
TIMES = st.sampled_from([1, 2, 4, None])
PART_FAULTS = st.builds(
    Fault, call=st.just("put_part"), answer=st.sampled_from(PART_ANSWERS), skip=st.integers(0, 5), times=TIMES
)
CONTROL_FAULTS = st.builds(
    Fault,
    call=st.sampled_from(["start", "complete", "delete", "validate", "list"]),
    answer=st.sampled_from([*REFUSALS, *PASSING]),
    skip=st.integers(0, 5),
    times=TIMES,
)
#: What lies about what it did. It is kept to calls whose answer is more than yes or no, since of a service that says
#: "deleted" and keeps the table no client can know.
LYING_FAULTS = st.builds(
    Fault, call=st.just("start"), answer=st.sampled_from(BODIES), skip=st.integers(0, 5), times=TIMES
)
SCHEDULES = st.lists(st.one_of(PART_FAULTS, CONTROL_FAULTS, LYING_FAULTS), max_size=4)

#: Answers to completions that are lost, and nobody to ask what they did.
UNKNOWN = [
    Fault(call="complete", answer=Disconnect(after_effect=True), times=None),
    Fault(call="validate", answer=Status(500), skip=1, times=None),
]


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_async.service.retry.wait_before", lambda attempt, error: 0.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables to upload, written once."""
    directory = tmp_path_factory.mktemp("files")
    for file_type in FORMATS:
        write(directory / f"old.{file_type}", OLD)
        write(directory / f"new.{file_type}", NEW)
        write(directory / f"large.{file_type}", LARGE)
    return directory


@pytest.fixture(scope="module")
def roots() -> Iterator[Path]:
    """A directory for the planes of all examples."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


async def _try(
    root: Path,
    source: Path,
    numbers: range,
    options: kumo_async.UploadOptions,
    before: kumo_async.UploadOptions | None,
    schedule: list[Fault],
    *,
    removes: bool,
    repeats: bool,
) -> str:
    """Upload while all goes wrong, and see that the promise holds; then once more while nothing does."""
    file_type, faults = source.suffix[1:], Switch()
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=root))
        plane = LocalDataPlane(directory, delete_removes_partitions=removes, second_complete_succeeds=repeats)
        await stack.enter_async_context(plane)
        client = await stack.enter_async_context(kumo_async.KumoClient(plane.endpoint, plane.api_key))
        connector = kumo_async.FileUploadConnector(file_type, client=client)
        if before is not None:
            await connector.upload_async("t", source.with_stem("old"), options=before)
        for fault in schedule:
            plane.inject(faults.fault(fault))
        error = await check_upload(plane, connector, source, options, numbers)
        faults.on = False
        assert await check_upload(plane, connector, source, options, numbers) is None
        return "failed" if error else "whole"


SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("part", range(8))
def test_a_table_of_many_partitions(files: Path, roots: Path, part: int) -> None:
    """Fifteen random schedules; each part has others."""

    @seed(20_240_805 + part)
    @settings(max_examples=15)
    @given(
        file_type=st.sampled_from(FORMATS),
        options=st.sampled_from([MANY, kumo_async.UploadOptions(max_attempts=3)]),
        before=st.sampled_from([None, WHOLE, kumo_async.UploadOptions(partition_threshold=0, partition_size=3_000)]),
        schedule=SCHEDULES,
        removes=st.booleans(),
        repeats=st.booleans(),
    )
    def check(
        file_type: str,
        options: kumo_async.UploadOptions,
        before: kumo_async.UploadOptions | None,
        schedule: list[Fault],
        removes: bool,
        repeats: bool,
    ) -> None:
        source = files / f"new.{file_type}"
        event(asyncio.run(_try(roots, source, NEW, options, before, schedule, removes=removes, repeats=repeats)))

    check()


@pytest.mark.parametrize(
    ("before", "schedule", "removes", "repeats"),
    [
        (WHOLE, [Fault(call="complete", answer=Disconnect(after_effect=True), times=None)], True, False),
        (WHOLE, [Fault(call="delete", answer=Disconnect(after_effect=True), times=None)], True, False),
        (WHOLE, [Fault(call="complete", answer=Status(400), times=None)], True, False),
        (MANY, [Fault(call="delete", answer=Status(400), times=None, skip=1)], False, False),
        (None, UNKNOWN, True, True),
    ],
)
def test_a_schedule_that_was_found(
    files: Path,
    roots: Path,
    before: kumo_async.UploadOptions | None,
    schedule: list[Fault],
    removes: bool,
    repeats: bool,
) -> None:
    asyncio.run(_try(roots, files / "new.csv", NEW, MANY, before, schedule, removes=removes, repeats=repeats))


@seed(20_240_805)
@settings(SETTINGS, max_examples=15)
@given(file_type=st.sampled_from(FORMATS), schedule=st.lists(st.one_of(PART_FAULTS, CONTROL_FAULTS), max_size=3))
def test_an_object_of_two_parts(files: Path, roots: Path, file_type: str, schedule: list[Fault]) -> None:
    event(
        asyncio.run(
            _try(roots, files / f"large.{file_type}", LARGE, PARTS, WHOLE, schedule, removes=True, repeats=True)
        )
    )
