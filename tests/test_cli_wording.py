"""Whoever typed a command is told of options, not of Python: held against every message in the source."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kumo_async
from kumo_async.cli import app
from kumo_async.cli.wording import as_typed

ROOT = Path(kumo_async.__file__).parent

PYTHON = re.compile(
    r"(?<!from Python\) )(?<!from Python\) csv=)(?:Csv|Upload)Options\b|FileUploadConnector\(|has_table\(\)|\binit\("
    r"|\b(?:encoding|url|headers|ca_file|file_type|auto_partition|partition_size_mb)=|needs column_names"
    r"|\bGive \w+=|\bapi_key\b"
)

#: Parts of messages that no command can cause: it does not have the argument, or checks it before.
UNREACHABLE = (
    "CsvOptions.types",
    "CsvOptions.null_values",
    "UploadOptions.csv must",
    "options must be an UploadOptions",
    "contradicts this connector",
    "Give file_type=",
    "use FileUploadConnector(",
    "With headers=",
    "or headers, not both",
)


def shown(node: ast.JoinedStr) -> str:
    """Return what an f-string may look like."""
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            parts.append("'x'" if part.conversion == ord("r") else "x")
    return "".join(parts)


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module that are not documentation."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(node.value)
        if isinstance(node, ast.JoinedStr):
            skipped |= set(ast.walk(node)) - {node}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            yield shown(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def messages() -> list[str]:
    files = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in ("cli", "local")]
    every = [text for path in files for text in texts(ast.parse(path.read_text()))]
    # A name alone is no message.
    sentences = [text for text in every if " " in text or text.startswith("partition_size_mb=")]
    return [text for text in sentences if PYTHON.search(text) and not any(part in text for part in UNREACHABLE)]


def test_the_messages_are_found() -> None:
    assert len(messages()) > 15


@pytest.mark.parametrize("message", messages())
def test_no_message_speaks_of_python(message: str) -> None:
    assert not PYTHON.search(as_typed(message)), as_typed(message)


@pytest.mark.parametrize(
    ("content", "args", "words"),
    [
        (b"a\n1\n", [], "pass --delimiter; if"),
        (b"a~b\n1~2\n", [], "pass --delimiter '~'"),
        (b"a b\n1 2\n", [], "pass --delimiter ' ', with --as parquet"),
        (b"a,b\n1,\xff\n", [], "Pass --encoding cp1252 (or"),
        (b"x\n\na,b\n1,2\n", [], "Pass --skip-rows 2 if"),
        (b"a,b\n1,2\n# x\n", [], "Pass --comment '#' if"),
        (b"a,b,c\n1,2,3\n1,2\n", [], "or pass --short-rows fill if"),
        (b'a,b\n1, "x, y"\n', [], "Pass --skip-initial-space, with"),
        (b"a,b\n1,'x, y'\n", [], 'Pass --quote "\'" if'),
        (b"a,b,c\n1,2,3,4\n", [], "or pass --column-names with 4 names"),
        (b"a,b\n1,2\n", ["--comment", "##"], "--comment must be one ASCII character"),
        (b"a,b\n1,2\n", ["--skip-rows", "9"], "--skip-rows 9 is more"),
        (b"a,b\n1,2\n", ["--skip-initial-space", "--delimiter", " "], "with --skip-initial-space spaces"),
        (b"a,b\n1,2\n", ["--column-names", "a"], "--column-names names 1"),
        (b"a,b\n1,2\n", ["--column-names", ""], "--column-names must name a column."),
        (b"a,b\n1,2\n", ["--delimiter", ";;"], "--delimiter must be one ASCII character"),
    ],
)
def test_errors_name_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, args: list[str], words: str
) -> None:
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    (tmp_path / "t.csv").write_bytes(content)
    result = CliRunner().invoke(app, ["upload", str(tmp_path / "t.csv"), *args])
    assert result.exit_code in (2, 3)
    assert words in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--host", "0.0.0.0"], "--host must be"),
        (["--host", "nowhere.invalid"], "--host must be"),
        (["--api-key", ""], "--api-key, or the first line of --key-file, must be"),
        (["--store", "gs://tables"], "--store must be"),
        (["--store", "s3://tables", "--root", "there"], "--root or --store"),
    ],
)
def test_serve_does_too(args: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["serve", *args])
    assert result.exit_code == 2
    assert words in result.stderr


def test_so_do_the_warnings_of_a_json_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_ENDPOINT", f"local:{tmp_path / 'plane'}")
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    result = CliRunner().invoke(app, ["upload", str(tmp_path / "t.csv"), "--json"])
    [warning] = json.loads(result.stdout)["warnings"]
    assert "XDG_STATE_HOME names another directory" in warning
    assert not PYTHON.search(warning)
