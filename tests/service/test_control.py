"""The service's calls against answers that are not the service's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from aiohttp import web

import kumo_async
from kumo_async.local import Exchange, Fault, LocalDataPlane


@dataclass(frozen=True)
class Page:
    """A proxy's page with any status."""

    status: int

    async def give(self, exchange: Exchange) -> web.Response:
        return web.Response(status=self.status, text="<html>Not what you asked for</html>", content_type="text/html")


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
