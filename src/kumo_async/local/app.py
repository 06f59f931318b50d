"""The web application: who may call, which call it is, and that every call is recorded and may go wrong on purpose."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from aiohttp import web

from kumo_async.local.calls import CallLog, CallName, Entry
from kumo_async.local.control import PATHS, Control
from kumo_async.local.door import BUCKET, Door
from kumo_async.local.faults import Exchange, Faults
from kumo_async.local.inflight import InFlight
from kumo_async.local.s3errors import Refused, json_refusal, xml_refusal
from kumo_async.local.threads import Threads

__all__ = ["CONTROL_BODY_BYTES", "Services", "is_loopback", "make_app"]

CONTROL_BODY_BYTES = 1024**2
_Run = Callable[[], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Services:
    """What the application works with."""

    api_key: str
    threads: Threads
    door: Door
    control: Control
    calls: CallLog
    faults: Faults
    in_flight: InFlight


def is_loopback(host: str) -> bool:
    """Say whether a host name or address (without port) can only mean this machine.

    Example:
        >>> is_loopback("127.0.0.2"), is_loopback("[::1]"), is_loopback("example.com")
        (True, True, False)
    """
    bare = host.removeprefix("[").removesuffix("]")
    if bare.lower() == "localhost":
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def make_app(services: Services) -> web.Application:
    """Make the application."""
    calls = _Calls(services)
    app = web.Application(client_max_size=CONTROL_BODY_BYTES, middlewares=[_only_loopback])
    app.router.add_get("/api/config", calls.config)
    app.router.add_get("/api/v1/connectors", calls.connectors)
    for call, path in PATHS.items():
        app.router.add_post(f"/api/v1{path}", partial(calls.control, call))
    app.router.add_route("*", BUCKET + "/{key:.+}", calls.part)
    return app


@web.middleware
async def _only_loopback(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    # A web page can make a browser resolve its own host name to 127.0.0.1, but it cannot forge this header.
    if not is_loopback(_without_port(request.headers.get("Host", ""))):
        return json_refusal(Refused(message="This data plane answers to loopback host names only.", status=403))
    return await handler(request)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not name.endswith(":") else host


class _Calls:
    """The handlers. Each learns what its call is about, and leaves the rest to `_exchange`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._threads = services.threads

    async def config(self, request: web.Request) -> web.Response:
        """Answer with the feature flags."""

        async def run() -> web.Response:
            return web.json_response({"rbac": False})

        return await self._exchange(request, "config", partial(self._known, request, run), json_refusal)

    async def connectors(self, request: web.Request) -> web.Response:
        """List the connectors, which is how clients check their key."""

        async def run() -> web.Response:
            return _json(await self._threads.run(self._services.control.connectors))

        return await self._exchange(request, "connectors", partial(self._known, request, run), json_refusal)

    async def control(self, call: CallName, request: web.Request) -> web.Response:
        """Answer any call with a body."""
        return await self._exchange(request, call, partial(self._understand, call, request), json_refusal)

    async def part(self, request: web.Request) -> web.Response:
        """Answer any request to a part URL."""
        return await self._exchange(request, "put_part", partial(self._services.door.permit, request), xml_refusal)

    async def _known(self, request: web.Request, run: _Run, _entry: Entry) -> _Run:
        self._check_key(request)
        return run

    async def _understand(self, call: CallName, request: web.Request, entry: Entry) -> _Run:
        self._check_key(request)
        understood = await self._threads.run(self._services.control.understand, call, await _body(request))
        entry.about(understood.connector, understood.name)

        async def run() -> web.Response:
            return _json(await self._threads.run(understood.run))

        return run

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.getall("X-API-Key", [])
        expected = self._services.api_key.encode()
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("utf-8", "surrogateescape"), expected):
            raise Refused(message="The API key is not valid.", status=401)

    async def _exchange(
        self,
        request: web.Request,
        call: CallName,
        understand: Callable[[Entry], Awaitable[_Run]],
        refuse: Callable[[Refused], web.Response],
    ) -> web.Response:
        with self._services.in_flight.track(), self._services.calls.arrive(call) as entry:
            try:
                run = await understand(entry)
            except Refused as refused:
                response = refuse(refused)
            else:
                exchange = Exchange(request, entry.call, run, refuse)
                answer = self._services.faults.pick(entry.call)
                response = await (answer.give(exchange) if answer else exchange.effect())
            if request.transport is not None and not request.transport.is_closing():
                entry.answered(response.status)
            return response


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused(message=f"The body is larger than {CONTROL_BODY_BYTES} bytes.", status=413) from None
    except (ConnectionError, web.RequestPayloadError):
        raise Refused("IncompleteBody") from None


def _json(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json") if text else web.Response()
