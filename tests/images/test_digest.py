from __future__ import annotations

from images.digest import DIGEST_BYTES, digest_of, quick_check


def test_digests_are_those_of_the_published_vectors() -> None:
    assert digest_of(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert len(digest_of(b"abc")) == DIGEST_BYTES
    assert quick_check(b"") == 0x2D06800538D394C2


def test_any_buffer_gives_the_same_digest() -> None:
    data = b"chunk" * 1000
    assert digest_of(bytearray(data)) == digest_of(memoryview(data)) == digest_of(data)
    assert quick_check(bytearray(data)) == quick_check(memoryview(data)) == quick_check(data)
