"""A member lane: small messages both ways over one TCP connection (docs/wire-multicast.md and wire-p2p.md)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Generic, TypeVar

import msgspec

from core.errors import ProtocolError
from transports.member.proto.framing import MessageReader, encode_message

__all__ = ["MemberLane"]

READ_BYTES = 64 * 1024
UNSENT_MAX_BYTES = 256 * 1024
"""A peer that takes nothing is cut off when this much waits for it."""
DRAIN_S = 1.0


Message = TypeVar("Message", bound=msgspec.Struct)


class MemberLane(Generic[Message]):
    """Either end. Use on one event loop; `close` is harmless when repeated."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: msgspec.msgpack.Decoder[Message],
    ) -> None:
        """`decoder` knows the messages of the transport whose lane this is."""
        self._reader = reader
        self._writer = writer
        self._messages = MessageReader(decoder)
        self.broken = False
        """Nothing more is sent or received."""

    @property
    def peer(self) -> str:
        """Address of the other side."""
        name = self._writer.get_extra_info("peername")
        return str(name[0]) if name else ""

    def send(self, message: Message) -> None:
        """Send soon; a lane that broke, or whose peer does not read, is closed instead."""
        if self.broken:
            return
        if self._writer.transport.is_closing():
            self.broken = True  # the connection broke, and `receive` has not come to it yet
            return
        self._writer.write(encode_message(message))
        if self._writer.transport.get_write_buffer_size() > UNSENT_MAX_BYTES:
            self.abort()

    async def receive(self) -> Message | None:
        """The next message; None at the end of the stream, however it came. ProtocolError for nonsense."""
        while (message := self._messages.poll_message()) is None:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self.abort()
                return None
            self._messages.handle_bytes(data)
        return message

    async def close(self) -> None:
        """Let what was sent go out for a moment, then close."""
        if not self.broken:
            with contextlib.suppress(OSError, TimeoutError, ProtocolError):
                async with asyncio.timeout(DRAIN_S):
                    await self._writer.drain()
            self._writer.close()
        self.broken = True
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()  # a peer that is gone without a word would keep what was not sent in memory

    async def part(self, *last: Message) -> None:
        """Say the last words, wait a moment until the other side has heard them and hangs up, then close.

        Closing at once resets the connection where something is still on its way here, and what was said last is lost.
        Nobody may be in `receive` meanwhile.
        """
        for message in last:
            self.send(message)
        if not self.broken:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._writer.drain()
                    if not self._writer.transport.is_closing():
                        self._writer.write_eof()
                    while await self._reader.read(READ_BYTES):
                        pass
        await self.close()

    def finish(self) -> None:
        """Send what was said, then hang up; `receive` returns None soon."""
        if not self.broken:
            self.broken = True
            self._writer.close()

    def abort(self) -> None:
        """Hang up at once."""
        self.broken = True
        self._writer.transport.abort()
