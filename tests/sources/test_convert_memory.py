"""Memory of CSV that becomes Parquet: all that Arrow allocates in a process, against what docs/csv.md says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KIB, MIB = 1024, 1024**2
UNIT, BLOCK = 2 * MIB, 256 * KIB
COLUMNS = 50


def most_bytes(path: Path, encoders: int) -> tuple[int, int, int]:
    """Convert in a process of its own, whose memory is nobody else's."""
    script = Path(__file__).parent / "convert_memory.py"
    arguments = [sys.executable, str(script), str(path), *map(str, (encoders, UNIT, BLOCK)), str(path.parent)]
    found = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    first, both, rows = map(int, found.split())
    return first, both, rows


@pytest.mark.parametrize("encoders", [1, 2])
@pytest.mark.parametrize("value", ["text 1", "0.125"])
def test_memory_stays_within_the_formula(tmp_path: Path, encoders: int, value: str) -> None:
    path = tmp_path / "a.csv"
    # An empty field grows the most: from one byte to a value and a text.
    empty = "," * (COLUMNS - 1) + "\n"
    with path.open("w") as file:
        file.write(",".join(f"c{number}" for number in range(COLUMNS)) + "\n")
        for _ in range(60):
            file.write(",".join([value] * COLUMNS) + "\n" + empty * 2_000)
    first, both, rows = most_bytes(path, encoders)
    assert rows == 60 * 2_001
    assert first <= encoders * 18 * BLOCK
    assert both <= encoders * 4 * UNIT
    assert path.stat().st_size * 4 > 20 * MIB > encoders * 4 * UNIT
