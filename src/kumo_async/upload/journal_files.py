"""Journals as files, of which each is locked by the upload that writes it. All of this blocks: worker threads only.

<state directory>/
<table>-<id>.journal    one upload each, mode 0600; see `journal`
<table>.lock            held while the table is being changed
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from ..checks import expanded
from .journal import Head, JournalError, JournalState, Phase
from .journal_lines import decode, encode
from .locked_file import READING, LockedFile, check_ours, opening, sync_folder

__all__ = [
    "EXPIRY_SECONDS",
    "Interrupted",
    "LockedFile",
    "Unfinished",
    "begun",
    "claim",
    "claim_unless_interrupted",
    "erase",
    "interrupted",
    "is_expired",
    "journal_folder",
    "journals",
    "lock",
    "state_of",
    "survey",
]

logger = logging.getLogger("kumo_async")

#: What an upload has stored is taken to be gone after this time. It is what AWS recommends for the rule by which a
#: bucket removes unfinished uploads:
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html
EXPIRY_SECONDS = 7 * 24 * 3600

#: Most bytes of a journal that are read. The 3000 partitions of the largest table that Kumo documents, in parts of
#: 5 MiB, take a tenth of it.
_MOST_BYTES = 64 * 1024**2


def erase(path: Path) -> None:
    """Have a journal say nothing any more that this process has not locked: remove it, or empty it where that fails.

    Raises:
        OSError: If neither is possible.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError:
        os.truncate(path, 0)
    with suppress(OSError):
        sync_folder(path.parent)


def journal_folder(given: str | os.PathLike[str] | None) -> Path:
    """Return the directory of the journals, and make it where it is missing.

    Raises:
        OSError: If it cannot be used, or somebody else may write there.
    """
    default = platformdirs.user_state_path("kumo-async") / "uploads"
    folder = default if given is None else expanded("journal_dir", given)
    if given is None and not folder.is_absolute():
        raise OSError(errno.ENOENT, "there is no home directory", str(folder))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_ours(folder.stat(), folder, stat.S_ISDIR)
    return folder


def lock(folder: Path, key: str) -> LockedFile | None:
    """Lock a table on this machine; None if somebody else has it."""
    return LockedFile.acquire(folder / f"{key}.lock", create=True)


def journals(folder: Path, key: str = "") -> list[Path]:
    """Return the journals of one table, or of all; none where they cannot be listed."""
    try:
        return sorted(folder.glob(f"{key}*.journal"))
    except OSError as error:
        logger.warning("The journals in %s cannot be listed: %s", folder, error)
        return []


@dataclass(frozen=True)
class Interrupted:
    """A commit that has begun and not ended."""

    path: Path
    state: JournalState


def begun(folder: Path, key: str) -> list[Interrupted]:
    """Return a table's commits that have begun and not ended.

    One whose upload still runs is among them; to hold the table's lock is to know that there is none.
    """
    return [each for each in map(_peek, journals(folder, key)) if each and each.state.phase is not Phase.SENDING]


def interrupted(folder: Path, key: str) -> list[Interrupted]:
    """Return what `begun` returns, except commits that others replace."""
    found = begun(folder, key)
    replaced = {other for each in found for other in each.state.supersedes}
    return [each for each in found if each.state.head.id not in replaced]


@dataclass(frozen=True)
class Unfinished:
    """A journal that is there.

    Attributes:
        path: Where it is.
        state: What it says.
        running: Whether a running upload has it.
        same_source: Whether the source is as it was when the upload was begun.
    """

    path: Path
    state: JournalState
    running: bool
    same_source: bool


def survey(folder: Path) -> list[Unfinished]:
    """Return all journals that can be trusted."""
    return [_unfinished(each.path, each.state) for each in map(_peek, journals(folder)) if each]


def _unfinished(path: Path, state: JournalState) -> Unfinished:
    return Unfinished(path, state, _is_locked(path), _is_same_source(state.head))


def _is_same_source(head: Head) -> bool:
    try:
        now = os.stat(head.path)  # noqa: PTH116 - a path that is text already
    except (OSError, ValueError):
        return False
    was = (head.device, head.inode, head.size, head.mtime_ns, head.ctime_ns)
    return was == (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


def _is_locked(path: Path) -> bool:
    """Say whether a running upload has a journal. It need not be writable."""
    with opening:
        try:
            descriptor = os.open(path, READING)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return isinstance(error, BlockingIOError)
        finally:
            os.close(descriptor)
    return False


def _peek(path: Path) -> Interrupted | None:
    """Read a journal that may be another's at this moment."""
    try:
        descriptor = os.open(path, READING)
    except OSError:
        return None
    try:
        check_ours(os.fstat(descriptor), path, stat.S_ISREG)
        return Interrupted(path, _read(path, os.pread(descriptor, _MOST_BYTES + 1, 0))[0])
    except (OSError, JournalError) as error:
        logger.warning("The journal %s is not used: %s", path, error)
        return None
    finally:
        os.close(descriptor)


def claim(folder: Path, head: Head, *, resume: bool) -> tuple[LockedFile, JournalState]:
    """Take over the journal of an earlier run of the same upload, or begin one. Discard those that are of no more use.

    Args:
        folder: The directory of the journals.
        head: Which upload it is; its id is used for a new journal alone.
        resume: Whether an earlier run may be taken over.

    Raises:
        OSError: If no journal can be written.
    """
    key = head.table_key
    taken: tuple[LockedFile, JournalState] | None = None
    for file, state in _unused(folder, key):
        if state is not None and taken is None and resume and _may_go_on(state, head):
            taken = file, state
        elif _is_of_no_use(state, head):
            file.remove()
        else:
            file.close()
    return taken or _new(folder, head)


def claim_unless_interrupted(folder: Path, head: Head, *, resume: bool) -> tuple[LockedFile, JournalState] | None:
    """Do what `claim` does, except where the table has interrupted commits, which come first."""
    return None if interrupted(folder, head.table_key) else claim(folder, head, resume=resume)


def _unused(folder: Path, key: str) -> Iterator[tuple[LockedFile, JournalState | None]]:
    """Lock and read the journals that no running upload has; None stands for one that cannot be trusted."""
    for path in journals(folder, key):
        with suppress(OSError):
            if (file := LockedFile.acquire(path)) is None:
                continue
            try:
                yield file, state_of(file)
            except JournalError as error:
                logger.warning("The journal %s is discarded: %s", path, error)
                yield file, None


def _may_go_on(state: JournalState, head: Head) -> bool:
    return state.phase is Phase.SENDING and state.head == head and not is_expired(state)


def _is_of_no_use(state: JournalState | None, head: Head) -> bool:
    if state is None:
        return True
    # An interrupted commit must be finished or replaced, however old it is; both need the table's lock.
    return state.phase is Phase.SENDING and (state.head.path == head.path or is_expired(state))


def is_expired(state: JournalState) -> bool:
    """Say whether what an upload has stored is probably gone."""
    return time.time() - state.head.created > EXPIRY_SECONDS


def _new(folder: Path, head: Head) -> tuple[LockedFile, JournalState]:
    head = replace(head, id=secrets.token_hex(8), created=int(time.time()))
    file = LockedFile.acquire(folder / f"{head.table_key}-{head.id}.journal", create=True)
    if file is None:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    try:
        file.append(encode(head), sync=False)
    except BaseException:
        file.remove()
        raise
    return file, JournalState(head)


def state_of(file: LockedFile) -> JournalState:
    """Read what a file says as a journal, and drop a last line that was not written to its end.

    Raises:
        JournalError: If it is not to be trusted.
        OSError: If it cannot be read.
    """
    state, length = _read(file.path, file.content(_MOST_BYTES))
    file.cut(length)
    return state


def _read(path: Path, data: bytes) -> tuple[JournalState, int]:
    if len(data) > _MOST_BYTES:
        raise JournalError("it is larger than a journal can be")
    state, length = decode(data)
    if path.name != f"{state.head.table_key}-{state.head.id}.journal":
        raise JournalError("it is of another upload than its name says")
    return state, length
