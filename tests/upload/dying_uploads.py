"""Runs uploads in processes that die: a program that reads requests as lines of JSON, and answers each with one.

A request names the upload and after how many records of its journal the process is killed, 0 for not at all; with
`torn` the kernel gets only half of the last record. Importing takes most of a second, so it is done once, and each
upload runs in a fork of this process, which has no thread and no event loop.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

import kumo_async
from kumo_async.upload.journal_files import LockedFile

for name in ("upload.pipeline", "service.session", "sources.parquet", "sources.csv"):
    importlib.import_module(f"kumo_async.{name}")


def die_after(records: int, *, torn: bool) -> list[int]:
    """Have the process killed once so many records were appended; return a list of one item, which counts them."""
    append, count = LockedFile.append, [0]

    def counted(file: LockedFile, line: bytes, *, sync: bool) -> None:
        count[0] += 1
        last = count[0] == records
        append(file, line[: len(line) // 2] if last and torn else line, sync=sync)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    LockedFile.append = counted  # type: ignore[assignment,method-assign]
    return count


def upload(request: dict[str, Any]) -> int:
    count = die_after(request["records"], torn=request["torn"])
    client = kumo_async.KumoClient(request["endpoint"], request["api_key"])
    connector = kumo_async.FileUploadConnector(request["file_type"], client=client)
    connector.upload(request["table"], request["path"], options=kumo_async.UploadOptions(**request["options"]))
    return count[0]


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if child := os.fork():
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(json.dumps(status), flush=True)
            continue
        code = 255
        try:
            code = upload(request)
        finally:
            os._exit(code)


if __name__ == "__main__":
    main()
