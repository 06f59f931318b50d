"""Text in any of Python's encodings as a stream of UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["EncodingError", "is_utf8", "propose_encoding", "to_utf8"]

_SAMPLE: Final = 1 << 16
#: What cp1252 has no character for: https://www.unicode.org/Public/MAPPINGS/VENDORS/MICSFT/WINDOWS/CP1252.TXT
_NOT_CP1252: Final = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_CP1252_ONLY: Final = re.compile(rb"[\x80-\x9f]")
_MULTIBYTE: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_HIGH_LETTER: Final = re.compile(rb"[\xc0-\xff]")
_LETTER: Final = re.compile(rb"[A-Za-z]")


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


def propose_encoding(text: bytes | bytearray, fault: int = 0) -> str:
    r"""Say which encoding fits text that is not UTF-8, as the end of a sentence. Bytes do not prove it.

    Args:
        text: Bytes around the fault; NULs tell UTF-16 and UTF-32, and bytes from 128 to 159 Windows's cp1252.
        fault: The place in it of the first byte that is not UTF-8.

    Example:
        >>> propose_encoding(b"M\xfcller;Stra\xdfe")
        "pass csv=CsvOptions(encoding='cp1252') (or 'latin-1', which is the same for its bytes)"
    """
    sample = bytes(text[max(fault - _SAMPLE, 0) & ~3 : fault + _SAMPLE])
    if b"\0" in sample:
        wide = _by_nuls(sample)
        return f"pass csv=CsvOptions(encoding={wide!r})" if wide else "remove it"
    if 2 * len(_HIGH.findall(_MULTIBYTE.sub(b"", sample))) < len(_HIGH.findall(sample)):
        return "the text around it is UTF-8, so correct that place"
    # Scripts other than Latin have hardly a letter in ASCII.
    if _NOT_CP1252.search(sample) or len(_HIGH_LETTER.findall(sample)) > max(len(_LETTER.findall(sample)), 5):
        return "pass its encoding, as csv=CsvOptions(encoding=...)"
    same = "" if _CP1252_ONLY.search(sample) else " (or 'latin-1', which is the same for its bytes)"
    return f"pass csv=CsvOptions(encoding='cp1252'){same}"


def _by_nuls(sample: bytes) -> str | None:
    """Tell the encoding in which Latin text has NULs at these places; None if it has NULs elsewhere."""
    for name, places in (("utf-32-le", (2, 3)), ("utf-32-be", (0, 1))):
        if len(sample) >= 8 and not any(any(sample[place::4]) for place in places):
            return name
    even, odd, enough = sample[::2].count(0), sample[1::2].count(0), max(len(sample) // 20, 1)
    return "utf-16-le" if odd > enough and not even else "utf-16-be" if even > enough and not odd else None


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
