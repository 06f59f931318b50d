"""What tells whether two uploads, and two partitions, are the same."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from hashlib import sha256

from .._version import __version__
from ..options import UploadOptions
from ..report import UploadPlan
from ..service.messages import connector_id
from ..shield import in_thread
from ..sources.files import Partition, SourceFile
from .journal import Head
from .journal_lines import FORMAT

__all__ = ["fingerprint", "head_of"]

#: Made bytes are hashed at once up to this size: that takes less than a change of thread.
_HASHED_AT_ONCE = 64 * 1024


def head_of(endpoint: str, plan: UploadPlan, file: SourceFile, options: UploadOptions) -> Head:
    """Return which upload this is."""
    deciding = {
        "version": __version__,
        "csv": asdict(options.csv),
        "on_unsupported": options.on_unsupported,
        "convert": options.convert,
    }
    return Head(
        format=FORMAT,
        id="",
        created=0,
        endpoint=endpoint,
        connector=connector_id(plan.file_type),
        table=plan.table,
        path=os.path.abspath(file.path),  # noqa: PTH100 - Path.resolve would ask the disk
        device=file.status.st_dev,
        inode=file.status.st_ino,
        size=file.status.st_size,
        mtime_ns=file.status.st_mtime_ns,
        ctime_ns=file.status.st_ctime_ns,
        partition_size=plan.partition_size,
        arguments=sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest(),
    )


async def fingerprint(partition: Partition, source: SourceFile) -> str:
    """Return a digest of what a partition consists of.

    Ranges of the source count by their place, since the head of the journal says that the source is the same. All else,
    such as what was encoded again, counts by its bytes, so encoding need not give the same bytes each time.
    """
    digest = sha256()
    start = 0
    for segment in partition.segments:
        length = len(segment)
        if isinstance(segment, bytes):
            digest.update(b"bytes %d " % length)
            if length <= _HASHED_AT_ONCE:
                digest.update(segment)
            else:
                await in_thread(digest.update, segment)
        elif segment.file is source:
            digest.update(b"source %d %d " % (segment.offset, length))
        else:
            digest.update(b"spooled %d " % length)
            async for block in partition.read(start, length):
                await in_thread(digest.update, block)
        start += length
    return digest.hexdigest()
