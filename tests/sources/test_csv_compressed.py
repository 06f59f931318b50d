"""Compressed CSV: decompressed as a stream, whole or refused, and never without bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import anyio
import members_files
import pyarrow as pa
import pytest
from csv_partitions import cut, parsed, spool_files
from hypothesis import given, settings
from hypothesis import strategies as st

import kumo_async
from kumo_async import CsvOptions, SourceError, UploadOptions
from kumo_async.formats import decompress as module
from kumo_async.formats.decompress import CompressionError, decompress
from kumo_async.formats.identify import FileKind
from kumo_async.local import LocalDataPlane
from kumo_async.sources import open_source


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


Pack = Callable[[bytes], bytes]
PACKS: dict[str, tuple[Pack, FileKind]] = {
    "gz": (gzip.compress, FileKind.GZIP),
    "zst": (zstd, FileKind.ZSTD),
    "bz2": (bz2.compress, FileKind.BZIP2),
    "xz": (lzma.compress, FileKind.XZ),
}
each_pack = pytest.mark.parametrize("ending", PACKS)
TEXT = b'id,"a b"\r\n' + b"".join(b'%d,"x\r\n""%d"\r\n' % (number, number * 7919) for number in range(3_000))


def blocks(data: bytes, borders: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    return iter([data[start:end] for start, end in pairwise(edges)])


@each_pack
@settings(max_examples=40)
@given(data=st.lists(st.binary(max_size=60), min_size=1, max_size=3), borders=st.lists(st.integers(0, 200), max_size=5))
def test_several_members_are_read_as_one(ending: str, data: list[bytes], borders: list[int]) -> None:
    pack, kind = PACKS[ending]
    packed = b"".join(map(pack, data))
    assert b"".join(decompress(blocks(packed, borders), kind)) == b"".join(data)


@each_pack
def test_more_than_a_block_comes_out_of_little(ending: str) -> None:
    pack, kind = PACKS[ending]
    data = bytes(3_000_000) + b"end"
    found = list(decompress(iter([pack(data)]), kind))
    assert b"".join(found) == data
    assert max(map(len, found)) <= 1024 * 1024


@each_pack
@pytest.mark.parametrize("size", [None, 1_000, 20_000, 10**9])
def test_records_are_the_sources(tmp_path: Path, ending: str, size: int | None) -> None:
    pack, _ = PACKS[ending]
    path = tmp_path / f"a.CSV.{ending.upper()}"
    path.write_bytes(pack(TEXT[:1_000]) + pack(TEXT[1_000:]))
    found = cut(path, size, validate="full")
    assert [row for _, content in found for row in parsed(content)[1:]] == parsed(TEXT)[1:]
    assert sum(rows or 0 for rows, _ in found) == 3_000
    assert b"".join(content.removeprefix(b"id,a_b\r\n") for _, content in found) == TEXT.removeprefix(b'id,"a b"\r\n')


@each_pack
async def test_the_decompressed_size_decides_between_one_object_and_partitions(
    plane: LocalDataPlane, csv: kumo_async.FileUploadConnector, tmp_path: Path, ending: str
) -> None:
    pack, kind = PACKS[ending]
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(pack(TEXT))
    size = path.stat().st_size
    assert size < 0.5 * len(TEXT)
    small = await csv.upload_async("a", path, options=UploadOptions(partition_threshold=len(TEXT)))
    assert [partition.name for partition in small.partitions] == ["a"]
    assert kind.split()[1] in str(small.dialect)
    options = UploadOptions(partition_threshold=size, partition_size=10_000)
    large = await csv.upload_async("a", path, options=options)
    assert len(large.partitions) > 3
    assert large.rows == small.rows == 3_000
    assert len(plane.table_files("a", "csv")) == len(large.partitions)
    with pytest.raises(ValueError, match="auto_partition"):
        await csv.upload_async("a", path, auto_partition=False, options=options)


@pytest.mark.parametrize("ending", ["gz", "csv"])
async def test_a_text_in_several_temporary_files_travels_as_one_object(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    ending: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kumo_async.sources.csv_content._SPOOL_SIZE", 1_000_000)
    monkeypatch.setattr("kumo_async.sources.csv_scan._STRIDE", 1_000_000)
    text, rows = TEXT.replace(b"a b", b"a_b") + TEXT.split(b"\n", 1)[1] * 60, 3_000 * 61
    path = tmp_path / f"a.csv{'.gz' if ending == 'gz' else ''}"
    path.write_bytes(gzip.compress(text) if ending == "gz" else text.decode().encode("utf-16"))
    options = UploadOptions(spool_dir=tmp_path, csv=CsvOptions(encoding="utf-16" if ending == "csv" else None))
    report = await csv.upload_async("a", path, options=options)
    assert [(partition.name, partition.rows) for partition in report.partitions] == [("a", rows)]
    assert [file.read_bytes() for file in plane.table_files("a", "csv")] == [text]
    assert spool_files(tmp_path) == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
async def test_temporary_files_are_freed_with_their_partitions(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.sources.csv_content._SPOOL_SIZE", 1_000_000)
    monkeypatch.setattr("kumo_async.sources.encode.UNIT_BYTES", 500_000)
    monkeypatch.setattr("kumo_async.sources.convert_types.BLOCK_BYTES", 250_000)
    monkeypatch.setattr("kumo_async.sources.convert.processors", lambda: 1)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TEXT * 400))
    options = UploadOptions(partition_threshold=0, spool_dir=tmp_path, convert="parquet" if kind == "parquet" else None)
    held = []
    async with open_source(path, kind, options) as source:
        async for partition in source.partitions(200_000):
            del partition
            held.append(len(spool_files(tmp_path)))
    assert max(held) <= 10 < len(TEXT) * 400 // 1_000_000
    assert len(held) > 10


@each_pack
@pytest.mark.parametrize("keep", [1, 20, -1, -5, -20])
def test_a_cut_off_file_is_refused(tmp_path: Path, ending: str, keep: int) -> None:
    pack, _ = PACKS[ending]
    path = tmp_path / f"a.csv.{ending}"
    for whole in (pack(TEXT), pack(TEXT) + pack(TEXT)):
        path.write_bytes(whole[:keep])
        with pytest.raises(SourceError) as caught:
            cut(path, None)
        assert caught.value.path == str(path)
        assert "cut off" in str(caught.value) or keep == 1


@each_pack
@pytest.mark.parametrize("rest", [b"garbage", b"\0garbage", b"id,x\n1,2\n", b"\x28"])
def test_what_follows_the_end_is_refused(tmp_path: Path, ending: str, rest: bytes) -> None:
    pack, _ = PACKS[ending]
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(pack(TEXT) + rest)
    with pytest.raises(SourceError, match=r"followed by something else|cut off"):
        cut(path, None)


@each_pack
def test_damage_is_refused(tmp_path: Path, ending: str) -> None:
    pack, _ = PACKS[ending]
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(packed)
    with pytest.raises(SourceError, match=r"damaged|cut off|record"):  # Arrow writes Zstandard without checksums
        cut(path, 5_000)


@pytest.mark.parametrize("ending", ["gz", "xz"])
def test_padding_with_zeros_is_no_garbage(ending: str) -> None:
    pack, kind = PACKS[ending]
    packed = [pack(b"ab"), bytes(8), bytes(512), pack(b"c"), bytes(4)]
    assert b"".join(decompress(iter(packed), kind)) == b"abc"
    assert b"".join(decompress(iter([b"".join(packed)]), kind)) == b"abc"


def test_frames_to_be_skipped_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.zst"
    path.write_bytes(bytes.fromhex("502a4d18") + (4).to_bytes(4, "little") + b"skip" + zstd(b"a,b\n1,2\n"))
    assert cut(path, None) == [(1, b"a,b\n1,2\n")]


@each_pack
def test_a_bomb_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    pack, _ = PACKS[ending]
    monkeypatch.setattr(module, "EXPANSION_FLOOR", 200_000)
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(pack(b"a,b\n" + b"1,2\n" * 45_000))
    assert cut(path, None)[0][0] == 45_000
    path.write_bytes(pack(b"a,b\n" + b"1,2\n" * 1_000_000))
    with pytest.raises(SourceError, match="more than 250-fold"):
        cut(path, 1_000_000)


def test_a_bomb_is_refused_at_its_real_size() -> None:
    whole = gzip.compress(b"1,2\n" * (80 * 1024**2 // 4))
    produced: list[int] = []
    with pytest.raises(CompressionError, match="decompress it first"):
        produced.extend(map(len, decompress(blocks(whole, list(range(0, len(whole), 10_000))), FileKind.GZIP)))
    assert 60 * 1024**2 < sum(produced) < 70 * 1024**2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", b"id,x\n1,2\n", "not a gzip file.*it is text, such as CSV"),
        ("a.csv.gz", zstd(b"id,x\n1,2\n"), "it is a Zstandard file"),
        ("a.csv.zst", gzip.compress(b"id,x\n1,2\n"), "it is a gzip file"),
        ("a.csv.gz", b"", "is empty"),
        ("a.csv.gz", gzip.compress(b""), "is empty"),
        ("a.csv.gz", gzip.compress(b"id,x\n"), "no rows"),
        ("a.csv.gz", gzip.compress(b"PAR1" + bytes(40)), "a Parquet file"),
        ("a.csv.gz", gzip.compress(gzip.compress(b"id,x\n1,2\n")), "it is a gzip file"),
        ("a.csv", gzip.compress(b"id,x\n1,2\n"), "it is a gzip file"),
        ("a.csv.bz2", bz2.compress(b"id,x\n1,2\n3\n"), "record 2"),
        ("a.csv.lz4", b"\x04\x22\x4d\x18" + bytes(40), "it is an LZ4 file"),
        ("a.gz", gzip.compress(b"PAR1" + bytes(40)), "a Parquet file"),
    ],
    ids=map(str, range(12)),  # gzip writes the time into its data
)
async def test_what_is_not_compressed_csv_is_refused(
    plane: LocalDataPlane,
    csv: kumo_async.FileUploadConnector,
    tmp_path: Path,
    name: str,
    content: bytes,
    words: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=words):
        await csv.upload_async("a", tmp_path / name)
    assert [call for call in plane.calls if call.call not in ("validate", "list")] == []


def test_compressed_text_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress("id;näme\n1;ß\n".encode("cp1252")))
    assert cut(path, None, csv=CsvOptions(encoding="cp1252")) == [(1, "id;n_me\n1;ß\n".encode())]


@each_pack
async def test_an_upload_that_is_cancelled_leaves_nothing(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, ending: str
) -> None:
    pack, _ = PACKS[ending]
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(pack(TEXT * 100))
    options = UploadOptions(partition_threshold=0, partition_size=100_000, spool_dir=tmp_path)
    with anyio.CancelScope() as scope:

        class Cancel:
            def on_event(self, event: kumo_async.Event) -> None:
                if isinstance(event, kumo_async.PartitionStored):
                    scope.cancel()

        await csv.upload_async("a", path, options=options, observer=Cancel())
    assert scope.cancelled_caught
    assert spool_files(tmp_path) == []
    assert not await csv.has_table_async("a")


@pytest.mark.parametrize("pack", members_files.PACKS)
async def test_threads_end_with_an_upload_that_is_cancelled_or_fails(
    csv: kumo_async.FileUploadConnector, tmp_path: Path, pack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_async.sources.csv_content.processors", lambda: 3)
    monkeypatch.setattr("kumo_async.formats.members.PIECE", 1_000)
    kind, packed = members_files.PACKS[pack]
    path = tmp_path / f"a.csv.{next(ending for ending, (_, other) in PACKS.items() if other is kind)}"
    data = packed([b"id,x\n", *[TEXT.split(b"\n", 1)[1][:30_000]] * 300])
    path.write_bytes(data)
    options = UploadOptions(partition_threshold=0, partition_size=100_000, spool_dir=tmp_path)
    running: list[int] = []
    with anyio.CancelScope() as scope:

        class Cancel:
            def on_event(self, event: kumo_async.Event) -> None:
                if isinstance(event, kumo_async.PartitionStored):
                    running.append(sum("decompress" in thread.name for thread in threading.enumerate()))
                    scope.cancel()

        await csv.upload_async("a", path, options=options, observer=Cancel())
    assert scope.cancelled_caught
    assert running[0]
    assert not [thread for thread in threading.enumerate() if "decompress" in thread.name]
    path.write_bytes(data[:-50])
    with pytest.raises(SourceError, match=r"cut off|never ends"):
        await csv.upload_async("a", path, options=options)
    assert not [thread for thread in threading.enumerate() if "decompress" in thread.name]


async def test_a_file_that_changes_meanwhile_makes_no_table(
    csv: kumo_async.FileUploadConnector, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TEXT))

    class Change:
        def on_event(self, event: kumo_async.Event) -> None:
            if isinstance(event, kumo_async.PartitionStarted):
                path.write_bytes(gzip.compress(TEXT + b"1,2\n"))

    with pytest.raises(kumo_async.SourceChangedError):
        await csv.upload_async("a", path, observer=Change())
    assert not await csv.has_table_async("a")
