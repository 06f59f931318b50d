"""CSV files: cut between records, with the header in front of each partition; no other byte is changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from types import MappingProxyType

from ..formats.csv_preview import seeming_types
from ..formats.records import Cut, RecordCutter
from ..options import UploadOptions
from ..shield import clean_up, in_thread
from .csv_beginning import SAMPLE, Beginning, begin, describe, fill, rows_behind
from .csv_content import Content
from .csv_scan import Scan
from .files import Partition, SourceFile

__all__ = ["CsvSource"]


class CsvSource:
    """A CSV file whose header was read."""

    rows: int | None = None
    types: Mapping[str, str] = MappingProxyType({})
    type_reasons: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        file: SourceFile,
        options: UploadOptions,
        content: Content,
        beginning: Beginning,
        rows: list[list[str]],
    ) -> None:
        self.file = file
        self.size = content.size
        self.dialect: str | None = describe(file.path, beginning.dialect, options.csv)
        self.columns = beginning.names.new
        self.types: Mapping[str, str] = dict(zip(self.columns, seeming_types(rows, len(self.columns)), strict=True))
        self.sample = tuple(tuple(row) for row in rows[:SAMPLE])
        self.renamed: Mapping[str, str] = beginning.names.renamed
        self.warnings: tuple[str, ...] = beginning.warnings
        self._content = content
        self._data_start = beginning.data_start
        self._header = beginning.header
        fields, full = len(beginning.names.old), options.validate == "full"
        self._new_scan = partial(Scan, content, file.path, beginning.dialect, self._data_start, fields, full=full)

    @classmethod
    async def open(cls, file: SourceFile, options: UploadOptions) -> CsvSource:
        """Read the header; of a file that is decompressed or converted so much that it is clear whether it is cut.

        Raises:
            SourceError: If the file is not a CSV file with a header and at least two columns.
        """
        content, beginning = await begin(file, options)
        try:
            rows = await in_thread(rows_behind, content, beginning)
            await fill(content, options.partition_threshold + 1)
            source = cls(file, options, content, beginning, rows)
            await in_thread(source._look)
        except BaseException:
            await clean_up(content.close)
            raise
        return source

    def _look(self) -> None:
        """Check the first block, which a plan is about as well; it is scanned again as partitions are cut."""
        scan = self._new_scan()
        scan.look()
        self.warnings = scan.warnings(self.warnings)
        if scan.finished and not scan.rows:
            raise self.file.without_rows()

    def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Scan the text for record ends and plan partitions as soon as they are certain; see `Source`."""
        return self._whole() if size is None else self._cut(size)

    async def _cut(self, size: int) -> AsyncGenerator[Partition, None]:
        scan, cutter = self._new_scan(), RecordCutter(len(self._header), size, self._data_start)
        while not scan.finished:
            for cut in await in_thread(scan.advance, cutter):
                yield self._partition(cut, cut.rows)
        self.warnings = scan.warnings(self.warnings)

    async def _whole(self) -> AsyncGenerator[Partition, None]:
        """Plan one object, which may be sent from its first row on; the rest is scanned meanwhile."""
        scan = self._new_scan()
        while not scan.finished and not scan.rows:
            await in_thread(scan.advance)
        if not scan.rows:
            return
        partition = self._partition(
            Cut(self._data_start, self._content.size, scan.rows), scan.rows if scan.finished else None
        )
        yield partition
        while not scan.finished:
            await in_thread(scan.advance)
        self.warnings = scan.warnings(self.warnings)
        partition.counted(scan.rows)

    def close(self) -> None:
        """Free the temporary files."""
        self._content.close()

    def _partition(self, cut: Cut, rows: int | None) -> Partition:
        return Partition((self._header, *self._content.take(cut.start, cut.end)), rows)
