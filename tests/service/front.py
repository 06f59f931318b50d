"""Two servers in front of a data plane: the service and its storage, under names, with TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from kumo_async.local import LocalDataPlane

Headers = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers


@dataclass
class Front:
    """What stands before a plane, and what it was asked.

    Attributes:
        plane: The plane that does the work.
        accepts: Whether the headers of a control call are good; default: all are.
        answers: Answers of its own, by path under the endpoint.
        part_url: What becomes of each part URL on its way to the client.
        control: The control calls, in order of arrival.
        storage: The requests to part URLs, in order of arrival.
    """

    plane: LocalDataPlane
    endpoint: str = ""
    origin: str = ""
    accepts: Callable[[Headers], bool] = lambda _: True
    answers: dict[str, Any] = field(default_factory=dict)
    part_url: Callable[[str], str] = lambda url: url
    control: list[Request] = field(default_factory=list)
    storage: list[Request] = field(default_factory=list)

    async def answer_call(self, request: web.Request) -> web.Response:
        self.control.append(_request(request))
        if not self.accepts(request.headers):
            return web.json_response({"detail": "Who are you?"}, status=401)
        path = request.path.removeprefix("/api")
        if path in self.answers:
            return web.json_response(self.answers[path])
        response = await self._forward(request, {"X-API-Key": self.plane.api_key})
        plane_origin = self.plane.endpoint.removesuffix("/api")
        assert response.text is not None
        response.text = self.part_url(response.text.replace(plane_origin, self.origin))
        return response

    async def answer_part(self, request: web.Request) -> web.Response:
        self.storage.append(_request(request))
        return await self._forward(request, {})

    async def _forward(self, request: web.Request, headers: Headers) -> web.Response:
        origin = self.plane.endpoint.removesuffix("/api")
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(
                request.method,
                f"{origin}{request.rel_url}",
                data=await request.read(),
                skip_auto_headers=["User-Agent"],
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() in ("etag", "content-type")}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


@asynccontextmanager
async def standing_before(
    plane: LocalDataPlane,
    tls: ssl.SSLContext | None = None,
    hosts: tuple[str, str] = ("localhost", "localhost"),
    storage_tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[Front]:
    """Run both servers; `hosts` are the names of the service and of its storage."""
    front = Front(plane, **options)
    scheme = "http" if tls is None else "https"
    async with AsyncExitStack() as stack:
        ports = [
            await _serve(stack, handler, context)
            for handler, context in ((front.answer_call, tls), (front.answer_part, storage_tls or tls))
        ]
        front.endpoint = f"{scheme}://{hosts[0]}:{ports[0]}/api"
        front.origin = f"{scheme}://{hosts[1]}:{ports[1]}"
        yield front


async def _serve(stack: AsyncExitStack, handler: Any, tls: ssl.SSLContext | None) -> int:
    app = web.Application(client_max_size=1024**3)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    return int(runner.addresses[0][1])


def _request(request: web.Request) -> Request:
    return Request(request.method, request.path, dict(request.query), dict(request.headers))
