"""A cast on real sockets: an image in a file, its sender, and members, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from core.arena import Arena
from core.errors import ChunkError, LocalError
from images.stores import Encoding, StoredChunk
from transports.multicast.authenticator import PacketAuthenticator, Protection, make_authenticator
from transports.multicast.fec.cauchy import CauchyCode
from transports.multicast.frames import Frames
from transports.multicast.proto.cast import Cast
from transports.multicast.proto.rate import RateLimits
from transports.multicast.proto.reception import Reception
from transports.multicast.proto.silence import Alarm
from transports.multicast.receiver import Arrived, CastReceiver
from transports.multicast.sender import CastSender
from transports.multicast.trains import TrainBuilder
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver
from transports.multicast.udp.interface import Interface, find_interface
from transports.multicast.udp.outgoing import GroupSender

__all__ = ["CAST_ID", "KEY", "SYMBOL_BYTES", "MemberOfCast", "StoredImage", "cast_sender", "member_key"]

CAST_ID = 77
KEY = bytes(range(32))
SYMBOL_BYTES = 1400
RATE_BYTES_PER_S = 40_000_000


class StoredImage:
    """Chunks of random bytes and different lengths in one file."""

    def __init__(self, *lengths: int, seed: int = 1) -> None:
        source = random.Random(seed)
        self.frames = [source.randbytes(length) for length in lengths]
        self.lost: set[int] = set()
        """Chunks the store says it does not hold."""
        self._fd = os.memfd_create("image")
        os.write(self._fd, b"".join(self.frames))
        self._offsets = [sum(lengths[:number]) for number in range(len(lengths))]

    def locate(self, chunk: int) -> StoredChunk:
        """As ChunkReader.locate, by number."""
        if chunk in self.lost:
            raise ChunkError(f"no chunk {chunk}")
        length = len(self.frames[chunk])
        return StoredChunk(
            fd=self._fd,
            offset=self._offsets[chunk],
            length=length,
            encoding=Encoding.RAW,
            raw_length=length,
        )

    def truncate(self, size: int) -> None:
        """As if the disk had lost the end of the pack."""
        os.ftruncate(self._fd, size)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> StoredImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def member_key(number: int) -> bytes:
    """Each member's own."""
    return bytes([number]) * 32


@contextlib.contextmanager
def cast_sender(
    image: StoredImage,
    group: Group,
    *,
    interface: Interface | None = None,
    cast_id: int = CAST_ID,
    key: bytes = KEY,
    protection: Protection = Protection.MAC,
    segment: bool = True,
    rate_bytes_per_s: float = RATE_BYTES_PER_S,
    first_sequence: int = 1,
    on_event: Callable[[str, Mapping[str, Any]], None] | None = None,
    authenticator: PacketAuthenticator | None = None,
) -> Iterator[tuple[CastSender, tuple[str, int]]]:
    """A running sender without members, and where its reports go."""
    frames = Frames(image.locate, symbol_bytes=SYMBOL_BYTES, chunk_bytes=max(map(len, image.frames)))
    cast = Cast(
        cast_id=cast_id,
        chunks=len(image.frames),
        stored=frames.stored,
        symbol_bytes=SYMBOL_BYTES,
        limits=RateLimits(cap_bytes_per_s=rate_bytes_per_s),
        now=time.monotonic(),
        first_sequence=first_sequence,
    )
    trains = TrainBuilder(
        cast_id=cast_id,
        symbol_bytes=SYMBOL_BYTES,
        authenticator=authenticator or make_authenticator(protection, key),
        code=CauchyCode(),
    )
    socket = GroupSender(group, interface or find_interface("lo"), segment=segment)
    address = socket.address
    sender = CastSender(cast, socket=socket, frames=frames, trains=trains, on_event=on_event or (lambda *_: None))
    sender.start()
    try:
        yield sender, address
    finally:
        assert sender.stop(), "the thread ended in time"


class MemberOfCast:
    """One member, made and used on a running loop."""

    def __init__(
        self,
        image: StoredImage,
        group: Group,
        report_to: tuple[str, int],
        *,
        number: int = 1,
        interface: Interface | None = None,
        cast_id: int = CAST_ID,
        key: bytes = KEY,
        protection: Protection = Protection.MAC,
        merge: bool = True,
        slots: int = 8,
        sequence: int = 0,
        authenticator: PacketAuthenticator | None = None,
    ) -> None:
        self.number = number
        self.chunks: dict[int, bytes] = {}
        self.alarms: list[Alarm] = []
        self.troubles: list[LocalError] = []
        self.news = asyncio.Event()
        self._count = len(image.frames)
        self._arena = Arena(slot_bytes=max(map(len, image.frames)) + SYMBOL_BYTES, slots=slots)
        self.reception = Reception(
            cast_id=cast_id,
            member=number,
            key=member_key(number),
            symbol_bytes=SYMBOL_BYTES,
            wanted=np.ones(self._count, dtype=np.bool_),
            slot_bytes=self._arena.slot_bytes,
            slots=slots,
            sequence=sequence,
            interval_s=0.05,
            rng=random.Random(number),
            now=time.monotonic(),
        )
        self.receiver = CastReceiver(
            self.reception,
            socket=GroupReceiver(group, interface or find_interface("lo"), merge=merge),
            report_to=report_to,
            authenticator=authenticator or make_authenticator(protection, key),
            symbol_bytes=SYMBOL_BYTES,
            loop=asyncio.get_running_loop(),
            on_chunk=self._take,
            on_alarm=self._hear,
            on_trouble=self._suffer,
        )
        while (slot := self._arena.try_acquire()) is not None:
            self.receiver.give_slot(slot)
        self.receiver.start()

    async def join(self, sender: CastSender) -> None:
        """Become a member; the sender starts at once."""
        wanted = np.ones(self._count, dtype=np.bool_)
        await asyncio.wrap_future(
            sender.call(
                lambda cast, now: cast.add_member(
                    self.number, key=member_key(self.number), wanted=wanted, now=now, probe=True
                )
            )
        )

    async def until(self, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until `condition` holds; something has to happen for it to be looked at."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.news.wait()
                self.news.clear()

    async def until_complete(self, *, seconds: float = 60.0) -> None:
        """Wait until every chunk arrived."""
        await self.until(lambda: len(self.chunks) == self._count, seconds=seconds)

    def stop(self) -> None:
        """Leave."""
        for slot in self.receiver.stop():
            slot.release()
        assert self._arena.free == self._arena.slots, "every slot came back"

    def __enter__(self) -> MemberOfCast:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take(self, arrived: Arrived) -> None:
        if arrived.mend is not None:
            arrived.mend()
        self.chunks[arrived.chunk] = bytes(arrived.slot.view[: arrived.stored_bytes])
        self.receiver.call(lambda reception, now: reception.handle_accepted(arrived.chunk))
        self.receiver.give_slot(arrived.slot)
        self.news.set()

    def _hear(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)
        self.news.set()

    def _suffer(self, error: LocalError) -> None:
        self.troubles.append(error)
        self.news.set()
