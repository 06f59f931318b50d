"""`validate="full"` for Parquet: every page is decoded while partitions are being sent, and before any is committed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from .decode import ParquetPages
from .workers import Workers

__all__ = ["PageCheck"]

#: Row groups that a worker decodes without a look at whether anybody still wants to know.
_RUN = 16


class PageCheck:
    """Decodes row groups in worker threads, as many at a time as there are workers.

    Memory: for each worker a batch (`decode.BATCH_BYTES`), twice while it is checked, 32 MiB of read-ahead, and a page
    of each column; nothing in proportion to the file.

    Args:
        workers: The threads. Whatever they have not begun when their block ends is never done.
        pages: What is decoded; None for nothing at all.
        stretches: Positions of the row groups.
    """

    def __init__(self, workers: Workers, pages: ParquetPages | None, stretches: Sequence[range]) -> None:
        self._workers = workers
        self._pages = pages
        runs = [groups[at : at + _RUN] for groups in stretches for at in range(0, len(groups), _RUN)] if pages else []
        self._futures: list[Future[None]] = [workers.submit(self._decode, run) for run in runs]

    def _decode(self, groups: range) -> None:
        for group in groups:
            if self._pages is not None and not self._workers.stopped and self._pages.metadata.row_group(group).num_rows:
                self._pages.check(group)

    def raise_found(self) -> None:
        """Raise what was found so far, so that nothing more is sent in vain.

        Raises:
            SourceError: If a page is damaged.
        """
        done = [future for future in self._futures if future.done()]
        self._futures = [future for future in self._futures if future not in done] if done else self._futures
        for future in done:
            future.result()

    async def finished(self) -> None:
        """Wait until everything is decoded.

        Raises:
            SourceError: If a page is damaged.
        """
        for future in self._futures:
            await self._workers.result(future)
