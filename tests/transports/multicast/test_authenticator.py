"""Tags hold for their packet, length, number and key, and for nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from transports.multicast.authenticator import (
    HEADER_BYTES,
    MESSAGE_MAX_BYTES,
    SEQUENCE_MAX,
    TAG_BYTES,
    CarterWegman,
    NoAuthenticator,
    Protection,
    make_authenticator,
)

KEY = bytes(range(32))


def train(count: int, length: int, *, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, length + TAG_BYTES), dtype=np.uint8)


def numbers(*values: int) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def tags_by_formula(key: bytes, message: bytes, sequence: int) -> bytes:
    stream = blake3(key, derive_key_context="ogcast multicast v1: keys of headers, symbols and AES of packets").digest(
        length=16 + 8 * (2 + 4) + 8 * (2 + (MESSAGE_MAX_BYTES - 16) // 4)
    )
    aes = Cipher(algorithms.AES(stream[:16]), modes.ECB()).encryptor()
    pad = aes.update(sequence.to_bytes(16, "little"))
    keys = np.frombuffer(stream[16:], dtype="<u8").tolist()
    tags = b""
    for part, of, mask in ((message[:16], keys[:6], pad[:4]), (message[16:], keys[6:], pad[4:8])):
        words = [len(message), *np.frombuffer(part, dtype="<u4").tolist()]
        total = of[0] + sum(word * key for word, key in zip(words, of[1:], strict=False))
        tags += ((total % 2**64 // 2**32 + int.from_bytes(mask, "little")) % 2**32).to_bytes(4, "little")
    return tags


@pytest.mark.parametrize("length", [24, 48, 1440, MESSAGE_MAX_BYTES])
def test_the_tags_are_what_the_formula_says(length: int) -> None:
    packets = train(3, length)
    sequences = numbers(0, 77, SEQUENCE_MAX)
    CarterWegman(KEY).seal(packets, sequences)
    for row, sequence in zip(packets, sequences.tolist(), strict=True):
        assert row[length:].tobytes() == tags_by_formula(KEY, row[:length].tobytes(), sequence)


@pytest.mark.parametrize("count", [0, 1, 44, 176, 177, 400])
def test_what_was_sealed_passes_in_trains_of_any_size(count: int) -> None:
    packets, sequences = train(count, 1440), np.arange(5, 5 + count, dtype=np.uint64)
    CarterWegman(KEY).seal(packets, sequences)
    assert CarterWegman(KEY).check(packets, sequences).all()
    assert CarterWegman(KEY).check_headers(packets, sequences).all()


def test_rows_may_lie_apart() -> None:
    wide = train(4, 96)
    packets = wide[:, 8:80]
    CarterWegman(KEY).seal(packets, np.arange(4, dtype=np.uint64))
    assert CarterWegman(KEY).check(packets.copy(), np.arange(4, dtype=np.uint64)).all()


@settings(max_examples=60, deadline=None)
@given(bit=st.integers(0, (40 + TAG_BYTES) * 8 - 1), row=st.integers(0, 2))
def test_one_flipped_bit_fails_its_packet_and_no_other(bit: int, row: int) -> None:
    packets, sequences = train(3, 40), numbers(9, 10, 11)
    CarterWegman(KEY).seal(packets, sequences)
    packets[row, bit // 8] ^= 1 << bit % 8
    assert CarterWegman(KEY).check(packets, sequences).tolist() == [number != row for number in range(3)]


@settings(max_examples=60, deadline=None)
@given(bit=st.integers(0, (40 + TAG_BYTES) * 8 - 1))
def test_a_header_holds_whatever_follows_it_but_its_own_tag(bit: int) -> None:
    packets, sequences = train(3, 40), numbers(9, 10, 11)
    CarterWegman(KEY).seal(packets, sequences)
    packets[1, bit // 8] ^= 1 << bit % 8
    of_header = bit // 8 < HEADER_BYTES or 40 <= bit // 8 < 44
    assert CarterWegman(KEY).check_headers(packets, sequences).tolist() == [True, not of_header, True]


def test_the_symbol_of_another_packet_does_not_go_with_a_header() -> None:
    packets, sequences = train(2, 40), numbers(9, 10)
    CarterWegman(KEY).seal(packets, sequences)
    packets[:, HEADER_BYTES:] = packets[::-1, HEADER_BYTES:].copy()  # its tag as well
    assert not CarterWegman(KEY).check(packets, sequences).any()


def test_another_number_key_or_length_fails() -> None:
    packets = train(1, 40)
    CarterWegman(KEY).seal(packets, numbers(7))
    assert not CarterWegman(KEY).check(packets, numbers(8)).any()
    assert not CarterWegman(bytes(32)).check(packets, numbers(7)).any()
    assert not CarterWegman(KEY).check_headers(packets, numbers(8)).any()
    assert not CarterWegman(bytes(32)).check_headers(packets, numbers(7)).any()
    longer = np.zeros((1, 48 + TAG_BYTES), dtype=np.uint8)
    longer[0, :40], longer[0, 48:] = packets[0, :40], packets[0, 40:]
    assert not CarterWegman(KEY).check(longer, numbers(7)).any(), "padding with zeros is another message"
    assert not CarterWegman(KEY).check_headers(longer, numbers(7)).any(), "the header knows the length"


@pytest.mark.parametrize("length", [0, 4, 16, 41, MESSAGE_MAX_BYTES + 8])
def test_impossible_lengths_are_refused_when_sealing_and_false_when_checking(length: int) -> None:
    packets = train(2, length)
    with pytest.raises(ValueError, match="bytes of packets"):
        CarterWegman(KEY).seal(packets, numbers(1, 2))
    assert CarterWegman(KEY).check(packets, numbers(1, 2)).tolist() == [False, False]
    assert CarterWegman(KEY).check_headers(packets, numbers(1, 2)).tolist() == [False, False]


def test_a_packet_shorter_than_a_tag_is_false() -> None:
    assert CarterWegman(KEY).check(np.zeros((2, 3), dtype=np.uint8), numbers(1, 2)).tolist() == [False, False]


def test_a_key_seals_no_number_beyond_its_last() -> None:
    with pytest.raises(ValueError, match="used up"):
        CarterWegman(KEY).seal(train(1, 40), numbers(SEQUENCE_MAX + 1))


def test_off_takes_everything_and_sends_zeros() -> None:
    packets = train(2, 40)
    authenticator = make_authenticator(Protection.OFF, KEY)
    assert isinstance(authenticator, NoAuthenticator)
    authenticator.seal(packets, numbers(1, 2))
    assert not packets[:, 40:].any()
    assert authenticator.check(train(2, 40), numbers(1, 2)).all()
    assert authenticator.check_headers(train(2, 40), numbers(1, 2)).all()
    assert isinstance(make_authenticator(Protection.MAC, KEY), CarterWegman)


def test_the_tags_of_a_known_packet_stay_what_they_are() -> None:
    packet = np.zeros((1, 56), dtype=np.uint8)
    packet[0, :48] = np.arange(48)
    key = bytes.fromhex("67e5177115fdadcdcdaf1ce64d81ca6a16b88ff8e5a4135adfdb89fe71a256fd")
    CarterWegman(key).seal(packet, numbers(2**32 + 5))
    assert packet[0, 48:].tobytes().hex() == "6b6ae4c7470a8213"


def test_packets_of_several_lengths_go_by_one_object_in_turn() -> None:
    authenticator = CarterWegman(KEY)
    for length in (1440, 48, 1440, 40):
        packets = train(2, length)
        authenticator.seal(packets, numbers(1, 2))
        assert packets[0, length:].tobytes() == tags_by_formula(KEY, packets[0, :length].tobytes(), 1)
        assert authenticator.check(packets, numbers(1, 2)).all()
