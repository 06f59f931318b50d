"""Journals as lines and files: what can be trusted is read back whole, and nothing else is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kumo_async
from kumo_async.service.messages import PartMetadata
from kumo_async.sources.files import SourceFile
from kumo_async.upload.journal import (
    Begun,
    Cleared,
    Completed,
    Head,
    JournalError,
    JournalState,
    Phase,
    Record,
    Stored,
    Undoing,
    Undone,
)
from kumo_async.upload.journal_files import LockedFile, claim, interrupted, journal_folder, lock, survey
from kumo_async.upload.journal_head import head_of
from kumo_async.upload.journal_lines import FORMAT, decode, encode
from kumo_async.upload.transfer import Receipt

HEAD = Head(
    format=FORMAT,
    id="0123456789abcdef",
    created=int(time.time()),
    endpoint="https://acme.kumoai.cloud/api",
    connector="csv_upload_connector",
    table="orders",
    path="/data/orders.csv",
    device=1,
    inode=2,
    size=3,
    mtime_ns=4,
    ctime_ns=5,
    partition_size=100,
    arguments="a",
)


def stored(number: int, table: str = "orders", name: str | None = None) -> Stored:
    parts = (PartMetadata(part_number=1, etag="e"), PartMetadata(part_number=2, etag="f"))
    name = name or f"{table}.csv/part_{number:04d}.csv"
    receipt = Receipt(name=name, size=9, rows=2, upload_id="u", temp_upload_path="tmp/x", parts=parts)
    return Stored(receipt=receipt, content="c")


NAMES = [stored(number).receipt.name for number in (1, 2)]
HISTORY: list[Record] = [
    HEAD,
    stored(2),
    stored(1),
    Begun(partitions=2, supersedes=("f" * 16,)),
    Cleared(),
    Completed(name=NAMES[1]),
    Undoing(void=(NAMES[1],)),
    Undone(),
    stored(2),
    Begun(partitions=2),
    Undone(),
]
LINES = [encode(record) for record in HISTORY]


def replayed(count: int) -> JournalState:
    state = JournalState(HEAD)
    for record in HISTORY[1:count]:
        state.apply(record)
    return state


@pytest.mark.parametrize("count", range(1, len(HISTORY) + 1))
def test_lines_lead_to_the_state_that_was_noted(count: int) -> None:
    assert decode(b"".join(LINES[:count])) == (replayed(count), len(b"".join(LINES[:count])))


def test_a_history() -> None:
    assert [replayed(n).phase for n in (1, 4, 5, 6, 7, 8, 10, 11)] == [
        Phase.SENDING,
        Phase.BEGUN,
        Phase.CLEARED,
        Phase.CLEARED,
        Phase.UNDOING,
        Phase.SENDING,
        Phase.BEGUN,
        Phase.SENDING,
    ]
    assert [receipt.name for receipt in replayed(4).receipts] == NAMES
    assert replayed(6).completed == {NAMES[1]}
    assert list(replayed(8).stored) == [NAMES[0]]


@pytest.mark.parametrize("count", [3, 5, 6])
def test_only_what_has_begun_is_undone(count: int) -> None:
    with pytest.raises(JournalError):
        replayed(count).apply(Undone())


async def test_uploads_are_the_same_where_the_same_bytes_are_sent(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,amount\n1,2\n")
    plan = kumo_async.UploadPlan(
        table="orders", file_type="csv", path="orders.csv", size=3, columns=(), partition_size=None, rows=None
    )
    async with await SourceFile.open(tmp_path / "orders.csv") as file:

        def head(**options: Any) -> Head:
            return head_of(HEAD.endpoint, plan, file, kumo_async.UploadOptions(**options))

        assert head(max_attempts=1, max_concurrent_parts=1, part_size=5 * 1024**2) == head()
        others = [head(csv=kumo_async.CsvOptions(quote="'")), head(on_unsupported="error"), head(convert="parquet")]
        assert head() not in others


@given(st.integers(0, len(b"".join(LINES))))
def test_a_journal_that_ends_anywhere_says_what_was_written_whole(end: int) -> None:
    data = b"".join(LINES)[:end]
    count = data.count(b"\n")
    if not count:
        with pytest.raises(JournalError):
            decode(data)
    else:
        assert decode(data) == (replayed(count), len(b"".join(LINES[:count])))


@given(st.integers(0, len(b"".join(LINES)) - 1), st.integers(0, 7))
def test_a_bit_that_flips_never_makes_another_state(at: int, bit: int) -> None:
    data = bytearray(b"".join(LINES))
    data[at] ^= 1 << bit
    try:
        state, length = decode(bytes(data))
    except JournalError:
        return
    # Damage at the end cannot be told from a line that was not written whole.
    assert length == len(b"".join(LINES[:-1]))
    assert state == replayed(len(HISTORY) - 1)


@pytest.mark.parametrize("count", range(1, len(LINES)))
def test_two_lines_that_became_one_are_not_taken_for_one_that_was_not_written_whole(count: int) -> None:
    """A journal that lacked both would say less than was done."""
    data = bytearray(b"".join(LINES[: count + 1]))
    data[len(b"".join(LINES[:count])) - 1] ^= 1
    with pytest.raises(JournalError):
        decode(bytes(data))


@given(st.binary() | st.lists(st.sampled_from(LINES)).map(b"".join))
def test_whatever_it_is_it_is_refused_or_a_state(data: bytes) -> None:
    try:
        state, length = decode(data)
    except JournalError:
        return
    assert isinstance(state, JournalState)
    assert data[:length].endswith(b"\n")


def forged(kind: str, **fields: object) -> bytes:
    import json
    import zlib

    text = json.dumps([kind, fields]).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [encode(replace(HEAD, format=FORMAT + 1))],
        [encode(replace(HEAD, id="../../etc/passwd"))],
        [LINES[1]],
        [LINES[0], LINES[0]],
        [LINES[0], encode(stored(1, "another"))],
        [LINES[0], encode(stored(1, name="orders"))],
        [
            LINES[0],
            encode(stored(1, name="x/../orders.csv/part_0001.csv")),
        ],
        [LINES[0], LINES[1], encode(Begun(partitions=2))],
        [LINES[0], encode(Begun(partitions=0))],
        [LINES[0], encode(Cleared())],
        [*LINES[:4], encode(Completed(name=NAMES[0]))],
        [*LINES[:5], encode(Completed(name="another"))],
        [LINES[0], forged("deleted")],
        [LINES[0], forged("begun", partitions=True, supersedes=[])],
        [LINES[0], forged("begun", partitions="2", supersedes=[])],
        [LINES[0], forged("begun", partitions=1, supersedes="f")],
        [LINES[0], forged("begun", partitions=1, supersedes=[], more=1)],
        [LINES[0], forged("stored", receipt=[1], content="c")],
        [LINES[0], b"damaged\n", LINES[1]],
    ],
)
def test_what_cannot_be_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(JournalError):
        decode(b"".join(lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return journal_folder(tmp_path / "made" / "journals")


def write(folder: Path, *lines: bytes, head: Head = HEAD) -> Path:
    path = folder / f"{head.table_key}-{head.id}.journal"
    path.write_bytes(b"".join(lines))
    path.chmod(0o600)
    return path


@pytest.fixture
def claimed(folder: Path) -> Iterator[Callable[..., LockedFile]]:
    files = []

    def call(head: Head = HEAD, *, resume: bool = True) -> LockedFile:
        files.append(claim(folder, head, resume=resume)[0])
        return files[-1]

    yield call
    for file in files:
        file.close()


def test_a_claimed_journal_goes_on_behind_its_last_whole_line(folder: Path, claimed: Callable[..., LockedFile]) -> None:
    path = write(folder, *LINES[:2], LINES[2][:-5])
    file = claimed(replace(HEAD, id="", created=0))
    assert file.path == path
    file.append(LINES[2], sync=True)
    assert decode(path.read_bytes())[0] == replayed(3)


def test_two_never_have_one_journal(folder: Path, claimed: Callable[..., LockedFile]) -> None:
    write(folder, *LINES[:2])
    first, second = claimed(), claimed()
    assert first.path != second.path
    assert {each.running for each in survey(folder)} == {True}


def test_a_commit_that_was_interrupted_is_never_claimed_or_discarded(
    folder: Path, claimed: Callable[..., LockedFile]
) -> None:
    path = write(folder, *LINES[:4])
    assert claimed().path != path
    assert [each.path for each in interrupted(folder, HEAD.table_key)] == [path]


def test_what_another_commit_replaces_is_not_interrupted(folder: Path) -> None:
    write(folder, *LINES[:4])
    other = replace(HEAD, id="f" * 16)
    write(folder, encode(other), *LINES[1:5], head=other)
    assert [each.state.head.id for each in interrupted(folder, HEAD.table_key)] == [HEAD.id]


@pytest.mark.parametrize("how", ["damaged", "renamed", "link", "others may write", "pipe", "huge"])
def test_a_foreign_journal_is_not_used(
    folder: Path, claimed: Callable[..., LockedFile], how: str, tmp_path: Path
) -> None:
    path = write(folder, *LINES[:2])
    if how == "damaged":
        path.write_bytes(b"garbage\n" * 3)
    elif how == "renamed":
        path.rename(path.with_name(f"{HEAD.table_key}-{'e' * 16}.journal"))
    elif how == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "others may write":
        path.chmod(0o622)
    elif how == "pipe":
        path.unlink()
        os.mkfifo(path, 0o600)
    else:
        os.truncate(path, 2**40)
    assert survey(folder) == []
    assert claimed().path.name not in (path.name, f"{HEAD.table_key}-{'e' * 16}.journal")
    assert (tmp_path / "elsewhere").exists() == (how == "link")


def test_a_table_is_locked_by_one_and_its_file_goes_with_the_last(folder: Path) -> None:
    first = lock(folder, "key")
    assert first is not None
    assert lock(folder, "key") is None
    first.remove()
    assert list(folder.iterdir()) == []
    second = lock(folder, "key")
    assert second is not None
    second.remove()


def test_a_lock_that_was_removed_meanwhile_is_not_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    flock, calls = fcntl.flock, 0

    def late(descriptor: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        flock(descriptor, operation)
        if calls == 1:
            (folder / "key.lock").unlink()

    monkeypatch.setattr(fcntl, "flock", late)
    file = lock(folder, "key")
    assert file is not None
    assert (folder / "key.lock").exists()
    file.remove()


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError):
        journal_folder(tmp_path)
    tmp_path.chmod(0o700)
