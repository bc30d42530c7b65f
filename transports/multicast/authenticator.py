"""Authenticator of a cast's packets, made and checked for a whole train as arrays: tags of the header and of the rest.

A packet ends with two tags of 32 bits, each a Carter-Wegman construction (Wegman, Carter, New hash functions and their
use in authentication, JCSS 1981) with keys of its own:

    tag = hash(part) + pad(sequence)                                             mod 2^32
    hash(part) = (a + length * k_0 + sum over its words of m_i * k_i  mod 2^64) / 2^32, rounded down
    pads(sequence) = first four bytes of AES-128(sequence, 0) for the header, the next four for the rest

The parts are the first 16 bytes and everything between them and the tags, as little-endian words m_1, m_2, ... of 32
bits; `length` is that of both together. a and the k_i are 64 bits each, from one BLAKE3 key stream, the same for all
packets. Words beyond the end count as zero, so they cost nothing. The hash is the multilinear family (Carter, Wegman,
Universal classes of hash functions, JCSS 1979) with the length as its first word; its upper halves are strongly
universal (Lemire, Kaser, Strongly universal string hashing is fast, 2014): of two different messages the length or some
m_i differ by a d, 0 < |d| < 2^32. Whatever the other keys are, the difference of their sums takes every value of one
class modulo 2^t equally often, 2^t being the highest power of two in d, t <= 31, so that its upper half is uniform
whatever its lower half is. `a` makes the first sum uniform and independent of that difference, so the carry changes
nothing: the hashes are c apart with probability 2^-32, for every c.

What it is worth: without the key another header is accepted with probability 2^-32, and so is another symbol behind a
good header, whatever was seen before as long as none passed (plus what it takes to tell AES from random), provided that
a sender never uses a sequence number twice under one key; `transports.multicast.keys` gives every epoch its own key.
That is enough here, because a forged symbol that passes spoils one chunk, which is fetched again: the chunk's digest,
from the signed manifest, is the last word. (Who notices which one passed can make others like it until the epoch ends.)
For the same reason the second tag need not always be looked at: `proto.trust` says when. Members share the key, so tags
keep strangers out and do not tell members apart; nothing is hidden from the eye. Cost against AES-GCM:
docs/decisions/0005-packet-authenticator.md.
"""

from __future__ import annotations

import enum
from typing import Protocol

import numpy as np
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

__all__ = [
    "HEADER_BYTES",
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
"""Both tags."""
HEADER_BYTES = 16
"""What the first tag is of."""
MESSAGE_ALIGN_BYTES = 8
"""A packet without its tags is a multiple of this, so that they lie where a machine word may."""
MESSAGE_MAX_BYTES = 8976
"""Longest packet without its tags: what fits a frame of 9000 bytes."""
SEQUENCE_MAX = 2**48 - 1
"""Last sequence number of a key."""

_KEY_STREAM = "ogcast multicast v1: keys of headers, symbols and AES of packets"
_WORD_BYTES = 4
_LANE_BYTES = 8
"""Of a key, and of a sum."""
_FEW_WORDS = HEADER_BYTES // _WORD_BYTES
"""As many as a header has."""


class Protection(enum.Enum):
    """How the packets of a cast are protected."""

    MAC = "mac"
    """Carter-Wegman tags."""
    OFF = "off"
    """None: the tags are zero and nobody looks."""


class PacketAuthenticator(Protocol):
    """Tags for packets that lie as the rows of an array, the last TAG_BYTES of each row being the tags' place.

    Not thread-safe: one object for each thread.
    """

    @property
    def authenticates(self) -> bool:
        """Whether a tag says anything."""

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """Write the tags of every row. ValueError for a length or sequence number that cannot be sealed."""

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which rows carry the tags of their content and sequence number. Never raises for what a row holds."""

    def check_headers(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which rows carry the tag of their header and sequence number; the rest of them is not read."""


class NoAuthenticator:
    """Protection off."""

    authenticates = False

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """Zero the tags."""
        packets[:, -TAG_BYTES:] = 0

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Take everything."""
        return np.ones(len(packets), dtype=np.bool_)

    def check_headers(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Take everything."""
        return np.ones(len(packets), dtype=np.bool_)


class _Multilinear:
    """The hash of one part, under keys a, k_0, k_1 and so on, at least one for each word."""

    def __init__(self, keys: NDArray[np.uint64]) -> None:
        self._start, self._length_key, self._keys = int(keys[0]), int(keys[1]), keys[2:]
        self._length, self._begins_with = 0, np.uint64(self._start)
        """The length seen last, as nearly all packets have one, and what the sums of its rows begin with."""

    def hashes(self, parts: NDArray[np.uint8], *, length: int) -> NDArray[np.uint32]:
        """The hash of each row of `parts`, of packets whose message has `length` bytes."""
        words = parts.view("<u4")
        keys = self._keys[: words.shape[1]]
        # einsum widens words as it goes, some thousand at a time: one pass over the packets. A product of matrices
        # copies them first, which takes less time than einsum to begin where they are few.
        sums: NDArray[np.uint64] = words @ keys if len(keys) <= _FEW_WORDS else np.einsum("ij,j->i", words, keys)
        if length != self._length:
            self._length, self._begins_with = length, np.uint64((self._start + length * self._length_key) % 2**64)
        sums += self._begins_with
        return sums.astype("<u8", copy=False).view("<u4")[1::2]  # their upper halves


class CarterWegman:
    """The construction above under one key of 32 bytes."""

    authenticates = True

    def __init__(self, key: bytes) -> None:
        header_lanes = 2 + HEADER_BYTES // _WORD_BYTES
        lanes = header_lanes + 2 + (MESSAGE_MAX_BYTES - HEADER_BYTES) // _WORD_BYTES
        stream = blake3(key, derive_key_context=_KEY_STREAM).digest(length=16 + lanes * _LANE_BYTES)
        # ECB of counter blocks is the key stream of counter mode; as ECB, numbers that do not follow each other
        # are done in one call as well
        self._aes = Cipher(algorithms.AES(stream[:16]), modes.ECB()).encryptor()
        keys = np.frombuffer(stream, dtype="<u8", count=lanes, offset=16).astype(np.uint64)
        self._header, self._rest = _Multilinear(keys[:header_lanes]), _Multilinear(keys[header_lanes:])

    def seal(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> None:
        """As PacketAuthenticator.seal."""
        length = packets.shape[1] - TAG_BYTES
        if not _possible(length) or len(packets) != len(sequences):
            raise ValueError(f"{packets.shape} bytes of packets for {len(sequences)} sequence numbers")
        if len(sequences) and int(np.maximum.reduce(sequences)) > SEQUENCE_MAX:
            raise ValueError("sequence numbers of this key are used up")
        pads, places = self._pads(sequences), packets[:, length:].view("<u4")
        np.add(self._header.hashes(packets[:, :HEADER_BYTES], length=length), pads[:, 0], out=places[:, 0])
        np.add(self._rest.hashes(packets[:, HEADER_BYTES:length], length=length), pads[:, 1], out=places[:, 1])

    def check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """As PacketAuthenticator.check."""
        return self._check(packets, sequences, whole=True)

    def check_headers(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """As PacketAuthenticator.check_headers."""
        return self._check(packets, sequences, whole=False)

    def _check(self, packets: NDArray[np.uint8], sequences: NDArray[np.uint64], *, whole: bool) -> NDArray[np.bool_]:
        length = packets.shape[1] - TAG_BYTES
        if not _possible(length):
            return np.zeros(len(packets), dtype=np.bool_)
        pads, tags = self._pads(sequences), packets[:, length:].view("<u4")
        good: NDArray[np.bool_] = (
            self._header.hashes(packets[:, :HEADER_BYTES], length=length) + pads[:, 0] == tags[:, 0]
        )
        if whole:
            good &= self._rest.hashes(packets[:, HEADER_BYTES:length], length=length) + pads[:, 1] == tags[:, 1]
        return good

    def _pads(self, sequences: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """For each number a row: the pad of the first tag, that of the second, and what nobody needs."""
        counters = np.zeros((len(sequences), 2), dtype="<u8")
        counters[:, 0] = sequences
        blocks = self._aes.update(counters.data.cast("B")) if len(sequences) else b""
        pads: NDArray[np.uint32] = np.frombuffer(blocks, dtype="<u4").reshape(-1, 4)
        return pads


def make_authenticator(protection: Protection, key: bytes) -> PacketAuthenticator:
    """An authenticator of the kind an offer names, under `transports.multicast.keys.packet_key`."""
    return CarterWegman(key) if protection is Protection.MAC else NoAuthenticator()


def _possible(length: int) -> bool:
    return HEADER_BYTES < length <= MESSAGE_MAX_BYTES and length % MESSAGE_ALIGN_BYTES == 0
