"""How much is under way at once."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from kumo_async.upload.limits import Limit


async def test_no_more_than_the_limit_are_under_way() -> None:
    limit, most, ran = Limit(), 0, 0

    async def work() -> None:
        nonlocal most, ran
        async with limit.hold(3):
            most = max(most, limit.held)
            await anyio.lowlevel.checkpoint()
            ran += 1

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(work)
    assert (most, ran, limit.held) == (3, 50, 0)


async def test_those_who_wait_are_let_in_in_order() -> None:
    limit, order = Limit(), list[int]()

    async def work(number: int) -> None:
        async with limit.hold(1):
            order.append(number)

    async with anyio.create_task_group() as group:
        await limit.acquire(1)
        for number in range(5):
            group.start_soon(work, number)
        await anyio.wait_all_tasks_blocked()
        limit.release()
    assert order == [0, 1, 2, 3, 4]


async def test_nobody_waits_behind_a_smaller_limit() -> None:
    limit, order = Limit(), list[str]()

    async def work(name: str, most: int) -> None:
        async with limit.hold(most):
            order.append(name)

    async with anyio.create_task_group() as group:
        await limit.acquire(2)
        group.start_soon(work, "small", 1)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(work, "large", 2)
        await anyio.wait_all_tasks_blocked()
        assert order == ["large"]
        limit.release()
    assert order == ["large", "small"]


@pytest.mark.parametrize("let_in_first", [False, True])
async def test_a_cancelled_wait_takes_no_place(let_in_first: bool) -> None:
    limit = Limit()

    async def work() -> None:
        async with limit.hold(1):
            await anyio.sleep_forever()

    await limit.acquire(1)
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        if let_in_first:
            limit.release()
        group.cancel_scope.cancel()
    if not let_in_first:
        limit.release()
    assert limit.held == 0
    await limit.acquire(1)


async def test_a_cancelled_task_does_not_enter() -> None:
    limit = Limit()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await limit.acquire(1)
    assert limit.held == 0
