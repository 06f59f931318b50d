"""Uploads side by side on one client: places are shared fairly, and a storage that asks for patience gets it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async.local import Fault, LocalDataPlane, Stall, Status
from kumo_async.upload.limits import Limit
from kumo_async.upload.pace import Pace

WritesParquet = Callable[..., Path]


async def entering(limit: Limit, most: int, *wants: tuple[str, tuple[int, ...]]) -> list[str]:
    """Let users want places while all are taken; then free one at a time, and return who gets them."""
    order = list[str]()

    async def want(user: str, rank: tuple[int, ...]) -> None:
        await limit.acquire(most, user, rank)
        order.append(user + "".join(map(str, rank)))
        # Its place is free at once again, for the next one.
        limit.release(user)

    for _ in range(most):
        await limit.acquire(most, "before")
    async with anyio.create_task_group() as group:
        for user, rank in wants:
            group.start_soon(want, user, rank)
            await anyio.wait_all_tasks_blocked()
        limit.release("before")
    return order


async def test_users_take_turns_whatever_the_length_of_their_queues() -> None:
    wants = [("a", ()), ("a", ()), ("a", ()), ("b", ()), ("c", ()), ("b", ())]
    assert await entering(Limit(), 1, *wants) == ["a", "b", "c", "a", "b", "a"]


async def test_a_users_own_go_in_the_order_of_their_rank() -> None:
    wants = [("a", (1, 1)), ("a", (0, 2)), ("a", (0, 3)), ("a", (1, 2)), ("a", (0, 1))]
    assert await entering(Limit(), 1, *wants) == ["a01", "a02", "a03", "a11", "a12"]


async def test_whoever_has_fewer_goes_first() -> None:
    limit, order = Limit(), list[str]()
    for user in ("a", "a", "b"):
        await limit.acquire(3, user)

    async def want(user: str) -> None:
        await limit.acquire(3, user)
        order.append(user)

    async with anyio.create_task_group() as group:
        for user in ("a", "b"):
            group.start_soon(want, user)
            await anyio.wait_all_tasks_blocked()
        limit.release("b")
        limit.release("a")
    assert order == ["b", "a"]


async def test_the_last_place_is_kept_for_those_who_have_none() -> None:
    limit = Limit()
    limit.join("slow")
    limit.join("quick")
    for _ in range(2):
        await limit.acquire(3, "slow")
    with anyio.move_on_after(0) as scope:
        await limit.acquire(3, "slow")
    assert scope.cancelled_caught
    await limit.acquire(3, "quick")
    limit.release("quick")
    limit.leave("quick")
    await limit.acquire(3, "slow")
    assert limit.held == 3


async def test_the_place_that_was_kept_for_one_who_leaves_is_free() -> None:
    limit = Limit()
    limit.join("gone")
    await limit.acquire(2, "mine")
    async with anyio.create_task_group() as group:
        group.start_soon(limit.acquire, 2, "mine")
        await anyio.wait_all_tasks_blocked()
        assert limit.held == 1
        limit.leave("gone")
    assert limit.held == 2


async def test_a_place_is_given_up_for_those_with_fewer() -> None:
    limit, entered = Limit(), anyio.Event()

    async def want() -> None:
        async with limit.hold(1, "quick"):
            entered.set()

    async with anyio.create_task_group() as group, limit.hold(1, "slow") as place:
        group.start_soon(want)
        await anyio.wait_all_tasks_blocked()
        await place.renew()
        assert entered.is_set()
        assert limit.held == 1
    assert limit.held == 0


async def test_a_place_that_is_waited_for_anew_and_cancelled_is_not_given_back_twice() -> None:
    limit = Limit()
    await limit.acquire(2, "other")
    async with limit.hold(2, "mine") as place:
        limit.pace.throttled(0, 2)
        with anyio.move_on_after(0):
            await place.renew()
    assert limit.held == 1


works = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(0, 3), st.booleans(), st.booleans()), max_size=30
)


class Checked(Limit):
    """Nobody is let in beyond the window; those who were in before it was halved may stay until they renew."""

    def _next(self) -> Any:
        found = super()._next()
        assert found is None or self.held + 1 <= self.pace.window
        return found


@given(works)
async def test_whatever_happens_the_limits_hold_and_everybody_gets_in(
    wants: list[tuple[str, int, int, bool, bool]],
) -> None:
    limit, ran = Checked(), 0

    async def work(user: str, most: int, rank: int, throttled: bool, gives_up: bool) -> None:
        nonlocal ran
        with anyio.CancelScope() as scope:
            if gives_up:
                group.start_soon(give_up, scope)
            async with limit.hold(most, user, (rank,)) as place:
                assert limit.held <= 4
                await anyio.lowlevel.checkpoint()
                if throttled:
                    limit.pace.throttled(limit.pace.era, limit.held)
                    await place.renew()
                limit.pace.succeeded()
                limit.admit()
        ran += 1

    async def give_up(scope: anyio.CancelScope) -> None:
        await anyio.lowlevel.checkpoint()
        scope.cancel()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for user in "ab":
                limit.join(user)
            for want in wants:
                group.start_soon(work, *want)
            await anyio.lowlevel.checkpoint()
            for user in "ab":
                limit.leave(user)
    assert (ran, limit.held) == (len(wants), 0)
    assert limit._users == {}


@given(st.lists(st.sampled_from(["throttled", "late", "succeeded"])))
def test_the_window_is_never_below_one(steps: list[str]) -> None:
    pace = Pace()
    for step in steps:
        before = pace.window
        if step == "succeeded":
            pace.succeeded()
            assert pace.window >= before
        elif step == "late":
            assert not pace.throttled(pace.era - 1, 8)
            assert pace.window == before
        else:
            assert pace.throttled(pace.era, 8)
            assert 1 <= pace.window <= max(1, before / 2)


def test_the_window_is_regained_by_one_for_each_windows_worth() -> None:
    pace = Pace()
    assert pace.window == math.inf
    pace.throttled(0, 16)
    for _ in range(8):
        pace.succeeded()
    assert 8.9 < pace.window <= 9


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not true():
            await anyio.lowlevel.checkpoint()


def putting(plane: LocalDataPlane) -> int:
    """Return how many parts are on their way right now."""
    return len([call for call in plane.calls if call.call == "put_part" and call.finished is None])


@pytest.fixture
def blob(write_parquet: WritesParquet) -> Path:
    """A file of 8 parts of 5 MiB."""
    table = pa.table({"blob": [bytes(7 * 1024 * 1024) for _ in range(5)], "id": range(5)})
    return write_parquet(table, "blob.parquet", compression="none", use_dictionary=False)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_service_that_asks_for_patience_gets_it_too(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
    status: int,
) -> None:
    plane.inject(Fault(call="start", answer=Status(status, headers={"Retry-After": "0"}), times=2))
    events = list[kumo_async.Event]()

    class Notes:
        def on_event(self, event: kumo_async.Event) -> None:
            events.append(event)

    await parquet.upload_async("numbers", write_parquet(numbers), observer=Notes())
    # One call is one piece of news, however often it is refused.
    assert [event.parts for event in events if isinstance(event, kumo_async.ConcurrencyReduced)] == [1]


async def test_slow_down_halves_the_parts_of_the_whole_client(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, blob: Path
) -> None:
    go, windows = anyio.Event(), list[int]()
    slow = Status(503, "SlowDown", headers={"Retry-After": "0"})
    plane.inject(Fault(call="put_part", answer=slow, times=4))
    plane.inject(Fault(call="put_part", answer=Stall(go), times=None))

    class Notes:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.ConcurrencyReduced):
                windows.append(event.parts)

    options = kumo_async.UploadOptions(part_size=5 * 1024 * 1024, max_concurrent_parts=4)
    async with anyio.create_task_group() as group:

        async def upload() -> None:
            await parquet.upload_async("blob", blob, options=options, observer=Notes())

        group.start_soon(upload)
        await until(lambda: len([call for call in plane.calls if call.status == 503]) == 4)
        await until(lambda: putting(plane) > 0)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert putting(plane) <= max(1, windows[-1])
        go.set()
    assert windows[0] == 2
    assert plane.table_names("parquet") == ["blob"]


async def test_the_window_grows_again_as_parts_are_stored(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, blob: Path
) -> None:
    slow = Status(503, "SlowDown", headers={"Retry-After": "0"})
    plane.inject(Fault(call="put_part", answer=slow))
    options = kumo_async.UploadOptions(part_size=5 * 1024 * 1024, max_concurrent_parts=1)
    async with parquet.client.connected() as connection:
        await parquet.upload_async("blob", blob, options=options)
        # Eight parts in a window of 1: 1 + 1/1 + 1/2 + ...
        assert connection.limits.parts.pace.window > 3


async def test_a_table_that_stands_still_does_not_hold_up_the_others(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    blob: Path,
    numbers: pa.Table,
    write_parquet: WritesParquet,
) -> None:
    small, go = write_parquet(numbers.slice(0, 100)), anyio.Event()
    plane.inject(Fault(call="put_part", name="slow*", answer=Stall(go), times=None))
    options = kumo_async.UploadOptions(
        partition_threshold=0,
        partition_size=1,
        part_size=5 * 1024 * 1024,
        max_concurrent_parts=2,
        max_concurrent_partitions=2,
    )

    async with anyio.create_task_group() as group:

        async def upload(name: str, path: Path) -> None:
            await parquet.upload_async(name, path, options=options)

        async with parquet.client:
            group.start_soon(upload, "slow", blob)
            async with anyio.create_task_group() as quick:
                for number in range(20):
                    quick.start_soon(upload, f"t{number:02d}", small)
            assert plane.table_names("parquet") == [f"t{number:02d}" for number in range(20)]
            go.set()


async def test_a_hundred_uploads_at_once_stay_within_the_limits_and_all_arrive(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    numbers: pa.Table,
    write_parquet: WritesParquet,
) -> None:
    path = write_parquet(numbers.slice(0, 100))
    most = 0

    class Watch:
        def on_event(self, event: kumo_async.Event) -> None:
            nonlocal most
            most = max(most, putting(plane))

    async with parquet.client, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(lambda name: parquet.upload_async(name, path, observer=Watch()), f"t{number:03d}")
    assert len(plane.table_names("parquet")) == 100
    assert 0 < most <= 8
