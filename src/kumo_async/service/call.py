"""One call of the control plane: what it sends, what its answer says, and what an answer says that is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from typing import Any

from ..errors import ServiceError
from .answers import AnswerError, Seen
from .authentication import Headers
from .foreign import said
from .forms import Form
from .http import MOST_ERROR
from .s3errors import not_promised

__all__ = ["COMPLETE", "DELETE", "Call", "read_answer", "refusal"]

COMPLETE = "connectors/utils/complete_file_upload"
DELETE = "connectors/utils/delete_uploaded_file"

#: Bounded at each place, so that a stranger's page does not cost time.
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,300})", re.IGNORECASE)

#: Characters of a web page in which its title is looked for.
_HEAD = 4096

_NO_JSON = object()


@dataclass(frozen=True)
class Call:
    """One call as it is made, however often.

    Attributes:
        path: Its path under the endpoint.
        body: What is sent as JSON; None for a GET.
        params: The query.
        form: What it promises to answer.
    """

    path: str
    body: Mapping[str, Any] | None
    params: Mapping[str, str]
    form: Form[Any]

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.path.rpartition("/")[2]

    @property
    def effect(self) -> dict[str, Any]:
        """What `Seen` has to know about it."""
        return {"completes": self.path == COMPLETE, "deletes": self.path == DELETE}


def read_answer(call: Call, data: bytes, host: str) -> Any:
    """Return what a 2xx answer says, or an error if that is not what the call promises."""
    body = _json(data) if data.strip() else None
    if body is _NO_JSON:
        text = data[:MOST_ERROR].decode("utf-8", "replace")
        words = f"{host} did not answer {call.name} with JSON, as the service does"
        return AnswerError(not_promised(text, words, **call.effect))
    try:
        return call.form.read(body)
    except ServiceError as error:
        words = str(error) if body is not None else f"its answer to {call.name} is empty"
    return AnswerError(not_promised("", words.rstrip("."), **call.effect))


def _json(data: bytes) -> Any:
    """Return what a text says as JSON. No error is raised if it is not JSON, since that would quote the text."""
    with suppress(ValueError, RecursionError):
        return json.loads(data)
    return _NO_JSON


def refusal(call: Call, status: int, text: str, headers: Headers) -> Seen:
    """Return what an error answer says: the service's own words where it is one of its own, which are JSON."""
    text = headers.hidden_in(text)
    body = _json(text.encode())
    own = isinstance(body, Mapping)
    detail = body.get("detail", body) if isinstance(body, Mapping) else _page_words(text)
    words = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    # Once more, since JSON may have spelled it in another way.
    return Seen(status=status, message=said(headers.hidden_in(words)), own=own, **call.effect)


def _page_words(text: str) -> str:
    """Return what a text that is no JSON says: of a web page its title, where it has one."""
    title = _TITLE.search(text, 0, _HEAD)
    found = "" if title is None else unescape(title[1]).strip()
    return found or text
