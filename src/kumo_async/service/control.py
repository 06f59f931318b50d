"""The control plane: the service's REST calls, each of which answers or raises an error of ours."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
from yarl import URL

from ..errors import AuthenticationError, ServiceError, ServiceUnavailableError
from .answers import AnswerError, Seen, Verdict, is_repeated
from .authentication import Authentication, Headers
from .credentials import ENDPOINT_VARIABLE, KEY_VARIABLE
from .existence import can_mean_missing, first_partitions, is_alike, is_listed, is_there, stranger_of, table_of
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
from .rbac import Get
from .retry import OnRetry, RetryBudget, retrying

__all__ = ["ControlPlane"]

#: Attempts of calls that belong to no upload. Uploads bring their own number.
DEFAULT_ATTEMPTS = 4

#: The code of a ServiceError where the service itself says that there is no such thing.
NOT_THERE = "NotFound"

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

    Attributes:
        budget: The retries that all requests of the client share, those to the part storage too.
    """

    def __init__(
        self,
        client: HttpClient,
        endpoint: str,
        authentication: Authentication,
        find_scope: Callable[[Get], Awaitable[Mapping[str, str]]] | None = None,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._host = urlsplit(endpoint).netloc
        self._authentication = authentication
        self._find_scope = find_scope
        self._scope: Mapping[str, str] = {}
        self._lock = anyio.Lock()
        self.budget = RetryBudget()

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

    async def delete_object(self, connector: str, name: str) -> bool:
        """Delete an object or a table; return whether the service knew it.

        A refusal that may mean "not there" is looked into: a page of a proxy that says "not found", say, does not say
        that the object is gone.
        """
        refusal = await self._refused_delete(connector, name)
        if refusal is None:
            return True
        if refusal.verdict is Verdict.ABSENT or await self._is_missing(connector, name, refusal.seen):
            return False
        raise _public(refusal, "delete_uploaded_file", self._host)

    async def _refused_delete(self, connector: str, name: str) -> AnswerError | None:
        """Delete, and return the refusal where it can mean that there is nothing to delete."""
        body = {"source_table_name": name, "connector_id": connector}
        answer = await self._unless_missing("connectors/utils/delete_uploaded_file", body)
        return answer if isinstance(answer, AnswerError) else None

    async def _is_missing(self, connector: str, name: str, refusal: Seen) -> bool:
        """Return whether a refused deletion was of nothing: nothing of that name shows, nor is it refused otherwise."""
        try:
            if await self._stands(connector, name):
                return False
        except (AuthenticationError, ServiceUnavailableError):
            return False
        except ServiceError:
            # It is not known, so that the answer about a thing that surely is not there must tell.
            pass
        stranger = stranger_of(name, file_type_of(connector))
        try:
            other = await self._refused_delete(connector, stranger)
        except ServiceError:
            return False
        return other is not None and is_alike(refusal, name, other.seen, stranger)

    async def _stands(self, connector: str, name: str) -> bool:
        """Return whether an object shows; of a table it is not known where partitions show, which have its name too."""
        file_type = file_type_of(connector)
        if table_of(name, file_type) != name:
            return await self.has_table(connector, name)
        if not await self.shows_table(connector, name):
            return False
        for partition in first_partitions(name, file_type):
            if await self.has_table(connector, partition):
                return False
        return True

    async def list_tables(self, connector: str) -> list[str]:
        """Return the names of all tables behind a connector."""
        request = {**TableRequest(connector_id=connector).to_json(), "root_dir": None}
        body = await self._post("source_tables/list_tables", request)
        names = get_field(body, "table_names", list, "list_tables")
        return [str(name) for name in names]

    async def has_table(self, connector: str, name: str) -> bool:
        """Return whether a table, or an object of that name, is there now."""
        answer = await self._validated(connector, name)
        if isinstance(answer, bool):
            return answer
        refusal = _public(answer, "validate_table", self._host)
        try:
            listed = await self.list_tables(connector)
        except ServiceError as error:
            raise refusal from error
        there = is_there(answer.seen, name, file_type_of(connector), listed)
        if there is None:
            raise refusal
        return there

    async def shows_table(self, connector: str, name: str) -> bool:
        """Return whether anything of a table is there, known as a table or by its partitions alone.

        Some of that may be listed although no table is valid, or be valid a moment later than it is listed.
        """
        if await self._validated(connector, name) is True:
            return True
        return is_listed(name, file_type_of(connector), await self.list_tables(connector))

    async def _validated(self, connector: str, name: str) -> bool | AnswerError:
        """Ask for a table, and return the refusal where it can mean that there is none."""
        request = TableRequest(connector_id=connector, table_name=name)
        body = await self._unless_missing("source_tables/validate_table", request.to_json())
        if isinstance(body, AnswerError):
            return body
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
        query = self._scope if params is None else params
        attempt = partial(self._attempt, path, body, query)
        try:
            return await retrying(attempt, attempts, on_retry or _ignore, self.budget)
        except AnswerError as error:
            failure = error
        raise _public(failure, path.rpartition("/")[2], self._host)

    async def _unless_missing(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make a call, and return its refusal where that can mean that there is no such thing."""
        await self._know_scope()
        attempt = partial(self._attempt, path, body, self._scope)
        try:
            return await retrying(attempt, DEFAULT_ATTEMPTS, _ignore, self.budget)
        except AnswerError as error:
            failure = error
        if can_mean_missing(failure.seen):
            return failure
        raise _public(failure, path.rpartition("/")[2], self._host)

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
        return _parse(text, path.rpartition("/")[2])

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


def _ignore(attempt: int, error: AnswerError) -> None:
    """Take no note of a retry; the log has it."""


def _parse(text: str, call: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServiceError(f"The service did not answer {call} with JSON. Is the endpoint right?") from error


def _refusal(status: int, text: str, path: str) -> Seen:
    """Return what an error answer says: the service's own words where it is one of its own, which are JSON."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    own = isinstance(body, Mapping)
    detail = body.get("detail", body) if isinstance(body, Mapping) else " ".join(text.split())
    words = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    return Seen(status=status, message=unsigned(words)[:300], own=own, completes=path == _COMPLETE)


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
    return ServiceError(f"{words}.", status=seen.status, code=code, attempts=attempts)
