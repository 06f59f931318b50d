"""The control plane: the service's REST calls, each of which answers or raises an error of ours."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.lowlevel
from yarl import URL

from ..errors import AuthenticationError, ServiceError, ServiceUnavailableError
from .answers import AnswerError, Seen, Verdict, is_repeated
from .authentication import Authentication, Headers
from .credentials import ENDPOINT_VARIABLE, KEY_VARIABLE
from .http import CONTROL_TIMEOUT, NETWORK_ERRORS, HttpClient, read_text, retry_after, seen_of
from .messages import (
    CompleteUpload,
    StartedUpload,
    StartUpload,
    TableRequest,
    file_type_of,
    get_field,
    table_data_request,
    unsigned,
)
from .patience import Patience
from .rbac import Get
from .retry import OnRetry, RetryBudget, retrying

__all__ = ["MAY_MEAN_NOT_THERE", "ControlPlane"]

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

_TITLE = re.compile(r"<title[^>]*>([^<]+)", re.IGNORECASE)

#: Characters of a web page in which its title is looked for: a stranger's page must not cost time.
_HEAD = 4096

_COMPLETE = "connectors/utils/complete_file_upload"

#: Most bytes of an answer that are read. A list of 100,000 table names fits.
_MOST_ANSWER = 64 * 1024**2


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
        body = await self._post("connectors/utils/start_file_upload", request.to_json(), attempts, on_retry)
        return StartedUpload.from_json(body, request.num_parts)

    async def complete_upload(
        self, request: CompleteUpload, attempts: int = DEFAULT_ATTEMPTS, on_retry: OnRetry | None = None
    ) -> None:
        """Make an object visible."""
        await self._post(_COMPLETE, request.to_json(), attempts, on_retry)

    async def delete_object(self, connector: str, name: str, on_retry: OnRetry | None = None) -> bool:
        """Delete an object or a table; return whether the service knew it."""
        body = {"source_table_name": name, "connector_id": connector}
        try:
            await self._post("connectors/utils/delete_uploaded_file", body, on_retry=on_retry)
        except ServiceError as error:
            # A page of a proxy that says "not found" does not say that the object is gone.
            if error.code == NOT_THERE:
                return False
            raise
        return True

    async def list_tables(self, connector: str) -> list[str]:
        """Return the names of all tables behind a connector."""
        request = {**TableRequest(connector_id=connector).to_json(), "root_dir": None}
        body = await self._post("source_tables/list_tables", request)
        names = get_field(body, "table_names", list, "list_tables")
        return [str(name) for name in names]

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
            body = await self._post("source_tables/validate_table", request.to_json())
        except ServiceError as error:
            if error.status not in MAY_MEAN_NOT_THERE:
                raise
            return error
        return bool(get_field(body, "is_valid", bool, "validate_table"))

    async def table_data(self, connector: str, name: str, file_type: str, sample_rows: int) -> Mapping[str, Any]:
        """Return a table's columns and sample rows as the service gives them."""
        request = table_data_request(connector, name, file_type, sample_rows)
        body = await self._post("source_tables/get_table_data", request)
        if not isinstance(body, list) or len(body) != 1 or not isinstance(body[0], Mapping):
            raise ServiceError("The service answered get_table_data in a form that is not documented.", table=name)
        return body[0]

    async def _post(
        self, path: str, body: Mapping[str, Any], attempts: int = DEFAULT_ATTEMPTS, on_retry: OnRetry | None = None
    ) -> Any:
        await self._know_scope()
        return await self._call(path, body, attempts, on_retry)

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
    ) -> Any:
        attempt = partial(self._attempt, path, body, self._scope if params is None else params)
        call = path.rpartition("/")[2]
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

    async def _attempt(self, path: str, body: Mapping[str, Any] | None, params: Mapping[str, str]) -> Any:
        headers = await self._authentication.headers()
        try:
            response, text = await self._exchange(path, body, params, headers)
            if response.status == 401 and self._authentication.renewable:
                # The token has expired, most likely. The call was not carried out, so it may be made again.
                headers = await self._authentication.headers(refused=headers)
                response, text = await self._exchange(path, body, params, headers)
        except NETWORK_ERRORS as error:
            raise AnswerError(replace(seen_of(error, self._host), completes=path == _COMPLETE)) from error
        if response.status >= 300:
            seen = _refusal(response.status, text, path)
            # Once more, since JSON may have spelled it in another way.
            seen = replace(seen, message=headers.hidden_in(seen.message))
            raise AnswerError(seen, retry_after=retry_after(response))
        return self._parse(text, path.rpartition("/")[2])

    async def _exchange(
        self, path: str, body: Mapping[str, Any] | None, params: Mapping[str, str], headers: Headers
    ) -> tuple[aiohttp.ClientResponse, str]:
        method = "GET" if body is None else "POST"
        # Only what has no version of its own is asked for right below the endpoint.
        below = path if path.startswith("/") else f"/v1/{path}"
        url = URL(self._endpoint + below).update_query(params)
        async with self._client.request(method, url, json=body, headers=headers, timeout=CONTROL_TIMEOUT) as response:
            text = await read_text(response, _MOST_ANSWER)
        return response, text if response.status < 300 else headers.hidden_in(text)

    def _parse(self, text: str, call: str) -> Any:
        if not text.strip():
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            words = f"{self._host} did not answer {call} with JSON, as the service does."
            raise ServiceError(f"{words} {_CHECK_ENDPOINT}") from error


def _ignore(attempt: int, error: AnswerError) -> None:
    """Take no note of a retry; the log has it."""


def _refusal(status: int, text: str, path: str) -> Seen:
    """Return what an error answer says: the service's own words where it is one of its own, which are JSON."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    own = isinstance(body, Mapping)
    detail = body.get("detail", body) if isinstance(body, Mapping) else _page_words(text)
    words = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    return Seen(status=status, message=unsigned(words)[:300], own=own, completes=path == _COMPLETE)


def _page_words(text: str) -> str:
    """Return what a text that is no JSON says: of a web page its title, where it has one."""
    title = _TITLE.search(text, 0, _HEAD)
    said = "" if title is None else unescape(title[1]).strip()
    return " ".join((said or text).split())


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
    if seen.broken is not None or is_repeated(seen):
        return ServiceUnavailableError(
            f"{call} got no usable answer from {host} in {error.tries}: {error}. Check {ENDPOINT_VARIABLE} (or "
            f"url=), the proxy if there is one, and that the service is up.",
            status=seen.status,
            attempts=attempts,
        )
    code = NOT_THERE if error.verdict is Verdict.ABSENT else seen.code
    words = f"{host} refused {call}: {error}".rstrip(".")
    remedy = "" if seen.own else f" {_CHECK_ENDPOINT}"
    return ServiceError(f"{words}.{remedy}", status=seen.status, code=code, attempts=attempts)
