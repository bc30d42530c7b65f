"""Codec of everything sent to the group (docs/wire-multicast.md, "Packets").

Data packets are written and read a train at a time, as arrays: there is never an object for one packet. What this
module parses was authenticated by the caller; what is then still out of bounds changes nothing but a counter.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import ProtocolError
from images.stores import Encoding
from transports.multicast.proto.layout import Layout
from transports.multicast.proto.limits import HEADER_BYTES, MAX_STORED_BYTES, SEQUENCE_LIMIT, TAG_BYTES, VERSION

__all__ = [
    "Headers",
    "Kind",
    "Probe",
    "Run",
    "Status",
    "StatusFlags",
    "control_bytes",
    "extend_sequences",
    "kind_of",
    "packet_bytes",
    "parse_headers",
    "sequence_of",
    "well_formed",
    "write_headers",
]

_CAST_AT = 16
"""Bit of the first word."""
_CHUNK_BITS = 24
_LENGTH_BITS = 28
_CHUNK = (1 << _CHUNK_BITS) - 1
_LENGTH = (1 << _LENGTH_BITS) - 1
_BLOCK_AT = 1
_SYMBOL_AT = 11
"""Where their bytes lie in a header."""
_SHARED = np.array([0xFFFF_00FF, 0, _CHUNK, 0xFFFF_FFFF], dtype="<u4").view(np.uint64)
"""What all packets of one frame have in common: all but block, sequence and symbol."""
assert _SHARED.nbytes == HEADER_BYTES

_STATUS = struct.Struct("<BBHIQQIIIHHHHI")
_PROBE = struct.Struct("<BBHIQIHH")
_WRAP = 1 << 32
_ENCODING_MAX = int(max(Encoding))


class Kind(enum.IntEnum):
    """Type of a packet: the low four bits of its first byte."""

    DATA = 1
    STATUS = 2
    PROBE = 3
    REPORT = 4


_DATA = VERSION << 4 | Kind.DATA
_CONTROL_BYTES = {VERSION << 4 | Kind.STATUS: _STATUS.size, VERSION << 4 | Kind.PROBE: _PROBE.size}


class StatusFlags(enum.IntFlag):
    """What a STATUS says about the cast."""

    NONE = 0
    IDLE = 1
    """Everything anybody was known to lack was sent: who still lacks something says so now."""
    REPEATS = 2
    """Every chunk wanted now was sent before."""
    CLOSING = 4
    """The cast ends; the member lane says why."""


def kind_of(packet: bytes | memoryview) -> Kind:
    """The kind of one packet. ProtocolError for another version or no kind at all."""
    if len(packet) < 1 or packet[0] >> 4 != VERSION:
        raise ProtocolError("packet of another version")
    try:
        return Kind(packet[0] & 15)
    except ValueError:
        raise ProtocolError(f"packet of kind {packet[0] & 15}") from None


def control_bytes(first: int) -> int:
    """Length of a STATUS or PROBE that begins with the byte `first`, without the authenticator; 0 for anything else."""
    return _CONTROL_BYTES.get(first, 0)


def packet_bytes(symbol_bytes: int) -> int:
    """Length of every data packet of a cast: header, symbol, authenticator."""
    return HEADER_BYTES + symbol_bytes + TAG_BYTES


# ------------------------------------------------------------------------------------------------ data


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Neighbouring rows of a train that say the same of their frame."""

    start: int
    stop: int
    kind: int
    """Version and type as on the wire."""
    cast: int
    chunk: int
    stored_bytes: int
    encoding: int

    def __len__(self) -> int:
        return self.stop - self.start


class Headers(msgspec.Struct, frozen=True):
    """The headers of a train, row by row. The columns are views, read only."""

    words: NDArray[np.uint32]
    """Four words each, as on the wire, without gaps."""

    def __len__(self) -> int:
        return len(self.words)

    @property
    def sequence(self) -> NDArray[np.uint32]:
        """Low 32 bits; see extend_sequences."""
        return self.words[:, 1]

    @property
    def block(self) -> NDArray[np.uint8]:
        """Of each row."""
        return self.words.view(np.uint8)[:, _BLOCK_AT]

    @property
    def symbol(self) -> NDArray[np.uint8]:
        """Its number in the block."""
        return self.words.view(np.uint8)[:, _SYMBOL_AT]

    def select(self, mask: NDArray[np.bool_] | NDArray[np.int64]) -> Headers:
        """Only the rows of `mask`, or of these numbers."""
        return Headers(self.words[mask])

    def runs(self) -> list[Run]:
        """All rows, in order. There is one run in a train, and few in many trains: frames are sent one by one."""
        count = len(self.words)
        if not count:
            return []
        pairs = self.words.view(np.uint64)
        differs = pairs[1:] ^ pairs[:-1]
        differs &= _SHARED
        edges = [0, *((differs[:, 0] | differs[:, 1]).nonzero()[0] + 1).tolist(), count]
        return [self._run(start, stop) for start, stop in pairwise(edges)]

    def _run(self, start: int, stop: int) -> Run:
        first, _, place, length = self.words[start].tolist()
        return Run(
            start=start,
            stop=stop,
            kind=first & 0xFF,
            cast=first >> _CAST_AT,
            chunk=place & _CHUNK,
            stored_bytes=length & _LENGTH,
            encoding=length >> _LENGTH_BITS,
        )


def write_headers(
    packets: NDArray[np.uint8],
    *,
    cast_id: int,
    first_sequence: int,
    chunk: int,
    blocks: NDArray[np.uint8],
    symbols: NDArray[np.uint8],
    stored_bytes: int,
    encoding: int,
) -> None:
    """Fill the first 16 bytes of each row of `packets`; row r gets sequence `first_sequence` + r."""
    words = packets[:, :HEADER_BYTES].view("<u4")
    # what all have in common, then what differs, in as few calls as possible: what these cost is by the call
    words[:] = (cast_id << _CAST_AT | _DATA, 0, chunk, encoding << _LENGTH_BITS | stored_bytes)
    words[:, 1] = np.arange(first_sequence, first_sequence + len(packets))  # their low 32 bits
    packets[:, _BLOCK_AT] = blocks
    packets[:, _SYMBOL_AT] = symbols


def parse_headers(packets: NDArray[np.uint8]) -> Headers:
    """The headers of a train: rows of at least 16 bytes. Copies; `packets` may be reused."""
    return Headers(packets[:, :HEADER_BYTES].copy().view("<u4"))


def well_formed(
    headers: Headers, runs: Sequence[Run], *, cast_id: int, chunks: int, symbol_bytes: int
) -> NDArray[np.bool_]:
    """Which rows name a symbol that exists in an image of `chunks` chunks. `runs` are those of `headers`."""
    good = np.zeros(len(headers), dtype=np.bool_)
    block = headers.block
    for run in runs:
        known = run.kind == _DATA and run.cast == cast_id and run.chunk < chunks and run.encoding <= _ENCODING_MAX
        if known and 0 < run.stored_bytes <= MAX_STORED_BYTES:
            rows = slice(run.start, run.stop)
            np.less(block[rows], Layout(run.stored_bytes, symbol_bytes).blocks, out=good[rows])
    return good


def extend_sequences(low: NDArray[np.uint32], highest: int) -> NDArray[np.int64]:
    """Whole sequence numbers: those with the given low 32 bits that are nearest to `highest`."""
    whole = (low - np.uint32(highest % _WRAP)).view(np.int32).astype(np.int64)
    whole += highest
    return whole


def sequence_of(packet: bytes | memoryview, highest: int) -> int:
    """Whole sequence number of one packet to the group. ProtocolError if it is cut."""
    if len(packet) < HEADER_BYTES:
        raise ProtocolError(f"packet of {len(packet)} bytes")
    low = int.from_bytes(packet[4:8], "little")
    return highest + (low - highest + _WRAP // 2) % _WRAP - _WRAP // 2


# ------------------------------------------------------------------------------------------------ status and probe


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """STATUS: where the cast stands; ten times a second while something is sent."""

    cast_id: int
    sequence: int
    """Its own number: everything up to it was sent."""
    time_us: int
    """Clock of the sender; echoed in reports for the round trip."""
    pace_bytes_per_s: int
    """Wire bytes, at most 4 TB/s in steps of 1000."""
    chunks_wanted: int
    repairs_pending: int
    """Symbols."""
    report_interval_ms: int
    """T: at most one report of each member in this time, but for the end."""
    round_trip_ms: int
    members: int
    flags: StatusFlags
    echo: int = 0
    """Reports merged since the cast began, low 32 bits."""

    def encode(self) -> bytes:
        """Without the authenticator."""
        return _STATUS.pack(
            VERSION << 4 | Kind.STATUS,
            0,
            self.cast_id,
            self.sequence % _WRAP,
            self.sequence,
            self.time_us,
            min(self.pace_bytes_per_s // 1000, 0xFFFF_FFFF),
            self.chunks_wanted,
            min(self.repairs_pending, 0xFFFF_FFFF),
            min(self.report_interval_ms, 0xFFFF),
            min(self.round_trip_ms, 0xFFFF),
            min(self.members, 0xFFFF),
            self.flags,
            self.echo % _WRAP,
        )

    @classmethod
    def parse(cls, packet: bytes | memoryview) -> Status:
        """`packet` without the authenticator. ProtocolError unless every field is in bounds."""
        if len(packet) != _STATUS.size or kind_of(packet) is not Kind.STATUS:
            raise ProtocolError(f"no STATUS: {len(packet)} bytes")
        _, zero, cast, low, sequence, time_us, pace, wanted, repairs, interval, trip, members, flags, echo = (
            _STATUS.unpack(packet)
        )
        if zero or sequence >= SEQUENCE_LIMIT or sequence % _WRAP != low or flags & ~7 or not interval:
            raise ProtocolError("STATUS that makes no sense")
        return cls(
            cast_id=cast,
            sequence=sequence,
            time_us=time_us,
            pace_bytes_per_s=pace * 1000,
            chunks_wanted=wanted,
            repairs_pending=repairs,
            report_interval_ms=interval,
            round_trip_ms=trip,
            members=members,
            flags=StatusFlags(flags),
            echo=echo,
        )


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """PROBE: one of a few packets sent when somebody joined, for all who want to count them."""

    cast_id: int
    sequence: int
    number: int
    """Probes sent since the cast began, this one included; low 32 bits."""
    left: int
    """Probes that follow, if nobody else joins."""

    def encode(self) -> bytes:
        """Without the authenticator."""
        return _PROBE.pack(
            VERSION << 4 | Kind.PROBE,
            0,
            self.cast_id,
            self.sequence % _WRAP,
            self.sequence,
            self.number % _WRAP,
            self.left,
            0,
        )

    @classmethod
    def parse(cls, packet: bytes | memoryview) -> Probe:
        """`packet` without the authenticator. ProtocolError unless every field is in bounds."""
        if len(packet) != _PROBE.size or kind_of(packet) is not Kind.PROBE:
            raise ProtocolError(f"no PROBE: {len(packet)} bytes")
        _, zero, cast, low, sequence, number, left, zero2 = _PROBE.unpack(packet)
        if zero or zero2 or sequence >= SEQUENCE_LIMIT or sequence % _WRAP != low:
            raise ProtocolError("PROBE that makes no sense")
        return cls(cast_id=cast, sequence=sequence, number=number, left=left)
