"""Files that one process has locked. All of this blocks: worker threads only.

The locks are the kernel's (flock), so they are gone when their process is, however it died:
https://man7.org/linux/man-pages/man2/flock.2.html

They die with the process that took them, its children included. A child process inherits descriptors, and with them
such locks: one that runs another program loses them at once (O_CLOEXEC), and a fork that goes on as Python closes them
first of all (`os.register_at_fork`), so that killing the parent frees its tables whatever its workers do. Nor does a
child ever write or remove a file of its parent. Record locks (`fcntl.lockf`), which no child inherits, would need
neither; but a process loses them as soon as anything in it closes the file, such as a backup in another thread that
reads it, and they do not keep the threads of one process apart. What is not covered is C code that forks without
telling Python, and then neither runs a program nor ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["READING", "LockedFile", "check_ours", "opening", "sync_folder"]

READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class LockedFile:
    """A file that this process has locked. It is closed, and with that unlocked, once nothing refers to it any more."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._owner = os.getpid()
        self._folder_synced = False
        # Also closes a file whose opening was cancelled while a thread was at it.
        self.close = weakref.finalize(self, _unlock_and_close, descriptor, self._owner)
        _locked_files.add(self)

    @classmethod
    def acquire(cls, path: Path, *, create: bool = False) -> LockedFile | None:
        """Open and lock a file; None if it is in use, or not there.

        Raises:
            OSError: If it cannot be opened or locked, or another user could have written it. A file
                that was made for this is removed.
        """
        while True:
            with opening:
                descriptor, is_new = _open(path, create=create)
                if descriptor is None:
                    return None
                file = cls(path, descriptor)
            try:
                check_ours(os.fstat(descriptor), path, stat.S_ISREG)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return None
            except OSError:
                if is_new:
                    with suppress(OSError):
                        file.erase()
                file.close()
                raise
            if file._is_there():
                return file
            # The process that had it before has removed it between our opening and our locking.
            file.close()

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    def append(self, lines: bytes, *, sync: bool) -> None:
        """Write lines at once; with `sync`, they and all before them survive a loss of power as well.

        Raises:
            OSError: If that fails. The file then says what it said before, as far as the disk lets it.
        """
        self._check_owner()
        before = os.fstat(self._descriptor).st_size
        try:
            self._append(lines, sync=sync)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)
            raise

    def _append(self, lines: bytes, *, sync: bool) -> None:
        while lines:
            # The kernel takes what there is room for, and says with the rest why that is not all.
            lines = lines[os.write(self._descriptor, lines) :]
        if sync:
            os.fsync(self._descriptor)
        if sync and not self._folder_synced:
            sync_folder(self.path.parent)
            self._folder_synced = True

    def content(self, most: int) -> bytes:
        """Read the file, or of one that is larger one byte more than `most`."""
        return os.pread(self._descriptor, most + 1, 0)

    def cut(self, length: int) -> None:
        """Drop what comes after the first `length` bytes."""
        if length != os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, length)

    def erase(self) -> None:
        """Have the file say nothing any more: remove it, or empty it where that fails, or where it was moved.

        Raises:
            OSError: If neither is possible, or the file is another process's.
        """
        self._check_owner()
        with suppress(OSError):
            if self._is_there():
                self.path.unlink()
                return
        os.ftruncate(self._descriptor, 0)

    def remove(self) -> None:
        """Erase and close the file. In a child of the process that has locked it, this does nothing.

        Raises:
            OSError: If it cannot be erased; it is closed all the same.
        """
        try:
            if self._is_owned():
                self.erase()
        finally:
            self.close()

    def _is_owned(self) -> bool:
        return self.close.alive and os.getpid() == self._owner

    def _check_owner(self) -> None:
        if not self._is_owned():
            raise OSError(errno.EBADF, "it belongs to the process that this one was forked from", str(self.path))


#: What is to be closed in a child process.
_locked_files: weakref.WeakSet[LockedFile] = weakref.WeakSet()

#: Held from the opening of a file until it is among them: a fork in between would keep it open in the child.
opening = threading.Lock()


def _open(path: Path, *, create: bool) -> tuple[int | None, bool]:
    """Open a file, and say whether it was made for that; None if it is not there."""
    while True:
        try:
            return os.open(path, _FLAGS), False
        except FileNotFoundError:
            if not create:
                return None, False
        # Another process may have made it meanwhile.
        with suppress(FileExistsError):
            return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600), True


def _unlock_and_close(descriptor: int, owner: int) -> None:
    # A fork in another thread right now has a copy of the descriptor, and should not have the lock with it. Only the
    # owner may unlock: in a child that would unlock its parent's file.
    if os.getpid() == owner:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _close_in_child() -> None:
    for file in list(_locked_files):
        file.close()
    opening.release()


os.register_at_fork(before=opening.acquire, after_in_parent=opening.release, after_in_child=_close_in_child)


def check_ours(status: os.stat_result, path: Path, is_kind: Callable[[int], bool]) -> None:
    """Refuse what another user could have written: it says which objects become visible, and which are deleted."""
    if not is_kind(status.st_mode):
        raise OSError(errno.EINVAL, "not what it should be", str(path))
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "another user may write to it", str(path))


def sync_folder(folder: Path) -> None:
    """Have the names in a directory survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
