"""Checksums inside partclone images."""

from __future__ import annotations

import pytest
import xxhash

from images.partclone.checksum import ChecksumMode, RunningChecksum, crc32


def _bitwise(data: bytes) -> int:
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
    return value


def test_crc32_is_the_polynomial_without_final_inversion() -> None:
    assert crc32(b"partclone") == _bitwise(b"partclone")


def test_crc32_goes_on_from_a_value() -> None:
    assert crc32(b"clone", crc32(b"part")) == crc32(b"partclone")


@pytest.mark.parametrize("mode", [ChecksumMode.CRC32, ChecksumMode.XXH64, ChecksumMode.XXH3_128])
def test_a_reseeded_group_is_summed_alone(mode: ChecksumMode) -> None:
    sums = RunningChecksum(mode, reseed=True)
    sums.update(b"first")
    sums.close_group()
    sums.update(b"second")
    alone = RunningChecksum(mode, reseed=True)
    alone.update(b"second")
    assert sums.close_group() == alone.close_group()


@pytest.mark.parametrize("mode", [ChecksumMode.CRC32, ChecksumMode.XXH64, ChecksumMode.XXH3_128])
def test_without_reseed_the_checksum_runs_on(mode: ChecksumMode) -> None:
    sums = RunningChecksum(mode, reseed=False)
    sums.update(b"first")
    sums.close_group()
    sums.update(b"second")
    whole = RunningChecksum(mode, reseed=False)
    whole.update(b"firstsecond")
    assert sums.close_group() == whole.close_group()


def test_xxh3_is_stored_low_half_first() -> None:
    sums = RunningChecksum(ChecksumMode.XXH3_128, reseed=True)
    sums.update(b"x")
    value = xxhash.xxh3_128_intdigest(b"x")
    assert sums.close_group()[:8] == (value & 2**64 - 1).to_bytes(8, "little")


def test_no_checksum_takes_no_room() -> None:
    sums = RunningChecksum(ChecksumMode.NONE, reseed=True)
    sums.update(b"x")
    assert sums.close_group() == b""
    assert ChecksumMode.NONE.size == 0
