"""Text in any of Python's encodings as a stream of UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

__all__ = ["EncodingError", "is_utf8", "to_utf8"]


class EncodingError(ValueError):
    """A byte does not belong to text in the encoding that was given.

    Attributes:
        offset: The offset in bytes of the first such byte.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def is_utf8(encoding: str | None) -> bool:
    """Whether text in `encoding` is UTF-8 as it is.

    Example:
        >>> is_utf8("utf8"), is_utf8("latin-1")
        (True, False)
    """
    return encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def to_utf8(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Convert a stream of text to UTF-8, strictly: nothing is replaced or left out.

    Args:
        blocks: The text, in blocks of any size.
        encoding: The name of its codec.

    Raises:
        EncodingError: A byte is not of that encoding. Blocks before that place were handed out.

    Example:
        >>> b"".join(to_utf8(iter([b"caf", bytes([0xE9])]), "latin-1")).decode()
        'café'
    """
    name = codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder(encoding)()
    # These are ASCII below 128, one byte a character, so blocks of ASCII pass as they are, at the speed of memory.
    plain = name.startswith(("iso8859", "cp125"))
    read = 0
    for block in blocks:
        read += len(block)
        if text := block if plain and block.isascii() else _convert(decoder, block, read, name, final=False):
            yield text
    if text := _convert(decoder, b"", read, name, final=True):
        yield text


def _convert(decoder: codecs.IncrementalDecoder, block: bytes, read: int, name: str, *, final: bool) -> bytes:
    try:
        return decoder.decode(block, final).encode()
    except UnicodeDecodeError as error:
        # What the decoder kept of earlier blocks is a part of the object that it complains of.
        offset = read - len(error.object) + error.start
    except UnicodeError:  # such as UTF-16 without its mark, which says nothing of a place
        offset = read - len(block)
    hint = ", or utf-16-le or utf-16-be where there is no byte order mark" if name == "utf-16" else ""
    raise EncodingError(f"it is not {name} at byte {offset}: pass the right encoding{hint}", offset)
