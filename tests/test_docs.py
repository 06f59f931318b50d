"""The Python examples in README and docs run as they stand, beside the files and the data plane they speak of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples() -> list[tuple[str, str]]:
    return [
        (f"{page.name}-{number}", code)
        for page in PAGES
        for number, code in enumerate(re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text()), 1)
    ]


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in examples()])
def test_an_example_runs(code: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "name": ["Ada", "Grace", "Edsger"]}), tmp_path / "users.parquet")
    (tmp_path / "orders.csv").write_text("id,amount\n1,9.50\n2,12.25\n3,7.00\n")
    environment = {**os.environ, "KUMO_API_ENDPOINT": f"local:{tmp_path / 'plane'}", "PYTHONWARNINGS": "error"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [
        *PAGES,
        ROOT / "SECURITY.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "benchmarks" / "README.md",
    ]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_promise_of_security_is_held_by_tests_that_exist() -> None:
    promises = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")][2:]
    assert len(promises) > 6
    for promise in promises:
        held_by = promise.split(" | ")[1]
        files = re.findall(r"`(tests/[^`]+\.py)`", held_by)
        assert files
        code = "".join((ROOT / file).read_text() for file in files)
        for name in re.findall(r"`(test_[^`]+)`", held_by):
            assert f"def {name}(" in code, name
