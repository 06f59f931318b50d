"""The command line in front of a service that fails: what is printed where, and how it exits."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import kumo_async
from kumo_async.cli.wording import as_typed
from kumo_async.local import Fault, LocalDataPlane, Status
from kumo_async.local.calls import CallName


async def run(plane: LocalDataPlane, *args: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "KUMO_API_ENDPOINT": plane.endpoint, "KUMO_API_KEY": plane.api_key}
    return await anyio.run_process([sys.executable, "-m", "kumo_async", *args], env=env, check=False)


@pytest.fixture
def orders(tmp_path: Path) -> str:
    path = tmp_path / "orders.csv"
    path.write_text("id,amount\n1,9.50\n2,12.25\n")
    return str(path)


async def test_json_is_alone_on_stdout_whatever_logging_library_is_installed(
    plane: LocalDataPlane, orders: str
) -> None:
    # Where it is installed, libraries that log through it by themselves print to stdout.
    assert importlib.util.find_spec("structlog") is not None
    calls: tuple[CallName, ...] = ("start", "put_part", "complete")
    for call in calls:
        plane.inject(Fault(call=call, answer=Status(500)))
    done = await run(plane, "upload", orders, "--json")
    assert json.loads(done.stdout)["rows"] == 2
    assert done.stderr.count(b"A request failed and is made again") == 1


async def test_a_quiet_command_prints_no_retries(plane: LocalDataPlane, orders: str) -> None:
    plane.inject(Fault(call="start", answer=Status(500)))
    done = await run(plane, "upload", orders, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_parts_need_not_be_verified(plane: LocalDataPlane, orders: str) -> None:
    """The message about ETags that only look like MD5s names this option."""
    assert as_typed("use UploadOptions(verify_parts=False)") == "use --no-verify-parts"
    report = json.loads((await run(plane, "upload", orders, "--no-verify-parts", "--json")).stdout)
    assert (report["parts"], report["unverified_parts"]) == (1, 1)


@pytest.mark.parametrize(("status", "code"), [(400, 5), (401, 4), (403, 5)])
async def test_exit_codes_of_a_service_that_refuses(plane: LocalDataPlane, orders: str, status: int, code: int) -> None:
    plane.inject(Fault(call="start", answer=Status(status), times=None))
    done = await run(plane, "upload", orders, "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["exit_code"]) == (code, code)


async def test_without_any_logging_python_shows_the_first_failure(
    plane: LocalDataPlane, client: kumo_async.KumoClient, caplog: pytest.LogCaptureFixture
) -> None:
    plane.inject(Fault(call="list", answer=Status(503), times=2))
    await kumo_async.FileUploadConnector("csv", client=client).table_names_async()
    # Python itself prints warnings to stderr where nothing else is set up.
    assert [record.levelname for record in caplog.records] == ["WARNING"]
