"""Compressed files as tools write them that work in parallel: bgzip, pbzip2, and xz with several blocks."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from kumo_async.formats.identify import FileKind

__all__ = ["PACKS", "bgzf", "xz_blocks"]


def bgzf(data: bytes) -> bytes:
    """Return one member as bgzip writes it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    extra = b"BC\x02\0" + struct.pack("<H", len(packed) + 25)
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0" + extra
    return head + packed + struct.pack("<II", zlib.crc32(data), len(data))


def xz_blocks(texts: Sequence[bytes], sizes: bool = True, **options: Any) -> bytes:
    """Return one stream with a block for each text, with or without sizes in its header as `xz -T2` and `-T1` write."""
    blocks, records = b"", b""
    header = lzma.compress(b"", **options)[:12]
    for text in filter(None, texts):
        stream: bytes = lzma.compress(text, **options)
        index_size = int.from_bytes(stream[-8:-4], "little") * 4 + 4
        block = stream[12 : -12 - index_size]
        unpadded, _ = _number(stream, len(stream) - 12 - index_size + 2)
        if sizes:
            block, unpadded = _with_sizes(block, unpadded, len(text), {0: 0, 1: 4, 4: 8, 10: 32}[header[7]])
        blocks += block
        records += _variable(unpadded) + _variable(len(text))
    index = b"\0" + _variable(sum(map(bool, texts))) + records
    index += bytes(-len(index) % 4)
    footer = struct.pack("<I", len(index) // 4) + header[6:8]
    return b"".join([header, blocks, index, _crc(index), _crc(footer), footer, b"YZ"])


def _with_sizes(block: bytes, unpadded: int, held: int, check: int) -> tuple[bytes, int]:
    old = block[0] * 4 + 4
    filters = block[2 : old - 4].rstrip(b"\0") if block[1] == 0 else block[2 : old - 4]
    new = bytes([block[1] | 0xC0]) + _variable(unpadded - old - check) + _variable(held) + filters
    new += bytes(-(len(new) + 1) % 4)
    new = bytes([(len(new) + 1) // 4]) + new
    return new + _crc(new) + block[old:], unpadded - old + len(new) + 4


def _crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def _variable(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _variable(number >> 7)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of several groups of seven bits; return it and where it ends."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return number, at + 1
        at, shift = at + 1, shift + 7


def _each(pack: Callable[[bytes], bytes]) -> Callable[[Sequence[bytes]], bytes]:
    return lambda texts: b"".join(map(pack, texts))


#: Pack several texts into one file of several members.
PACKS: dict[str, tuple[FileKind, Callable[[Sequence[bytes]], bytes]]] = {
    "bgzip": (FileKind.GZIP, _each(bgzf)),
    "pbzip2": (FileKind.BZIP2, _each(lambda text: bz2.compress(text, 1))),
    "xz streams": (FileKind.XZ, _each(lambda text: lzma.compress(text, preset=0))),
    "xz blocks": (FileKind.XZ, lambda texts: xz_blocks(texts, preset=0)),
    "xz blocks without sizes": (FileKind.XZ, lambda texts: xz_blocks(texts, sizes=False, preset=0)),
}
