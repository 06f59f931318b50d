"""What is said of parts that the storage does not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import kumo_async
from kumo_async.local import Fault, LocalDataPlane, Status
from kumo_async.options import MIN_PART_SIZE


@pytest.mark.parametrize("part", [1, 2])
async def test_a_policy_is_suspected_where_no_part_at_all_was_taken(
    plane: LocalDataPlane, parquet: kumo_async.FileUploadConnector, write_parquet: Callable[..., Path], part: int
) -> None:
    table = pa.table({"blob": [bytes(2 * MIN_PART_SIZE)], "id": [1]})
    path = write_parquet(table, compression="none", use_dictionary=False)
    plane.inject(Fault(call="put_part", part=part, answer=Status(403, code="AccessDenied")))
    options = kumo_async.UploadOptions(part_size=MIN_PART_SIZE, max_concurrent_parts=1)
    with pytest.raises(kumo_async.UploadError, match=rf"Part {part} of 3.*AccessDenied.*as it was before") as caught:
        await parquet.upload_async("t", path, options=options)
    assert ("proxy or the bucket's policy" in str(caught.value)) is (part == 1)
