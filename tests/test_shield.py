"""What is on its way while something is cleaned up goes on: a failure stays the cause of a cancellation."""

from __future__ import annotations

import asyncio

import anyio

from gate import ThreadGate
from kumo_async import UploadError
from kumo_async.shield import clean_up, to_the_end


async def test_a_failure_is_the_cause_of_a_cancellation_that_comes_while_it_is_cleaned_up_after(
    closed_gate: ThreadGate,
) -> None:
    async def fail() -> None:
        try:
            raise UploadError("No table is there now.")
        finally:
            await clean_up(closed_gate.passed)

    cancelled = await closed_gate.check_outlasts(asyncio.create_task(fail()))
    assert str(cancelled.__cause__) == "No table is there now."


async def test_a_second_cancellation_has_the_cause_of_the_first(closed_gate: ThreadGate) -> None:
    begun = anyio.Event()

    async def work() -> None:
        await begun.wait()
        raise UploadError("No table is there now.")

    async def fail() -> None:
        try:
            await to_the_end(work, begun.set)
        finally:
            await clean_up(closed_gate.passed)

    task = asyncio.create_task(fail())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    cancelled = await closed_gate.check_outlasts(task)
    assert str(cancelled.__cause__) == "No table is there now."


async def test_without_a_failure_a_cancellation_has_no_cause(closed_gate: ThreadGate) -> None:
    cancelled = await closed_gate.check_outlasts(asyncio.create_task(clean_up(closed_gate.passed)))
    assert cancelled.__cause__ is None
