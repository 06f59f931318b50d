"""`validate="full"` for Parquet: every page is decoded while partitions are being sent, and before any is committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from .decode import ParquetPages
from .workers import Workers

__all__ = ["PageCheck"]

#: Row groups that a worker is given at a time: a file may have a million of them.
_RUN = 16


class PageCheck:
    """Decodes row groups in worker threads, as many at a time as there are workers.

    Memory: for each worker a batch (`BATCH_BYTES`), twice while it is checked, 32 MiB of read-ahead, and a page
    of each column; nothing in proportion to the file.

    Args:
        workers: The threads. Whatever they have not begun when their block ends is never done.
        pages: What is decoded; None for nothing at all.
        stretches: Positions of the row groups.
    """

    def __init__(self, workers: Workers, pages: ParquetPages | None, stretches: Sequence[range]) -> None:
        self._workers = workers
        runs = (groups[at : at + _RUN] for groups in stretches for at in range(0, len(groups), _RUN))
        self._futures: deque[Future[None]] = deque()
        if pages is not None:
            self._futures.extend(workers.submit(self._decode, pages, run) for run in runs)

    def _decode(self, pages: ParquetPages, groups: range) -> None:
        for group in groups:
            if not self._workers.stopped and pages.metadata.row_group(group).num_rows:
                pages.check(group)

    def raise_found(self) -> None:
        """Raise what was found so far, in the order of the row groups, so that nothing more is sent in vain.

        Raises:
            SourceError: If a page is damaged.
        """
        while self._futures and self._futures[0].done():
            self._futures.popleft().result()

    async def finished(self) -> None:
        """Wait until everything is decoded.

        Raises:
            SourceError: If a page is damaged.
        """
        for future in self._futures:
            await self._workers.result(future)
