"""Columns that contradict themselves in the footer: refused, or uploaded as they are, and the process lives."""

from __future__ import annotations

import base64
import traceback
from pathlib import Path

import pyarrow as pa
import pytest
from parquet_edits import with_footer
from parquet_files import load, read, write
from parquet_uploads import joined, small

import kumo_async
from kumo_async.formats import thrift
from kumo_async.formats.parquet_footer import KEY_VALUES
from kumo_async.formats.parquet_metas import column_metas
from kumo_async.local import LocalDataPlane

Connector = kumo_async.FileUploadConnector

TYPE, ENCODINGS, CODEC, STATISTICS, SIZE_STATISTICS = 1, 2, 4, 12, 16
_HISTOGRAM_OF_FIVE = bytes([0x39, 5 << 4 | 6, 0, 0, 0, 0, 0, 0])
LIES = {
    "another physical type": {TYPE: thrift.write_integer(9)},
    "no such codec": {CODEC: thrift.write_integer(9)},
    "a codec that nobody has": {CODEC: thrift.write_integer(3)},
    "levels that there are not": {SIZE_STATISTICS: _HISTOGRAM_OF_FIVE},
    "a count of nulls that is no number": {STATISTICS: bytes([0x38, 1, 65, 0])},
    "encodings that are no numbers": {ENCODINGS: bytes([1 << 4 | thrift.BINARY, 1, 65])},
}


def with_first_column(source: bytes, values: dict[int, bytes]) -> bytes:
    """Change what the footer says of the first column of the first row group."""
    return with_footer(source, thrift.changes(column_metas(load(source), 0)[0].fields, dict(values)))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.parametrize("kind", [pa.uint32(), pa.uint64(), pa.int32()], ids=str)
async def test_a_column_that_contradicts_itself(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, lie: dict[int, bytes], kind: pa.DataType
) -> None:
    source = write(pa.table({"a": pa.array(range(2_000), kind)}), row_group_size=1_000)
    path = tmp_path / "t.parquet"
    path.write_bytes(with_first_column(source, lie))
    try:
        await parquet.upload_async("t", path, options=small(4_000, validate="full"))
    except kumo_async.SourceError:
        assert not plane.table_files("t", "parquet")
    else:
        assert joined(plane.table_files("t", "parquet"))["a"].to_pylist() == read(source)["a"].to_pylist()


async def test_an_arrow_schema_whose_names_are_no_text_is_left_alone(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    source = write(pa.table({"zzz": pa.array(["x"] * 10, pa.large_string())}))
    footer = load(source)
    (key, value), *_ = footer.key_value_metadata
    entries = thrift.structs(footer.data, footer.fields, KEY_VALUES, 10)
    broken = base64.b64encode(base64.b64decode(value or b"").replace(b"zzz", b"\xff\xff\xff"))
    path = tmp_path / "t.parquet"
    path.write_bytes(with_footer(source, thrift.changes(entries[0], {2: thrift.write_binary(broken)})))
    await parquet.upload_async("t", path)
    assert key == b"ARROW:schema"
    assert joined(plane.table_files("t", "parquet"))["zzz"].to_pylist() == ["x"] * 10


@pytest.mark.parametrize("kind", [pa.uint32(), pa.uint64(), pa.int64()], ids=str)
async def test_full_validation_compares_pages_with_their_checksums(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path, kind: pa.DataType
) -> None:
    table = pa.table({"a": pa.array(range(2_000), kind)})
    source = bytearray(write(table, use_dictionary=False, compression="none", write_page_checksum=True))
    source[1_000] ^= 1
    path = tmp_path / "t.parquet"
    path.write_bytes(source)
    with pytest.raises(kumo_async.SourceError, match=r"column 'a' of row group 0"):
        await parquet.upload_async("t", path, options=small(None, validate="full"))
    assert not plane.table_files("t", "parquet")


async def test_full_validation_does_not_believe_statistics(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    statistics = bytes([0x58, 8, *bytes(8), 0x18, 8, *bytes(8), 0])
    source = write(pa.table({"a": pa.array([1, 2**64 - 1], pa.uint64())}))
    path = tmp_path / "t.parquet"
    path.write_bytes(with_first_column(source, {STATISTICS: statistics}))
    with pytest.raises(kumo_async.SourceError, match=r"has values over 2\^63 - 1 in row group 0"):
        await parquet.upload_async("t", path, options=small(None, validate="full"))
    assert not plane.table_files("t", "parquet")


async def test_a_value_that_its_type_does_not_allow_is_refused_and_not_shown(
    plane: LocalDataPlane, parquet: Connector, tmp_path: Path
) -> None:
    values = pa.array([1_234_567_891], pa.decimal128(18, 0))
    too_large = pa.Array.from_buffers(pa.decimal128(3, 0), 1, values.buffers())
    path = tmp_path / "t.parquet"
    path.write_bytes(write(pa.table({"a": [1], "b": too_large}), store_decimal_as_integer=True))
    with pytest.raises(kumo_async.SourceError, match=r"column 'b' of row group 0") as caught:
        await parquet.upload_async("t", path, options=small(None, validate="full"))
    assert "1234567891" not in "".join(traceback.format_exception(caught.value))
    assert not plane.table_files("t", "parquet")
