"""The control plane: the service's REST calls, each of which answers or raises an error of ours."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.lowlevel
from anyio import to_thread
from yarl import URL

from ..errors import AuthenticationError, ServiceError, ServiceUnavailableError
from . import forms
from .answers import AnswerError, Break, Seen, Verdict
from .authentication import Authentication, Headers
from .call import COMPLETE, DELETE, Call, read_answer, refusal
from .credentials import ENDPOINT_VARIABLE, KEY_VARIABLE
from .forms import Form
from .http import (
    CONTROL_TIMEOUT,
    MOST_ERROR,
    NETWORK_ERRORS,
    HttpClient,
    TooLongError,
    read_limited,
    read_text,
    retry_after,
    seen_of,
)
from .messages import CompleteUpload, StartedUpload, StartUpload, TableRequest, file_type_of, table_data_request
from .patience import Patience
from .rbac import Get
from .retry import OnRetry, RetryBudget, retrying
from .s3errors import not_promised

__all__ = ["MAY_MEAN_NOT_THERE", "ControlPlane"]

T = TypeVar("T")

#: Attempts of calls that belong to no upload. Uploads bring their own number.
DEFAULT_ATTEMPTS = 4

#: The code of a ServiceError where the service itself says that there is no such thing.
NOT_THERE = "NotFound"

#: Statuses by which a service may say that there is no such thing, or anything else.
MAY_MEAN_NOT_THERE = frozenset({400, 404, 409, 410, 422})

#: What helps where somebody else than the service answers, as a web page does where the endpoint lacks its path.
_CHECK_ENDPOINT = (
    f"Check {ENDPOINT_VARIABLE} (or url=), which looks like https://NAME.kumoai.cloud/api, and the proxy, if any."
)

#: Larger answers are taken apart in a thread, in bytes: a MiB of JSON takes some 10 ms.
_LARGE = 64 * 1024


class ControlPlane:
    """The service's calls over one client.

    Every call raises AuthenticationError, ServiceUnavailableError or ServiceError where it cannot be answered.

    Args:
        client: Makes the requests.
        endpoint: The service's base URL.
        authentication: Gives the headers of each call, which are never the session's own.
        find_scope: Finds the query parameters of each call, once; it may make calls itself.
        budget: See below; default: one of its own.

    Attributes:
        budget: The retries that all requests of the client share, those to the part storage too.
        patience: What bounds the calls while none gets any further; without end but for `within`.
    """

    def __init__(
        self,
        client: HttpClient,
        endpoint: str,
        authentication: Authentication,
        find_scope: Callable[[Get], Awaitable[Mapping[str, str]]] | None = None,
        budget: RetryBudget | None = None,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._host = urlsplit(endpoint).netloc
        self._authentication = authentication
        self._find_scope = find_scope
        self._scope: Mapping[str, str] = {}
        self._lock = anyio.Lock()
        self.budget = budget if budget is not None else RetryBudget()
        self.patience = Patience()

    def within(self, patience: Patience) -> ControlPlane:
        """Return the same calls, to be given up when patience is at its end."""
        bounded = copy.copy(self)
        bounded.patience = patience
        return bounded

    async def start_upload(
        self, request: StartUpload, attempts: int = DEFAULT_ATTEMPTS, on_retry: OnRetry | None = None
    ) -> StartedUpload:
        """Start an object; its part URLs all begin to age now."""
        path, form = "connectors/utils/start_file_upload", forms.started(request.num_parts)
        return await self._post(path, request.to_json(), form, attempts, on_retry)

    async def complete_upload(
        self, request: CompleteUpload, attempts: int = DEFAULT_ATTEMPTS, on_retry: OnRetry | None = None
    ) -> None:
        """Make an object visible.

        An answer that says "success" and something else than it promises is not believed: the object is asked for.
        """

        async def is_there() -> bool:
            return await self.has_table(request.connector_id, request.source_table_name)

        await self._post(COMPLETE, request.to_json(), forms.NOTHING, attempts, on_retry, is_there)

    async def delete_object(self, connector: str, name: str, on_retry: OnRetry | None = None) -> bool:
        """Delete an object or a table; return whether the service knew it.

        It is made again where it did not begin. Where its answer was lost it may still take effect, and is not.
        """
        body = {"source_table_name": name, "connector_id": connector}
        try:
            await self._post(DELETE, body, forms.NOTHING, on_retry=on_retry)
        except ServiceError as error:
            # A page of a proxy that says "not found" does not say that the object is gone.
            if error.code == NOT_THERE:
                return False
            raise
        return True

    async def list_tables(self, connector: str) -> list[str]:
        """Return the names of all tables behind a connector."""
        request = {**TableRequest(connector_id=connector).to_json(), "root_dir": None}
        return await self._post("source_tables/list_tables", request, forms.NAMES)

    async def has_table(self, connector: str, name: str) -> bool:
        """Return whether a table, or an object of that name, is there now.

        A refusal may be how the service says that there is none, or have another reason; then the list tells. Of one
        partition it may also say no more than that this is no table.
        """
        found = await self._validate(connector, name)
        if isinstance(found, bool):
            return found
        listed = name in await self.list_tables(connector)
        if listed and "/" not in name:
            raise found
        return listed

    async def shows_table(self, connector: str, name: str) -> bool:
        """Return whether anything of a table is there, known as a table or by its partitions alone.

        Some of that may be listed although no table is valid, or be valid a moment later than it is listed.
        """
        if await self._validate(connector, name) is True:
            return True
        folder = f"{name}.{file_type_of(connector)}/"
        return any(found == name or found.startswith(folder) for found in await self.list_tables(connector))

    async def _validate(self, connector: str, name: str) -> bool | ServiceError:
        """Ask for a table; return the refusal where that may mean that there is none."""
        request = TableRequest(connector_id=connector, table_name=name)
        try:
            return await self._post("source_tables/validate_table", request.to_json(), forms.VALIDITY)
        except ServiceError as error:
            if error.status not in MAY_MEAN_NOT_THERE:
                raise
            return error

    async def table_data(self, connector: str, name: str, file_type: str, sample_rows: int) -> Mapping[str, Any]:
        """Return a table's columns and sample rows as the service gives them."""
        request = table_data_request(connector, name, file_type, sample_rows)
        return await self._post("source_tables/get_table_data", request, forms.table_data(sample_rows))

    async def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        form: Form[T],
        attempts: int = DEFAULT_ATTEMPTS,
        on_retry: OnRetry | None = None,
        is_done: Callable[[], Awaitable[bool]] | None = None,
    ) -> T:
        await self._know_scope()
        result: T = await self._call(path, body, attempts, on_retry, form=form, is_done=is_done)
        return result

    async def _get(self, path: str, params: Mapping[str, str]) -> Any:
        return await self._call(path, None, DEFAULT_ATTEMPTS, None, params)

    async def _know_scope(self) -> None:
        async with self._lock:
            if self._find_scope is not None:
                self._scope = await self._find_scope(self._get)
                self._find_scope = None

    async def _call(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        attempts: int,
        on_retry: OnRetry | None,
        params: Mapping[str, str] | None = None,
        form: Form[Any] = forms.ANYTHING,
        is_done: Callable[[], Awaitable[bool]] | None = None,
    ) -> Any:
        request = Call(path, body, self._scope if params is None else params, form)
        attempt, call = partial(self._attempt, request, is_done), request.name
        try:
            with self.patience.limit():
                # Nothing is sent only to be given up while it is on its way.
                await anyio.lowlevel.checkpoint_if_cancelled()
                result = await retrying(attempt, attempts, on_retry or _ignore, self.budget)
                self.patience.renew()
                return result
        except AnswerError as error:
            failure = error
        else:
            raise ServiceUnavailableError(
                f"{call} was given up: no call to {self._host} has got any further for {self.patience.seconds:g} s."
            )
        raise _public(failure, call, self._host)

    async def _attempt(self, request: Call, is_done: Callable[[], Awaitable[bool]] | None) -> Any:
        result = await self._once(request)
        if not isinstance(result, AnswerError):
            return result
        if is_done is not None and result.seen.broken is Break.UNEXPECTED:
            with suppress(ServiceError):
                if await is_done():
                    return None
        # Only here: while something of aiohttp's or of a parser's is handled, it would be the context of ours, and
        # they hold whole answers.
        raise result

    async def _once(self, request: Call) -> Any:
        """Make a request, and return what its answer says, or how it failed."""
        headers = await self._authentication.headers()
        try:
            response, data = await self._exchange(request, headers)
            if response.status == 401 and self._authentication.renewable:
                # The token has expired, most likely. The call was not carried out, so it may be made again.
                headers = await self._authentication.headers(refused=headers)
                response, data = await self._exchange(request, headers)
        except NETWORK_ERRORS as error:
            return AnswerError(replace(seen_of(error, self._host), **request.effect))
        except TooLongError:
            words = f"its answer is longer than the {request.form.most:,} bytes that {request.name} can need"
            return AnswerError(not_promised("", words, **request.effect))
        if response.status >= 300:
            seen = refusal(request, response.status, data.decode("utf-8", "replace"), headers)
            return AnswerError(seen, retry_after=retry_after(response))
        if len(data) < _LARGE:
            return read_answer(request, data, self._host)
        return await to_thread.run_sync(read_answer, request, data, self._host)

    async def _exchange(self, request: Call, headers: Headers) -> tuple[aiohttp.ClientResponse, bytes]:
        method = "GET" if request.body is None else "POST"
        # Only what has no version of its own is asked for right below the endpoint.
        below = request.path if request.path.startswith("/") else f"/v1/{request.path}"
        url = URL(self._endpoint + below).update_query(request.params)
        sent = self._client.request(method, url, json=request.body, headers=headers, timeout=CONTROL_TIMEOUT)
        async with sent as response:
            if response.status < 300:
                return response, await read_limited(response, request.form.most)
            return response, (await read_text(response, MOST_ERROR)).encode()


def _ignore(attempt: int, error: AnswerError) -> None:
    """Take no note of a retry; the log has it."""


def _public(error: AnswerError, call: str, host: str) -> ServiceError:
    seen, attempts = error.seen, error.attempts
    if error.verdict is Verdict.UNAUTHORIZED:
        return AuthenticationError(
            f"{host} does not accept the API key, or what headers= gave ({error}). Check {KEY_VARIABLE}, or what was "
            f"given to init(), and that it belongs to this endpoint.",
            status=seen.status,
            attempts=attempts,
        )
    if error.doubtful and error.verdict is not Verdict.UNKNOWN:
        # Whoever asked must not take this for a plain "no": what is refused now may have been done before.
        return ServiceUnavailableError(
            f"It is not known whether {call} took effect: {host} gave no usable answer at first, and then {error}.",
            attempts=attempts,
        )
    again = error.verdict in (Verdict.RETRY, Verdict.THROTTLE, Verdict.UNKNOWN) and seen.status != 404
    if seen.broken is not None or again:
        return ServiceUnavailableError(
            f"{call} got no usable answer from {host} in {error.tries}: {error}. {_advice(seen)}",
            status=seen.status,
            code=seen.code,
            attempts=attempts,
        )
    code = NOT_THERE if error.verdict is Verdict.ABSENT else seen.code
    words = f"{host} refused {call}: {error}".rstrip(".")
    remedy = "" if seen.own else f" {_CHECK_ENDPOINT}"
    return ServiceError(f"{words}.{remedy}", status=seen.status, code=code, attempts=attempts)


def _advice(seen: Seen) -> str:
    if seen.broken is Break.UNEXPECTED:
        return _CHECK_ENDPOINT if seen.code is None else "This is an error of the service; try again later."
    return f"Check {ENDPOINT_VARIABLE} (or url=), the proxy if there is one, and that the service is up."
