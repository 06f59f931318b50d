"""Members decoded side by side: the same text and the same errors as in a row, whatever the members and the cuts."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import os
import random
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from members_files import PACKS, bgzf, xz_blocks

from kumo_async.formats import ahead, members, side_by_side, xz_streams
from kumo_async.formats.decompress import CompressionError, decompress
from kumo_async.formats.identify import FileKind
from kumo_async.formats.members import Pieces, find_bgzf, find_bzip2
from kumo_async.formats.xz_streams import STREAM_HEADERS, one_block_streams

MAGIC = b"BZh91AY&SY"
RANDOM = random.Random(7).randbytes(3_000_000)
each_pack = pytest.mark.parametrize("pack", PACKS)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces small, so that small files have many."""
    monkeypatch.setattr(members, "PIECE", 1_000)
    for module in (members, side_by_side):
        monkeypatch.setattr(module, "MOST_PIECE", 120_000)
    monkeypatch.setattr(ahead, "MOST_AHEAD", 200_000)


def outcome(data: bytes, kind: FileKind, threads: int, step: int = 100_000) -> tuple[bytes, str]:
    """Return what came out, and the error that ended it."""
    out = bytearray()
    try:
        for block in decompress((data[at : at + step] for at in range(0, len(data), step)), kind, threads):
            out += block
    except CompressionError as error:
        return bytes(out), str(error)
    return bytes(out), ""


def assert_same(data: bytes, kind: FileKind, step: int = 100_000) -> str:
    """Hold that two threads come to what one comes to; return the error."""
    (row, error), (text, found) = outcome(data, kind, 1, step), outcome(data, kind, 2, step)
    assert found == error
    # How much comes out before an error depends on the steps in which a decoder is given its data.
    assert text == row if not error else text.startswith(row) or row.startswith(text)
    return error


texts = st.lists(st.tuples(st.integers(0, 40_000), st.booleans()), min_size=1, max_size=12).map(
    lambda sizes: [RANDOM[:size] if noise else b"1234,abc\n" * (size // 9) for size, noise in sizes]
)


@each_pack
@settings(max_examples=30)
@given(parts=texts, step=st.integers(100, 50_000))
def test_members_come_out_whole_and_in_order(pack: str, parts: list[bytes], step: int) -> None:
    kind, packed = PACKS[pack]
    assert outcome(packed(parts), kind, 3, step) == (b"".join(parts), "")


@each_pack
@settings(max_examples=60)
@given(parts=texts, place=st.floats(0, 1, exclude_max=True), bits=st.integers(0, 255), tail=st.binary(max_size=40))
def test_damage_a_cut_and_a_tail_are_told_as_in_a_row(
    pack: str, parts: list[bytes], place: float, bits: int, tail: bytes
) -> None:
    kind, packed = PACKS[pack]
    data = packed(parts)
    at = int(len(data) * place)
    assert_same(data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :], kind)
    assert_same(data[:at], kind)
    assert_same(data + tail, kind)
    assert_same(data + bytes(len(tail)) + data, kind)


@each_pack
def test_damage_and_cuts_at_every_place_near_the_ends(pack: str) -> None:
    kind, packed = PACKS[pack]
    data = packed([b"1,2\n" * 10, RANDOM[:2_000], RANDOM[:1_500]])
    for at in [*range(80), *range(len(data) - 80, len(data))]:
        assert_same(data[:at], kind)
        for bits in (0x01, 0x80, 0xFF, data[at]):
            assert_same(data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :], kind)


@each_pack
def test_wrong_guesses_change_nothing(pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # No file can be made to hold a magic number at will: every place is guessed to be where a member begins.
    kind, packed = PACKS[pack]
    monkeypatch.setattr("kumo_async.formats.decompress._FINDERS", {kind: lambda _data, least: least})
    parts = [RANDOM[at : at + 50_000] for at in range(0, 1_000_000, 50_000)]
    assert outcome(packed(parts), kind, 2) == (b"".join(parts), "")


@each_pack
@pytest.mark.parametrize("tail", [b"\0" * 9, b"rubbish", MAGIC, lzma.compress(b"x")[:20], bgzf(b"x")])
def test_what_follows_the_last_member_is_treated_alike(pack: str, tail: bytes) -> None:
    kind, packed = PACKS[pack]
    assert_same(packed([RANDOM[:30_000]] * 3) + tail, kind)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(RANDOM), FileKind.GZIP),
        (bz2.compress(RANDOM), FileKind.BZIP2),
        (lzma.compress(RANDOM, preset=0), FileKind.XZ),
    ],
    ids=["gzip", "bzip2", "xz"],
)
def test_one_large_member_is_read_in_a_row(data: bytes, kind: FileKind) -> None:
    before = threading.active_count()
    blocks = decompress(iter([data]), kind, 2)
    text = next(blocks)
    assert threading.active_count() == before
    assert text + b"".join(blocks) == RANDOM


@pytest.mark.parametrize("check", [lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256])
@pytest.mark.parametrize("filters", [None, [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2}]])
def test_blocks_of_every_kind_become_streams(check: int, filters: list[dict[str, int]] | None) -> None:
    parts = [b"1,2\n" * 40_000, RANDOM[:150_000], b"x"]
    streams = b"".join(one_block_streams(iter([xz_blocks(parts, check=check, filters=filters)])))
    assert lzma.decompress(streams) == b"".join(parts)
    decoders = []
    while streams:
        decoders.append(lzma.LZMADecompressor(lzma.FORMAT_XZ))
        assert decoders[-1].decompress(streams) == parts[len(decoders) - 1]
        streams = decoders[-1].unused_data
    assert len(decoders) == 3


@settings(max_examples=200)
@given(st.binary(max_size=300), st.lists(st.integers(1, 300), max_size=5), st.sampled_from([*STREAM_HEADERS]))
def test_rubbish_in_a_stream_is_refused(rubbish: bytes, sizes: list[int], header: bytes) -> None:
    whole = xz_blocks([RANDOM[:size] for size in sizes])
    for data in (header + rubbish, whole[: 12 + len(rubbish)] + rubbish):
        (row, error), (text, found) = (outcome(data, FileKind.XZ, threads) for threads in (1, 2))
        # Which of several faults is told may differ.
        assert (text == row and found == error == "") or (found and error)


@pytest.mark.parametrize("last", [1, 2])
def test_an_index_that_leaves_blocks_out_is_refused(last: int) -> None:
    one, two = xz_blocks([b"1,2\n"]), xz_blocks([b"1,2\n", b"3,4\n"])
    empty = lzma.compress(b"")
    blocks = two[: two.index(b"\0\x02", 12)]
    for index in (empty[12:], one[one.rindex(b"\0\x01") :]):
        assert "Corrupt input data" in assert_same(blocks + index, FileKind.XZ)


def test_the_bound_of_expansion_holds() -> None:
    bomb = bz2.compress(b"\0" * 40_000_000) * 8
    out, error = outcome(bomb, FileKind.BZIP2, 2)
    assert (out, error) == outcome(bomb, FileKind.BZIP2, 1)
    assert "250-fold" in error
    assert len(out) <= 64 * 1024 * 1024


@each_pack
def test_closing_ends_the_threads(pack: str) -> None:
    kind, packed = PACKS[pack]
    before = set(threading.enumerate())
    blocks = decompress(iter([packed([RANDOM[:50_000]] * 20)]), kind, 2)
    next(blocks)
    assert set(threading.enumerate()) > before
    blocks.close()
    assert set(threading.enumerate()) == before


def test_an_error_of_the_file_ends_the_threads() -> None:
    def broken() -> Iterator[bytes]:
        yield PACKS["pbzip2"][1]([RANDOM[:50_000]] * 20)
        raise OSError("gone")

    before = set(threading.enumerate())
    with pytest.raises(OSError, match="gone"):
        list(decompress(broken(), FileKind.BZIP2, 2))
    assert set(threading.enumerate()) == before


def test_text_waits_within_its_bound_and_the_first_piece_never_does() -> None:
    full = threading.Event()
    produced = itertools.count(1)

    def decode(blocks: Iterator[bytes]) -> Iterator[bytes]:
        number = b"".join(blocks)
        if number == b"0":
            assert full.wait(60)
            yield from [b"0" * 90_000] * 10
        else:
            for _ in range(10):
                yield number * 50_000
                if next(produced) == 4:
                    full.set()

    work = ahead.Ahead(decode, 3)
    for number in range(4):
        work.add(ahead.Piece(b"%d" % number, number))
    found = []
    while work.pieces:
        for decoded in work.first():
            found.append(decoded.block[:1])
            waiting = sum(len(later.block) for piece in work.pieces for later in list(piece.waiting))
            assert waiting <= 200_000 + 90_000
        assert work.pieces[0].whole
        work.drop_first()
    work.close()
    assert found == [b"0"] * 10 + [b"1"] * 10 + [b"2"] * 10 + [b"3"] * 10


@pytest.mark.parametrize("threads", [2, 4])
@each_pack
def test_memory_stays_within_the_formula(pack: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (members, side_by_side):
        monkeypatch.setattr(module, "MOST_PIECE", 300_000)
    monkeypatch.setattr(ahead, "MOST_AHEAD", 600_000)
    kind, packed = PACKS[pack]
    text = b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(5_000))[:60_000]
    data = packed([text] * 20) * 6
    one, most = 0, 0
    for count in (1, threads):
        tracemalloc.start()
        size = sum(map(len, decompress((data[at : at + 50_000] for at in range(0, len(data), 50_000)), kind, count)))
        one, most = most, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size == 120 * len(text)
    assert most <= 600_000 + len(text) + 3 * 300_000 + threads * one


@given(st.lists(st.integers(0, 40_000), max_size=8), st.integers(1, 3))
def test_pieces_are_the_data(sizes: list[int], blocks: int) -> None:
    data = b"".join(MAGIC + b"x" * size for size in sizes)
    step = len(data) // blocks + 1
    pieces = Pieces((data[at : at + step] for at in range(0, len(data), step)), find_bzip2)
    cut = list(pieces)
    assert pieces.taken == sum(map(len, cut))
    assert b"".join(cut) + b"".join(pieces.rest()) == data
    assert all(piece.startswith(MAGIC) for piece in cut)
    assert all(len(piece) >= 1_000 for piece in cut[:-1])


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.integers(1, 2000))
def test_a_member_of_bgzip_is_found_by_its_size(texts: list[bytes], least: int) -> None:
    packed = [bgzf(text) for text in texts]
    begins = list(itertools.accumulate(map(len, packed)))
    expected = next((begin for begin in begins[:-1] if begin >= least), None)
    assert find_bgzf(bytearray(b"".join(packed)), least) == expected


def test_a_magic_number_over_the_border_of_blocks_is_found() -> None:
    data = bz2.compress(RANDOM[:5_000]) + bz2.compress(RANDOM[:6_000])
    begin = data.index(MAGIC[:3], 10)
    for border in range(begin - 2, begin + 12):
        assert len(next(Pieces(iter([data[:border], data[border:]]), find_bzip2))) == begin


def test_a_long_index_is_compared_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xz_streams, "_STEP", 7)
    data = xz_blocks([os.urandom(9)] * 300)
    assert assert_same(data, FileKind.XZ) == ""
    for at in range(len(data) - 1_000, len(data), 90):
        assert "Corrupt" in assert_same(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], FileKind.XZ)
        assert "cut off" in assert_same(data[:at], FileKind.XZ)
