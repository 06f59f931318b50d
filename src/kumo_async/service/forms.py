"""What each call of the control plane promises to answer: how it is read, and how long it can be.

All readers raise ServiceError in words of their own where an answer has another form. They quote nothing of it: it may
hold presigned URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ..errors import ServiceError
from .foreign import said
from .messages import MOST_URL, StartedUpload, get_field

__all__ = ["ANYTHING", "NAMES", "NOTHING", "VALIDITY", "Form", "started", "table_data"]

T = TypeVar("T")

_SHORT = 64 * 1024
_MIB = 1024**2


@dataclass(frozen=True)
class Form(Generic[T]):
    """What an answer of success is.

    Attributes:
        read: Returns what a JSON answer says; given None where there is no body.
        most: Its greatest length in bytes. No more is read.
    """

    read: Callable[[Any], T]
    most: int = _SHORT


def _nothing(body: Any) -> None:
    """Accept nothing, in any form that JSON has for it; anything more may say that something failed."""
    if body not in (None, "", {}, []):
        detail = body.get("detail") if isinstance(body, Mapping) else None
        words = f": {said(detail)}" if isinstance(detail, str) else ""
        raise ServiceError(f"it has words where a success has none{words}")


def _names(body: Any) -> list[str]:
    names = get_field(body, "table_names", list, "list_tables")
    if not all(isinstance(name, str) for name in names):
        raise ServiceError("The service answered list_tables in a form that is not documented: names are not strings.")
    return list(names)


def _validity(body: Any) -> bool:
    return bool(get_field(body, "is_valid", bool, "validate_table"))


def _one_table(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, list) or len(body) != 1 or not isinstance(body[0], Mapping):
        raise ServiceError("The service answered get_table_data in a form that is not documented.")
    return body[0]


def _anything(body: Any) -> Any:
    return body


#: Calls that change something.
NOTHING = Form(_nothing)

VALIDITY = Form(_validity)

#: 100,000 names of 80 characters.
NAMES = Form(_names, 8 * _MIB)

#: Flags, groups and projects.
ANYTHING = Form(_anything, _MIB)


def started(num_parts: int) -> Form[StartedUpload]:
    """Return the form of what starts an object: a URL for each part."""
    return Form(partial(StartedUpload.from_json, num_parts=num_parts), _SHORT + num_parts * MOST_URL)


def table_data(sample_rows: int) -> Form[Mapping[str, Any]]:
    """Return the form of a table's columns (tens of thousands fit) and of rows of 64 KiB each."""
    return Form(_one_table, 4 * _MIB + sample_rows * _SHORT)
