"""Messages of the member lane: the TCP connection that a client holds while it is a member of a cast.

After the handshake both sides send frames: length u32, then one msgpack array whose first element names the message.
Wants travel as a want-map (core.wantmap), compressed. Closing the connection is leaving.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from core.errors import ProtocolError
from transports.multicast.proto.limits import MAX_CHUNKS, MAX_LANE_FRAME_BYTES, MAX_MEMBERS

__all__ = [
    "Closing",
    "Damaged",
    "Done",
    "Health",
    "Join",
    "Joined",
    "LaneChange",
    "LaneMessage",
    "LaneReader",
    "Leave",
    "Moved",
    "Probed",
    "Waiting",
    "Want",
    "encode_message",
    "pack_wants",
    "unpack_wants",
]

LENGTH_BYTES = 4
MAX_QUEUED_MESSAGES = 64
"""Messages of one read; more at once is no conversation."""

Text = Annotated[str, msgspec.Meta(max_length=512)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)]
Chunks = Annotated[int, msgspec.Meta(ge=0, le=MAX_CHUNKS)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    pass


class Join(_Message, frozen=True, kw_only=True, array_like=True, tag="join"):
    """Client: I am here, and lack these chunks."""

    wanted: bytes
    """See pack_wants."""


class Want(_Message, frozen=True, kw_only=True, array_like=True, tag="want"):
    """Client: this is all I lack now. It replaces what was said before; sent to come back after `Moved`."""

    wanted: bytes


class Probed(_Message, frozen=True, kw_only=True, array_like=True, tag="probed"):
    """Client: the verdict of the join probe."""

    outcome: Annotated[str, msgspec.Meta(max_length=16)]
    received: Count
    sent: Count
    loss: Share
    reason: Text = ""


class Health(_Message, frozen=True, kw_only=True, array_like=True, tag="health"):
    """Client, every 2 s: how it is doing, for the operator. Keeps the lane alive."""

    missing_chunks: Chunks
    network_loss: Share
    host_overflow: Share
    rate_bytes_per_s: Count
    write_bytes_per_s: Count
    backlog: Share


class Moved(_Message, frozen=True, kw_only=True, array_like=True, tag="moved"):
    """Client: I take what I lack by other means for now."""

    reason: Text


class Done(_Message, frozen=True, kw_only=True, array_like=True, tag="done"):
    """Client: I have everything."""


class Leave(_Message, frozen=True, kw_only=True, array_like=True, tag="leave"):
    """Client: I give up."""

    reason: Text


class Joined(_Message, frozen=True, kw_only=True, array_like=True, tag="joined"):
    """Server, answer to Join and Want: packets from `sequence` on are for you too."""

    member: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    sequence: Count
    """Number of the last packet sent."""
    report_interval_ms: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
    probes: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    """PROBE packets that follow for this member."""


class Waiting(_Message, frozen=True, kw_only=True, array_like=True, tag="waiting"):
    """Server: the start policy waits."""

    members: Annotated[int, msgspec.Meta(ge=0, le=MAX_MEMBERS)]
    needed: Annotated[int, msgspec.Meta(ge=0, le=MAX_MEMBERS)]
    """0: not waiting for a number."""
    starts_in_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """At the latest; None: no such limit."""

    @property
    def text(self) -> str:
        """For people."""
        parts = [f"{self.members} of {self.needed} clients are there"] if self.needed else []
        if self.starts_in_s is not None:
            parts.append(f"at most {self.starts_in_s:.0f} s more")
        return "; ".join(parts) or "waiting for its time"


class LaneChange(_Message, frozen=True, kw_only=True, array_like=True, tag="lane"):
    """Server: you are served in another way from now on: `multicast`, `late` or `unicast`, and why."""

    lane: Annotated[str, msgspec.Meta(max_length=16)]
    reason: Text


class Damaged(_Message, frozen=True, kw_only=True, array_like=True, tag="damaged"):
    """Server: a chunk of the image cannot be read; do not wait for it."""

    chunk: Chunks
    reason: Text


class Closing(_Message, frozen=True, kw_only=True, array_like=True, tag="closing"):
    """Server: the cast ends."""

    reason: Text
    retry: bool
    """Opening another session makes sense."""


LaneMessage = Join | Want | Probed | Health | Moved | Done | Leave | Joined | Waiting | LaneChange | Damaged | Closing

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(LaneMessage)


def encode_message(message: LaneMessage) -> bytes:
    """A whole frame."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class LaneReader:
    """Cuts a stream of bytes into messages. After a ProtocolError the lane is to be closed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._messages: deque[LaneMessage] = deque()

    def handle_bytes(self, data: bytes | memoryview) -> None:
        """Bytes from the socket. ProtocolError for frames too long, malformed or too many at once."""
        self._buffer += data
        while len(self._buffer) >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:LENGTH_BYTES], "little")
            if not 0 < length <= MAX_LANE_FRAME_BYTES:
                raise ProtocolError(f"lane message of {length} bytes")
            if len(self._buffer) < LENGTH_BYTES + length:
                return
            body = bytes(self._buffer[LENGTH_BYTES : LENGTH_BYTES + length])
            del self._buffer[: LENGTH_BYTES + length]
            if len(self._messages) >= MAX_QUEUED_MESSAGES:
                raise ProtocolError("too many lane messages at once")
            try:
                self._messages.append(_DECODER.decode(body))
            except (msgspec.MsgspecError, ValueError) as error:
                raise ProtocolError(f"malformed lane message: {error}") from None

    def poll_message(self) -> LaneMessage | None:
        """The next message."""
        return self._messages.popleft() if self._messages else None


def pack_wants(wanted: NDArray[np.bool_]) -> bytes:
    """One flag a chunk, as it travels: a want-map in one zstd frame."""
    return zstandard.ZstdCompressor().compress(np.packbits(wanted, bitorder="little").tobytes())


def unpack_wants(data: bytes, chunks: int) -> NDArray[np.bool_]:
    """The flags of `chunks` chunks. ProtocolError unless it is exactly such a map."""
    size = (chunks + 7) // 8
    try:
        # The header is asked first: what decompresses to more than the map is never decompressed.
        if zstandard.get_frame_parameters(data).content_size != size:
            raise ProtocolError("want-map of another size than the image")
        flags = zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if size else b""
    except zstandard.ZstdError as error:
        raise ProtocolError(f"want-map that does not decompress: {error}") from None
    bits = np.unpackbits(np.frombuffer(flags, dtype=np.uint8), bitorder="little")
    if len(flags) != size or bits[chunks:].any():
        raise ProtocolError("want-map names chunks the image does not have")
    return bits[:chunks].astype(np.bool_)
