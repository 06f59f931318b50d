"""`benchmarks/csv_detect.py` in small: files by others, and hard ones, are read right, or refused or warned of."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from csv_corpus import Labelled, corpus
from csv_detect import judge, ours
from csv_hard import hard

CASES = sorted([*corpus(6), *hard(6)], key=lambda case: case.kind)
KINDS = {kind: list(cases) for kind, cases in groupby(CASES, key=lambda case: case.kind)}
#: Written as RFC 4180 says, with one header and alike records: these are read as they stand.
PLAIN = ("csv-spectrum", "Python", "Python, all quoted", "pandas, decimal commas", "pandas, with an index", "Polars")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_file_of_a_known_dialect_is_wrong_in_silence(kind: str, tmp_path: Path) -> None:
    found = [(case, await judge(case, tmp_path)) for case in KINDS[kind]]
    assert [case.name for case, verdict in found if verdict.outcome == "silent"] == []
    if kind in PLAIN:
        assert [case.name for case, verdict in found if verdict.outcome != "right"] == []


def test_there_are_many_of_them() -> None:
    assert len(CASES) > 1500
    assert len(KINDS) > 40


def is_missed(case: Labelled) -> bool:
    return case.dialect.delimiter in ",;\t|" and ours(case.text) != case.dialect.delimiter


def test_nearly_every_delimiter_is_detected() -> None:
    missed = [case for case in CASES if is_missed(case)]
    assert len(missed) < 0.005 * len(CASES)
    assert not [case for case in missed if case.kind in PLAIN]
