"""Frames of a member lane: length u32, then one msgpack array whose first element names the message."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from core.errors import ProtocolError

__all__ = ["MAX_FRAME_BYTES", "MessageReader", "encode_message"]

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 1024 * 1024
"""Largest message of a member lane: the map of 2^22 chunks that does not compress, and its frame."""
MAX_BUFFER_BYTES = 2 * MAX_FRAME_BYTES
"""What a shell may hand over before it polls: one message under way and what one read brings."""

_ENCODER = msgspec.msgpack.Encoder()

Message = TypeVar("Message")


def encode_message(message: msgspec.Struct) -> bytes:
    """A whole frame."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class MessageReader(Generic[Message]):
    """Cuts a stream of bytes into messages. After a ProtocolError the lane is to be closed.

    Messages are decoded when polled: a reader that was busy elsewhere finds many small ones at once, and that is no
    offence. Poll until None before handing over more, which bounds the memory.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[Message]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def handle_bytes(self, data: bytes | memoryview) -> None:
        """Bytes from the socket. ProtocolError if more is handed over than was ever polled."""
        self._buffer += data
        if len(self._buffer) > MAX_BUFFER_BYTES:
            raise ProtocolError(f"{len(self._buffer)} bytes of lane messages at once")

    def poll_message(self) -> Message | None:
        """The next message. ProtocolError for a frame that is too long or malformed."""
        buffer = self._buffer
        if len(buffer) < LENGTH_BYTES:
            return None
        length = int.from_bytes(buffer[:LENGTH_BYTES], "little")
        if not 0 < length <= MAX_FRAME_BYTES:
            raise ProtocolError(f"lane message of {length} bytes")
        if len(buffer) < LENGTH_BYTES + length:
            return None
        body = bytes(buffer[LENGTH_BYTES : LENGTH_BYTES + length])
        del buffer[: LENGTH_BYTES + length]
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ProtocolError(f"malformed lane message: {error}") from None
