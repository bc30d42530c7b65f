"""Two unicast machines coupled without sockets: bytes go over at any split, time is a number, a cut is a call."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from core.arena import Arena
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.manifest import Manifest
from images.stores import ChunkReader
from transports.conformance.sample import CHUNK_BYTES
from transports.unicast.proto.client import FetchLane, Received
from transports.unicast.proto.frames import FrameReader, Status
from transports.unicast.proto.grants import Grant
from transports.unicast.proto.handshake import Handshake
from transports.unicast.proto.holdings import Holdings
from transports.unicast.proto.patience import LaneTimes
from transports.unicast.proto.server import ServerLane

KEY = bytes(range(32))
SESSION = "session-1"


def make_server(
    grant: Grant | None, *, nonce: bytes = b"s" * 32, now: float = 0.0, window_bytes: int = 1 << 20
) -> ServerLane:
    def find(session_id: str) -> Grant | None:
        return grant if session_id == SESSION else None

    return ServerLane(find=find, nonce=nonce, times=LaneTimes(), window_bytes=window_bytes, now=now)


def make_client(
    manifest: Manifest, want: WantMap, *, slots: int = 4, key: bytes = KEY, session_id: str = SESSION, now: float = 0.0
) -> FetchLane:
    return FetchLane(
        session_id=session_id,
        key=key,
        nonce=b"c" * 32,
        root=manifest.root,
        raw_length=manifest.raw_length,
        want=want,
        slot_bytes=CHUNK_BYTES,
        slots=slots,
        stall_s=30.0,
        now=now,
    )


def serve_bytes(server: ServerLane, chunks: ChunkReader, *, shuffle: random.Random | None = None) -> list[bytes]:
    """Everything the server has to send now, frame by frame for chunks."""
    frames: list[bytes] = []
    while True:
        if (control := server.poll_control()) is not None:
            frames.append(control)
        elif (polled := server.poll_read()) is not None:
            read, digest = polled
            stored = chunks.locate(digest)
            header = server.header_for(read, length=stored.length, encoding=stored.encoding)
            if header is not None:
                frames.append(header + os.pread(stored.fd, stored.length, stored.offset))
        else:
            break
    return frames


class Link:
    """Runs one transfer. `cut(direction, number)` says whether the link breaks before a message."""

    def __init__(
        self,
        manifest: Manifest,
        chunks: ChunkReader,
        want: WantMap,
        arena: Arena,
        *,
        split: Callable[[bytes], list[bytes]] = lambda data: [data],
        cut: Callable[[str, int], bool] = lambda direction, number: False,
    ) -> None:
        self.server = make_server(Grant(key=KEY, image=manifest))
        self.client = make_client(manifest, want, slots=arena.slots)
        self.want = want
        self.arena = arena
        self.chunks = chunks
        self.taken: list[int] = []
        self.messages = {"up": 0, "down": 0}
        self.now = 0.0
        self._split = split
        self._cut = cut

    def _carry(self, direction: str, data: bytes, handle: Callable[[bytes, float], None]) -> bool:
        if self._cut(direction, self.messages[direction]):
            return False
        self.messages[direction] += 1
        for part in self._split(data):
            handle(part, self.now)
        return True

    def run(self, *, steps: int = 10_000, judge: Callable[[Received], bool] = lambda received: True) -> None:
        """Until the client ended or the link was cut."""
        for _ in range(steps):
            self.now += 0.001
            self._feed_slots()
            moved = False
            while (data := self.client.poll_bytes()) is not None:
                moved = True
                if not self._carry("up", data, self.server.handle_bytes):
                    return self._break()
            for frame in serve_bytes(self.server, self.chunks):
                moved = True
                if not self._carry("down", frame, self.client.handle_bytes):
                    return self._break()
            while (received := self.client.poll_received()) is not None:
                self._judge(received, judge)
            self.client.handle_change(self.now)
            if self.client.ended and not moved:
                self.client.release_all()
                return None
        raise AssertionError("the transfer does not end")

    def _feed_slots(self) -> None:
        while self.client.wants_slot and (slot := self.arena.try_acquire()) is not None:
            self.client.handle_slot(slot, self.now)

    def _judge(self, received: Received, judge: Callable[[Received], bool]) -> None:
        if judge(received):
            self.want.discard(ChunkIndex(received.chunk))
            self.client.accept(received.chunk)
            self.taken.append(received.chunk)
        else:
            self.client.reject(received.chunk, "made up")
        received.slot.release()

    def _break(self) -> None:
        while (received := self.client.poll_received()) is not None:
            self._judge(received, lambda received: True)
        self.client.handle_eof("cut")
        self.server.handle_eof()
        self.client.release_all()


def joined_server(
    manifest: Manifest | None = None,
    *,
    capture_bytes: int = 0,
    window_bytes: int = 1 << 20,
    holdings: Holdings | None = None,
) -> ServerLane:
    """A server machine whose peer proved its key; its answers so far were taken."""
    grant = Grant(key=KEY, image=manifest, capture_bytes=capture_bytes, holdings=holdings)
    server = make_server(grant, window_bytes=window_bytes)
    shake = Handshake(session_id=SESSION, key=KEY, nonce=b"c" * 32)
    reader = FrameReader(lambda header, head: None)
    data = shake.begin()
    while data:
        server.handle_bytes(data, 0.0)
        answer = server.poll_control()
        assert answer is not None
        reader.handle_bytes(answer)
        frame = reader.poll_frame()
        assert frame is not None
        data = shake.handle_frame(frame)
    assert server.reason is None
    return server


def violated(server: ServerLane) -> bool:
    """The lane ended because the peer broke the protocol."""
    return server.reason is not None and server.reason[0] is Status.VIOLATION
