"""`kumo-async recover`: what it prints and how it exits, for uploads that died at known moments."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import kumo_async
from dying_command import dying_upload
from kumo_async.cli import app

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text("id,amount\n1,9.50\n2,12.25\n")

    def invoke(*args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, args)
        assert result.exit_code == code, result.output
        return result

    return invoke


def die_after(records: int) -> None:
    done = subprocess.run(dying_upload(Path("orders.csv"), after=records), check=False)
    assert done.returncode == -signal.SIGKILL


def test_nothing_to_recover(run: Run) -> None:
    assert run("recover").stderr == "There are no unfinished uploads.\n"
    assert json.loads(run("recover", "--json").stdout) == []


def test_what_has_not_begun_is_listed_resumed_or_discarded(run: Run) -> None:
    die_after(2)
    for args in (["recover", "--list"], ["recover"]):
        [found] = json.loads(run(*args, "--json").stdout)
        assert (found["table"], found["state"], found["partitions"], found["outcome"]) == ("orders", "sending", 1, None)
    assert "same upload resumes it" in run("recover", "orders").stdout
    assert "resumed: 1 of 1" in run("upload", "orders.csv").stdout
    die_after(2)
    assert "Give --yes" in run("recover", "--discard", code=2).stderr
    assert "discarded" in run("recover", "--discard", "--yes").stdout
    assert "no unfinished uploads" in run("recover").stderr
    assert "resumed" not in run("upload", "orders.csv").stdout


def test_an_upload_that_has_stored_nothing_is_not_said_to_be_resumed(run: Run) -> None:
    die_after(1)
    [found] = json.loads(run("recover", "--list", "--json").stdout)
    assert (found["state"], found["partitions"]) == ("sending", 0)
    assert "nothing stored: same upload starts again" in run("recover", "--list").stdout
    assert "resumed" not in run("upload", "orders.csv").stdout


def test_no_resume_sends_all_again(run: Run) -> None:
    die_after(2)
    assert "resumed" not in run("upload", "orders.csv", "--no-resume").stdout
    assert kumo_async.unfinished_uploads() == []


def test_what_has_begun_is_finished(run: Run) -> None:
    die_after(3)
    Path("orders.csv").unlink()
    assert "committing" in run("recover", "--list").stdout
    assert "finished" in run("recover").stdout
    assert run("ls").stdout == "orders\tcsv\n"


def test_what_cannot_be_finished_is_said_and_exits_with_6(run: Run, tmp_path: Path) -> None:
    die_after(3)
    shutil.rmtree(tmp_path / "plane")
    assert "taken back" in run("recover", code=6).stdout
    assert run("ls").stdout == ""


def test_uploads_to_another_service_are_left_alone(run: Run, tmp_path: Path) -> None:
    die_after(3)
    done = run("recover", "--url", f"local:{tmp_path / 'other'}")
    assert "other services: 1" in done.stderr
    assert [each.state for each in kumo_async.unfinished_uploads()] == ["committing"]
