"""One error comes out, with its own cause, whatever the task groups made of it."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

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


CELL = b"value 4711 \xff"


def read_text() -> None:
    """Fail as a parser does that quotes what it was given."""
    try:
        CELL.decode("ascii")
    except UnicodeDecodeError as error:
        raise ValueError(CELL) from error


def read() -> None:
    """Fail as what uses a parser does."""
    try:
        read_text()
    except ValueError as error:
        raise kumo_async.SourceError("No.") from error


def open_missing() -> None:
    try:
        Path("/nobody/has/this").read_bytes()
    except OSError as error:
        raise kumo_async.SourceError("No.") from error


def words_of_arrow() -> None:
    error = OSError(f"Corrupt page with {CELL!r}")
    raise kumo_async.SourceError("No.") from error


def after_groups(work: Callable[[], None]) -> kumo_async.SourceError:
    with pytest.raises(kumo_async.SourceError) as caught, no_groups():
        work()
    assert "4711" not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_nothing_foreign_is_in_a_chain() -> None:
    error = after_groups(read)
    assert repr(error.__cause__) == "ForeignError('builtins.ValueError')"
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is not None


async def test_nothing_of_other_tasks_is_in_a_chain() -> None:
    async def work(function: Callable[[], None]) -> None:
        function()

    async def together() -> None:
        with no_groups():
            async with anyio.create_task_group() as group:
                group.start_soon(work, read_text)
                group.start_soon(work, read)

    with pytest.raises(kumo_async.SourceError) as caught:
        await together()
    assert "4711" not in "".join(traceback.format_exception(caught.value))
    assert "4711" not in repr((caught.value.__context__, caught.value.__cause__))


def test_what_the_system_says_stays_in_a_chain() -> None:
    cause = after_groups(open_missing).__cause__
    assert isinstance(cause, FileNotFoundError)
    assert cause.filename == "/nobody/has/this"
    cause = after_groups(words_of_arrow).__cause__
    assert isinstance(cause, OSError)
    assert str(cause) == ""


async def test_what_the_caller_handles_stays_in_a_chain() -> None:
    mine = ValueError("mine")
    try:
        raise mine
    except ValueError:
        with pytest.raises(kumo_async.SourceError) as caught, no_groups():
            raise kumo_async.SourceError("No.")  # noqa: B904
    assert caught.value.__context__ is mine


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    path = "a\nERROR forged\x1b[31m.csv"
    error = kumo_async.SourceError(f"{path} is empty.\nThis is so: \x1b[0m\u2028", path=path)
    assert str(error) == "a\\nERROR forged\\x1b[31m.csv is empty.\nThis is so: \\x1b[0m\\u2028"
    assert error.path == path


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
