"""Services that answer the second completion of an upload as the first, as S3 does, also when its object is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from deaths import dying_unnoted
from switched import Switch

import kumo_async
from kumo_async.local import Disconnect, Fault, LocalDataPlane, Status
from one_of_two import FORMATS, check_upload, ids, write

NUMBERS = range(3_000)
MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=10_000, max_attempts=2)
ONE = kumo_async.UploadOptions(max_attempts=2)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[LocalDataPlane]:
    async with LocalDataPlane(tmp_path / "plane", second_complete_succeeds=True) as plane:
        yield plane


@pytest.fixture(params=FORMATS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / f"t.{request.param}", NUMBERS)


@pytest.fixture
def connector(plane: LocalDataPlane, path: Path) -> kumo_async.FileUploadConnector:
    client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
    return kumo_async.FileUploadConnector(path.suffix[1:], client=client)


@pytest.mark.parametrize("options", [MANY, ONE], ids=["many", "one"])
async def test_what_was_taken_back_is_sent_anew(
    plane: LocalDataPlane,
    connector: kumo_async.FileUploadConnector,
    path: Path,
    options: kumo_async.UploadOptions,
) -> None:
    # The answers to completions are lost, and what they did cannot be asked. Before the commit, one question could.
    faults = Switch()
    plane.inject(faults.fault(Fault(call="complete", answer=Disconnect(after_effect=True), times=None)))
    plane.inject(faults.fault(Fault(call="validate", answer=Status(500), skip=1, times=None)))
    error = await check_upload(plane, connector, path, options, NUMBERS)
    assert isinstance(error, kumo_async.UploadError)
    assert plane.object_names(path.suffix[1:]) == []
    faults.on = False
    assert await check_upload(plane, connector, path, options, NUMBERS) is None


@pytest.mark.parametrize("options", [MANY, ONE], ids=["many", "one"])
async def test_what_was_deleted_after_a_death_is_sent_anew(
    plane: LocalDataPlane,
    connector: kumo_async.FileUploadConnector,
    path: Path,
    journals: Path,
    options: kumo_async.UploadOptions,
) -> None:
    file_type = path.suffix[1:]
    with dying_unnoted(journals):
        await connector.upload_async("t", path, options=options)
    assert ids(plane, "t", file_type) == list(NUMBERS)
    async with connector.client.connected() as connection:
        for name in plane.object_names(file_type):
            await connection.session.control.delete_object(connector.name, name)
    assert await check_upload(plane, connector, path, options, NUMBERS) is None
    assert list(journals.iterdir()) == []
