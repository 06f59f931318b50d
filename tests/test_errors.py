"""One error comes out, with its own cause, whatever the task groups made of it."""

from __future__ import annotations

import pickle

import anyio
import pytest

import kumo_async
from kumo_async.errors import no_groups


async def fail(error: BaseException) -> None:
    raise error


async def fail_together(*errors: BaseException) -> None:
    with no_groups():
        async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
            for error in errors:
                (outer if error is errors[0] else inner).start_soon(fail, error)


async def raised(*errors: BaseException) -> BaseException:
    with pytest.raises(BaseException) as caught:
        await fail_together(*errors)
    return caught.value


async def test_the_error_keeps_its_cause() -> None:
    error = kumo_async.SourceError("No.")
    error.__cause__ = OSError("disk")
    found = await raised(error)
    assert found is error
    assert isinstance(found.__cause__, OSError)
    assert found.__suppress_context__


async def test_an_error_of_ours_goes_before_its_echo() -> None:
    error = kumo_async.SourceError("No.")
    assert await raised(RuntimeError("echo"), error) is error
    assert await raised(error, RuntimeError("echo")) is error


async def test_a_foreign_error_alone_passes() -> None:
    error = RuntimeError("bug")
    assert await raised(error) is error


async def test_cancellation_passes() -> None:
    with anyio.CancelScope() as scope, no_groups():
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            scope.cancel()
    assert scope.cancelled_caught


def test_errors_carry_their_facts_and_survive_pickling() -> None:
    error = kumo_async.UploadError("Gone.", table="t", partition="t.csv/part_0001.csv", part=3, status=500, attempts=8)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), vars(copy)) == ("Gone.", vars(error))
