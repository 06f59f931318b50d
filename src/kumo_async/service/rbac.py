"""In which group and project of a workspace with role-based access control we work.

The rules are the official SDK's (`kumoai.init`): the environment variable stands above the service's feature flag, a
group or project is given by name or id, and someone who belongs to one group only need not name it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError, ServiceError

__all__ = ["RBAC_VARIABLE", "Get", "Scope", "find_scope", "scope_of"]

logger = logging.getLogger("kumo_async")

RBAC_VARIABLE = "RBAC_ENABLED"

#: Makes a GET to a path under the endpoint, with query parameters, and returns the JSON of the answer.
Get = Callable[[str, Mapping[str, str]], Awaitable[Any]]


@dataclass(frozen=True)
class Scope:
    """What was asked for.

    Attributes:
        group: A group's name or id.
        project: A project's name or id.
        enabled: What the environment says; None leaves it to the service.
    """

    group: str | None = None
    project: str | None = None
    enabled: bool | None = None

    @property
    def wanted(self) -> bool:
        """Whether the service has to be asked at all: nobody else should pay for it."""
        return self.enabled or (self.enabled is None and (self.group or self.project) is not None)


def scope_of(group: str | None, project: str | None) -> Scope:
    """Return the scope that the arguments and the environment ask for."""
    said = os.environ.get(RBAC_VARIABLE)
    return Scope(group or None, project or None, None if said is None else said.lower() == "true")


async def find_scope(scope: Scope, get: Get) -> Mapping[str, str]:
    """Return the query parameters of every call.

    Raises:
        ConfigurationError: If there is no such group or project, or several to choose from.
        ServiceError: If the service does not say.
    """
    if not scope.wanted:
        return {}
    if not scope.enabled and not await _is_on(get):
        logger.warning("This workspace has no groups and projects, so group and project are left out.")
        return {}
    group = _choose("group", scope.group, await get("/v1/groups", {}), "group_id")
    if scope.project is None:
        return {"group_id": group}
    projects = await get("/v1/projects", {"group_id": group})
    return {"group_id": group, "project_id": _choose("project", scope.project, projects, "id")}


async def _is_on(get: Get) -> bool:
    try:
        flags = await get("/config", {})
    except ServiceError as error:
        if error.status == 404:  # an older service, which has no flags
            return False
        raise
    return isinstance(flags, Mapping) and flags.get("rbac") is True


def _choose(what: str, wanted: str | None, known: Any, id_field: str) -> str:
    found = _pairs(known, id_field, what)
    names = ", ".join(repr(name) for _, name in found) or "none"
    if wanted is None and len(found) == 1:
        return found[0][0]
    if wanted is None:
        raise ConfigurationError(f"Give {what}=, by name or id: there are {names}.")
    for identifier, name in found:
        if wanted in (identifier, name):
            return identifier
    raise ConfigurationError(f"There is no {what} {wanted!r}: there are {names}.")


def _pairs(known: Any, id_field: str, what: str) -> Sequence[tuple[str, str]]:
    with suppress(KeyError, TypeError):
        return [(str(each[id_field]), str(each["display_name"])) for each in known]
    raise ServiceError(f"The service listed the {what}s in a form that is not documented.")
