"""FileUploadConnector: arguments, errors, and the calls that talk to the service."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kumoapi.data_source import DataSourceType
from kumoapi.source_table import FileType

import kumo_async
from kumo_async.local import Fault, Garbage, LocalDataPlane, Status

PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text("id,amount\n1,9.50\n2,12.25\n3,7.00\n")
    return path


def test_properties() -> None:
    for kind in ("parquet", "csv"):
        connector = kumo_async.FileUploadConnector(kind.upper())
        assert connector.name == f"{kind}_upload_connector"
        assert connector.source_type is DataSourceType.S3
        assert connector.file_type is FileType(kind.upper())
        assert repr(connector) == f"FileUploadConnector('{kind}')"


@pytest.mark.parametrize("file_type", ["json", "", None, 3])
def test_another_file_type_is_refused(file_type: object) -> None:
    with pytest.raises(ValueError, match="file_type"):
        kumo_async.FileUploadConnector(file_type)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 300, "a\nb", "a\0b", "🙂", " ", "a b/..", None, 7])
async def test_a_table_name_that_kumo_cannot_have_is_refused(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, orders: Path, name: str
) -> None:
    with pytest.raises(kumo_async.ConfigurationError):
        await csv.upload_async(name, orders)
    assert plane.calls == []


@pytest.mark.parametrize("megabytes", [99, 1001, 0, -1, 250.0, "250", True])
async def test_a_partition_size_out_of_range_is_refused_whatever_the_files_size(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, orders: Path, megabytes: int
) -> None:
    with pytest.raises(ValueError, match="partition_size_mb"):
        await csv.upload_async("orders", orders, partition_size_mb=megabytes)
    assert plane.calls == []


async def test_a_large_file_that_must_not_be_cut_is_a_value_error(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, orders: Path
) -> None:
    options = kumo_async.UploadOptions(partition_threshold=10)
    with pytest.raises(ValueError, match="auto_partition=True"):
        await csv.upload_async("orders", orders, auto_partition=False, options=options)
    assert plane.calls == []


async def test_a_file_of_another_type_is_refused(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, orders: Path
) -> None:
    with pytest.raises(kumo_async.SourceError, match='FileUploadConnector\\(file_type="parquet"\\)'):
        await csv.upload_async("orders", orders.rename(orders.with_name("orders.parquet")))
    assert plane.calls == []


@pytest.mark.parametrize("name", ["orders.txt", "orders.tsv", "orders", "orders.2024"])
async def test_a_file_whose_name_tells_no_type_is_treated_as_the_connectors(
    csv: kumo_async.FileUploadConnector, orders: Path, name: str
) -> None:
    assert (await csv.upload_async("orders", orders.rename(orders.with_name(name)))).rows == 3


async def test_a_file_of_another_content_is_refused_whatever_its_name(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, parquet: kumo_async.FileUploadConnector, orders: Path
) -> None:
    path = orders.rename(orders.with_name("orders.txt"))
    with pytest.raises(kumo_async.SourceError, match="it is text, such as CSV"):
        await parquet.upload_async("orders", path)
    path.write_bytes(b"PAR1" + bytes(40))
    with pytest.raises(kumo_async.SourceError, match="it is a Parquet file"):
        await csv.upload_async("orders", path)
    assert plane.calls == []


async def test_a_file_that_is_missing_is_refused(plane: LocalDataPlane, csv: kumo_async.FileUploadConnector) -> None:
    with pytest.raises(kumo_async.SourceError, match="does not exist"):
        await csv.upload_async("orders", "missing.csv")
    assert plane.calls == []


async def test_deleting(csv: kumo_async.FileUploadConnector, orders: Path) -> None:
    await csv.upload_async("orders", orders)
    with pytest.raises(ValueError, match="contradicts"):
        await csv.delete_async("orders", "parquet")
    assert await csv.has_table_async("orders")
    await csv.delete_async("orders", file_type="csv")
    assert not await csv.has_table_async("orders")
    with pytest.raises(kumo_async.TableNotFoundError, match="orders"):
        await csv.delete_async("orders")


async def test_a_table_that_is_not_there(csv: kumo_async.FileUploadConnector) -> None:
    assert not await csv.has_table_async("nobody")
    with pytest.raises(ValueError, match="nobody") as caught:
        await csv.table_async("nobody")
    assert isinstance(caught.value, kumo_async.TableNotFoundError)
    assert caught.value.table == "nobody"


async def test_has_table_asks_each_time_and_never_guesses(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, orders: Path
) -> None:
    await csv.upload_async("orders", orders)
    assert await csv.has_table_async("orders")
    plane.inject(Fault(call="validate", answer=Status(400)))
    with pytest.raises(kumo_async.ServiceError):
        await csv.has_table_async("orders")
    plane.inject(Fault(call="validate", answer=Garbage(), times=4))
    with pytest.raises(kumo_async.ServiceError):
        await csv.has_table_async("orders")
    plane.inject(Fault(call="validate", answer=Garbage(b"{}"), times=4))
    with pytest.raises(kumo_async.ServiceError):
        await csv.has_table_async("orders")
    await csv.delete_async("orders")
    assert not await csv.has_table_async("orders")


async def test_a_source_table(csv: kumo_async.FileUploadConnector, orders: Path) -> None:
    await csv.upload_async("orders", orders)
    table = await csv.table_async("orders")
    assert (table.name, table.connector) == ("orders", csv)
    assert [(column.name, column.dtype) for column in await table.columns_async()] == [
        ("id", "int64"),
        ("amount", "float64"),
    ]
    assert list(await table.column_dict_async()) == ["id", "amount"]
    frame = await table.head_async(2)
    assert frame.to_dict("list") == {"id": [1, 2], "amount": [9.5, 12.25]}
    assert len(await table.head_async(1000)) == 3
    for wrong in (0, -1, 1001):
        with pytest.raises(ValueError, match="num_rows"):
            await table.head_async(wrong)
    await csv.delete_async("orders")
    with pytest.raises(kumo_async.TableNotFoundError):
        await table.head_async()


async def test_the_first_rows_have_the_values_of_the_file(csv: kumo_async.FileUploadConnector, tmp_path: Path) -> None:
    texts = ["0.57", "0.29", "1e23", "2.3e-308", "1.7976931348623157e+308", "-0.1", "123456.789"]
    (tmp_path / "t.csv").write_text("".join(["id,x\n", *(f"{n},{text}\n" for n, text in enumerate(texts))]))
    await csv.upload_async("t", tmp_path / "t.csv")
    frame = await (await csv.table_async("t")).head_async(10)
    assert frame["x"].tolist() == [float(text) for text in texts]
    (tmp_path / "t.csv").write_text("id,x\n1,2.3e-310\n")
    await csv.upload_async("t", tmp_path / "t.csv")
    assert (await (await csv.table_async("t")).head_async(10))["x"].tolist() == [2.3e-310]


async def test_a_refusal_to_show_a_table_does_not_say_that_there_is_none(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, orders: Path
) -> None:
    await csv.upload_async("orders", orders)
    plane.inject(Fault(call="table_data", answer=Status(403)))
    table = await csv.table_async("orders")
    with pytest.raises(kumo_async.ServiceError) as caught:
        await table.head_async()
    assert caught.value.status == 403


def test_a_connector_is_not_a_sequence() -> None:
    with pytest.raises(TypeError):
        iter(kumo_async.FileUploadConnector("csv"))  # type: ignore[call-overload]


async def test_a_key_that_the_service_does_not_accept(plane: LocalDataPlane, orders: Path) -> None:
    client = kumo_async.KumoClient(plane.endpoint, "wrong:secret")
    connector = kumo_async.FileUploadConnector("csv", client=client)
    with pytest.raises(kumo_async.AuthenticationError, match="KUMO_API_KEY") as caught:
        await connector.upload_async("orders", orders)
    assert caught.value.status == 401
    assert "secret" not in str(caught.value)
    assert plane.object_names("csv") == []


async def test_a_plane_that_is_not_there(orders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalDataPlane() as plane:
        endpoint = plane.endpoint
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(endpoint, "k"))
    with pytest.raises(kumo_async.ServiceUnavailableError, match="KUMO_API_ENDPOINT"):
        await connector.upload_async("orders", orders, options=kumo_async.UploadOptions(max_attempts=2))


@pytest.mark.parametrize("below", ["/v2", ""])
async def test_an_endpoint_that_is_wrong_names_what_to_check(below: str) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    app = web.Application()
    app.router.add_post("/v1/source_tables/list_tables", page)
    async with TestServer(app) as server:
        host = f"127.0.0.1:{server.port}"
        client = kumo_async.KumoClient(f"http://{host}{below}", "k")
        with pytest.raises(kumo_async.ServiceError, match="Check KUMO_API_ENDPOINT") as caught:
            await kumo_async.FileUploadConnector("csv", client=client).table_names_async()
    assert host in str(caught.value)


async def test_one_process_serves_several_workspaces(tmp_path: Path, orders: Path) -> None:
    async with LocalDataPlane(tmp_path / "a") as one, LocalDataPlane(tmp_path / "b") as two:
        connectors = [
            kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, plane.api_key))
            for plane in (one, two)
        ]
        await connectors[0].upload_async("orders", orders)
        assert [await connector.table_names_async() for connector in connectors] == [["orders"], []]


async def test_a_client_keeps_its_connections_while_it_is_held(
    plane: LocalDataPlane, client: kumo_async.KumoClient
) -> None:
    async with client:
        async with client.connected() as first:
            pass
        async with client.connected() as second, client:
            assert second is first
    async with client.connected() as third:
        assert third is not first


def test_module_functions(orders: Path, tmp_path: Path) -> None:
    kumo_async.init(url=f"local:{tmp_path / 'plane'}")
    assert kumo_async.upload_table("orders", orders).rows == 3
    orders.write_text("id,amount\n1,1\n")
    assert kumo_async.replace_table("orders", orders, "csv").rows == 1
    kumo_async.delete_uploaded_table("orders", "csv")
    with pytest.raises(kumo_async.TableNotFoundError):
        kumo_async.delete_uploaded_table("orders", "csv")
    text = orders.rename(orders.with_name("orders.txt"))
    with pytest.raises(ValueError, match='Give file_type="csv" or "parquet"'):
        kumo_async.upload_table("orders", text)
    assert kumo_async.upload_table("orders", text, file_type="csv").rows == 1


@pytest.mark.parametrize("ending", ["csv.gz", "CSV.bz2", "csv.xz", "csv.zst"])
def test_upload_table_takes_the_type_from_every_ending_that_there_is(orders: Path, tmp_path: Path, ending: str) -> None:
    kumo_async.init(url=f"local:{tmp_path / 'plane'}")
    packed = tmp_path / f"orders.{ending}"
    packed.write_bytes(PACKS[ending[4:]](orders.read_bytes()))
    assert kumo_async.upload_table("orders", packed).rows == 3


async def test_a_tilde_is_a_home_in_every_directory_that_is_given(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    (home / "spool").mkdir(parents=True)
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    packed = tmp_path / "orders.csv.gz"
    packed.write_bytes(gzip.compress(orders.read_bytes()))
    options = kumo_async.UploadOptions(spool_dir="~/spool", journal_dir="~/journals")
    async with LocalDataPlane("~/plane") as plane:
        client = kumo_async.KumoClient(plane.endpoint, plane.api_key)
        connector = kumo_async.FileUploadConnector("csv", client=client)
        assert (await connector.upload_async("orders", packed, options=options)).warnings == ()
    assert await kumo_async.unfinished_uploads_async(journal_dir="~/journals") == []
    assert {path.name for path in home.iterdir()} >= {"spool", "journals", "plane"}
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (kumo_async.UploadOptions, "spool_dir"),
        (kumo_async.UploadOptions, "journal_dir"),
        (partial(kumo_async.KumoClient, "https://acme.example/api", "k"), "ca_file"),
    ],
)
def test_the_home_of_nobody_is_refused(make: Callable[..., object], option: str) -> None:
    with pytest.raises(kumo_async.ConfigurationError, match=rf"{option} is '~nobody-here/x'.*Give the path in full\."):
        make(**{option: "~nobody-here/x"})


@pytest.mark.parametrize("call", ["upload_async", "plan_async", "table_names_async"])
def test_another_event_loop_than_asyncios_is_one_clear_error(orders: Path, tmp_path: Path, call: str) -> None:
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(f"local:{tmp_path / 'plane'}"))
    args = () if call == "table_names_async" else ("orders", orders)
    with pytest.raises(kumo_async.ConfigurationError, match="trio"):
        getattr(connector, call)(*args).send(None)
