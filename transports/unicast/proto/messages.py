"""Payloads of the operations that have one (docs/wire-unicast.md). Lengths were checked with the header."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from core.errors import ProtocolError
from core.ids import Digest
from transports.unicast.proto.frames import WRITE_HEAD_BYTES, Header, Op, Status
from transports.unicast.proto.limits import MAX_RAW_BYTES, MAX_STORED_BYTES, PROOF_BYTES, VERSION

__all__ = [
    "Join",
    "Negotiate",
    "Negotiated",
    "Opened",
    "pack_chunks",
    "pack_digests",
    "pack_write_head",
    "reply_to",
    "request",
    "unpack_chunks",
    "unpack_digests",
    "unpack_write_head",
]

_NEGOTIATE = struct.Struct("<BBHI32s")
_NEGOTIATED = struct.Struct("<BBHIII32s")
_OPENED = struct.Struct("<II")
_WRITE_HEAD = struct.Struct("<32sI")
assert _WRITE_HEAD.size == WRITE_HEAD_BYTES


class Negotiate(msgspec.Struct, frozen=True, kw_only=True):
    """NEGOTIATE: what the asking side can do."""

    nonce: bytes
    max_stored: int = MAX_STORED_BYTES
    """Largest stored frame it takes, bytes."""
    lowest: int = VERSION
    highest: int = VERSION

    def encode(self) -> bytes:
        return _NEGOTIATE.pack(self.lowest, self.highest, 0, self.max_stored, self.nonce)

    @classmethod
    def parse(cls, payload: bytes) -> Negotiate:
        """ProtocolError for versions upside down, reserved bits, or frame sizes out of bounds."""
        lowest, highest, zero, max_stored, nonce = _NEGOTIATE.unpack(payload)
        if zero or not 1 <= lowest <= highest or not 0 < max_stored <= MAX_STORED_BYTES:
            raise ProtocolError("NEGOTIATE that makes no sense")
        return cls(lowest=lowest, highest=highest, max_stored=max_stored, nonce=nonce)


class Negotiated(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to NEGOTIATE: what holds on this lane."""

    nonce: bytes
    read_chunks: int
    """Most chunk numbers in one READ."""
    queued_chunks: int
    """Most chunks asked for and not answered."""
    idle_timeout_ms: int
    """A lane silent for this long is closed."""
    version: int = VERSION

    def encode(self) -> bytes:
        return _NEGOTIATED.pack(
            self.version, 0, 0, self.read_chunks, self.queued_chunks, self.idle_timeout_ms, self.nonce
        )

    @classmethod
    def parse(cls, payload: bytes) -> Negotiated:
        """ProtocolError for reserved bits or limits of nothing."""
        version, zero, zero2, read_chunks, queued_chunks, idle_timeout_ms, nonce = _NEGOTIATED.unpack(payload)
        if zero or zero2 or not read_chunks or not queued_chunks or not idle_timeout_ms:
            raise ProtocolError("answer to NEGOTIATE that makes no sense")
        return cls(
            version=version,
            read_chunks=read_chunks,
            queued_chunks=queued_chunks,
            idle_timeout_ms=idle_timeout_ms,
            nonce=nonce,
        )


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """SESSION: which session, and proof of its key."""

    session_id: str
    proof: bytes

    def encode(self) -> bytes:
        return self.proof + self.session_id.encode("ascii")

    @classmethod
    def parse(cls, payload: bytes) -> Join:
        """ProtocolError unless the id is printable ASCII."""
        name = payload[PROOF_BYTES:]
        if not all(0x20 < byte < 0x7F for byte in name):
            raise ProtocolError("session id that is not printable ASCII")
        return cls(proof=payload[:PROOF_BYTES], session_id=name.decode("ascii"))


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to OPEN."""

    chunks: int
    """Chunks of the image."""
    raw_bytes: int
    """Length of its largest chunk, uncompressed."""

    def encode(self) -> bytes:
        return _OPENED.pack(self.chunks, self.raw_bytes)

    @classmethod
    def parse(cls, payload: bytes) -> Opened:
        chunks, raw_bytes = _OPENED.unpack(payload)
        return cls(chunks=chunks, raw_bytes=raw_bytes)


def pack_chunks(chunks: Sequence[int]) -> bytes:
    """The payload of READ, CANCEL and its answer, NEWS and GONE."""
    return struct.pack(f"<{len(chunks)}I", *chunks)


def unpack_chunks(payload: bytes, count: int) -> list[int]:
    """Chunk numbers below `count`; ProtocolError for others."""
    if len(payload) % 4:
        raise ProtocolError(f"list of chunks of {len(payload)} bytes")
    chunks = list(struct.unpack(f"<{len(payload) // 4}I", payload))
    if any(chunk >= count for chunk in chunks):
        raise ProtocolError(f"chunk {max(chunks)} of an image of {count}")
    return chunks


def pack_digests(digests: Sequence[Digest]) -> bytes:
    """The payload of HAVE."""
    return b"".join(digests)


def unpack_digests(payload: bytes) -> list[Digest]:
    """ProtocolError if the last digest is cut."""
    if len(payload) % 32:
        raise ProtocolError(f"list of digests of {len(payload)} bytes")
    return [Digest(payload[at : at + 32]) for at in range(0, len(payload), 32)]


def pack_write_head(digest: Digest, raw_length: int) -> bytes:
    """What precedes the stored frame in WRITE."""
    return _WRITE_HEAD.pack(digest, raw_length)


def unpack_write_head(head: bytes) -> tuple[Digest, int]:
    """Digest and uncompressed length; ProtocolError if the length is none a chunk can have."""
    digest, raw_length = _WRITE_HEAD.unpack(head)
    if not 0 < raw_length <= MAX_RAW_BYTES:
        raise ProtocolError(f"chunk of {raw_length} bytes")
    return Digest(digest), raw_length


def reply_to(header: Header, payload: bytes = b"", *, subject: int | None = None, credits: int = 0) -> bytes:
    """A whole answer of status OK."""
    reply = Header(
        op=header.op,
        reply=True,
        message=header.message,
        subject=header.subject if subject is None else subject,
        status=Status.OK,
        credits=credits,
        length=len(payload),
    )
    return reply.encode() + payload


def request(op: Op, *, message: int, payload: bytes = b"", subject: int = 0, credits: int = 0) -> bytes:
    """A whole request."""
    header = Header(op=op, message=message, subject=subject, credits=credits, length=len(payload))
    return header.encode() + payload
