"""Whether what is stored is what was sent: the MD5 of a part beside the ETag that S3 gave it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ..threads import THREADS

__all__ = ["PartDigest", "md5_of"]

#: Smaller blocks are hashed sooner than a thread is asked to.
_WORTH_A_THREAD = 16 * 1024


class PartDigest:
    """The MD5 of a part, computed beside the event loop: `hashlib` lets go of the interpreter's lock meanwhile."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, block: bytes | memoryview) -> asyncio.Future[Any] | None:
        """Begin to hash a block; it must stay as it is until what is returned, if anything, is done."""
        if len(block) < _WORTH_A_THREAD:
            self._md5.update(block)
            return None
        return asyncio.wrap_future(THREADS.submit(self._md5.update, block))

    def hexdigest(self) -> str:
        """Return the MD5 of all blocks."""
        return self._md5.hexdigest()


def md5_of(headers: Mapping[str, str]) -> str | None:
    """Return the MD5 that a part's answer tells, or None where its ETag is none.

    An ETag is the MD5 unless the object is encrypted with a key of KMS or of the customer, or the store is not S3:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html

    Example:
        >>> md5_of({"ETag": '"5D41402ABC4B2A76B9719D911017C592"'})
        '5d41402abc4b2a76b9719d911017c592'
        >>> md5_of({"ETag": '"0x8D4BCC2E4835CD0"'}) is None
        True
    """
    named = {name.lower(): value for name, value in headers.items()}
    if named.get("x-amz-server-side-encryption", "").lower().startswith("aws:kms"):
        return None
    if "x-amz-server-side-encryption-customer-algorithm" in named:
        return None
    found = re.fullmatch(r'"?([0-9a-f]{32})"?', named.get("etag", "").strip().lower())
    return None if found is None else found[1]
