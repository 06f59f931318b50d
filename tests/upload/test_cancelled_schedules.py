"""Random schedules of faults, and a cancellation at a random moment: the promise of `one_of_two` holds, said or not."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import event, given, seed, settings
from hypothesis import strategies as st
from switched import Switch

import kumo_async
from kumo_async.local import Answer, Disconnect, Fault, LocalDataPlane, Status
from one_of_two import check_cancelled, check_upload, write

OLD, NEW = range(500), range(100_000, 103_000)
MANY = kumo_async.UploadOptions(
    partition_threshold=0, partition_size=10_000, max_attempts=2, commit_timeout=3, resume=False
)
SHAPES = [None, kumo_async.UploadOptions(), kumo_async.UploadOptions(partition_threshold=0, partition_size=2_000)]
ANSWERS: list[Answer] = [
    Status(400),
    Status(403),
    Status(404),
    Status(500),
    Status(503, headers={"Retry-After": "0"}),
    Status(504, after_effect=True),
    Disconnect(),
    Disconnect(after_effect=True),
]
FAULTS = st.builds(
    Fault,
    call=st.sampled_from(["complete", "delete", "validate", "list", "start", "put_part"]),
    answer=st.sampled_from(ANSWERS),
    skip=st.integers(0, 4),
    times=st.sampled_from([1, 2, None]),
)
#: What a commit cannot be finished with.
REFUSED = st.builds(Fault, call=st.just("complete"), answer=st.just(Status(400)), skip=st.integers(0, 4))


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_async.service.retry.wait_before", lambda attempt, error: 0.0)
    monkeypatch.setattr("kumo_async.upload.burst._HURRIED", 0.5)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables to upload, written once."""
    directory = tmp_path_factory.mktemp("files")
    write(directory / "old.csv", OLD)
    write(directory / "new.csv", NEW)
    return directory


async def _try(
    files: Path,
    before: kumo_async.UploadOptions | None,
    schedule: list[Fault],
    calls: int,
    steps: int,
    *,
    removes: bool,
    repeats: bool,
) -> None:
    """Cancel an upload while calls fail, and see that the promise holds; then upload once more while none does."""
    faults = Switch()
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        plane = LocalDataPlane(directory, delete_removes_partitions=removes, second_complete_succeeds=repeats)
        await stack.enter_async_context(plane)
        client = await stack.enter_async_context(kumo_async.KumoClient(plane.endpoint, plane.api_key))
        connector = kumo_async.FileUploadConnector("csv", client=client)
        if before is not None:
            await connector.upload_async("t", files / "old.csv", options=before)
        for fault in schedule:
            plane.inject(faults.fault(fault))
        event(await check_cancelled(plane, connector, files / "new.csv", MANY, NEW, calls=calls, steps=steps))
        faults.on = False
        assert await check_upload(plane, connector, files / "new.csv", replace(MANY, resume=True), NEW) is None


@pytest.mark.parametrize("part", range(8))
def test_an_upload_that_is_cancelled_while_calls_fail(files: Path, part: int) -> None:
    """Ten random schedules; each part has others."""

    @seed(20_261_123 + part)
    @settings(max_examples=10)
    @given(
        before=st.sampled_from(SHAPES),
        schedule=st.lists(st.one_of(FAULTS, REFUSED), max_size=2),
        calls=st.integers(1, 30),
        steps=st.integers(0, 6),
        removes=st.booleans(),
        repeats=st.booleans(),
    )
    def check(
        before: kumo_async.UploadOptions | None,
        schedule: list[Fault],
        calls: int,
        steps: int,
        removes: bool,
        repeats: bool,
    ) -> None:
        asyncio.run(_try(files, before, schedule, calls, steps, removes=removes, repeats=repeats))

    check()
