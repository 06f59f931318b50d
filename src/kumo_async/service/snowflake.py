"""Tokens of Snowflake's container services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import AuthenticationError
from ..shield import in_thread
from .authentication import HeadersProvider

__all__ = ["SESSION_TOKEN", "snowflake_headers"]

#: Where Snowflake keeps a container's token, and renews it every few minutes:
#: https://docs.snowflake.com/en/developer-guide/snowpark-container-services/spcs-execute-sql
SESSION_TOKEN = "/snowflake/session/token"  # noqa: S105 - a path  # nosec B105

_MOST_TOKEN = 64 * 1024


def snowflake_headers(token_file: str | os.PathLike[str] = SESSION_TOKEN) -> HeadersProvider:
    """Return a headers provider for a service inside Snowflake, which reads the token from a file each time.

    Snowflake's tokens expire within an hour, so the file is read anew every ten minutes, and whenever the service
    refuses a token; the call is then made once more.

    Args:
        token_file: The file with the token. Default: where Snowflake puts it in a container.

    Raises:
        AuthenticationError: By the provider, if the file cannot be read or holds no token.

    Example:
        >>> import kumo_async
        >>> client = kumo_async.KumoClient("https://kumo.example/api", headers=kumo_async.snowflake_headers())
    """
    path = Path(token_file)

    async def provide() -> Mapping[str, str]:
        token = await in_thread(_read, path)
        # In quotes, as the official SDK sends it (`kumoai.spcs`).
        return {"Authorization": f'Snowflake Token="{token}"'}

    return provide


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(_MOST_TOKEN).decode("ascii").strip().strip('"')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
    else:
        reason = "" if token else "it is empty"
    if reason:
        raise AuthenticationError(f"There is no Snowflake token in {path}: {reason}.", path=str(path))
    return token
