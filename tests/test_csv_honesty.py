"""`benchmarks/csv_honesty.py` in small: random CSV files are read as Python reads them in strict mode, or refused."""

from __future__ import annotations

from pathlib import Path

from csv_honesty import judged


async def test_no_csv_file_is_wrong_in_silence(tmp_path: Path) -> None:
    found = await judged(100, seed=3, folder=tmp_path, upload_every=25)
    wrong = [(way, case) for (way, outcome), files in found.items() if outcome == "wrong" for case in files]
    assert wrong == []
    assert sum(len(files) for (_, outcome), files in found.items() if outcome == "right") > 240
    assert sum(len(files) for (_, outcome), files in found.items() if outcome == "refused") > 200
