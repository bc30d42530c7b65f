"""Authenticator of a cast's packets: one 64-bit tag each, made and checked for a whole train as arrays.

A Carter-Wegman construction (Wegman, Carter, New hash functions and their use in authentication, JCSS 1981):

    tag = hash(message) + pad(sequence)                                  mod 2^64
    hash(message) = length * k_0 + sum over its words of m_i * k_i       mod 2^64
    pad(sequence) = first half of AES-128(sequence, 0)

The message is everything before the tag, as little-endian words m_1, m_2, ... of 32 bits; the k_i are 64 bits each,
from one BLAKE3 key stream, shared by all packets. Words beyond the end count as zero, so they cost nothing. The hash is
the multilinear family (Carter, Wegman, Universal classes of hash functions, JCSS 1979; with words half as wide as sums
in Lemire, Kaser, Strongly universal string hashing is fast, 2014). It is 2^-33-almost delta-universal: of two different
messages some m_i, or the lengths, differ by a d that is not zero and below 2^32. Whatever the other keys are, the
hashes are then c apart only if k_i * d is one certain number mod 2^64. With 2^t the highest power of two in d, none or
2^t of the 2^64 values of k_i do that, and t is at most 31.

What it is worth: without the key a forgery of any packet is accepted with probability 2^-33 (plus what it takes to
tell AES from random), whatever was seen before, provided that a sender never uses a sequence number twice under one
key; `transports.multicast.keys` gives every epoch its own key. That is enough here, because a forged symbol that passes
costs no more than fetching one chunk again: the chunk's digest, from the signed manifest, is the last word. Members
share the key, so the tag keeps strangers out and does not tell members apart; nothing is hidden from the eye. Cost
against AES-GCM: docs/decisions/0005-packet-authenticator.md.
"""

from __future__ import annotations

import enum
from typing import Protocol

import numpy as np
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

__all__ = [
    "MESSAGE_ALIGN_BYTES",
    "MESSAGE_MAX_BYTES",
    "SEQUENCE_MAX",
    "TAG_BYTES",
    "CarterWegman",
    "NoAuthenticator",
    "PacketAuthenticator",
    "Protection",
    "make_authenticator",
]

TAG_BYTES = 8
MESSAGE_ALIGN_BYTES = 8
"""A packet without its tag is a multiple of this, so that tags lie where a machine word may."""
MESSAGE_MAX_BYTES = 8976
"""Longest packet without its tag: what fits a frame of 9000 bytes."""
SEQUENCE_MAX = 2**48 - 1
"""Last sequence number of a key."""

_KEY_STREAM = "ogcast multicast v1: multilinear and AES keys of packets"
_WORD_BYTES = 4
_LANE_BYTES = 8
"""Of a key, and of a sum."""


class Protection(enum.Enum):
    """How the packets of a cast are protected."""

    MAC = "mac"
    """Carter-Wegman tag."""
    OFF = "off"
    """None: the tag is zero and nobody looks."""


class PacketAuthenticator(Protocol):
    """Tags for packets that lie as the rows of an array, the last TAG_BYTES of each row being the tag's place.

    Not thread-safe: one object for each thread.
    """

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """Write the tag of every row. ValueError for a length or sequence number that cannot be sealed."""

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which rows carry the tag of their content and sequence number. Never raises for what a row holds."""


class NoAuthenticator:
    """Protection off."""

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """Zero the tags."""
        packets[:, -TAG_BYTES:] = 0

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Take everything."""
        return np.ones(len(packets), dtype=np.bool_)


class CarterWegman:
    """The construction above under one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        lanes = 1 + MESSAGE_MAX_BYTES // _WORD_BYTES
        stream = blake3(key, derive_key_context=_KEY_STREAM).digest(length=16 + lanes * _LANE_BYTES)
        # ECB of counter blocks is the key stream of counter mode; as ECB, numbers that do not follow each other
        # are done in one call as well
        self._aes = Cipher(algorithms.AES(stream[:16]), modes.ECB()).encryptor()
        keys = np.frombuffer(stream, dtype="<u8", count=lanes, offset=16).astype(np.uint64)
        self._length_key, self._keys = int(keys[0]), keys[1:]

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """As PacketAuthenticator.seal."""
        length = packets.shape[1] - TAG_BYTES
        if not _possible(length) or len(packets) != len(sequences):
            raise ValueError(f"{packets.shape} bytes of packets for {len(sequences)} sequence numbers")
        if len(sequences) and int(sequences.max()) > SEQUENCE_MAX:
            raise ValueError("sequence numbers of this key are used up")
        tags = self._tags(packets[:, :length], sequences)
        packets[:, length:] = tags.view(np.uint8).reshape(-1, TAG_BYTES)

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """As PacketAuthenticator.check."""
        length = packets.shape[1] - TAG_BYTES
        if not _possible(length):
            return np.zeros(len(packets), dtype=np.bool_)
        good: NDArray[np.bool_] = self._tags(packets[:, :length], sequences) == packets[:, length:].view("<u8")[:, 0]
        return good

    def _tags(self, messages: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Tags of messages of one length, little-endian."""
        count, length = messages.shape
        # einsum widens words as it goes, some thousand at a time: one pass over the packets
        tags: NDArray[np.uint64] = np.einsum("ij,j->i", messages.view("<u4"), self._keys[: length // _WORD_BYTES])
        tags += np.uint64(length * self._length_key % 2**64)
        counters = np.zeros((count, 2), dtype="<u8")
        counters[:, 0] = sequences
        pads = self._aes.update(counters.data.cast("B")) if count else b""
        tags += np.frombuffer(pads, dtype="<u8")[0::2]
        return tags.astype("<u8", copy=False)


def make_authenticator(protection: Protection, key: bytes) -> PacketAuthenticator:
    """An authenticator of the kind an offer names, under `transports.multicast.keys.packet_key`."""
    return CarterWegman(key) if protection is Protection.MAC else NoAuthenticator()


def _possible(length: int) -> bool:
    return 0 < length <= MESSAGE_MAX_BYTES and length % MESSAGE_ALIGN_BYTES == 0
