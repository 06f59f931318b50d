"""A command that uploads a CSV file as table `orders`, and is killed once so many records are in its journal.

python dying_command.py PATH RECORDS
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import kumo_async
from kumo_async.upload.journal_files import LockedFile


def dying_upload(path: Path, *, after: int) -> list[str]:
    """Return the command; after two records all is stored, and after three the commit has begun."""
    return [sys.executable, __file__, str(path), str(after)]


def _die_after(records: int) -> None:
    append, left = LockedFile.append, records

    def dying(file: LockedFile, line: bytes, *, sync: bool) -> None:
        nonlocal left
        append(file, line, sync=sync)
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    LockedFile.append = dying  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    _die_after(int(sys.argv[2]))
    kumo_async.FileUploadConnector("csv").upload("orders", sys.argv[1])
