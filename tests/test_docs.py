"""The Python examples in README and docs run as they stand, beside the files and the data plane they speak of."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli import app
from kumo_async.local import CallName

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
    (tmp_path / "export.csv").write_text(
        'Sales, "2024\n# by a program\nid, unit price, note\n1, "9,50", new\n2, "7,00"\n'
    )
    environment = {**os.environ, "KUMO_API_ENDPOINT": f"local:{tmp_path / 'plane'}", "PYTHONWARNINGS": "error"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def options_of(command: str) -> set[str]:
    return set(re.findall(r"--[a-z-]+", CliRunner().invoke(app, [command, "--help"]).stdout))


def test_the_commands_in_the_docs_have_the_options_that_they_are_given() -> None:
    every = set[str]()
    for page in [*PAGES, ROOT / "SECURITY.md"]:
        for command, rest in re.findall(r"kumo-async ([a-z]+)([^`\n]*)", page.read_text()):
            given = set(re.findall(r" (--[a-z-]+)", rest))
            assert given <= options_of(command), f"{page.name}: kumo-async {command}{rest}"
            every |= {command}
    known = set[str]().union(*map(options_of, every))
    alone = {option for page in PAGES for option in re.findall(r"`(--[a-z-]+)[^`]*`", page.read_text())}
    assert alone <= known
    assert (len(every), len(alone)) > (4, 8)


def test_the_guide_lists_every_call_that_a_fault_may_hit() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()
    listed = re.findall(r"(?m)^\| `([a-z_]+)` \| `(?:GET|POST|PUT)`? ", guide)
    assert sorted(listed) == sorted(get_args(CallName))


def documented(thing: object) -> set[str]:
    return set(re.findall(r"(?m)^ {4,8}(\w+): ", inspect.getdoc(thing) or ""))


@pytest.mark.parametrize("name", [name for name in kumo_async.__all__ if inspect.isroutine(getattr(kumo_async, name))])
def test_every_argument_of_a_function_is_documented(name: str) -> None:
    function = getattr(kumo_async, name)
    if "async twin" not in (inspect.getdoc(function) or ""):
        assert set(inspect.signature(function).parameters) <= documented(function)


@pytest.mark.parametrize("name", [name for name in kumo_async.__all__ if inspect.isclass(getattr(kumo_async, name))])
def test_every_field_of_a_value_and_argument_of_a_method_is_documented(name: str) -> None:
    owner = getattr(kumo_async, name)
    known = set[str]().union(*map(documented, inspect.getmro(owner)))
    if is_dataclass(owner):
        assert {field.name for field in fields(owner)} <= known
    for method in vars(owner).values():
        if inspect.isfunction(method) and "Args:" in (inspect.getdoc(method) or ""):
            assert set(inspect.signature(method).parameters) - {"self"} <= documented(method), method


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
