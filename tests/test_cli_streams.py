"""The command line whose standard streams are closed, full or broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli import app
from kumo_async.cli.output import OutputError, printing

PROGRAM = f"{sys.executable} -m kumo_async"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.csv").write_text("id,amount\n1,9.50\n2,12.25\n")
    return tmp_path


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run the program with these arguments and redirections."""
    return subprocess.run(f"{PROGRAM} {line}", shell=True, capture_output=True, text=True, check=False)


def connector() -> kumo_async.FileUploadConnector:
    client = kumo_async.KumoClient(os.environ["KUMO_API_ENDPOINT"])
    return kumo_async.FileUploadConnector("csv", client=client)


def tables() -> list[str]:
    return connector().table_names()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_an_upload_needs_no_streams(shell: Path, closed: str) -> None:
    done = run(f"upload orders.csv {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("2 rows" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    assert tables() == ["orders"]


@pytest.mark.parametrize(
    "command", ["upload missing{odd}.csv", "upload odd{odd}.csv --name t --dry-run", "upload orders.csv"]
)
def test_no_name_of_a_file_moves_the_cursor(shell: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "\x1b[31m"
    (shell / f"odd{odd}.csv").write_text("id,amount\n1,9.50\n2,12.25\n")
    # A file where a directory should be, which a warning names.
    monkeypatch.setenv("XDG_STATE_HOME", f"{shell}/odd{odd}.csv")
    result = CliRunner().invoke(app, [word.format(odd=odd) for word in command.split()])
    assert odd not in result.output
    assert r"\x1b[31m" in result.output


def test_other_commands_need_none_either(shell: Path) -> None:
    connector().upload("orders", "orders.csv")
    for line in ("ls >&-", "head orders >&-", "show orders 2>&-", "recover >&- 2>&-"):
        done = run(line)
        assert (done.returncode, done.stderr) == (0, ""), line
    done = run("delete orders <&-")
    assert done.returncode == 2
    assert "Give --yes" in done.stderr
    assert run("delete orders --yes >&-").returncode == 0
    assert tables() == []


def test_what_a_stream_cannot_hold_is_an_escape(shell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shell / "orders.csv").write_text("id,name\n1,Zoë\n")
    connector().upload("orders", "orders.csv")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run("head orders")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"Zo\xeb" in done.stdout


def test_a_closed_stream_gets_nothing_else(shell: Path) -> None:
    code = (
        "from kumo_async.cli.output import ensure_streams as e; e(); import os; f = open('x', 'wb'); print(f.fileno())"
    )
    done = subprocess.run(f'{sys.executable} -c "{code}" <&- 2>&-', shell=True, capture_output=True, check=True)
    assert int(done.stdout) > 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("upload orders.csv", " The upload is done: table 'orders' is there."),
        ("upload orders.csv --json", " The upload is done: table 'orders' is there."),
        ("ls", ""),
        ("head orders", ""),
        ("show orders", ""),
        ("recover --json", ""),
        ("delete orders --yes", " Deleted table 'orders' (csv)."),
    ],
)
def test_a_full_disk_behind_stdout_is_said(shell: Path, command: str, words: str) -> None:
    connector().upload("orders", "orders.csv")
    done = run(f"{command} >/dev/full")
    reason = "No space left on device."
    assert (done.returncode, done.stderr) == (1, f"error: The result could not be written to stdout: {reason}{words}\n")
    assert tables() == ([] if "delete" in command else ["orders"])


def test_only_what_is_printed_is_blamed_on_stdout(shell: Path) -> None:
    (shell / "orders.csv").unlink()
    result = CliRunner().invoke(app, ["upload", "orders.csv"])
    assert "stdout" not in result.stderr
    with pytest.raises(BrokenPipeError), printing():
        raise BrokenPipeError
    assert issubclass(OutputError, kumo_async.KumoError)
