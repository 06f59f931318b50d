"""Memory of the encode path: all that Arrow allocates in a process, against the formula of `page_units`."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from page_sizes import page_memory

from kumo_async.sources.encode import UNIT_BYTES
from kumo_async.sources.page_profiles import BATCH_BYTES

fastparquet: Any = importlib.import_module("fastparquet")  # it has no types

KIB, MIB = 1024, 1024**2
UNIT = BATCH_BYTES


def limit(path: Path, encoders: int) -> int:
    """Return the formula's bytes."""
    columns: int = pq.read_metadata(path).num_columns
    buffers = columns * max(8 * KIB, min(MIB, 32 * MIB // columns))
    return (4 * encoders + 1) * UNIT + 2 * BATCH_BYTES + buffers + columns * 16 * KIB + page_memory(path)


def _one_page(path: Path) -> None:
    rows = 5_000_000
    frame = pd.DataFrame({"a": np.random.default_rng(1).random(rows), "c": np.arange(rows, dtype=np.uint32)})
    fastparquet.write(str(path), frame, row_group_offsets=[0], compression="SNAPPY")


def _wide(path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 2**31, (2000, 4000))
    columns = {f"c{n}": pa.array(values, pa.int32() if n else pa.uint32()) for n, values in enumerate(numbers)}
    pq.write_table(pa.table(columns), path, row_group_size=4000, use_dictionary=False, compression="none")


def _large_dictionary(path: Path) -> None:
    texts = pa.array([f"{n:x}" for n in range(1_200_000)])
    table = pa.table({"s": texts, "c": pa.array(np.arange(len(texts)), pa.uint32())})
    rows = len(texts)
    pq.write_table(table, path, row_group_size=rows, dictionary_pagesize_limit=1 << 30, data_page_size=1 << 30)


def _lists_of_halves(path: Path) -> None:
    halves = np.random.default_rng(1).random(6_000_000).astype(np.float16)
    lists = pa.ListArray.from_arrays(np.arange(0, len(halves) + 1, 8, dtype=np.int32), pa.array(halves))
    pq.write_table(pa.table({"h": lists}), path, row_group_size=len(lists), use_dictionary=False)


def _ordinary(path: Path) -> None:
    random, rows = np.random.default_rng(1), 2_000_000
    table = pa.table({"a": random.random(rows), "b": random.random(rows), "c": pa.array(np.arange(rows), pa.uint32())})
    pq.write_table(table, path, row_group_size=rows, use_dictionary=False)


CASES = [(_one_page, 1), (_one_page, 3), (_wide, 1), (_wide, 3), (_large_dictionary, 1), (_lists_of_halves, 1)]
CASES += [(_ordinary, 2)]


def most_bytes(path: Path, encoders: int) -> int:
    """Encode in a process of its own, whose memory is nobody else's."""
    script = Path(__file__).parent / "encode_memory.py"
    arguments = [sys.executable, str(script), str(path), str(encoders), str(UNIT), str(path.parent)]
    return int(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize(("make", "encoders"), CASES, ids=[f"{make.__name__.strip('_')}-{n}" for make, n in CASES])
def test_memory_stays_within_the_formula(make: Callable[[Path], None], encoders: int, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    make(path)
    assert most_bytes(path, encoders) <= limit(path, encoders)
    assert UNIT_BYTES == 64 * MIB


def test_large_values_that_repeat_take_no_more(tmp_path: Path) -> None:
    path, rows = tmp_path / "t.parquet", 20_000
    texts = pa.DictionaryArray.from_arrays(np.arange(rows) % 10, [f"{n}" * 10_000 for n in range(10)])
    table = pa.table({"text": texts, "count": pa.array(range(rows), pa.uint32())})
    pq.write_table(table, path, row_group_size=rows, store_schema=False)
    assert most_bytes(path, 1) <= limit(path, 1) < rows * 10_000
