"""CSV files as Parquet: read twice, for the types that keep every value, and to be encoded with them.

    text ── scan ──> blocks of records ── type pass, side by side ──> types         before anything is sent
    text ── blocks ──> units ── encoders, side by side ──> partitions               while partitions are being sent

A compressed file is decompressed in both passes, so that neither memory nor disk holds all of its text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from ..errors import SourceError
from ..formats.csv_arrow import BlockReader
from ..formats.csv_types import given_types
from ..options import UploadOptions
from ..shield import clean_up, in_thread
from .convert_blocks import Block, BlockParser, gathered, read_ranges
from .convert_types import TypePass
from .csv_beginning import SAMPLE, Beginning, begin, describe, rows_behind
from .csv_content import Content, open_content
from .csv_scan import Scan
from .encode import UNIT_BYTES, Encoding, Unit, encoded_partitions
from .files import FileRange, Partition, SourceFile
from .spool import Spool
from .workers import Workers, processors

__all__ = ["ConvertSource"]

#: What pyarrow, pandas and Spark write by default; the widest choice of readers takes it.
_SETTINGS = {"version": "2.6", "compression": "snappy", "write_page_checksum": True}


class ConvertSource:
    """A CSV file whose records were all checked, and whose columns' types are known."""

    def __init__(
        self,
        file: SourceFile,
        options: UploadOptions,
        parser: BlockParser,
        beginning: Beginning,
        types: Mapping[str, Any],
        blocks: Sequence[Block],
        rows: Sequence[Sequence[str]],
        warnings: tuple[str, ...],
        reasons: Mapping[str, str],
    ) -> None:
        self.file = file
        self.size = blocks[-1].end
        self.dialect: str | None = describe(file.path, beginning.dialect, options.csv)
        self.columns = beginning.names.new
        self.types: Mapping[str, str] = {name: str(kind) for name, kind in types.items()}
        self.type_reasons = reasons
        self.sample = tuple(tuple(row) for row in rows[:SAMPLE])
        self.renamed: Mapping[str, str] = beginning.names.renamed
        self.rows: int | None = sum(block.rows for block in blocks)
        self.warnings = warnings
        self._options = options
        self._tidy = beginning.tidy
        self._parser = parser
        self._types = types
        self._blocks = blocks
        self._spool = Spool(options.spool_dir, UNIT_BYTES)

    @classmethod
    async def open(cls, file: SourceFile, options: UploadOptions) -> ConvertSource:
        """Read the file to its end: check every record, and find the types.

        Raises:
            SourceError: If it is not a CSV file with a header, at least two columns and a row; if a record is not fit
                for a table, or a value not of the type that was given.
            ConfigurationError: If a given type is not one of Kumo's, or is that of no column.
        """
        content, beginning = await begin(file, options)
        try:
            parser = await in_thread(_parser, file, options, beginning, content)
            given = await in_thread(_given, options, beginning)
            rows = await in_thread(rows_behind, content, beginning)
            scan = _scan(content, file.path, beginning)
            first = TypePass(content, scan, beginning.data_start, parser, given)
            async with Workers(_encoders(options)) as workers:
                types = await first.run(workers)
        finally:
            await clean_up(content.close)
        if not first.blocks:
            raise file.without_rows()
        warnings = scan.warnings(beginning.warnings)
        return cls(file, options, parser, beginning, types, first.blocks, rows, warnings, first.reasons)

    async def partitions(self, size: int | None) -> AsyncGenerator[Partition, None]:
        """Parse and encode, and hand out partitions as they are filled; see `Source` and `encode`."""
        content = await in_thread(open_content, self.file, self._options, self._tidy)
        try:
            units = partial(self._units, content)
            async with (
                Workers(_encoders(self._options)) as workers,
                aclosing(encoded_partitions(self._encoding(), units, size, workers)) as partitions,
            ):
                async for partition in partitions:
                    yield partition
        except SourceError:
            # The first pass found nothing wrong, so most likely it is another file by now.
            await self.file.check_unchanged()
            raise
        finally:
            await clean_up(content.close)

    def close(self) -> None:
        """Close all spool files, sent or not."""
        self._spool.close()

    def _encoding(self) -> Encoding:
        import pyarrow as pa

        schema = pa.schema(list(self._types.items()))
        return Encoding(path=self.file.path, schema=schema, settings=_SETTINGS, spool=self._spool)

    def _units(self, content: Content, most: int) -> Iterator[Unit]:
        for block in gathered(self._blocks, most, _row_bytes(self._types.values())):
            content.reach(block.end)
            yield partial(self._tables, block, content.take(block.start, block.end))

    def _tables(self, block: Block, ranges: Sequence[FileRange]) -> list[Any]:
        return [self._parser.parse(block, read_ranges(self.file, ranges), self._types, self.columns)]


def _encoders(options: UploadOptions) -> int:
    return max(1, min(processors(), options.max_concurrent_partitions))


def _parser(file: SourceFile, options: UploadOptions, beginning: Beginning, content: Content) -> BlockParser:
    names = beginning.names
    reader = BlockReader(names.new, beginning.dialect, tuple(options.csv.null_values), options.csv.quoted_nulls)
    return BlockParser(file, reader, dict(zip(names.new, names.old, strict=True)), content.note)


def _given(options: UploadOptions, beginning: Beginning) -> dict[str, Any]:
    return given_types(options.csv.types or {}, beginning.names.old, beginning.names.new)


def _scan(content: Content, path: str, beginning: Beginning) -> Scan:
    return Scan(content, path, beginning.dialect, beginning.data_start, len(beginning.names.old), full=True)


def _row_bytes(types: Iterable[Any]) -> float:
    """The bytes that a row takes in a table, with the bits that say which values are null, and without its texts."""
    return sum((_width(kind) + 1) / 8 for kind in types)


def _width(kind: Any) -> int:
    import pyarrow as pa

    # Texts have an offset of 32 bits each, and dictionaries an index of at most as many.
    return int(kind.bit_width) if pa.types.is_primitive(kind) or pa.types.is_decimal(kind) else 32
