from __future__ import annotations

import random
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ChunkError
from core.ids import Digest
from images.codec import CHUNK_SIZE_MAX, decode_frame, decode_into, encode, verify
from images.digest import digest_of
from images.stores import Encoding

RAW = b"ogcast " * 40_000


def decoded(stored: bytes | memoryview, encoding: Encoding, length: int) -> bytes:
    out = bytearray(length)
    decode_into(stored, encoding, memoryview(out))
    return bytes(out)


@given(st.binary(min_size=1, max_size=5000), st.integers(1, 400), st.sampled_from([1, 3, 9]))
def test_what_was_encoded_decodes_to_itself(piece: bytes, times: int, level: int) -> None:
    raw = piece * times
    encoding, stored = encode(raw, level)
    assert decoded(stored, encoding, len(raw)) == raw


def test_bytes_that_do_not_shrink_stay_as_they_are() -> None:
    raw = random.Random(1).randbytes(100_000)
    encoding, stored = encode(raw, 3)
    assert encoding is Encoding.RAW
    assert stored is raw


def test_a_frame_states_its_content_size() -> None:
    _, stored = encode(RAW, 3)
    assert zstandard.get_frame_parameters(stored).content_size == len(RAW)


@pytest.mark.parametrize("change", [-1, 1, -len(RAW) + 1])
def test_another_length_than_stated_is_refused(change: int) -> None:
    for encoding, stored in (encode(RAW, 3), (Encoding.RAW, RAW)):
        with pytest.raises(ChunkError):
            decoded(stored, encoding, len(RAW) + change)


def _without_size() -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(RAW) + packer.flush()


def _lying_frame() -> bytes:
    """States one byte more than it holds."""
    frame = bytearray(zstandard.ZstdCompressor().compress(RAW))
    assert frame[4] >> 6 == 2  # four bytes of content size at offset 5
    frame[5:9] = (len(RAW) + 1).to_bytes(4, "little")
    return bytes(frame)


def _wide_window() -> bytes:
    # magic, descriptor (8-byte size, not single segment), window 2^31, size, one RLE block
    size = 100_000
    block = 1 | 1 << 1 | size << 3
    return b"\x28\xb5\x2f\xfd\xc0\xa8" + size.to_bytes(8, "little") + block.to_bytes(3, "little") + b"x"


def _with_dictionary() -> bytes:
    dictionary = zstandard.train_dictionary(1000, [RAW[n : n + 500] + bytes([n % 256]) for n in range(200)])
    return zstandard.ZstdCompressor(dict_data=dictionary).compress(RAW)


GOOD = zstandard.ZstdCompressor(write_checksum=True).compress(RAW)


@pytest.mark.parametrize(
    ("stored", "length", "rule"),
    [
        (_without_size(), len(RAW), "does not state"),
        (_lying_frame(), len(RAW) + 1, "does not decode"),
        (_wide_window(), 100_000, "window"),
        (_with_dictionary(), len(RAW), "dictionary"),
        (GOOD + b"\0", len(RAW), "after"),
        (GOOD + GOOD, len(RAW), "after"),
        (GOOD[:-1], len(RAW), "truncated"),
        (GOOD[: len(GOOD) // 2], len(RAW), "truncated"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), len(RAW), "decode"),
        (GOOD[:6], len(RAW), "header"),
        (b"", len(RAW), "not a zstd"),
        (b"\x50\x2a\x4d\x18\x04\0\0\0abcd", 4, "not a zstd"),
        (b"\x28\xb5\x2f\xfd\x20\x01\x07\x00\x00", 1, "reserved"),
        (GOOD, CHUNK_SIZE_MAX + 1, "stored chunk"),
    ],
)
def test_frames_that_are_not_exactly_the_chunk_are_refused(stored: bytes, length: int, rule: str) -> None:
    with pytest.raises(ChunkError, match=rule):
        decoded(stored, Encoding.ZSTD, length)
    with pytest.raises(ChunkError, match=rule):
        decode_frame(stored, length)


def test_a_frame_with_a_checksum_is_fine() -> None:
    assert decoded(GOOD, Encoding.ZSTD, len(RAW)) == RAW


def test_the_largest_chunk_round_trips() -> None:
    raw = bytes(CHUNK_SIZE_MAX)
    encoding, stored = encode(raw, 3)
    assert decoded(stored, encoding, len(raw)) == raw


def test_threads_do_not_share_contexts() -> None:
    failures: list[object] = []

    def work(seed: int) -> None:
        raw = random.Random(seed).randbytes(1000) * 300
        for _ in range(10):
            encoding, stored = encode(raw, 3)
            if decoded(stored, encoding, len(raw)) != raw:
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_verify_tells_other_content() -> None:
    verify(RAW, digest_of(RAW))
    with pytest.raises(ChunkError):
        verify(RAW, Digest(bytes(32)))
