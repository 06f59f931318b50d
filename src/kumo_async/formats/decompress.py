"""Compressed files as streams of blocks: bounded in memory and in expansion, whole or refused."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Final, Protocol

from kumo_async.formats.ahead import Decode, told
from kumo_async.formats.identify import FileKind
from kumo_async.formats.members import Find, find_bgzf, find_bzip2, find_xz
from kumo_async.formats.side_by_side import side_by_side
from kumo_async.formats.xz_streams import one_block_streams

__all__ = ["EXPANSION_FLOOR", "MOST_EXPANSION", "CompressionError", "decompress"]

#: How many bytes one compressed byte may become, over all that was read so far. Tables come to 3 to 30, and hundreds
#: where nearly all rows are alike.
MOST_EXPANSION: Final = 250

#: What any file may become whatever its ratio, in bytes, since that harms nobody.
EXPANSION_FLOOR: Final = 64 * 1024 * 1024

#: How much is decompressed at a time, in bytes.
_BLOCK: Final = 1024 * 1024

#: What a dictionary of xz may take, in bytes: over three times what its highest level writes with.
_MOST_XZ_MEMORY: Final = 256 * 1024 * 1024


class CompressionError(ValueError):
    """The compressed data is damaged, cut off, followed by something else, or expands beyond the bound."""


def decompress(
    blocks: Iterator[bytes], kind: FileKind, threads: int = 1, reach: Callable[[int], None] | None = None
) -> Generator[bytes, None, None]:
    r"""Decompress a stream; several members or frames in a row are read as one.

    Args:
        blocks: The compressed data, in blocks of any size; what it raises is passed on.
        kind: How it is compressed: GZIP, ZSTD, BZIP2 or XZ.
        threads: How many members are decompressed at a time, where the file has several that can be told apart.
        reach: Told how much of the compressed data the next block came from, in bytes from the beginning.

    Yields:
        The data in blocks of at most 1 MiB.

    Raises:
        CompressionError: It is damaged, or not what it should be. Blocks before that place were handed out.

    Example:
        >>> import gzip
        >>> b"".join(decompress(iter([gzip.compress(b"id,x\n"), gzip.compress(b"1,2\n")]), FileKind.GZIP))
        b'id,x\n1,2\n'
    """
    place = _Place()
    produced = 0
    # Closed with this one, so that no thread is left behind.
    with closing(_read(blocks, kind, threads, place.reach)) as read:
        for block in read:
            produced += len(block)
            if produced > max(EXPANSION_FLOOR, MOST_EXPANSION * place.at):
                raise CompressionError(
                    f"its first {place.at:,} bytes expand more than {MOST_EXPANSION}-fold, like those of an "
                    f"attack. If it is a table after all, decompress it first"
                )
            if reach is not None:
                reach(place.at)
            yield block


class _Place:
    """Where in the compressed data decompression has come to, in bytes."""

    def __init__(self) -> None:
        self.at = 0

    def reach(self, at: int) -> None:
        self.at = at


def _read(
    blocks: Iterator[bytes], kind: FileKind, threads: int, reach: Callable[[int], None]
) -> Generator[bytes, None, None]:
    decode, find = _READERS[kind], _FINDERS.get(kind)
    if threads == 1 or find is None:
        yield from decode(told(blocks, reach))
        return
    if kind is FileKind.XZ:
        blocks = one_block_streams(blocks)
    yield from side_by_side(blocks, find, decode, threads, reach)


class _Member(Protocol):
    """One member of a compressed file, as the standard library's decompressors read it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _GzipMember:
    """Gives zlib the manners of the other two."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        out = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # Where the output was full there may be more of it, even if all of the input was taken.
        self.needs_input = not self._zlib.unconsumed_tail and len(out) < max_length
        return out


def _members(blocks: Iterator[bytes], new: Callable[[], _Member], padding: bytes) -> Iterator[bytes]:
    """Read members one after another; bytes of `padding` may stand behind each."""
    member: _Member | None = None
    try:
        for block in blocks:
            data = block
            while data or (member is not None and not member.needs_input):
                if member is None:
                    data = data.lstrip(padding)
                    if not data:
                        break
                    member = new()
                if out := member.decompress(data, _BLOCK):
                    yield out
                data = b""
                if member.eof:
                    data, member = member.unused_data, None
    except (zlib.error, lzma.LZMAError, OSError) as error:
        raise CompressionError(f"its compressed data is damaged, or followed by something else ({error})") from error
    if member is not None:
        raise CompressionError("it is cut off: its compressed data does not end")


def _gzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    return _members(blocks, _GzipMember, b"\0")


def _bzip2(blocks: Iterator[bytes]) -> Iterator[bytes]:
    return _members(blocks, bz2.BZ2Decompressor, b"")


def _xz(blocks: Iterator[bytes]) -> Iterator[bytes]:
    return _members(blocks, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_XZ_MEMORY), b"\0")


def _zstd(blocks: Iterator[bytes]) -> Iterator[bytes]:
    import pyarrow as pa

    # The standard library has Zstandard from 3.14 on. Arrow's stream knows several frames, and refuses one that is
    # cut off, and windows over 128 MiB.
    with pa.CompressedInputStream(pa.PythonFile(_BlockFile(blocks), mode="r"), "zstd") as stream:
        while True:
            try:
                block = stream.read(_BLOCK)
            except OSError as error:
                what = "it is cut off" if "Truncated" in str(error) else "its compressed data is damaged"
                raise CompressionError(f"{what}, or followed by something else ({error})") from error
            if not block:
                return
            yield block


class _BlockFile:
    """Blocks as the file that Arrow wants to read."""

    closed = False

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def read(self, length: int) -> bytes:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = memoryview(block)
        taken, self._rest = self._rest[:length], self._rest[length:]
        return bytes(taken)

    def close(self) -> None:
        self.closed = True


_READERS: Final[dict[FileKind, Decode]] = {
    FileKind.GZIP: _gzip,
    FileKind.ZSTD: _zstd,
    FileKind.BZIP2: _bzip2,
    FileKind.XZ: _xz,
}
# Zstandard is so fast that two threads are hardly faster than one: benchmarks/README.md.
_FINDERS: Final[dict[FileKind, Find]] = {
    FileKind.GZIP: find_bgzf,
    FileKind.BZIP2: find_bzip2,
    FileKind.XZ: find_xz,
}
