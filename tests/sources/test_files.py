"""Local files as byte ranges: exact reads, refused kinds, and partitions made of segments."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.errors import SourceChangedError, SourceError
from kumo_async.sources.files import FileRange, Partition, SourceFile, local_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)) * 40)
    return path


async def test_reads_are_exact(path: Path) -> None:
    async with await SourceFile.open(path) as file:
        assert file.size == 10240
        assert await file.read(250, 12) == bytes([*range(250, 256), *range(6)])
        assert await file.read(0, 0) == b""
        assert len(await file.read(0, 10240)) == 10240
        await file.check_unchanged()


async def test_a_file_that_became_shorter_is_an_error(path: Path) -> None:
    async with await SourceFile.open(path) as file:
        os.truncate(path, 100)
        with pytest.raises(SourceChangedError, match="shorter"):
            await file.read(50, 100)


@pytest.mark.parametrize("change", ["append", "touch", "replace", "remove", "move"])
async def test_a_change_is_found(path: Path, change: str) -> None:
    async with await SourceFile.open(path) as file:
        match change:
            case "append":
                with path.open("ab") as more:
                    more.write(b"x")
            case "touch":
                os.utime(path, ns=(1, 1))
            case "replace":
                path.with_suffix(".new").write_bytes(path.read_bytes())
                path.with_suffix(".new").replace(path)
            case "remove":
                path.unlink()
            case "move":
                path.rename(path.with_suffix(".moved"))
        with pytest.raises(SourceChangedError):
            await file.check_unchanged()


async def refused(path: Path) -> str:
    with anyio.fail_after(30), pytest.raises(SourceError) as caught:
        await SourceFile.open(path)
    assert caught.value.path == str(path)
    return str(caught.value)


async def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "directory.parquet").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert "socket" in await refused(tmp_path / "socket")
    assert "pipe" in await refused(tmp_path / "fifo")
    assert "link to a file that does not exist" in await refused(tmp_path / "dangling")
    assert "cannot be read" in await refused(tmp_path / "loop")
    assert "directory" in await refused(tmp_path / "directory.parquet")
    assert "device" in await refused(Path("/dev/null"))
    assert "does not exist" in await refused(tmp_path / "missing")
    assert "cannot be read" in await refused(tmp_path / ("x" * 5000))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_without_permission_is_refused(path: Path) -> None:
    path.chmod(0)
    assert "permissions" in await refused(path)


def test_paths_are_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/a.csv") == tmp_path / "a.csv"
    assert local_path(Path("~/a.csv")) == tmp_path / "a.csv"
    assert local_path("file:///data/a%20b.csv") == Path("/data/a b.csv")
    assert local_path("file://localhost/data/a.csv") == Path("/data/a.csv")
    assert local_path("relative.csv") == Path("relative.csv")
    for wrong in ("", "a\0b", "s3://bucket/key.parquet", "file://other-host/a.csv"):
        with pytest.raises(SourceError):
            local_path(wrong)
    with pytest.raises(SourceError, match="another machine"):
        local_path("file://orders.csv")
    with pytest.raises(SourceError, match=r"[^.]\. Give it in full\.$"):
        local_path("~nobody-here/a.csv")
    with pytest.raises(SourceError, match="text"):
        local_path(os.fsencode("a.csv"))  # type: ignore[arg-type]


segments = st.lists(
    st.one_of(st.binary(max_size=20), st.tuples(st.integers(0, 200), st.integers(0, 50))), min_size=1, max_size=8
)


@given(segments, st.data())
def test_a_partition_reads_as_its_segments_from_any_offset(
    drawn: list[bytes | tuple[int, int]], data: st.DataObject
) -> None:
    content = bytes(range(256))
    # Only the pieces are looked at here, so the file may be any; it is closed when nothing refers to it any more.
    file = SourceFile(Path(os.devnull), os.open(os.devnull, os.O_RDONLY), Path(os.devnull).stat())
    partition = Partition(tuple(s if isinstance(s, bytes) else FileRange(file, *s) for s in drawn), rows=1)
    whole = b"".join(s if isinstance(s, bytes) else content[s[0] : s[0] + s[1]] for s in drawn)
    assert partition.size == len(whole)
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    most = data.draw(st.integers(1, 30))
    pieces = list(partition.pieces(offset, length, most))
    read = [p if isinstance(p, bytes) else content[p.offset : p.offset + p.length] for p in pieces]
    assert b"".join(read) == whole[offset : offset + length]
    assert all(0 < len(piece) <= most for piece in read)
