"""What a plane keeps is for its owner alone, whatever the umask and whatever an earlier version left."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from local_client import MIB, running

from kumo_async.local import LocalDataPlane


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(root: Path) -> dict[str, str]:
    """Return what others than the owner may do anything with, by mode."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    return {str(path): oct(mode) for path, mode in found.items() if mode & 0o077}


@pytest.mark.usefixtures("umask")
async def test_nothing_that_a_plane_makes_is_open_to_others(tmp_path: Path) -> None:
    root = tmp_path / "new"
    async with running(root) as client:
        # Parts in place, one that comes twice, one that does not fit, and an object without any part in place.
        started = await client.start("users", 2)
        await client.put(started, 1, b"a" * 5 * MIB)
        await client.put(started, 1, b"b" * 5 * MIB)
        await client.put(started, 2, b"c")
        assert (await client.complete(started)).status == 200
        await client.upload("uneven", b"a" * 5 * MIB, b"b" * 6 * MIB, b"c")
        await client.upload("empty", b"")
        names = {path.name for path in root.iterdir()}
        assert names == {"index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm", "secret", "files"}
        assert open_to_others(root) == {}
    assert open_to_others(root) == {}


@pytest.mark.usefixtures("umask")
async def test_an_index_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    root = tmp_path / "new"
    # A process that is killed leaves what SQLite has put next to the index.
    program = (
        "import os, sqlite3, sys; from pathlib import Path; from kumo_async.local.index import Index; "
        "index = Index(Path(sys.argv[1])); [os.chmod(sys.argv[1] + end, 0o644) for end in ('', '-wal', '-shm')]; "
        "os._exit(0)"
    )
    root.mkdir(mode=0o700)
    await anyio.run_process([sys.executable, "-c", program, str(root / "index.sqlite3")])
    assert len(open_to_others(root)) == 3
    async with LocalDataPlane(root):
        assert open_to_others(root) == {}


async def test_a_directory_of_the_users_own_keeps_its_mode(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o755)
    async with LocalDataPlane(root):
        assert open_to_others(root) == {str(root): "0o755"}
