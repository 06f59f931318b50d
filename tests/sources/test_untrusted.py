"""Files are data: what looks like a formula or a program goes up as it is, and nothing in a file is ever run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kumo_async
from kumo_async.local import LocalDataPlane

# https://owasp.org/www-community/attacks/CSV_Injection
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    '=HYPERLINK("http://x")',
    "${jndi:ldap://x}",
]


@pytest.mark.parametrize("options", [kumo_async.UploadOptions(), kumo_async.UploadOptions(validate="full")])
async def test_formulas_in_a_csv_are_sent_as_they_are(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, options: kumo_async.UploadOptions
) -> None:
    quoted = [cell.replace('"', '""') for cell in FORMULAS]
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,=note\n" + "".join(f'{n},"{cell}"\n' for n, cell in enumerate(quoted)).encode())
    report = await csv.upload_async("t", path, options=options)
    assert report.rows == len(FORMULAS)
    sent = plane.table_files("t", "csv")[0].read_bytes().split(b"\n", 1)
    assert sent == [b"id,note", path.read_bytes().split(b"\n", 1)[1]]


async def test_formulas_in_a_parquet_file_are_sent_as_they_are(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    # uint32 has every page encoded anew.
    table = pa.table({"id": pa.array(range(len(FORMULAS)), pa.uint32()), "note": FORMULAS})
    pq.write_table(table, tmp_path / "t.parquet")
    await parquet.upload_async("t", tmp_path / "t.parquet")
    assert pq.read_table(plane.table_files("t", "parquet")[0])["note"].to_pylist() == FORMULAS


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("column", [pa.array([1, 2], pa.int64()), pa.array([1, 2], pa.uint32())])
@pytest.mark.parametrize("validate", ["fast", "full"])
async def test_nothing_in_a_parquet_file_is_unpickled(
    plane: LocalDataPlane,
    parquet: kumo_async.FileUploadConnector,
    tmp_path: Path,
    column: pa.Array[Any],
    validate: Any,
) -> None:
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Bomb(mark)))
    mark.unlink()  # it works
    # The extension type that old versions of pyarrow unpickle: https://nvd.nist.gov/vuln/detail/CVE-2023-47248
    metadata = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Bomb(mark))}
    schema = pa.schema([pa.field("id", column.type, metadata=metadata)], metadata={"pickle": pickle.dumps(Bomb(mark))})
    pq.write_table(pa.Table.from_arrays([column], schema=schema), tmp_path / "t.parquet")
    await parquet.upload_async("t", tmp_path / "t.parquet", options=kumo_async.UploadOptions(validate=validate))
    assert await (await parquet.table_async("t")).columns_async()
    assert not mark.exists()
