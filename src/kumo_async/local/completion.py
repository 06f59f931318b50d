"""What a client says when it completes an upload, and whether it is true."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kumo_async.local.names import FileType
from kumo_async.local.s3errors import Refused

__all__ = ["SMALLEST_PART_BYTES", "Completion", "check_completion"]

SMALLEST_PART_BYTES = 5 * 1024**2


@dataclass(frozen=True, slots=True)
class Completion:
    """What a client says when it completes an upload: the parts are pairs of number and ETag."""

    upload_id: str
    temp_path: str
    file_type: FileType
    name: str
    parts: Sequence[tuple[int, str]]


def check_completion(index: sqlite3.Connection, upload: sqlite3.Row, completion: Completion) -> list[sqlite3.Row]:
    """Give the stored parts that a client listed, in order.

    Raises:
        Refused: The upload is not as the client says.
    """
    _check_upload(upload, completion)
    parts = _listed_parts(index, completion)
    _check_parts(parts, upload["num_parts"])
    return parts


def _check_upload(upload: sqlite3.Row, completion: Completion) -> None:
    if upload["temp_path"] != completion.temp_path:
        raise Refused("InvalidArgument", "temp_upload_path is not the one of this upload.")
    if (upload["file_type"], upload["name"]) != (completion.file_type, completion.name):
        raise Refused("InvalidArgument", "The upload was started for another source_table_name or connector_id.")


def _listed_parts(index: sqlite3.Connection, completion: Completion) -> list[sqlite3.Row]:
    if any(first >= second for (first, _), (second, _) in pairwise(completion.parts)):
        raise Refused("InvalidPartOrder")
    rows = index.execute("SELECT * FROM parts WHERE upload_id = ?", (completion.upload_id,))
    stored = {row["number"]: row for row in rows}
    for number, etag in completion.parts:
        if number not in stored or stored[number]["etag"] != etag.strip('"'):
            raise Refused("InvalidPart")
    return [stored[number] for number, _ in completion.parts]


def _check_parts(parts: Sequence[sqlite3.Row], started: int) -> None:
    if len(parts) != started:
        raise Refused("InvalidPart", f"The upload was started with {started} parts, and {len(parts)} are listed.")
    if any(part["size"] < SMALLEST_PART_BYTES for part in parts[:-1]):
        raise Refused("EntityTooSmall")
