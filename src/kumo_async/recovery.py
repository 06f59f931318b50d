"""Uploads from this machine that have begun and not ended: what there is of them, and how they are finished."""

from __future__ import annotations

import os

from . import blocking
from .checks import check_bool, check_journal_dir, check_text
from .client import KumoClient, check_client, default_client
from .errors import no_groups
from .events import Notify, Observer, observed
from .report import UnfinishedUpload
from .shield import imported

__all__ = ["recover_uploads", "recover_uploads_async", "unfinished_uploads", "unfinished_uploads_async"]


async def unfinished_uploads_async(*, journal_dir: str | os.PathLike[str] | None = None) -> list[UnfinishedUpload]:
    """List the uploads that have begun and not ended. The async twin of `unfinished_uploads`; see there."""
    check_journal_dir(journal_dir)
    # What only this needs is imported when it is needed, beside the loop.
    await imported("kumo_async.upload.recovery")
    from .upload.journaling import Journals
    from .upload.recovery import describe

    journals = await Journals.open(journal_dir)
    return [describe(each) for each in await journals.survey()]


def unfinished_uploads(*, journal_dir: str | os.PathLike[str] | None = None) -> list[UnfinishedUpload]:
    """List the uploads of this user on this machine that have begun and not ended, of all services. Asks no service.

    Args:
        journal_dir: See `UploadOptions.journal_dir`.

    Raises:
        ConfigurationError: If `journal_dir` is no path.

    Example:
        >>> import kumo_async
        >>> kumo_async.unfinished_uploads()
        []
    """
    return blocking.run(unfinished_uploads_async, journal_dir=journal_dir)


async def recover_uploads_async(
    table: str | None = None,
    *,
    discard: bool = False,
    client: KumoClient | None = None,
    journal_dir: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
) -> list[UnfinishedUpload]:
    """Finish or discard uploads whose process died. The async twin of `recover_uploads`; see there."""
    check_text("table", table)
    check_bool("discard", discard)
    check_client(client)
    check_journal_dir(journal_dir)
    await imported("kumo_async.upload.recovery")
    with observed(observer) as notify, no_groups():
        return await _recover(table, client if client is not None else default_client(), journal_dir, notify, discard)


async def _recover(
    table: str | None, client: KumoClient, journal_dir: str | os.PathLike[str] | None, notify: Notify, discard: bool
) -> list[UnfinishedUpload]:
    from .upload.journaling import Journals
    from .upload.recovery import recover

    journals = await Journals.open(journal_dir)
    endpoint = client.credentials.scoped_endpoint
    mine = [each for each in await journals.survey() if each.state.head.endpoint == endpoint]
    found = [each for each in mine if table in (None, each.state.head.table)]
    if not found:
        return []
    async with client.connected() as connection:
        session, limits = connection.session, connection.limits
        return [await recover(session, limits, journals, each, notify, discard=discard) for each in found]


def recover_uploads(
    table: str | None = None,
    *,
    discard: bool = False,
    client: KumoClient | None = None,
    journal_dir: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
) -> list[UnfinishedUpload]:
    """Finish the commits of uploads from this machine whose process died, so that their tables are there, whole.

    The source is not needed for that. An upload that died before its commit has changed nothing in Kumo: it is listed,
    and resumed by the same call of `FileUploadConnector.upload`. Every upload does this for its own table by itself.

    Args:
        table: Only uploads of the tables of this name. Default: of all tables of the client's service.
        discard: Whether to forget the uploads instead. What their commits have made visible is deleted.
        client: The workspace; default: what `kumo_async.init` set, else the environment variables.
        journal_dir: See `UploadOptions.journal_dir`.
        observer: Told of what happens; see `Observer`.

    Returns:
        The uploads that were found, each with its `outcome`. That one cannot be finished keeps none of the others from
        it, and raises nothing.

    Raises:
        ConfigurationError: If there are no credentials, or an argument is of a wrong type.

    Example:
        >>> import kumo_async
        >>> failed = [each for each in kumo_async.recover_uploads() if each.outcome == "failed"]
    """
    return blocking.run(
        recover_uploads_async, table, discard=discard, client=client, journal_dir=journal_dir, observer=observer
    )
