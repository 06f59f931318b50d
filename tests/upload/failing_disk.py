"""A disk that fails a journal at a known step, on request for good."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["FailingDisk", "on_a_disk"]

#: What adds to a journal, and what removes or empties one. The latter works on a disk that is only full.
ADDS = ("write", "fsync")
REMOVES = ("unlink", "ftruncate", "truncate")


@dataclass
class FailingDisk:
    """Fails the steps of journals from a number on.

    Attributes:
        first: The number of the first step that fails, from 1; 0 for none.
        code: The error that it fails with.
        steps: The names of the functions that fail; the others always work.
        times: How many steps fail; None for all that come.
        torn: Whether half of what is to be written is there all the same.
        seen: The steps that were made, by name.
    """

    first: int = 0
    code: int = errno.ENOSPC
    steps: tuple[str, ...] = ADDS
    times: int | None = None
    torn: bool = False
    seen: list[str] = field(default_factory=list)

    def step(self, name: str, path: Path, work: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        if path.suffix != ".journal" and not (name == "fsync" and path.is_dir()):
            return work()
        self.seen.append(name)
        late = len(self.seen) - self.first
        if not self.first or late < 0 or name not in self.steps or (self.times is not None and late >= self.times):
            return work()
        if half is not None and self.torn:
            half()
        raise OSError(self.code, os.strerror(self.code), str(path))

    def heal(self) -> None:
        """Have nothing fail any more."""
        self.first = 0


@contextmanager
def on_a_disk(disk: FailingDisk) -> Iterator[FailingDisk]:
    """Have the journals of this process on a disk that fails."""
    write, fsync, ftruncate, unlink, truncate = os.write, os.fsync, os.ftruncate, os.unlink, os.truncate

    def of(descriptor: int) -> Path:
        return Path(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removesuffix(" (deleted)"))

    def failing_write(descriptor: int, data: bytes) -> Any:
        half = data[: len(data) // 2]
        return disk.step("write", of(descriptor), lambda: write(descriptor, data), lambda: write(descriptor, half))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", failing_write)
        patch.setattr(os, "fsync", lambda fd: disk.step("fsync", of(fd), lambda: fsync(fd)))
        patch.setattr(os, "ftruncate", lambda fd, size: disk.step("ftruncate", of(fd), lambda: ftruncate(fd, size)))
        patch.setattr(os, "unlink", lambda path, **more: disk.step("unlink", Path(path), lambda: unlink(path, **more)))
        patch.setattr(os, "truncate", lambda path, n: disk.step("truncate", Path(path), lambda: truncate(path, n)))
        yield disk
