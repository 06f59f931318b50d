"""The service's calls against answers that are not the service's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane
from kumo_async.service.patience import Patience


@dataclass(frozen=True)
class Page:
    """A proxy's page with any status."""

    status: int
    wait: str = "0"

    async def give(self, exchange: Exchange) -> web.Response:
        text, headers = "<html>Not what you asked for</html>", {"Retry-After": self.wait}
        return web.Response(status=self.status, text=text, content_type="text/html", headers=headers)


async def test_a_proxys_not_found_is_not_the_services(plane: LocalDataPlane, client: kumo_async.KumoClient) -> None:
    plane.inject(Fault(call="delete", answer=Page(404)))
    async with client.connected() as connection:
        with pytest.raises(kumo_async.ServiceError, match="proxy"):
            await connection.session.control.delete_object("csv_upload_connector", "t")
        assert not await connection.session.control.delete_object("csv_upload_connector", "t")


async def test_a_redirect_is_not_followed(plane: LocalDataPlane, csv: kumo_async.FileUploadConnector) -> None:
    plane.inject(Fault(call="list", answer=Page(307)))
    with pytest.raises(kumo_async.ServiceError, match="never followed"):
        await csv.table_names_async()
    assert len(plane.calls) == 1


@dataclass(frozen=True)
class Words:
    """An answer in words of its own."""

    status: int
    text: str

    async def give(self, exchange: Exchange) -> web.Response:
        return web.Response(status=self.status, text=self.text)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Words(404, "404: Not Found"), "404: Not Found; not an answer"),
        (Words(404, '{"detail": "404: Not Found"}'), "404: Not Found."),
        (Words(404, "404"), "404: not an answer"),
        (Words(404, "4040 tables"), "404: 4040 tables"),
        (Words(403, "<html><TITLE lang=en>\n403 Forbidden &amp; gone</TITLE><body>…"), "403: Forbidden & gone; not"),
        (Words(403, "<html><title> </title><p>No.</p>"), "403: <html><title> </title><p>No.</p>; not"),
    ],
    ids=repr,
)
async def test_what_somebody_else_says_is_quoted_without_its_status_and_its_markup(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, answer: Words, said: str
) -> None:
    plane.inject(Fault(call="list", answer=answer))
    with pytest.raises(kumo_async.ServiceError) as caught:
        await csv.table_names_async()
    assert f"refused list_tables: {said}" in str(caught.value)


async def test_a_service_that_is_not_there_is_said_not_to_be(unused_tcp_port: int) -> None:
    client = kumo_async.KumoClient(f"http://127.0.0.1:{unused_tcp_port}", "acme:key")
    with pytest.raises(kumo_async.ServiceUnavailableError, match=rf"127.0.0.1:{unused_tcp_port}: Connection refused\."):
        await kumo_async.FileUploadConnector("csv", client=client).table_names_async()


async def test_no_cookie_is_taken_along() -> None:
    seen = list[str | None]()

    async def tables(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.json_response({"table_names": []}, headers={"Set-Cookie": "session=1; Path=/"})

    app = web.Application()
    app.router.add_post("/v1/source_tables/list_tables", tables)
    async with TestServer(app) as server:
        client = kumo_async.KumoClient(f"http://localhost:{server.port}", "acme:key")
        connector = kumo_async.FileUploadConnector("csv", client=client)
        async with client:
            await connector.table_names_async()
            await connector.table_names_async()
    assert seen == [None, None]


async def test_what_would_be_given_up_at_once_is_not_sent(plane: LocalDataPlane, client: kumo_async.KumoClient) -> None:
    async with client.connected() as connection:
        control = connection.session.control
        # There is a connection then, on which a request could go out at once.
        await control.list_tables("csv_upload_connector")
        with pytest.raises(kumo_async.ServiceUnavailableError, match="given up"):
            await control.within(Patience(0)).delete_object("csv_upload_connector", "t")
        await control.list_tables("csv_upload_connector")
    assert [call.call for call in plane.calls] == ["list", "list"]


PAST = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize("wait", ["0", PAST])
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529, 530])
async def test_a_gateways_page_is_waited_out(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, status: int, wait: str
) -> None:
    plane.inject(Fault(call="list", answer=Page(status, wait), times=2))
    assert await csv.table_names_async() == []
    assert [call.status for call in plane.calls] == [status, status, 200]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 421, 451, 501, 505, 511])
async def test_a_gateways_page_that_will_not_pass(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, status: int
) -> None:
    plane.inject(Fault(call="list", answer=Page(status), times=None))
    with pytest.raises(kumo_async.ServiceError) as caught:
        await csv.table_names_async()
    assert isinstance(caught.value, kumo_async.AuthenticationError) is (status == 401)
    assert not isinstance(caught.value, kumo_async.ServiceUnavailableError)
    assert (caught.value.status, caught.value.attempts, len(plane.calls)) == (status, 1, 1)
