"""Somebody at the door of a listening peer, for tests: frames by hand, good and bad."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from transports.member.handshake import enter
from transports.unicast.proto.frames import HEADER_BYTES, Frame, Header, Op
from transports.unicast.proto.messages import pack_chunks, request

__all__ = ["Visitor"]

WAIT_S = 20.0


class Visitor:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._message = 10

    @classmethod
    async def connect(cls, port: int) -> Visitor:
        """Somebody who said nothing yet."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def known(cls, port: int, *, name: str, key: bytes, root: bytes) -> Visitor:
        """Somebody who proved a credential and opened the image."""
        visitor = await cls.connect(port)
        try:
            await enter(visitor.reader, visitor.writer, session_id=name, key=key)
            visitor.say(Op.OPEN, payload=root)
            await visitor.hear(Op.OPEN)
        except BaseException:
            await visitor.close()
            raise
        return visitor

    def say(self, op: Op, *, payload: bytes = b"", subject: int = 0, credits: int = 0) -> None:
        """A request."""
        self._message += 1
        self.writer.write(request(op, message=self._message, payload=payload, subject=subject, credits=credits))

    def read(self, chunks: Sequence[int], *, credits: int) -> None:
        """Ask for chunks."""
        self.say(Op.READ, payload=pack_chunks(chunks), subject=1, credits=credits)

    async def next(self) -> Frame | None:
        """The next frame; None when the other side hung up."""
        try:
            async with asyncio.timeout(WAIT_S):
                header = Header.parse(await self.reader.readexactly(HEADER_BYTES))
                return Frame(header=header, payload=await self.reader.readexactly(header.length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def hear(self, op: Op) -> Frame:
        """The next frame, which is one of this kind."""
        frame = await self.next()
        assert frame is not None, f"hung up instead of {op.name}"
        assert frame.header.op is op, frame.header
        return frame

    async def ended(self) -> Header | None:
        """Everything until the other side hangs up; the header of the reason, if it gave one."""
        last = None
        while (frame := await self.next()) is not None:
            last = frame.header
        return last

    async def close(self) -> None:
        """Go."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
