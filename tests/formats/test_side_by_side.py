"""Members decoded side by side: the same blocks and the same errors as in a row, whatever the cuts."""

from __future__ import annotations

import bz2
import gzip
import itertools
import random
import struct
import threading
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.formats.decompress import CompressionError, decompress
from kumo_async.formats.identify import FileKind
from kumo_async.formats.side_by_side import Pieces, find_bgzf, find_bzip2

MAGIC = b"BZh91AY&SY"
RANDOM = random.Random(7).randbytes(3_000_000)


def bgzf(data: bytes) -> bytes:
    """Return one member as bgzip writes it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    extra = b"BC\x02\0" + struct.pack("<H", len(packed) + 25)
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0" + extra
    return head + packed + struct.pack("<II", zlib.crc32(data), len(data))


def members(pack: Callable[[bytes], bytes], size: int) -> bytes:
    return b"".join(pack(RANDOM[at : at + size]) for at in range(0, len(RANDOM), size))


BGZF = members(bgzf, 50_000) + bgzf(b"")
BZIP2 = members(lambda data: bz2.compress(data, 1), 200_000)
FILES = [(BGZF, FileKind.GZIP), (BZIP2, FileKind.BZIP2)]


def outcome(data: bytes, kind: FileKind, threads: int, step: int = 100_000) -> tuple[bytes, str]:
    """Return what came out, and the error that ended it."""
    out = bytearray()
    try:
        for block in decompress((data[at : at + step] for at in range(0, len(data), step)), kind, threads):
            out += block
    except CompressionError as error:
        return bytes(out), str(error)
    return bytes(out), ""


@pytest.mark.parametrize(("data", "kind"), FILES)
def test_members_come_out_whole_and_in_order(data: bytes, kind: FileKind) -> None:
    assert outcome(data, kind, 3) == (RANDOM, "")


@pytest.mark.parametrize(("data", "kind"), FILES)
@pytest.mark.parametrize("tail", [b"\0" * 9, b"rubbish", MAGIC])
def test_what_follows_the_last_member_is_treated_alike(data: bytes, kind: FileKind, tail: bytes) -> None:
    assert outcome(data + tail, kind, 2) == outcome(data + tail, kind, 1)


@pytest.mark.parametrize(("data", "kind"), FILES)
@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_damage_and_a_cut_are_told_as_in_a_row(data: bytes, kind: FileKind, place: float) -> None:
    at = int(len(data) * place) + 100  # not where a member ends
    for bad in (data[:at], data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]):
        expected = outcome(bad, kind, 1)
        assert expected[1]
        assert outcome(bad, kind, 2) == expected


def test_a_magic_number_inside_a_member_is_no_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    # bzip2 cannot be made to hold its own magic number at will: every place is guessed to be the end of a piece.
    monkeypatch.setattr("kumo_async.formats.decompress._FINDERS", {FileKind.BZIP2: lambda _data, least: least})
    assert outcome(BZIP2, FileKind.BZIP2, 2) == (RANDOM, "")


@pytest.mark.parametrize(
    ("data", "kind"), [(gzip.compress(RANDOM), FileKind.GZIP), (bz2.compress(RANDOM), FileKind.BZIP2)]
)
def test_one_member_is_read_in_a_row(data: bytes, kind: FileKind) -> None:
    assert outcome(data, kind, 2) == (RANDOM, "")


def test_the_bound_of_expansion_holds() -> None:
    bomb = bz2.compress(b"\0" * 40_000_000) * 8
    out, error = outcome(bomb, FileKind.BZIP2, 2)
    assert "250-fold" in error
    assert len(out) <= 64 * 1024 * 1024


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())
    blocks = decompress(iter([BZIP2]), FileKind.BZIP2, 2)
    next(blocks)
    assert set(threading.enumerate()) > before
    blocks.close()
    assert set(threading.enumerate()) == before


@given(st.lists(st.integers(0, 400_000), max_size=8), st.integers(1, 3))
def test_pieces_are_the_data(sizes: list[int], blocks: int) -> None:
    data = b"".join(MAGIC + b"x" * size for size in sizes)
    step = len(data) // blocks + 1
    pieces = Pieces((data[at : at + step] for at in range(0, len(data), step)), find_bzip2)
    cut = list(pieces)
    rest = b"".join(pieces.rest())
    assert b"".join(cut) + rest == data
    assert all(piece.startswith(MAGIC) and len(piece) >= 256 * 1024 for piece in cut)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.integers(1, 2000))
def test_a_member_of_bgzip_is_found_by_its_size(texts: list[bytes], least: int) -> None:
    packed = [bgzf(text) for text in texts]
    begins = list(itertools.accumulate(map(len, packed)))
    expected = next((begin for begin in begins[:-1] if begin >= least), None)
    assert find_bgzf(b"".join(packed), least) == expected
