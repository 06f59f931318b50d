"""Planning a Parquet file leaves the event loop to others, however long it takes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kumo_async.formats.parquet import Footer
from kumo_async.options import UploadOptions
from kumo_async.sources import open_source, parquet

STEPS = ["_look", "plan_stretches", "read_page_indexes", "partition_footer", "verify_footer", "whole_footer"]


@pytest.mark.parametrize(("columns", "rows", "size"), [(1, 500, 20_000), (300, 20, 100_000), (300, 20, None)])
async def test_every_step_of_planning_waits_for_the_event_loop_without_stopping_it(
    write_parquet: Callable[..., Path], columns: int, rows: int, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({f"c {number}": np.arange(rows) for number in range(columns)})
    path = write_parquet(table, row_group_size=1, use_dictionary=False, write_page_index=True)
    loop, waited = asyncio.get_running_loop(), set()

    def beside_the_loop(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            turned = threading.Event()
            loop.call_soon_threadsafe(turned.set)
            # On the loop itself this would wait for what can only come after it.
            assert turned.wait(30), name
            waited.add(name)
            return step(*arguments, **named)

        return call

    for name in STEPS:
        monkeypatch.setattr(parquet, name, beside_the_loop(name, getattr(parquet, name)))
    monkeypatch.setattr(Footer, "parse", beside_the_loop("parse", Footer.parse))
    async with open_source(path, "parquet", UploadOptions()) as source:
        found = [partition.rows or 0 async for partition in source.partitions(size)]
    assert sum(found) == rows
    steps = {"read_page_indexes", "partition_footer"} if size else {"whole_footer"}
    assert waited == {"_look", "parse", "plan_stretches", "verify_footer", *steps}
