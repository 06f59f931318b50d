"""Whole uploads to a real S3 server: the parts go to it, and what it then holds is looked at as plain files."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import kumo_async
from kumo_async.local import LocalDataPlane
from kumo_async.local.completion import Completion
from kumo_async.local.s3store import S3Store
from kumo_async.local.stores import StoredFile
from rclone_server import Rclone, rclone_on, sign_long_ago

FORMATS = ["parquet", "csv"]


@dataclass(frozen=True)
class Bucket:
    """A plane over a bucket of the server, and the directory where the server keeps it."""

    server: Rclone
    plane: LocalDataPlane
    directory: Path

    def connector(self, file_type: str) -> kumo_async.FileUploadConnector:
        return kumo_async.FileUploadConnector(
            file_type, client=kumo_async.KumoClient(self.plane.endpoint, self.plane.api_key)
        )

    def files(self, file_type: str) -> list[Path]:
        """What the server holds, without its own unfinished files."""
        found = (self.directory / file_type).rglob("*")
        return sorted(path for path in found if path.is_file() and not path.name.startswith(".rclone_temp"))

    def rows(self, file_type: str) -> list[int]:
        read = pq.read_table if file_type == "parquet" else pacsv.read_csv
        tables = [read(io.BytesIO(path.read_bytes())) for path in self.files(file_type)]
        return pa.concat_tables(tables)["id"].to_pylist() if tables else []


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    with rclone_on(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
async def bucket(rclone: Rclone) -> AsyncIterator[Bucket]:
    name = rclone.bucket()
    async with LocalDataPlane(store=f"s3://{name}", s3=rclone.options) as plane:
        yield Bucket(rclone, plane, rclone.root / name)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, range], Path]:
    """Return a function that writes a table whose ids are a range, of about 16 bytes a row."""

    def write(file_type: str, ids: range) -> Path:
        table = pa.table({"id": list(ids), "square": [number * number for number in ids]})
        path = tmp_path / f"{ids.start}-{ids.stop}.{file_type}"
        if file_type == "parquet":
            pq.write_table(table, path, row_group_size=5_000, compression="none", use_dictionary=False)
        else:
            pacsv.write_csv(table, path)
        return path

    return write


Writes = Callable[[str, range], Path]
MANY = kumo_async.UploadOptions(partition_threshold=0, partition_size=200_000, max_attempts=2)


@pytest.mark.parametrize("options", [kumo_async.UploadOptions(), MANY], ids=["whole", "partitioned"])
@pytest.mark.parametrize("file_type", FORMATS)
async def test_a_table_arrives(
    bucket: Bucket, write: Writes, file_type: str, options: kumo_async.UploadOptions
) -> None:
    path = write(file_type, range(50_000))
    report = await bucket.connector(file_type).upload_async("t", path, options=options)
    names = [str(file.relative_to(bucket.directory / file_type)) for file in bucket.files(file_type)]
    assert names == [partition.name for partition in report.partitions]
    assert (len(names) > 2) == (options is MANY)
    assert bucket.rows(file_type) == list(range(50_000))
    if options is not MANY:
        assert bucket.files(file_type)[0].read_bytes() == path.read_bytes()


@pytest.mark.parametrize("file_type", FORMATS)
async def test_an_object_of_several_parts_arrives_byte_for_byte(bucket: Bucket, tmp_path: Path, file_type: str) -> None:
    path = tmp_path / f"t.{file_type}"
    if file_type == "parquet":
        pq.write_table(
            pa.table({"id": [1, 2], "blob": [bytes(6_000_000)] * 2}), path, compression="none", use_dictionary=False
        )
    else:
        path.write_text("id,blob\n" + "".join(f"{n},{'x' * 1000}\n" for n in range(12_000)))
    options = kumo_async.UploadOptions(part_size=5 * 1024**2)
    await bucket.connector(file_type).upload_async("t", path, options=options)
    assert bucket.files(file_type)[0].read_bytes() == path.read_bytes()


@pytest.mark.parametrize("file_type", FORMATS)
@pytest.mark.parametrize("options", [kumo_async.UploadOptions(), MANY], ids=["whole", "partitioned"])
@pytest.mark.parametrize("before", [kumo_async.UploadOptions(), MANY], ids=["was whole", "was partitioned"])
async def test_a_table_is_replaced(
    bucket: Bucket,
    write: Writes,
    file_type: str,
    before: kumo_async.UploadOptions,
    options: kumo_async.UploadOptions,
) -> None:
    connector = bucket.connector(file_type)
    await connector.upload_async("t", write(file_type, range(60_000)), options=before)
    await connector.upload_async("t", write(file_type, range(60_000, 90_000)), options=options)
    assert bucket.rows(file_type) == list(range(60_000, 90_000))
    await connector.delete_async("t")
    assert bucket.files(file_type) == []
    assert await connector.table_names_async() == []


async def test_what_it_holds_is_shown(bucket: Bucket, write: Writes) -> None:
    connector = bucket.connector("parquet")
    await connector.upload_async("t", write("parquet", range(30_000)), options=MANY)
    table = await connector.table_async("t")
    assert [column.name for column in await table.columns_async()] == ["id", "square"]
    assert list((await table.head_async(3))["id"]) == [0, 1, 2]


@pytest.mark.parametrize("file_type", FORMATS)
async def test_urls_that_have_expired_leave_the_old_table(
    bucket: Bucket, write: Writes, file_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = bucket.connector(file_type)
    await connector.upload_async("t", write(file_type, range(100)))
    sign_long_ago(monkeypatch)
    with pytest.raises(kumo_async.UploadError, match="as it was before"):
        await connector.upload_async("t", write(file_type, range(60_000)), options=MANY)
    assert bucket.rows(file_type) == list(range(100))


@pytest.mark.parametrize("file_type", FORMATS)
async def test_a_wrong_etag_leaves_no_table_and_says_so(
    bucket: Bucket, write: Writes, file_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's ETags are right, so what is sent on to it is made wrong. That is within the commit."""
    connector = bucket.connector(file_type)
    await connector.upload_async("t", write(file_type, range(100)))
    spoil_etags(monkeypatch, "t.*/part_0002*")
    with pytest.raises(kumo_async.UploadError, match=r"InvalidPart.*No table of that name is there"):
        await connector.upload_async("t", write(file_type, range(60_000)), options=MANY)
    assert bucket.files(file_type) == []
    monkeypatch.undo()


def spoil_etags(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the plane send wrong ETags on to its server when it completes some objects."""
    complete = S3Store.complete

    def spoiled(store: S3Store, completion: Completion, check: Callable[[StoredFile], None] | None = None) -> None:
        if fnmatchcase(completion.name, name):
            wrong = [(number, '"' + "0" * 32 + '"') for number, _ in completion.parts]
            completion = replace(completion, parts=wrong)
        complete(store, completion, check)

    monkeypatch.setattr(S3Store, "complete", spoiled)


class Once:
    """An observer that does something at the first event of a kind."""

    def __init__(self, kind: type[kumo_async.Event], do: Callable[[], object]) -> None:
        self._kind = kind
        self._do: Callable[[], object] | None = do

    def on_event(self, event: kumo_async.Event) -> None:
        if isinstance(event, self._kind) and self._do is not None:
            do, self._do = self._do, None
            do()


@pytest.mark.parametrize("file_type", FORMATS)
@pytest.mark.parametrize(
    "event",
    [kumo_async.UploadStarted, kumo_async.PartitionStarted, kumo_async.PartitionStored, kumo_async.CommitStarted],
)
async def test_a_server_that_is_killed_and_started_again_in_the_middle(
    bucket: Bucket, write: Writes, file_type: str, event: type[kumo_async.Event]
) -> None:
    """It forgets what is unfinished. So what was not stored is sent anew, and what was is missing at the commit."""
    connector = bucket.connector(file_type)
    await connector.upload_async("t", write(file_type, range(100)))

    def restart() -> None:
        bucket.server.kill()
        bucket.server.start()

    path = write(file_type, range(50_000))
    failure = None
    try:
        await connector.upload_async("t", path, options=MANY, observer=Once(event, restart))
    except kumo_async.UploadError as error:
        failure = str(error)
    if failure is not None:
        assert event in (kumo_async.PartitionStarted, kumo_async.PartitionStored, kumo_async.CommitStarted)
        assert "NoSuchUpload" in failure
        assert "No table of that name is there" in failure
        assert bucket.rows(file_type) == []
        await connector.upload_async("t", path, options=MANY)
    assert bucket.rows(file_type) == list(range(50_000))


@pytest.mark.parametrize("file_type", FORMATS)
@pytest.mark.parametrize("event", [kumo_async.UploadStarted, kumo_async.PartitionStarted, kumo_async.CommitStarted])
async def test_a_server_that_stays_away_leaves_the_old_table(
    bucket: Bucket, write: Writes, file_type: str, event: type[kumo_async.Event]
) -> None:
    connector = bucket.connector(file_type)
    await connector.upload_async("t", write(file_type, range(100)))
    options = kumo_async.UploadOptions(partition_threshold=0, partition_size=200_000, max_attempts=1)
    with pytest.raises(kumo_async.KumoError):
        await connector.upload_async(
            "t", write(file_type, range(50_000)), options=options, observer=Once(event, bucket.server.kill)
        )
    bucket.server.start()
    assert bucket.rows(file_type) == list(range(100))
    assert await connector.has_table_async("t")
