"""The MD5 of a part beside its ETag."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_async.service.integrity import PartDigest, md5_of

MD5 = hashlib.md5(b"part").hexdigest()
KMS = "x-amz-server-side-encryption"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"ETag": f'"{MD5}"'}, MD5),
        ({"etag": MD5.upper()}, MD5),
        ({"ETag": f'"{MD5}"', "X-Amz-Server-Side-Encryption": "AES256"}, MD5),
        ({"ETag": f'"{"0" * 32}"', "X-Amz-Server-Side-Encryption": "aws:kms"}, None),
        ({"ETag": f'"{"0" * 32}"', KMS: "aws:kms:dsse"}, None),
        ({"ETag": f'"{"0" * 32}"', f"{KMS}-customer-algorithm": "AES256"}, None),
        ({"ETag": f'"{MD5}-1"'}, None),
        ({"ETag": '"0x8D4BCC2E4835CD0"'}, None),
        ({"ETag": f'"{"g" * 32}"'}, None),
        ({}, None),
    ],
)
def test_an_etag_tells_an_md5_where_it_is_one(headers: dict[str, str], told: str | None) -> None:
    assert md5_of(headers) == told


@given(st.lists(st.binary(max_size=40_000)))
async def test_blocks_are_hashed_in_their_order_wherever_they_are_hashed(blocks: list[bytes]) -> None:
    digest = PartDigest()
    for block in blocks:
        hashed = digest.update(memoryview(block))
        if hashed is not None:
            await hashed
    assert digest.hexdigest() == hashlib.md5(b"".join(blocks)).hexdigest()
