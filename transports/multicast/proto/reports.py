"""Codec of REPORT: what one member lacks, sent by unicast to the sender of the cast, and its own authenticator.

A report speaks for one member only: it ends in BLAKE3 of everything before, keyed with that member's key and cut to
16 bytes, and its number only rises, so that none can be repeated.
"""

from __future__ import annotations

import enum
import struct

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import AuthenticationError, ProtocolError
from transports.multicast.keys import REPORT_TAG_BYTES, report_tag, report_tag_holds
from transports.multicast.proto.limits import MAX_REPORT_ENTRIES, SEQUENCE_LIMIT, VERSION
from transports.multicast.proto.packets import Kind, kind_of

__all__ = ["Report", "ReportFlags", "entries_of", "member_of", "split_entries"]

ENTRY = np.dtype([("place", "<u4"), ("deficit", "u1")])
_REPORT = struct.Struct("<BBHIIHBBQQQQQIII")
_MEMBER_AT = 8
_CHUNK_BITS = 24


class ReportFlags(enum.IntFlag):
    """What a report says about itself."""

    NONE = 0
    MORE = 1
    """There were more deficits than entries."""
    PATIENT = 2
    """The member has memory for what it lacks until it is served last."""


_FLAGS = int(ReportFlags.MORE | ReportFlags.PATIENT)
"""As a number, for the complement of flags of an enum has none but those of the enum."""


def entries_of(chunks: NDArray[np.int64], blocks: NDArray[np.int64], deficits: NDArray[np.int64]) -> NDArray[np.void]:
    """Entries as they travel."""
    entries = np.zeros(len(chunks), dtype=ENTRY)
    entries["place"] = blocks << _CHUNK_BITS | chunks
    entries["deficit"] = np.minimum(deficits, 255)
    return entries


def split_entries(entries: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(chunks, blocks, deficits)."""
    place = entries["place"].astype(np.int64)
    return place & (1 << _CHUNK_BITS) - 1, place >> _CHUNK_BITS, entries["deficit"].astype(np.int64)


class Report(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One report."""

    cast_id: int
    member: int
    number: int
    """Rises with every report of the member, from 1."""
    as_of: int
    """Highest sequence seen: what was sent later is not in this report."""
    span: int
    """Packets sent since the first this member saw."""
    received: int
    """How many of them came."""
    overflow: int
    """How many its socket dropped for want of memory; part of span - received."""
    status_time_us: int = 0
    """`time_us` of the last STATUS that came; 0: none yet."""
    held_us: int = 0
    """Time between that STATUS and this report."""
    write_bytes_per_s: int = 0
    missing_chunks: int = 0
    backlog: int = 0
    """Share of the member's chunk memory that waits for decoding or disk, in 255ths; more if its socket fills."""
    flags: ReportFlags = ReportFlags.NONE
    entries: NDArray[np.void] = msgspec.field(default_factory=lambda: np.zeros(0, dtype=ENTRY))
    """See entries_of; block 255 means that nothing of the chunk is here."""

    def encode(self, key: bytes) -> bytes:
        """The whole datagram."""
        body = (
            _REPORT.pack(
                VERSION << 4 | Kind.REPORT,
                self.flags,
                self.cast_id,
                self.number,
                self.member,
                len(self.entries),
                self.backlog,
                0,
                self.as_of,
                self.span,
                self.received,
                self.overflow,
                self.status_time_us,
                min(self.held_us, 0xFFFF_FFFF),
                min(self.write_bytes_per_s // 1000, 0xFFFF_FFFF),
                self.missing_chunks,
            )
            + self.entries.tobytes()
        )
        return body + report_tag(key, body)

    @classmethod
    def parse(cls, data: bytes | memoryview, key: bytes) -> Report:
        """AuthenticationError unless `key` made it; ProtocolError unless every field is in bounds."""
        if kind_of(data) is not Kind.REPORT or len(data) < _REPORT.size + REPORT_TAG_BYTES:
            raise ProtocolError(f"no REPORT: {len(data)} bytes")
        body, tag = bytes(data[:-REPORT_TAG_BYTES]), bytes(data[-REPORT_TAG_BYTES:])
        if not report_tag_holds(key, body, tag):
            raise AuthenticationError("report that its member did not make")
        (
            _,
            flags,
            cast_id,
            number,
            member,
            count,
            backlog,
            zero,
            as_of,
            span,
            received,
            overflow,
            status_time_us,
            held_us,
            write,
            missing,
        ) = _REPORT.unpack_from(body)
        if zero or flags & ~_FLAGS or count > MAX_REPORT_ENTRIES or len(body) != _REPORT.size + count * ENTRY.itemsize:
            raise ProtocolError("REPORT that makes no sense")
        if as_of >= SEQUENCE_LIMIT or not received <= span <= SEQUENCE_LIMIT or overflow >= SEQUENCE_LIMIT:
            raise ProtocolError("REPORT of more packets than there can be")
        return cls(
            cast_id=cast_id,
            member=member,
            number=number,
            as_of=as_of,
            span=span,
            received=received,
            overflow=overflow,
            status_time_us=status_time_us,
            held_us=held_us,
            write_bytes_per_s=write * 1000,
            missing_chunks=missing,
            backlog=backlog,
            flags=ReportFlags(flags),
            entries=np.frombuffer(body, dtype=ENTRY, offset=_REPORT.size),
        )


def member_of(data: bytes | memoryview) -> int:
    """Who a report claims to be from, so that the key can be found. ProtocolError if it is too short for any."""
    if len(data) < _REPORT.size + REPORT_TAG_BYTES:
        raise ProtocolError(f"datagram of {len(data)} bytes")
    return int.from_bytes(data[_MEMBER_AT : _MEMBER_AT + 4], "little")
