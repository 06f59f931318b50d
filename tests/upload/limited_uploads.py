"""An upload in a process whose files may not grow beyond a size, from its commit on: the kernel's own refusal.

    limited_uploads.py ENDPOINT API_KEY PATH JOURNALS ROOM

ROOM is how many bytes more its journal may grow. What the upload returns or raises is printed.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import kumo_async

OPTIONS = {"partition_threshold": 0, "partition_size": 30_000, "max_attempts": 1}


class Limits:
    """Limits the sizes of files when the commit begins."""

    def __init__(self, journals: Path, room: int) -> None:
        self._journals, self._room = journals, room

    def on_event(self, event: kumo_async.Event) -> None:
        if isinstance(event, kumo_async.CommitStarted):
            [journal] = self._journals.glob("*.journal")
            most = journal.stat().st_size + self._room
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def main() -> None:
    endpoint, key, path, journals, room = sys.argv[1:]
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(endpoint, key))
    options = kumo_async.UploadOptions(journal_dir=journals, **OPTIONS)  # type: ignore[arg-type]
    report = connector.upload("t", path, options=options, observer=Limits(Path(journals), int(room)))
    print(*report.warnings)


if __name__ == "__main__":
    main()
