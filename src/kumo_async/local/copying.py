"""Copy a range of one file into another."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["copy_range"]

_BLOCK_BYTES = 1024**2


def copy_range(source: Path, source_offset: int, target: Path, target_offset: int, size: int) -> None:
    """Copy ``size`` bytes, inside the kernel where it can.

    Raises:
        EOFError: The source ends before that.
        OSError: A file cannot be read or written.
    """
    with source.open("rb", buffering=0) as reader, target.open("r+b", buffering=0) as writer:
        reader.seek(source_offset)
        writer.seek(target_offset)
        left = size
        while left:
            copied = _copy_some(reader.fileno(), writer.fileno(), left)
            if not copied:
                raise EOFError(f"{source.name} ends {left} bytes early.")
            left -= copied


def _copy_some(reader: int, writer: int, most: int) -> int:
    if not hasattr(os, "copy_file_range"):
        return _copy_block(reader, writer, most)
    try:
        return os.copy_file_range(reader, writer, most)
    except OSError:
        # Some file systems refuse it. Nothing has been copied then, so the slow way takes over from here.
        return _copy_block(reader, writer, most)


def _copy_block(reader: int, writer: int, most: int) -> int:
    block = os.read(reader, min(most, _BLOCK_BYTES))
    view = memoryview(block)
    while view:
        view = view[os.write(writer, view) :]
    return len(block)
