"""Objects whose part URLs run out: the local plane's clock is set forward, nobody waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane, Status
from kumo_async.options import MIB, MIN_PART_SIZE
from kumo_async.upload.failures import expiry_advice
from kumo_async.upload.plan import fitted_part_size, partitions_at_once
from kumo_async.upload.rate import RateMeter

WritesParquet = Callable[..., Path]
LIFE = 600


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_767_323_045.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Later:
    """Answer as usual, and set the clock forward by more than a URL's life."""

    clock: Clock

    async def give(self, exchange: Exchange) -> web.Response:
        response = await exchange.effect()
        self.clock.now += LIFE + 1
        return response


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def plane(tmp_path: Path, clock: Clock) -> AsyncIterator[LocalDataPlane]:
    async with LocalDataPlane(tmp_path / "plane", url_seconds=LIFE, clock=clock) as plane:
        yield plane


@pytest.fixture
def blob(write_parquet: WritesParquet) -> Path:
    """Four row groups of 11 MiB: three parts each."""
    table = pa.table({"blob": [bytes([number]) * (11 * MIB) for number in range(4)], "id": range(4)})
    return write_parquet(table, "blob.parquet", compression="none", use_dictionary=False, row_group_size=1)


def options(**more: int) -> kumo_async.UploadOptions:
    given = {"partition_threshold": 0, "partition_size": 1, "part_size": MIN_PART_SIZE, "max_concurrent_parts": 1}
    return kumo_async.UploadOptions(**{**given, **more})  # type: ignore[arg-type]


def sent(plane: LocalDataPlane) -> list[tuple[str, int]]:
    return [(call.name or "", call.part or 0) for call in plane.calls if call.call == "put_part"]


async def test_an_object_whose_urls_run_out_is_started_again(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, blob: Path, clock: Clock
) -> None:
    plane.inject(Fault(call="put_part", part=2, answer=Later(clock)))
    report = await parquet.upload_async("blob", blob, options=options(partition_size=1000 * MIB))
    whole = [("blob.parquet/part_0001.parquet", part) for part in range(1, 10)]
    # The plane does not look whose a URL is that has expired.
    assert sent(plane) == [*whole[:2], ("", 0), *whole]
    assert [pq.read_table(file).num_rows for file in plane.table_files("blob", "parquet")] == [4]
    assert report.rows == 4


async def test_after_a_few_starts_the_error_says_what_would_help(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, blob: Path, clock: Clock
) -> None:
    plane.inject(Fault(call="put_part", part=1, answer=Later(clock), times=None))
    with pytest.raises(
        kumo_async.UploadError, match=r"started 3 times.*run out.*the 600 s that its URLs live"
    ) as caught:
        await parquet.upload_async("blob", blob, options=options())
    assert (caught.value.status, caught.value.code) == (403, "AccessDenied")
    assert "X-Amz" not in str(caught.value)
    assert plane.object_names("parquet") == []


async def test_clocks_that_differ_are_named_after_one_more_start(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, blob: Path
) -> None:
    skewed = Status(403, "RequestTimeTooSkewed", headers={"Date": "Fri, 02 Jan 2026 03:04:05 GMT"})
    plane.inject(Fault(call="put_part", answer=skewed, times=None))
    words = "started 2 times.*storage's clock says 2026-01-02 03:04:05 UTC, this machine's says 20"
    with pytest.raises(kumo_async.UploadError, match=words):
        await parquet.upload_async("blob", blob, options=options(max_concurrent_partitions=1))


async def test_parts_of_one_object_are_sent_before_those_of_the_next(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, blob: Path
) -> None:
    await parquet.upload_async("blob", blob, options=options())
    assert sent(plane) == [
        (f"blob.parquet/part_000{number}.parquet", part) for number in (1, 2, 3, 4) for part in (1, 2, 3)
    ]


def test_the_rate_is_that_of_the_time_in_which_something_was_sent() -> None:
    clock = Clock()
    meter = RateMeter(clock)
    assert meter.rate is None
    for _ in range(3):
        meter.begin()
        meter.begin()
        meter.moved(600)
        clock.now += 2
        meter.moved(-100)
        meter.end()
        meter.moved(500)
        clock.now += 3
        meter.end()
        clock.now += 1000
    assert meter.rate == 200


def test_the_rate_follows_a_line_that_changes() -> None:
    clock = Clock()
    meter = RateMeter(clock)
    meter.begin()
    for rate in [1000] * 60 + [10] * 120:
        meter.moved(rate)
        clock.now += 1
        assert 9 < (meter.rate or 100) <= 1000
    assert (meter.rate or 0) < 100


rates = st.one_of(st.none(), st.floats(1, 1e10))


@given(st.integers(MIN_PART_SIZE, 100 * MIB), rates, st.integers(1, 64))
def test_parts_shrink_with_the_rate_within_s3s_limit(wanted: int, rate: float | None, at_once: int) -> None:
    assert MIN_PART_SIZE <= fitted_part_size(wanted, rate, at_once) <= wanted


@given(st.integers(0, 10**12), rates, st.one_of(st.none(), st.floats(1, 1e6)), st.integers(1, 64))
def test_so_many_partitions_as_are_stored_in_time(size: int, rate: float | None, life: float | None, most: int) -> None:
    count = partitions_at_once(size, rate, life, most)
    assert 1 <= count <= most
    if rate is not None and life is not None and count > 1:
        assert count * size <= rate * life / 2 * 1.0001


@given(st.integers(1, 10**13), st.one_of(st.none(), st.floats(0, 1e10)), st.one_of(st.none(), st.floats(0, 1e6)))
def test_there_is_advice_for_every_line(size: int, rate: float | None, life: float | None) -> None:
    assert "partition_size" in expiry_advice(size, rate, life)


def test_advice_names_partitions_that_the_call_takes() -> None:
    assert "partition_size_mb=351" in expiry_advice(1000 * MIB, 200 * 1024, 3600)
    assert "UploadOptions(partition_threshold=0, partition_size=" in expiry_advice(1000 * MIB, 1024, 3600)
    assert "284.4 KiB/s" in expiry_advice(1000 * MIB, 200 * 1024, 3600)
