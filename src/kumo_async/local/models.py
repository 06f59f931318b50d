"""The official request and answer models of the REST calls, loaded when they are first needed.

Loading them takes about a second and pulls in pandas, so nothing here runs when the package is imported, and all of it
runs in worker threads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from kumo_async.local.calls import CallName
from kumo_async.local.s3errors import Refused

__all__ = ["load", "parse", "to_text"]


@cache
def load() -> Mapping[CallName, Any]:
    """Load the models; the result has the validator of each call that has a body."""
    from kumoapi import data_source, source_table
    from pydantic import TypeAdapter

    return {
        "start": TypeAdapter(data_source.StartFileUploadRequest),
        "complete": TypeAdapter(data_source.CompleteFileUploadRequest),
        "delete": TypeAdapter(data_source.DeleteUploadedFileRequest),
        "list": TypeAdapter(source_table.SourceTableListRequest),
        "validate": TypeAdapter(source_table.SourceTableValidateRequest),
        "table_config": TypeAdapter(source_table.SourceTableConfigRequest),
        "table_data": TypeAdapter(source_table.SourceTableDataRequest),
    }


def parse(call: CallName, body: bytes) -> Any:
    """Read a request body.

    Raises:
        Refused: It is not JSON, or not what the official model of this call allows.
    """
    from pydantic import ValidationError

    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(message="The body is not JSON.", status=422) from None
    try:
        return load()[call].validate_python(value)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise Refused(message="; ".join(problems), status=422) from None


def to_text(answer: object) -> str:
    """Write an answer that is built of official models as JSON."""
    from kumoapi.json_serde import to_json

    return str(to_json(answer))
