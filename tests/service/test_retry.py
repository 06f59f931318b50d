"""How long is waited, and when no more attempts are made."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async.local import Fault, LocalDataPlane, Status
from kumo_async.service.answers import AnswerError, Break, Seen
from kumo_async.service.messages import StartUpload
from kumo_async.service.retry import RetryBudget, retrying, wait_before

BROKEN = Seen(status=500)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(2, 2000), st.sampled_from([BROKEN, Seen(status=503), Seen(broken=Break.LOST)]))
def test_waits_grow_with_full_jitter_up_to_a_bound(attempt: int, seen: Seen) -> None:
    first = 2.0 if seen.status == 503 else 0.2
    assert 0 <= wait_before(attempt, AnswerError(seen)) <= min(20.0, first * 2 ** min(attempt - 2, 20))


@given(st.floats(0, 1e9), st.integers(2, 20))
def test_the_servers_wish_goes_before_within_a_bound(asked: float, attempt: int) -> None:
    wait = wait_before(attempt, AnswerError(Seen(status=503), retry_after=asked))
    assert min(asked, 300.0) <= wait <= min(asked, 300.0) * 1.1


async def outcome(budget: RetryBudget, *failures: Seen, attempts: int = 10) -> tuple[int, AnswerError | None]:
    """Make a request that fails in these ways and then succeeds; return how often it was made, and its error."""
    left, made = list(failures), 0

    async def request() -> None:
        nonlocal made
        made += 1
        if left:
            raise AnswerError(left.pop(0), retry_after=0.0)

    try:
        await retrying(request, attempts, lambda *_: None, budget)
    except AnswerError as error:
        return made, error
    return made, None


async def test_what_passes_is_made_again_until_the_attempts_are_used_up() -> None:
    assert await outcome(RetryBudget(), BROKEN, BROKEN) == (3, None)
    made, error = await outcome(RetryBudget(), *[BROKEN] * 5, attempts=4)
    assert (made, error and error.tries) == (4, "4 attempts")


async def test_what_does_not_pass_is_made_once() -> None:
    made, error = await outcome(RetryBudget(), Seen(status=400), BROKEN)
    assert (made, error and error.tries) == (1, "1 attempt")


async def test_the_budget_of_all_requests_ends_attempts_and_success_fills_it() -> None:
    budget = RetryBudget(tokens=15)
    assert (await outcome(budget, *[BROKEN] * 9))[0] == 4
    made, error = await outcome(budget, BROKEN)
    assert made == 1
    assert "too many requests" in (error.tries if error else "")
    for _ in range(5):
        await outcome(budget)
    # The retry succeeds, so that what it took is there for the next one as well.
    assert await outcome(budget, BROKEN) == (2, None)
    assert await outcome(budget, BROKEN) == (2, None)
    assert (await outcome(budget, BROKEN, BROKEN))[0] == 2


async def test_nothing_is_tried_again_when_nothing_moves() -> None:
    clock = Clock()
    budget = RetryBudget(patience=60, clock=clock)

    async def request() -> None:
        clock.now += 25
        raise AnswerError(BROKEN, retry_after=0.0)

    with pytest.raises(AnswerError) as caught:
        await retrying(request, 10, lambda *_: None, budget)
    assert caught.value.tries == "3 attempts, and nothing has got any further for 60 s"


def test_time_in_which_nobody_asked_does_not_count() -> None:
    clock = Clock()
    budget = RetryBudget(patience=60, clock=clock)
    clock.now += 3600
    assert budget.refusal(since=clock.now) is None


async def test_what_moves_may_take_as_long_as_it_likes() -> None:
    clock = Clock()
    budget = RetryBudget(patience=60, clock=clock)

    async def request() -> None:
        clock.now += 3600
        budget.moved()
        raise AnswerError(BROKEN, retry_after=0.0)

    with pytest.raises(AnswerError) as caught:
        await retrying(request, 10, lambda *_: None, budget)
    assert caught.value.attempts == 10


async def test_a_broken_store_is_not_stormed(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    path.write_text("id,name\n1,a\n2,b\n")
    plane.inject(Fault(call="start", answer=Status(500, headers={"Retry-After": "0"}), times=None))
    async with csv.client:
        for number in range(40):
            with pytest.raises(kumo_async.ServiceUnavailableError):
                await csv.upload_async(f"t{number}", path)
    assert len(plane.calls) <= 40 + 100


@pytest.mark.parametrize("call", ["start", "list", "validate", "delete"])
async def test_control_calls_are_made_again(plane: LocalDataPlane, client: kumo_async.KumoClient, call: str) -> None:
    plane.inject(Fault(call=call, answer=Status(502, headers={"Retry-After": "0"}), times=3))  # type: ignore[arg-type]
    connector = "csv_upload_connector"
    start = StartUpload(source_table_name="t", connector_id=connector, num_parts=1)
    async with client.connected() as connection:
        control = connection.session.control
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "start": lambda: control.start_upload(start),
            "list": lambda: control.list_tables(connector),
            "validate": lambda: control.has_table(connector, "t"),
            "delete": lambda: control.delete_object(connector, "t"),
        }
        await asked[call]()
    assert len([each for each in plane.calls if each.call == call]) == 4


async def test_the_first_failure_is_logged_at_once_and_then_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    budget = RetryBudget(clock=clock)
    await outcome(budget, BROKEN, BROKEN, BROKEN)
    await outcome(budget, BROKEN)
    words = "A request failed and is made again, up to 9 times: 500"
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("kumo_async.retries", words)]
    clock.now += 60
    await outcome(budget, BROKEN)
    assert len(caplog.records) == 2


async def test_what_is_not_made_again_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await outcome(RetryBudget(), BROKEN, attempts=1)
    await outcome(RetryBudget(), Seen(status=400))
    assert caplog.records == []
