"""Headers providers: when they are asked, what happens on a 401, and what of their failures is told."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from front import Headers, standing_before

import kumo_async
from kumo_async.errors import AuthenticationError, ConfigurationError, KumoError
from kumo_async.local import Exchange, Fault, LocalDataPlane, Status
from kumo_async.service import authentication
from kumo_async.service.authentication import Authentication, Memory


class Tokens:
    """A provider that gives `t1`, `t2`, ... in turn, and a check that takes the `good` one only."""

    def __init__(self, good: int = 1) -> None:
        self.asked = 0
        self.good = good

    async def __call__(self) -> Mapping[str, str]:
        self.asked += 1
        return {"Authorization": f"Bearer t{self.asked}"}

    def accepts(self, headers: Headers) -> bool:
        return headers.get("Authorization") == f"Bearer t{self.good}" and "X-API-Key" not in headers


async def test_a_provider_is_asked_once_for_many_calls_and_storage_never_sees_what_it_gave(
    plane: LocalDataPlane, tmp_path: Path
) -> None:
    tokens = Tokens()
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    async with standing_before(plane, accepts=tokens.accepts) as front:
        client = kumo_async.KumoClient(front.endpoint, headers=tokens)
        connector = kumo_async.FileUploadConnector("csv", client=client)
        await connector.upload_async("t", tmp_path / "t.csv")
        assert await connector.table_names_async() == ["t"]
    assert tokens.asked == 1
    assert len(front.control) > 3
    assert [sorted(request.headers) for request in front.storage] == [
        ["Accept", "Accept-Encoding", "Content-Length", "Content-Type", "Host", "User-Agent"]
    ]


async def test_an_expired_token_is_renewed_once_and_the_call_made_again(plane: LocalDataPlane) -> None:
    tokens = Tokens()
    async with standing_before(plane, accepts=tokens.accepts) as front:
        client = kumo_async.KumoClient(front.endpoint, headers=tokens)
        connector = kumo_async.FileUploadConnector("csv", client=client)
        assert await connector.table_names_async() == []
        tokens.good = 2
        assert await connector.table_names_async() == []
        assert await connector.table_names_async() == []
    assert tokens.asked == 2
    assert [request.headers["Authorization"][-2:] for request in front.control] == ["t1", "t1", "t2", "t2"]


async def test_calls_that_are_refused_together_renew_once(plane: LocalDataPlane) -> None:
    tokens = Tokens()
    refused: list[Headers] = []
    all_refused = anyio.Event()

    class Together:
        """Hold each refusal until all calls have arrived, so that all of them went out with the old token."""

        async def give(self, exchange: Any) -> Any:
            refused.append(exchange.request.headers)
            if len(refused) == 8:
                all_refused.set()
            await all_refused.wait()
            return await Status(401).give(exchange)

    plane.inject(Fault(call="list", answer=Together(), times=8))
    async with standing_before(plane) as front, kumo_async.KumoClient(front.endpoint, headers=tokens) as client:
        connector = kumo_async.FileUploadConnector("csv", client=client)
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(connector.table_names_async)
    assert tokens.asked == 2
    assert len(front.control) == 16


async def test_a_token_that_is_refused_anew_is_our_error_after_two_calls(plane: LocalDataPlane) -> None:
    tokens = Tokens(good=99)
    async with standing_before(plane, accepts=tokens.accepts) as front:
        connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(front.endpoint, headers=tokens))
        with pytest.raises(AuthenticationError, match=r"headers= gave \(401: Who are you"):
            await connector.table_names_async()
    assert (tokens.asked, len(front.control)) == (2, 2)


async def test_a_key_is_not_tried_again(plane: LocalDataPlane) -> None:
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, "not:it"))
    with pytest.raises(AuthenticationError):
        await connector.table_names_async()
    assert len(plane.calls) == 1


async def test_a_provider_is_asked_anew_after_ten_minutes_and_a_failure_then_keeps_the_old_headers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    tokens = Tokens()
    works = True

    async def provider() -> Mapping[str, str]:
        if not works:
            raise RuntimeError("secret")
        return await tokens()

    held = Authentication(provider, Memory(), clock=lambda: now)
    first = await held.headers()
    now = 600.0
    assert await held.headers() is first
    now = 601.0
    second = await held.headers()
    assert second["Authorization"] == "Bearer t2"
    works, now = False, 1300.0
    assert await held.headers() is second
    # Nor is it asked at each call then.
    works = True
    assert await held.headers() is second
    assert tokens.asked == 2
    works = False
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    with pytest.raises(AuthenticationError):
        await held.headers(refused=second)


async def raises_with_a_secret() -> Mapping[str, str]:
    raise ConnectionError("https://idp.example/token?client_secret=canary")


def gives(value: object) -> Callable[[], Awaitable[Any]]:
    async def provider() -> object:
        return value

    return provider


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (raises_with_a_secret, r"ConnectionError at test_authentication.py:\d+"),
        (gives(None), "NoneType"),
        (gives({}), "no headers"),
        (gives({"X-Token": "canary\r\nX: y"}), "X-Token that is not printable"),
        (gives({"X-Token": 7}), "X-Token that is not printable"),
        (gives({"X-Token": " canary"}), "X-Token that is not printable"),
        (gives({"canary: x": "y"}), "name cannot be used"),
        (gives({"Host": "canary"}), "name cannot be used"),
        (gives({7: "canary"}), "name cannot be used"),
        (lambda: {"X-Token": "canary"}, "returned dict at once.*async def"),
    ],
)
async def test_a_provider_that_fails_is_our_error_without_a_secret(
    plane: LocalDataPlane, provider: Any, words: str
) -> None:
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, headers=provider))
    with pytest.raises(AuthenticationError, match=words) as caught:
        await connector.table_names_async()
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert plane.calls == []


async def test_a_provider_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "PROVIDER_SECONDS", 0)

    async def provider() -> Mapping[str, str]:
        await anyio.sleep_forever()
        return {}

    with pytest.raises(AuthenticationError, match="TimeoutError"):
        await Authentication(provider, Memory()).headers()


async def test_an_error_of_ours_passes() -> None:
    mine = KumoError("no browser to log in with")

    async def provider() -> Mapping[str, str]:
        raise mine

    with pytest.raises(KumoError) as caught:
        await Authentication(provider, Memory()).headers()
    assert caught.value is mine


async def test_a_call_that_waits_for_headers_can_be_cancelled(plane: LocalDataPlane) -> None:
    asked = anyio.Event()

    async def provider() -> Mapping[str, str]:
        asked.set()
        await anyio.sleep_forever()
        return {}

    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, headers=provider))
    async with anyio.create_task_group() as group:
        group.start_soon(connector.table_names_async)
        await asked.wait()
        group.cancel_scope.cancel()


def test_blocking_calls_share_what_the_provider_gave(tmp_path: Path) -> None:
    from anyio.from_thread import start_blocking_portal

    tokens = Tokens()
    with start_blocking_portal() as portal:
        plane = LocalDataPlane(tmp_path)
        with (
            portal.wrap_async_context_manager(plane),
            portal.wrap_async_context_manager(standing_before(plane, accepts=tokens.accepts)) as front,
        ):
            kumo_async.init(front.endpoint, headers=tokens)
            assert kumo_async.FileUploadConnector("csv").table_names() == []
            assert not kumo_async.FileUploadConnector("parquet").has_table("t")
    assert tokens.asked == 1


def test_headers_take_the_place_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_KEY", "acme:secret")
    client = kumo_async.KumoClient("https://acme.example/api", headers=Tokens())
    assert client.credentials.api_key is None
    for options in ({"api_key": "k", "url": "https://h"}, {}, {"url": "https://h", "headers": {"X": "y"}}):
        with pytest.raises(ConfigurationError, match="headers"):
            kumo_async.KumoClient(**({"headers": Tokens()} | options))


async def test_snowflakes_token_is_read_again_when_it_has_expired(plane: LocalDataPlane, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    good = 'Snowflake Token="one"'
    async with standing_before(plane, accepts=lambda headers: headers.get("Authorization") == good) as front:
        client = kumo_async.KumoClient(front.endpoint, headers=kumo_async.snowflake_headers(file))
        connector = kumo_async.FileUploadConnector("csv", client=client)
        await connector.table_names_async()
        file.write_text('"two"')
        good = 'Snowflake Token="two"'
        await connector.table_names_async()
        assert len(front.control) == 3
        file.unlink()
        good = "another"
        with pytest.raises(AuthenticationError, match="No such file") as caught:
            await connector.table_names_async()
    assert caught.value.path == str(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
async def test_a_file_without_a_token_is_our_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(AuthenticationError, match="no Snowflake token"):
        await kumo_async.snowflake_headers(tmp_path / "token")()


async def test_headers_are_neither_shown_nor_pickled() -> None:
    headers = await Authentication(Tokens(), Memory()).headers()
    assert "t1" not in f"{headers} {headers!r} {[headers]}"
    with pytest.raises(TypeError):
        pickle.dumps(headers)
    credentials = kumo_async.KumoClient("https://acme.example/api", "acme:canary").credentials
    with pytest.raises(TypeError):
        pickle.dumps(credentials)


async def test_a_401_amid_an_upload_does_not_end_it(plane: LocalDataPlane, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    for call in ("start", "validate", "complete"):
        plane.inject(Fault(call=call, answer=Status(401)))
    tokens = Tokens()
    async with standing_before(plane) as front:
        client = kumo_async.KumoClient(front.endpoint, headers=tokens)
        report = await kumo_async.FileUploadConnector("csv", client=client).upload_async("t", tmp_path / "t.csv")
    assert report.rows == 1
    assert plane.table_names("csv") == ["t"]
    assert tokens.asked == 4


@pytest.mark.parametrize("said", ["acme:s3cret/+x", "s3cret/+x", "acme%3As3cret%2F%2Bx", "s3cret%2F%2Bx"])
def test_a_key_is_hidden_in_every_form(said: str) -> None:
    hidden = authentication.Headers({"X-API-Key": "acme:s3cret/+x"}).hidden_in(f"No key {said} here")
    assert hidden == "No key … here"


@pytest.mark.parametrize("said", [r"acme:s3cret\/+x", r"acme:s3cret/\u002bx"])
async def test_so_it_is_where_json_spells_it_otherwise(said: str) -> None:
    @dataclass(frozen=True)
    class Quoting:
        async def give(self, exchange: Exchange) -> web.Response:
            return web.Response(status=400, text=f'{{"detail": "No key {said} here"}}', content_type="application/json")

    fault = Fault(call="list", answer=Quoting())
    async with LocalDataPlane(api_key="acme:s3cret/+x", faults=[fault]) as plane:
        connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, plane.api_key))
        with pytest.raises(kumo_async.KumoError, match="No key … here"):
            await connector.table_names_async()


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
async def test_a_provider_that_would_end_the_event_loop_fails_as_any_other(
    plane: LocalDataPlane, stop: type[BaseException]
) -> None:
    async def provide() -> Mapping[str, str]:
        raise stop("the-token")

    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, headers=provide))
    with pytest.raises(kumo_async.AuthenticationError, match=f"failed with {stop.__name__}") as caught:
        await connector.has_table_async("orders")
    assert "the-token" not in str(caught.value)


async def test_a_provider_is_asked_on_the_loop_of_the_caller_in_a_commit_too(
    plane: LocalDataPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.service.authentication.FRESH_SECONDS", -1.0)
    asked: list[asyncio.AbstractEventLoop] = []

    async def provide() -> Mapping[str, str]:
        asked.append(asyncio.get_running_loop())
        return {"X-API-Key": plane.api_key}

    (tmp_path / "orders.csv").write_text("id,amount\n1,9.50\n")
    connector = kumo_async.FileUploadConnector("csv", client=kumo_async.KumoClient(plane.endpoint, headers=provide))
    await connector.upload_async("orders", tmp_path / "orders.csv")
    assert len(asked) == sum(call.call != "put_part" for call in plane.calls)
    assert set(asked) == {asyncio.get_running_loop()}
