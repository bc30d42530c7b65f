"""Authenticator of a cast's packets: one 64-bit tag each, made and checked for a whole train as arrays.

A Carter-Wegman construction, as UMAC (RFC 4418; Black, Halevi, Krawczyk, Krovetz, Rogaway, CRYPTO 1999):

    tag = NH(message) + pad(sequence)                                                      mod 2^64
    NH(message) = sum over pairs of (m_2i + k_2i mod 2^32) * (m_2i+1 + k_2i+1 mod 2^32)    mod 2^64
    pad(sequence) = first half of AES-128(sequence, 0)

The message is everything before the tag, as little-endian 32-bit words, after a first pair that holds its length; words
beyond its end count as zero. So what is hashed is always of one length, different for different packets, and NH is
2^-32-almost delta-universal on it (theorem 4.2 there). The NH key is one BLAKE3 key stream, shared by all packets; the
pad is what a stream of AES in counter mode gives at `sequence`, and hides the hash.

What it is worth: without the key a forgery of any packet is accepted with probability 2^-32 (plus what it takes to
tell AES from random), whatever was seen before, provided that a sender never uses a sequence number twice under one
key; `transports.multicast.keys` gives every epoch its own key. UMAC squeezes two or more such passes to reach 2^-64;
one is enough here, because a forged symbol that passes costs no more than fetching one chunk again: the chunk's
digest, from the signed manifest, is the last word. Members share the key, so the tag keeps strangers out and does not
tell members apart; nothing is hidden from the eye. Cost against AES-GCM: docs/decisions/0005-packet-authenticator.md.
"""

from __future__ import annotations

import enum
import struct
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
"""A packet without its tag is a multiple of this: one pair of NH."""
MESSAGE_MAX_BYTES = 8976
"""Longest packet without its tag: what fits a frame of 9000 bytes."""
SEQUENCE_MAX = 2**48 - 1
"""Last sequence number of a key."""

_ROWS_AT_ONCE = 176  # four trains; the scratch arrays stay within the second-level cache
_KEY_STREAM = "ogcast multicast v1: NH and AES keys of packets"
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)


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
        words = MESSAGE_MAX_BYTES // 4
        stream = blake3(key, derive_key_context=_KEY_STREAM).digest(length=16 + 8 + MESSAGE_MAX_BYTES)
        # ECB of counter blocks is the key stream of counter mode; as ECB, numbers that do not follow each other
        # are done in one call as well
        self._aes = Cipher(algorithms.AES(stream[:16]), modes.ECB()).encryptor()
        self._length_key = struct.unpack_from("<2I", stream, 16)
        self._key = np.frombuffer(stream, dtype="<u4", count=words, offset=24).astype(np.uint32)
        # what the words beyond the end add: products of key words alone, summed from each pair to the last
        pairs = self._key[0::2].astype(np.uint64) * self._key[1::2].astype(np.uint64)
        self._tails = np.zeros(len(pairs) + 1, dtype=np.uint64)
        self._tails[:-1] = np.cumsum(pairs[::-1], dtype=np.uint64)[::-1]
        self._sums = np.empty(_ROWS_AT_ONCE * words, dtype=np.uint32)
        self._halves = np.empty(_ROWS_AT_ONCE * words // 2, dtype=np.uint64)
        self._counters = np.zeros((_ROWS_AT_ONCE, 2), dtype="<u8")

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """As PacketAuthenticator.seal."""
        length = packets.shape[1] - TAG_BYTES
        if not _possible(length) or len(packets) != len(sequences):
            raise ValueError(f"{packets.shape} bytes of packets for {len(sequences)} sequence numbers")
        if len(sequences) and int(sequences.max()) > SEQUENCE_MAX:
            raise ValueError("sequence numbers of this key are used up")
        for start in range(0, len(packets), _ROWS_AT_ONCE):
            rows = packets[start : start + _ROWS_AT_ONCE]
            tags = self._tags(rows[:, :length], sequences[start : start + _ROWS_AT_ONCE])
            rows[:, length:] = tags.view(np.uint8).reshape(-1, TAG_BYTES)

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """As PacketAuthenticator.check."""
        length = packets.shape[1] - TAG_BYTES
        good = np.zeros(len(packets), dtype=np.bool_)
        if not _possible(length):
            return good
        for start in range(0, len(packets), _ROWS_AT_ONCE):
            rows = packets[start : start + _ROWS_AT_ONCE]
            tags = self._tags(rows[:, :length], sequences[start : start + _ROWS_AT_ONCE])
            good[start : start + _ROWS_AT_ONCE] = tags == rows[:, length:].view("<u8")[:, 0]
        return good

    def _tags(self, messages: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Tags of at most _ROWS_AT_ONCE messages of one length, little-endian."""
        count, length = messages.shape
        words = length // 4
        sums = self._sums[: count * words].reshape(count, words)
        np.add(messages.view("<u4"), self._key[:words], out=sums)
        odd = sums.view(np.uint64)
        even = self._halves[: odd.size].reshape(odd.shape)
        np.bitwise_and(odd, _LOW_HALF, out=even)
        np.right_shift(odd, _HALF_BITS, out=odd)
        tags: NDArray[np.uint64] = np.einsum("ij,ij->i", even, odd)
        first, second = self._length_key
        tags += np.uint64((length + first) % 2**32 * second)
        tags += self._tails[words // 2]
        self._counters[:count, 0] = sequences
        pads = self._aes.update(self._counters[:count].data.cast("B"))
        tags += np.frombuffer(pads, dtype="<u8")[0::2]
        return tags.astype("<u8", copy=False)


def make_authenticator(protection: Protection, key: bytes) -> PacketAuthenticator:
    """An authenticator of the kind an offer names, under `transports.multicast.keys.packet_key`."""
    return CarterWegman(key) if protection is Protection.MAC else NoAuthenticator()


def _possible(length: int) -> bool:
    return 0 < length <= MESSAGE_MAX_BYTES and length % MESSAGE_ALIGN_BYTES == 0
