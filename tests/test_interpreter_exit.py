"""Calls while the interpreter ends, beside other frameworks' threads, and where the system has nothing left to give."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from test_blocking import run_script

UPLOADS = {
    "csv": 'kumo_async.FileUploadConnector("csv").upload("orders", "orders.csv")',
    "converted": """kumo_async.FileUploadConnector("parquet").upload(
        "orders", "orders.csv", options=kumo_async.UploadOptions(convert="parquet"))""",
    "async": 'asyncio.run(kumo_async.FileUploadConnector("csv").upload_async("orders", "orders.csv"))',
}


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_an_upload_of_a_thread_goes_on_when_the_main_thread_has_ended(tmp_path: Path, upload: str) -> None:
    run_script(
        tmp_path,
        f"""
        import asyncio, os, threading, traceback
        import kumo_async

        def upload():
            try:
                threading.main_thread().join()
                assert {upload}.rows == 3
                open("done", "w").close()
            except BaseException:
                traceback.print_exc()
                os._exit(1)

        threading.Thread(target=upload).start()
        """,
    )
    assert (tmp_path / "done").exists()


def test_an_upload_goes_on_when_the_main_thread_ends_in_its_commit(tmp_path: Path) -> None:
    run_script(
        tmp_path,
        """
        import os, threading, traceback
        import kumo_async

        class Watch:
            def on_event(self, event):
                if isinstance(event, kumo_async.CommitStarted):
                    committing.set()
                    threading.main_thread().join()

        def upload():
            try:
                connector = kumo_async.FileUploadConnector("csv")
                assert connector.upload("orders", "orders.csv", observer=Watch()).rows == 3
                assert connector.table_names() == ["orders"]
                open("done", "w").close()
            except BaseException:
                traceback.print_exc()
                os._exit(1)

        committing = threading.Event()
        threading.Thread(target=upload).start()
        committing.wait()
        """,
    )
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("call", ["connector.has_table('orders')", "connector.upload('orders', 'orders.csv')"])
@pytest.mark.parametrize("when", ["__del__", "atexit"])
def test_a_call_when_the_interpreter_ends_works_or_is_one_error_of_ours(tmp_path: Path, when: str, call: str) -> None:
    run_script(
        tmp_path,
        f"""
        import atexit, os
        import kumo_async

        def call(connector=kumo_async.FileUploadConnector("csv"), ours=kumo_async.KumoError, write=os.write):
            try:
                {call}
            except ours as error:
                write(1, b"refused " + str(error).encode())
            else:
                write(1, b"done")

        class Last:
            def __del__(self, call=call):
                call()

        if {when!r} == "atexit":
            atexit.register(call)
        else:
            last = Last()
            last.itself = last
        """,
        says=("done", "refused "),
    )


def test_too_many_open_files_in_a_commit_are_one_error_of_ours(tmp_path: Path) -> None:
    run_script(
        tmp_path,
        """
        import asyncio, os, resource
        import kumo_async

        class Watch:
            def on_event(self, event):
                if isinstance(event, kumo_async.PartitionStored):
                    highest = max(map(int, os.listdir("/proc/self/fd")))
                    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, limits[1]))
                    for _ in range(highest):
                        try:
                            files.append(os.open("/dev/null", os.O_RDONLY))
                        except OSError:
                            break

        limits, files = resource.getrlimit(resource.RLIMIT_NOFILE), []
        connector = kumo_async.FileUploadConnector("csv")

        def give_back():
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            while files:
                os.close(files.pop())

        def fail(call):
            try:
                call()
            except kumo_async.KumoError as error:
                give_back()
                assert "Too many open files" in str(error) or error.__cause__ is not None, error
            else:
                # The loop of a blocking call has all the files that it needs.
                give_back()

        options = kumo_async.UploadOptions(commit_timeout=1, max_attempts=1)
        fail(lambda: connector.upload("orders", "orders.csv", options=options, observer=Watch()))
        fail(lambda: asyncio.run(connector.upload_async("orders", "orders.csv", options=options, observer=Watch())))
        assert connector.upload("orders", "orders.csv").rows == 3
        """,
    )


PATCHED = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import warnings; warnings.simplefilter('ignore'); import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("framework", PATCHED)
def test_calls_work_in_the_threads_of_gevent_and_eventlet(tmp_path: Path, framework: str) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    run_script(
        tmp_path,
        PATCHED[framework],
        """
        import threading
        import kumo_async

        def upload(number):
            reports.append(connector.upload(f"orders{number}", "orders.csv"))

        connector, reports = kumo_async.FileUploadConnector("csv"), []
        threads = [threading.Thread(target=upload, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(connector.table_names()) == 3
        """,
    )


def test_without_threads_of_the_system_uvloop_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import _thread

    from kumo_async.loop import uvloop_if_there

    monkeypatch.setattr(_thread, "start_new_thread", lambda *_: 0)
    assert uvloop_if_there() == {"use_uvloop": False}
