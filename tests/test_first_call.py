"""The first call of a program imports what it needs, which takes tenths of a second: never on the caller's loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from test_blocking import run_script

#: Notes the modules that the loop's thread imports, or the thread of our own where calls are blocking.
WATCH = """
import asyncio, sys, threading
import kumo_async

class Watch:
    def find_spec(self, name, path=None, target=None):
        on_loop = threading.current_thread().name in ("MainThread", "kumo_async-loop")
        if on_loop and asyncio._get_running_loop() is not None:
            found.append(name)

found = []
sys.meta_path.insert(0, Watch())
"""

#: Modules of Python itself that are light.
CHECK = """
heavy = [name for name in found if name.partition(".")[0] not in sys.stdlib_module_names]
assert not heavy, heavy
"""

FILES = """
import gzip, shutil
with open("orders.csv", "rb") as plain, gzip.open("orders.csv.gz", "wb") as packed:
    shutil.copyfileobj(plain, packed)
"""

CALLS = {
    "csv": 'kumo_async.FileUploadConnector("csv").upload_async("orders", "orders.csv")',
    "compressed": 'kumo_async.FileUploadConnector("csv").upload_async("orders", "orders.csv.gz")',
    "encoded": """kumo_async.FileUploadConnector("csv").upload_async(
        "orders", "orders.csv", options=kumo_async.UploadOptions(csv=kumo_async.CsvOptions(encoding="cp1252")))""",
    "converted": """kumo_async.FileUploadConnector("parquet").upload_async(
        "orders", "orders.csv", options=kumo_async.UploadOptions(convert="parquet"))""",
    "parquet": 'kumo_async.FileUploadConnector("parquet").upload_async("orders", "orders.parquet")',
    "cast": 'kumo_async.FileUploadConnector("parquet").upload_async("orders", "cast.parquet")',
    "plan": 'kumo_async.FileUploadConnector("parquet").plan_async("orders", "orders.parquet")',
    "delete": 'kumo_async.FileUploadConnector("csv").delete_async("orders")',
    "has_table": 'kumo_async.FileUploadConnector("csv").has_table_async("orders")',
    "table_names": 'kumo_async.FileUploadConnector("csv").table_names_async()',
    "recover": "kumo_async.recover_uploads_async()",
    "unfinished": "kumo_async.unfinished_uploads_async()",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_first_async_call_imports_nothing_heavy_on_its_loop(tmp_path: Path, call: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "orders.parquet")
    pq.write_table(pa.table({"id": pa.array([1, 2], pa.uint64())}), tmp_path / "cast.parquet")
    run = f"""
async def main():
    try:
        await {call}
    except kumo_async.TableNotFoundError:
        pass

asyncio.run(main())
"""
    run_script(tmp_path, FILES, WATCH, run, CHECK)
