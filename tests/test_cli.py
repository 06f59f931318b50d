from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import kumo_async
from kumo_async.cli import app

PROGRAM = [sys.executable, "-m", "kumo_async"]
ODD = ["[red]x[/red]", "a\x1b[31mb\nc\u202ed", "y" * 300]

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program in this process, with an embedded data plane as its service."""
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    pd.DataFrame({"user id": [1, 2, 3], "note": ODD, "zip": ["00501", None, "7"]}).astype(
        {"note": object, "zip": object}
    ).to_parquet("users.parquet")
    for name in ("Orders.CSV", "my table.csv", "users.txt"):
        Path(name).write_text("id,amount\n1,9.50\n2,12.25\n")

    def invoke(*args: str, code: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(app, args, **options)
        assert result.exit_code == code, result.output
        return result

    return invoke


def _clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
    return kept | {"TERM": "xterm-256color", "COLUMNS": "80"}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a subprocess, with the same data plane as `run`."""
    return _clean_environment() | {"KUMO_API_ENDPOINT": f"local:{tmp_path / 'plane'}"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that lead to a data plane in another process, which starts once: starting takes a second."""
    with serving(_clean_environment(), "--root", str(tmp_path_factory.mktemp("served"))) as (_, told):
        yield {"KUMO_API_ENDPOINT": told["endpoint"], "KUMO_API_KEY": told["api_key"]}


@pytest.fixture
def served(run: Run, service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a subprocess that uses `service`; `run` uses it as well."""
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    return _clean_environment()


def on_terminal(args: list[str], env: dict[str, str], keys: str = "") -> tuple[int, str]:
    """Run the program on a pseudo terminal, and return its exit code and all that the terminal got."""
    ours, theirs = os.openpty()
    with subprocess.Popen([*PROGRAM, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        os.write(ours, keys.encode())
        shown = b"".join(iter(lambda: _read_terminal(ours), b""))
    os.close(ours)
    return process.returncode, shown.decode()


def _read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError as error:
        # How Linux says that the last process has closed its end.
        if error.errno == errno.EIO:
            return b""
        raise


@contextmanager
def serving(env: dict[str, str], *args: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `serve --json` in a subprocess; gives the process and what it announced."""
    with subprocess.Popen([*PROGRAM, "serve", "--json", *args], stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, kumo_async.cli as cli\n"
        "sys.argv = ['kumo-async', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: print({'pyarrow', 'pandas', 'aiohttp', 'numpy', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("demo", "upload", "ls", "show", "head", "delete", "recover", "serve"):
        assert f"\n  {command}" in done.stdout
    assert done.stdout.endswith("set()\n")


def test_alone_it_shows_help(run: Run) -> None:
    assert "Commands:" in run(code=2).output


@pytest.mark.parametrize("command", ["demo", "upload", "ls", "show", "head", "delete", "recover", "serve"])
def test_each_help_has_an_example_and_no_option_for_the_workspace_key(run: Run, command: str) -> None:
    shown = run(command, "--help").stdout
    assert f"Example: kumo-async {command}" in shown
    assert "--verbose" in shown
    # Others on this machine can see the arguments of a process.
    assert command == "serve" or "KEY" not in re.sub("KUMO_API_KEY", "", shown)
    for option in ("--url", "--group", "--project", "--ca-file"):
        assert (f"\n  {option}" in shown) == (command not in ("demo", "serve"))


def test_version() -> None:
    done = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"kumo-async {kumo_async.__version__}\n"


def test_life_of_a_table(run: Run, env: dict[str, str]) -> None:
    def real(*args: str) -> str:
        done = subprocess.run([*PROGRAM, *args], capture_output=True, text=True, env=env, check=True)
        assert done.stderr == ""
        assert "\x1b" not in done.stdout
        return done.stdout

    uploaded = real("upload", "users.parquet")
    assert uploaded.startswith("Table 'users' (parquet): 3 rows, ")
    assert "renamed column 'user id' to 'user_id'" in uploaded
    assert real("ls") == "users\tparquet\n"
    assert "00501" in real("head", "users", "--type", "parquet")
    assert real("delete", "users", "--yes") == "Deleted table 'users' (parquet).\n"
    assert run("ls").stdout == ""


def test_upload_takes_name_and_type_from_the_file(run: Run) -> None:
    report = json.loads(run("upload", "Orders.CSV", "--json").stdout)
    assert (report["table"], report["file_type"], report["rows"]) == ("Orders", "csv", 2)
    report = json.loads(run("upload", "Orders.CSV", "--name", "sales", "--type", "CSV", "--json").stdout)
    assert report["table"] == "sales"
    assert run("ls", "--type", "csv").stdout == "Orders\tcsv\nsales\tcsv\n"


def test_upload_is_told_how_a_csv_file_is_written(run: Run) -> None:
    Path("odd.csv").write_bytes("1~'Müller~Söhne'\n2~it\\'s\n".encode("cp1252"))
    told = ["--delimiter", "~", "--quote", "'", "--escape", "\\", "--encoding", "cp1252", "--validate", "full"]
    report = json.loads(run("upload", "odd.csv", *told, "--no-header", "--column-names", "id,name", "--json").stdout)
    assert report["rows"] == 2
    assert report["dialect"] == r"""delimiter '~', quote "'", escape '\\', cp1252, no header"""
    Path("odd.csv").write_bytes(b'id\tnote\n1\t5" wide\n')
    run("upload", "odd.csv", "--delimiter", "tab", "--quote", "", "-q")
    assert json.loads(run("head", "odd", "--json", "--type", "csv").stdout)


def test_upload_is_told_what_is_null_and_tells_why_a_column_is_text(run: Run) -> None:
    Path("quoted.csv").write_text('"id","n"\n"1","5"\n"2",""\n"3","7"\n')
    shown = run("upload", "quoted.csv", "--as", "parquet", "--dry-run").stdout
    words = "record 2 has a null value in quotes, which is a text unless --quoted-nulls"
    assert f"column 'n' is string: {words}\n" in shown
    plan = json.loads(run("upload", "quoted.csv", "--as", "parquet", "--dry-run", "--json").stdout)
    assert plan["type_reasons"] == {"n": words}
    report = json.loads(run("upload", "quoted.csv", "--as", "parquet", "--quoted-nulls", "--json").stdout)
    assert report["column_types"] == {"id": "int64", "n": "int64"}
    assert report["type_reasons"] == {}


def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run("upload", "Orders.CSV", "--dry-run").stdout
    assert "as table 'Orders', csv, one object" in shown
    assert "types: id int64, amount double" in shown
    assert "12.25" in shown
    plan = json.loads(run("upload", "Orders.CSV", "--dry-run", "--json").stdout)
    assert (plan["columns"], plan["sample"]) == (["id", "amount"], [["1", "9.50"], ["2", "12.25"]])
    assert "renamed column 'user id'" in run("upload", "users.parquet", "--dry-run").stdout
    assert run("ls").stdout == ""
    monkeypatch.delenv("KUMO_API_ENDPOINT")
    run("upload", "Orders.CSV", "--dry-run")


def test_upload_checks_all_of_a_csv_file_when_asked(run: Run) -> None:
    Path("ragged.csv").write_bytes(b"a,b\n" + b"1,2\n" * 300_000 + b"1\n")
    assert "300,001" in run("upload", "ragged.csv").stdout
    assert "record 300001" in run("upload", "ragged.csv", "--validate", "full", code=3).stderr


def test_upload_refuses_parquet_columns_that_need_a_cast_when_asked(run: Run) -> None:
    pd.DataFrame({"id": [1, 2], "count": [3, 4]}).astype({"count": "uint32"}).to_parquet("counts.parquet")
    assert "count" in run("upload", "counts.parquet", "--on-unsupported", "error", code=3).stderr
    assert "2 rows" in run("upload", "counts.parquet", "--on-unsupported", "cast").stdout


def test_quiet_upload_prints_nothing(run: Run) -> None:
    assert run("upload", "users.parquet", "--quiet").output == ""
    assert json.loads(run("ls", "--json").stdout) == [{"name": "users", "file_type": "parquet"}]


def test_show(run: Run) -> None:
    run("upload", "users.parquet", "-q")
    columns = json.loads(run("show", "users", "--json").stdout)
    assert columns[0] == {"name": "user_id", "dtype": "int64", "stype": columns[0]["stype"]}
    lines = run("show", "users").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["user_id", "note", "zip"]


def test_head_shows_odd_values_as_they_are(run: Run) -> None:
    run("upload", "users.parquet", "-q")
    shown = run("head", "users").stdout
    assert "[red]x[/red]" in shown
    assert r"a\x1b[31mb\nc\u202ed" in shown
    assert "y" * 300 in shown
    assert "null" in shown
    assert len(shown.splitlines()) == 5
    rows = json.loads(run("head", "users", "-n", "2", "--json").stdout)
    assert rows == [{"user_id": 1, "note": ODD[0], "zip": "00501"}, {"user_id": 2, "note": ODD[1], "zip": None}]


def test_the_type_must_be_said_where_it_is_not_clear(run: Run) -> None:
    run("upload", "users.parquet", "--name", "both", "-q")
    run("upload", "Orders.CSV", "--name", "both", "-q")
    for command in (["show", "both"], ["head", "both"], ["delete", "both", "--yes"]):
        assert "--type parquet or --type csv" in run(*command, code=2).stderr
    assert "amount" in run("head", "both", "--type", "csv").stdout
    run("delete", "both", "--type", "csv", "--yes")
    assert "user_id" in run("head", "both").stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["upload", "missing.csv"], 3, "missing.csv does not exist"),
        (["upload", "*.csv"], 3, "*.csv does not exist"),
        (["upload", "missing"], 3, "missing does not exist"),
        (["upload", "."], 3, ". is a directory"),
        (["upload", "users.txt"], 2, "does not end with .parquet or .csv"),
        (["upload", "my table.csv"], 2, "another name with --name"),
        (["upload", "users.parquet", "--name", ""], 2, "table name is empty"),
        (["upload", "users.parquet", "--type", "csv"], 2, "Leave --type out"),
        (["upload", "Orders.CSV", "--type", "parquet"], 2, "use --as parquet"),
        (["upload", "users.parquet", "--name", "a/b"], 2, "Table name 'a/b'"),
        (["upload", "users.parquet", "--delimiter", ";"], 2, "are for CSV files"),
        (["upload", "Orders.CSV", "--on-unsupported", "error"], 2, "is for Parquet files"),
        (["upload", "Orders.CSV", "--delimiter", ";;"], 2, "one ASCII character"),
        (["show", "nobody"], 1, "no table 'nobody'"),
        (["head", "nobody", "--type", "csv"], 1, "no csv table 'nobody'"),
        (["delete", "nobody", "--yes"], 1, "no table 'nobody'"),
        (["delete", "nobody"], 2, "Give --yes"),
        (["ls", "--url", "https://example.com/api"], 2, "no API key"),
        (["serve", "--host", "0.0.0.0"], 2, "loopback"),
        (["serve", "--root", "users.parquet/x"], 2, "users.parquet"),
        (
            ["upload", "Orders.CSV", "--quoted-nulls"],
            2,
            "--quoted-nulls, and types and null_values from Python",
        ),
        (["upload", "users.parquet", "--quoted-nulls"], 2, "are for CSV files"),
    ],
)
def test_errors_are_one_message_on_stderr(run: Run, args: list[str], code: int, words: str) -> None:
    result = run(*args, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_with_json_an_error_is_a_json_document_too(run: Run) -> None:
    result = run("upload", "missing.csv", "--json", code=3)
    [(key, error)] = json.loads(result.stdout).items()
    assert key == "error"
    assert (error["type"], error["exit_code"]) == ("SourceError", 3)
    assert error["path"].endswith("missing.csv")
    assert result.stderr == f"error: {error['message']}\n"
    error = json.loads(run("show", "nobody", "--json", code=1).stdout)["error"]
    assert (error["type"], error["table"], error["exit_code"]) == ("TableNotFoundError", "nobody", 1)


def test_with_json_refused_columns_are_in_the_document(run: Run) -> None:
    pd.DataFrame({"id": [1, 2], "count": [3, 4]}).astype({"count": "uint32"}).to_parquet("counts.parquet")
    shown = run("upload", "counts.parquet", "--on-unsupported", "error", "--json", code=3).stdout
    [column] = json.loads(shown)["error"]["columns"]
    assert (column["name"], column["type"]) == ("count", "uint32")


@pytest.mark.parametrize("args", [["head", "x", "--json", "-n", "0"], ["upload", "--json"], ["ls", "--json", "--no"]])
def test_with_json_wrong_usage_is_a_json_document_too(run: Run, args: list[str]) -> None:
    result = run(*args, code=2)
    assert json.loads(result.stdout)["error"]["exit_code"] == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("name", ["users.txt", "users.tsv", "users"])
def test_a_given_type_is_what_the_file_is_treated_as(run: Run, name: str) -> None:
    Path(name).write_text("id\tamount\n1\t9.50\n")
    assert "--type csv" in run("upload", name, code=2).stderr
    assert "Table 'users' (csv): 1 rows" in run("upload", name, "--type", "csv").stdout
    assert "Table 'users' (parquet): 1 rows" in run("upload", name, "--type", "csv", "--as", "parquet").stdout
    Path("users.parquet").rename("users.dat")
    assert "Table 'users' (parquet): 3 rows" in run("upload", "users.dat", "--type", "parquet").stdout
    assert "not a Parquet file" in run("upload", name, "--type", "parquet", code=3).stderr
    assert "a Parquet file" in run("upload", "users.dat", "--type", "csv", code=3).stderr


def test_a_csv_file_is_uploaded_as_parquet(run: Run) -> None:
    report = run("upload", "Orders.CSV", "--as", "parquet").stdout
    assert "Table 'Orders' (parquet): 2 rows" in report
    assert "types: id int64, amount double" in report
    assert run("ls").stdout == "Orders\tparquet\n"
    assert "Table 'users' (parquet): 3 rows" in run("upload", "users.parquet", "--as", "parquet").stdout


@pytest.mark.parametrize("args", [["head", "x", "-n", "0"], ["upload"], ["ls", "--type", "xml"], ["uplod"]])
def test_wrong_usage(run: Run, args: list[str]) -> None:
    assert "Usage:" in run(*args, code=2).stderr


def test_no_credentials(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUMO_API_ENDPOINT")
    assert "KUMO_API_KEY" in run("ls", code=2).stderr


@pytest.mark.parametrize("args", [["-v", "head", "nobody"], ["head", "nobody", "--verbose"]])
def test_verbose_on_either_side_shows_the_traceback(run: Run, args: list[str]) -> None:
    stderr = run(*args, code=1).stderr
    assert "Traceback" in stderr
    assert "error: There is no table" in stderr


def test_verbose_shows_the_log(run: Run) -> None:
    result = run("upload", "users.parquet", "-v")
    assert "INFO Uploading" in result.stderr
    assert "Uploading" not in result.stdout


def test_deleting_asks_on_a_terminal(run: Run, served: dict[str, str]) -> None:
    run("upload", "users.parquet", "--name", "asked", "-q")
    code, shown = on_terminal(["delete", "asked"], served, "n\n")
    assert (code, "Delete table 'asked' (parquet)? [y/N]" in shown) == (1, True)
    assert "asked\tparquet" in run("ls").stdout
    assert on_terminal(["delete", "asked"], served, "y\n")[0] == 0
    assert "asked\tparquet" not in run("ls").stdout


def test_a_terminal_gets_progress_and_tables_that_fit(run: Run, served: dict[str, str]) -> None:
    code, shown = on_terminal(["upload", "users.parquet"], served)
    assert code == 0
    assert "━" in shown
    pd.DataFrame({f"a_long_name_{number}": ["z" * 300] for number in range(9)}).to_csv("wide.csv", index=False)
    run("upload", "wide.csv", "-q")
    code, shown = on_terminal(["head", "wide"], served | {"NO_COLOR": "1"})
    assert "…" in shown
    assert "Columns without room: 6." in shown
    assert "\x1b[3" not in shown
    assert all(len(re.sub(r"\x1b\[\d*m", "", line)) <= 80 for line in shown.splitlines())


def test_broken_pipe_is_silent(run: Run, served: dict[str, str]) -> None:
    run("upload", "users.parquet", "--name", "piped", "-q")
    for args in (["head", "piped"], ["ls"]):
        with subprocess.Popen([*PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=served) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1


def test_serve_answers_until_it_is_told_to_stop(run: Run, env: dict[str, str], tmp_path: Path) -> None:
    with serving(env, "--root", "served", "--api-key", "local:mine") as (process, told):
        assert told["api_key"] == "local:mine"
        assert told["root"] == "served"
        client = kumo_async.KumoClient(told["endpoint"], told["api_key"])
        connector = kumo_async.FileUploadConnector("csv", client=client)
        connector.upload("orders", tmp_path / "Orders.CSV")
        assert connector.table_names() == ["orders"]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert run("ls", "--url", f"local:{tmp_path / 'served'}").stdout == "orders\tcsv\n"


def test_serve_refuses_other_keys_and_a_port_in_use(
    run: Run, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("local:right\n")
    with serving(env, "--key-file", str(tmp_path / "key")) as (process, told):
        monkeypatch.setenv("KUMO_API_KEY", "local:wrong")
        assert told["api_key"] == "local:right"
        assert "Leave one out" in run("serve", "--api-key", "a", "--key-file", "b", code=2).stderr
        stderr = run("ls", "--url", told["endpoint"], code=4).stderr
        assert "does not accept the API key" in stderr
        assert "local:wrong" not in stderr
        port = told["endpoint"].rpartition(":")[2].removesuffix("/api")
        assert f"Port {port} of 127.0.0.1 is in use" in run("serve", "--port", port, code=2).stderr
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


@pytest.mark.parametrize(
    ("content", "code", "words"), [(None, 1, "No such file"), ("", 2, "--key-file"), ("caf\u00e9", 2, "--key-file")]
)
def test_a_key_file_without_a_key_is_refused(
    run: Run, tmp_path: Path, content: str | None, code: int, words: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    assert words in run("serve", "--key-file", str(tmp_path / "key"), code=code).stderr


def test_serve_prints_lines_for_the_shell(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("it's")
    args = ["serve", "--root", str(tmp_path), "--key-file", str(tmp_path / "key")]
    with subprocess.Popen([*PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        lines = process.stdout.readline() + process.stdout.readline()
        process.terminate()
    shell = subprocess.run(
        ["sh", "-c", f'{lines.decode()}\necho "$KUMO_API_KEY"; echo "$KUMO_API_ENDPOINT"'],
        capture_output=True,
        text=True,
        check=True,
    )
    key, endpoint = shell.stdout.splitlines()
    assert key == "it's"
    assert endpoint.startswith("http://127.0.0.1:")


def test_service_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        monkeypatch.setenv("KUMO_API_KEY", "local:key")
        stderr = run("ls", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}/api", code=5).stderr
    assert "A request failed and is made again, up to 3 times: " in stderr.partition("error: ")[0]
    assert "Check KUMO_API_ENDPOINT" in stderr
