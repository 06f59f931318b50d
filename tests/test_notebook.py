"""What a notebook shows of our errors: IPython itself runs a cell that makes a mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CELL = """
import kumo_async

def load(name):
    connector = kumo_async.FileUploadConnector("csv")
    return connector.upload(name, "missing.csv")

load("orders")
"""


def shown(cell: str, directory: Path) -> list[str]:
    command = [sys.executable, "-m", "IPython", "--no-banner", "--quiet", "--colors=nocolor", "-c", cell]
    env = {"KUMO_API_ENDPOINT": "local:plane", "IPYTHONDIR": "ipython", "HOME": str(directory), "PYTHONPATH": _path()}
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, env=env, check=False)
    return done.stdout.strip().splitlines()


def _path() -> str:
    return ":".join(sys.path)


def test_a_mistake_is_the_users_own_line_and_the_message(tmp_path: Path) -> None:
    lines = shown(CELL, tmp_path)
    assert len(lines) == 3, lines
    assert "in load" in lines[0]
    assert lines[1].strip() == 'return connector.upload(name, "missing.csv")'
    assert lines[2].startswith("kumo_async.errors.SourceError: ")
    assert "missing.csv does not exist" in lines[2]


def test_an_error_that_is_not_ours_is_shown_as_ever(tmp_path: Path) -> None:
    assert len(shown("1 / 0", tmp_path)) > 3
