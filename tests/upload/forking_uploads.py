"""Uploads in a process that starts a child in the middle of a commit, and is killed there.

    forking_uploads.py ENDPOINT API_KEY PATH HOW

The child's number is printed; it goes on until it is killed, too.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

import kumo_async


def stay() -> None:
    print(os.getpid(), flush=True)
    while True:
        time.sleep(60)


def fork() -> None:
    if not os.fork():
        stay()


def fork_in_a_thread() -> None:
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()


def leave() -> None:
    """A child that tidies up as if the upload were its own, and then stays."""
    import gc

    from kumo_async.upload.journal_files import LockedFile
    from kumo_async.upload.journaling import Journal

    if os.fork():
        return
    for each in gc.get_objects():
        if isinstance(each, Journal):
            each.close()
        elif isinstance(each, LockedFile):
            each.remove()
    stay()


WAYS: Mapping[str, Callable[[], object]] = {
    "fork": fork,
    "fork in a thread": fork_in_a_thread,
    "fork that tidies up": leave,
    "multiprocessing fork": multiprocessing.get_context("fork").Process(target=stay).start,
    "multiprocessing spawn": multiprocessing.get_context("spawn").Process(target=stay).start,
    "another program": lambda: subprocess.Popen(["/bin/sh", "-c", "echo $$; exec sleep 600"]),
    "another program, descriptors kept": lambda: subprocess.Popen(
        ["/bin/sh", "-c", "echo $$; exec sleep 600"], close_fds=False
    ),
    "spawned": lambda: os.posix_spawn("/bin/sh", ["sh", "-c", "echo $$; exec sleep 600"], os.environ),
}


class Forks:
    """Starts a child when the commit begins, and waits to be killed."""

    def __init__(self, how: str) -> None:
        self._how = how

    def on_event(self, event: kumo_async.Event) -> None:
        if isinstance(event, kumo_async.CommitStarted):
            WAYS[self._how]()
            time.sleep(600)


def main() -> None:
    endpoint, key, path, how = sys.argv[1:]
    client = kumo_async.KumoClient(endpoint, key)
    kumo_async.FileUploadConnector("csv", client=client).upload("t", path, observer=Forks(how))


if __name__ == "__main__":
    main()
