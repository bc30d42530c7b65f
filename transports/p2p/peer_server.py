"""The serving side of a peer: listens, admits those repod vouches for, and sends what the shelf holds.

The lanes are those of the unicast server, on the session's own loop: a few connections, whose chunks go from memory,
or from the packs of the CACHE, to the socket by `sendfile`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable

from core.timer import Timer
from images.stores import ChunkReader
from transports.p2p.proto.credentials import credential, is_far, member_of
from transports.p2p.proto.guests import Guests
from transports.p2p.proto.slots import TELL_AFTER_S, UploadSlots
from transports.p2p.proto.tidings import Tidings
from transports.p2p.shelf import RECHECK_EVERY_S, Shelf
from transports.unicast.lane import READ_BYTES, Lane
from transports.unicast.proto.frames import Header, Op, Status, encode_text
from transports.unicast.proto.grants import Grant, LookUp, Store
from transports.unicast.proto.patience import LaneTimes
from transports.unicast.proto.server import ServerLane

__all__ = ["SHARED", "PeerServer"]

BACKLOG = 64
ACCEPTS_AT_ONCE = 16
TIMES = LaneTimes(handshake_s=5.0, idle_s=60.0, write_s=30.0)
ACCEPT_PAUSE_S = 1.0
SETTLE_LOOK_S = 0.02
QUIET_S = 0.5
"""Who lacks something asks somebody for the next chunk within this time, if perhaps not this peer for the one after."""
STILL_SHARE = 1 / 3
"""What nobody takes a byte of for this share of the time is asked for by machines that were switched off."""
UNSENT_BYTES = 256 * 1024
"""What the kernel takes of a lane ahead of the wire: with more, whole chunks of every lane would wait there, and slots
would say nothing about how many are sent at a time."""
SHARED = {
    "bytes_given": "bytes_sent",
    "strangers_dropped": "strangers_dropped",
    "lanes_lossy": "lanes_lossy",
    "turns_deferred": "turns_deferred",
}
"""Fields of the event `shared`, each with the count it tells."""


class PeerServer:
    """A LaneHost. `start` listens, `admit` says with which key; nobody is admitted before."""

    def __init__(
        self, shelf: Shelf, *, upload_bytes_per_s: int = 0, upload_far_bytes_per_s: int = 0, dscp: int = 0
    ) -> None:
        """`upload_bytes_per_s` caps what all lanes send, `upload_far_bytes_per_s` what those to other subnets send; 0:
        no cap. `dscp` marks every packet of theirs."""
        self._shelf = shelf
        self._dscp = dscp
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._listen_key: bytes | None = None
        self._banned: set[int] = set()
        self._lanes: dict[int, Lane] = {}
        self._guests = Guests()
        self._slots = UploadSlots(
            bytes_per_s=upload_bytes_per_s,
            far_bytes_per_s=upload_far_bytes_per_s,
            rank=self._rank,
            member=self._member,
            chunks=shelf.manifest.chunk_count,
            now=self._loop.time(),
        )
        self._tidings = Tidings(self._has)
        self._telling = Timer(self._loop, self._tell_due)
        self._opening = Timer(self._loop, self._open)
        self._rechecking: asyncio.TimerHandle | None = None
        self._numbers = 0
        self._asked_at = -math.inf
        """When anybody asked for a chunk, or had one, last."""
        self._scratch = bytearray(READ_BYTES)
        self._ticking = False
        self.counts: Counter[str] = Counter()
        self.held_by: Callable[[int], int | None] = lambda member: None
        """How many chunks a member is known to hold; None of who gives nothing."""
        self.is_held_by: Callable[[int, int], bool] = lambda member, chunk: False
        """Whether a member is known to hold a chunk."""
        self.on_gone: Callable[[list[int]], None] = lambda chunks: None
        """Told, beside the peers, what is held no more."""
        self.on_news: Callable[[list[int]], object] = lambda chunks: None
        """Told, beside the peers, what the CACHE has on disk since."""
        shelf.on_news = self._tell_news
        shelf.on_gone = self._tell_gone

    @property
    def port(self) -> int:
        """Where others may ask; 0 when nothing listens."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    def set_slots(self, slots: int) -> None:
        """Serve so many receivers at a time."""
        self._slots.slots = slots

    @property
    def bytes_far(self) -> int:
        """Stored bytes sent to peers of other subnets, of the `bytes_sent` in all."""
        return self.counts["bytes_far"] + sum(lane.bytes_sent for lane in self._lanes.values() if _asks_from_afar(lane))

    @property
    def lanes(self) -> int:
        """Connections of others."""
        return len(self._lanes)

    def start(self, host: str, *, listener: socket.socket | None = None) -> None:
        """Listen on `host`, on any free port, or go on with a `listener`, which then belongs to this server. OSError if
        that is not possible. Nobody is answered before `admit`: who was met by others first would be told that it is
        unknown, and wait before it asks again."""
        if self._listener is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = listener or socket.create_server((host, 0), family=family, backlog=BACKLOG)
            self._listener.setblocking(False)
            self._mark(self._listener)
            if self._listen_key is not None:
                self._loop.add_reader(self._listener, self._accept)
            self._recheck()

    def admit(self, listen_key: bytes) -> None:
        """From now on those are admitted that repod gave a credential made from this key. Others stay connected."""
        first, self._listen_key = self._listen_key is None, listen_key
        if first and self._listener is not None:
            self._loop.add_reader(self._listener, self._accept)

    def ban(self, members: Iterable[int]) -> None:
        """Serve these no more."""
        self._banned.update(members)
        for lane in list(self._lanes.values()):
            if member_of(lane.machine.session_id or "") in self._banned:
                lane.end(Status.DENIED, "banned by the repository")

    async def settle(self, *, within_s: float) -> None:
        """Until nobody has been sent anything for QUIET_S, which may have passed already, nobody is connected, nobody
        took a byte for a third of `within_s`, or all of it has passed. Who has everything is not connected any more."""
        moved_at = self._loop.time()
        until, moved = moved_at + within_s, self._moved
        while self._lanes and (now := self._loop.time()) < until:
            if moved != (moved := self._moved):
                moved_at = now
            if now >= moved_at + within_s * STILL_SHARE:
                return
            busy = self._slots.active or self._slots.waiting
            if not busy and now >= self._asked_at + QUIET_S:
                return
            await asyncio.sleep(SETTLE_LOOK_S)

    @property
    def _moved(self) -> int:
        return sum(lane.bytes_sent for lane in self._lanes.values())

    async def close(self) -> None:
        """Tell those who are connected, and stop; repeating is harmless."""
        self._telling.cancel()
        self._opening.cancel()
        if self._rechecking is not None:
            self._rechecking.cancel()
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for lane in list(self._lanes.values()):
            lane.end(Status.STOPPING, "this peer leaves")
        await asyncio.sleep(0)
        for lane in list(self._lanes.values()):
            lane.close("")

    # ------------------------------------------------------------------ connections

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self.counts["accept_failures"] += 1
                self._loop.remove_reader(self._listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self._accept_again)
                return
            self._admit(sock, str(peer[0]))

    def _accept_again(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept)

    def _admit(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        while (number := self._guests.make_room(address, self._loop.time())) is not None:
            self.counts["strangers_dropped"] += 1
            self._lanes[number].close("")
        if not self._guests.has_room(address):
            self.counts["lanes_refused"] += 1
            text = encode_text("too many connections")
            with contextlib.suppress(OSError), sock:
                sock.send(Header(op=Op.LEASE_BREAK, status=Status.BUSY, length=len(text)).encode() + text)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self._mark(sock)
        machine = ServerLane(find=self._find, nonce=os.urandom(32), times=TIMES, window_bytes=1, now=self._loop.time())
        self._numbers += 1
        self._guests.handle_connected(self._numbers, address, self._loop.time())
        lane = Lane(sock, address, machine, self, self._numbers, self._scratch)
        self._lanes[self._numbers] = lane
        self._slots.join(self._numbers)
        self._tidings.join(self._numbers)
        # Each chunk finds other receivers on this link, and other senders on theirs, than the one before on its lane: a
        # rate worked out then (BBR) is that of another room. The origin's lanes do the same, and keep their part. A
        # lane whose first packets came through has the kernel's own patience from then on: one that rests for longer
        # than an answer is waited for begins anew, with ten packets under way, and in a crowd each rests for a second
        # between two chunks. Where packets get lost, a single chunk would take seconds with it.
        lane.follow_losses()
        lane.hurry()
        lane.pump()

    def _mark(self, sock: socket.socket) -> None:
        """Give its packets their class; a kernel that refuses is counted and costs nothing else."""
        if not self._dscp:
            return
        try:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, self._dscp << 2)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._dscp << 2)
        except OSError:
            self.counts["marks_refused"] += 1

    def _recheck(self) -> None:
        if news := self._shelf.recheck():
            self.on_news(news)
        self._rechecking = self._loop.call_later(RECHECK_EVERY_S, self._recheck)

    def _find(self, name: str) -> Grant | None:
        member = member_of(name)
        if member is None or self._listen_key is None or member in self._banned:
            return None
        key = credential(self._listen_key, member, far=is_far(name))
        return Grant(key=key, image=self._shelf.manifest, holdings=self._shelf)

    def _tell_news(self, chunks: list[int]) -> None:
        self._tidings.handle_held(chunks, self._loop.time())
        self._tell_due()

    def _tell_due(self) -> None:
        for number, chunks in self._tidings.poll(self._loop.time()):
            if (lane := self._lanes.get(number)) is not None:
                lane.machine.tell_news(chunks)
                lane.pump()
        self._telling.ring_by(self._tidings.deadline)

    def _tell_gone(self, chunks: list[int]) -> None:
        # A lane may just be finding out: it is told after it has answered.
        self._loop.call_soon(self._spread_gone, chunks)

    def _spread_gone(self, chunks: list[int]) -> None:
        self.on_gone(chunks)
        self._tidings.handle_gone(chunks)
        for lane in list(self._lanes.values()):
            lane.machine.tell_gone(chunks)
            lane.pump()

    # ------------------------------------------------------------------ LaneHost

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """See LaneHost."""
        return self._shelf

    def count(self, counter: str, amount: int = 1) -> None:
        """See LaneHost."""
        self.counts[counter] += amount

    def handle_progress(self, lane: Lane) -> None:
        """See LaneHost."""
        if lane.closed and self._lanes.pop(lane.number, None) is not None:
            if _asks_from_afar(lane):
                self.counts["bytes_far"] += lane.bytes_sent
            self._slots.forget(lane.number, self._loop.time())
            self._tidings.forget(lane.number)
            self._guests.handle_closed(lane.number)
            if lane.machine.reason is not None:
                self.counts["lanes_broken"] += 1
            self._wake()
        elif not lane.closed and (name := lane.machine.session_id) is not None:
            before = self._guests.handle_proven(lane.number, name)
            if before is not None and (older := self._lanes.get(before)) is not None:
                self.counts["lanes_replaced"] += 1
                self._loop.call_soon(older.end, Status.REPLACED, "a newer connection took the place")

    def ask_turn(self, lane: Lane) -> bool:
        """See LaneHost."""
        self._asked_at = self._loop.time()
        machine = lane.machine
        has_turn = self._slots.ask(
            lane.number, self._asked_at, far=_asks_from_afar(lane), turn=machine.turn.asked and not machine.has_read
        )
        if not has_turn and not self._ticking:
            self._ticking = True
            self._loop.call_later(TELL_AFTER_S, self._tick)
        self._wake()
        return has_turn

    def spend_turn(self, lane: Lane, count: int) -> None:
        """See LaneHost."""
        self._slots.spend(lane.number, count, self._loop.time())
        self._wake()

    def leave_turn(self, lane: Lane) -> None:
        """See LaneHost."""
        now = self._loop.time()
        if self._slots.active:
            self._asked_at = now
        self._slots.leave(lane.number, now)
        self._wake()

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """Never asked: a peer takes no captures."""
        self._loop.call_soon(lane.end, Status.FAILED, "a peer takes no captures")

    def _member(self, number: int) -> int | None:
        """Who is at a lane, once that was proven."""
        lane = self._lanes.get(number)
        return member_of(lane.machine.session_id or "") if lane is not None else None

    def _has(self, number: int, chunk: int) -> bool:
        """See Tidings."""
        member = self._member(number)
        return member is not None and self.is_held_by(member, chunk)

    def _rank(self, number: int) -> int:
        """See UploadSlots: who gives nothing to others comes after all who do."""
        member = self._member(number)
        held = None if member is None else self.held_by(member)
        return self._shelf.manifest.chunk_count + 1 if held is None else held

    def _wake(self) -> None:
        while (number := self._slots.poll_granted()) is not None:
            if (lane := self._lanes.get(number)) is not None:
                self._loop.call_soon(lane.pump)
        self.counts["turns_deferred"] = self._slots.rests.rests
        if (opens_at := self._slots.opens_at) is not None:
            self._opening.ring_by(opens_at)

    def _open(self) -> None:
        """A cap, or a rest, lets somebody send again."""
        self._slots.handle_timer(self._loop.time())
        self._wake()

    def _tick(self) -> None:
        """While somebody waits: tell where it stands."""
        for number, place in self._slots.poll_notices(self._loop.time()):
            lane = self._lanes.get(number)
            if lane is not None and lane.machine.has_read:
                lane.machine.handle_waiting(place)
                lane.pump()
        self._ticking = self._slots.waiting > 0
        if self._ticking:
            self._loop.call_later(TELL_AFTER_S, self._tick)


def _asks_from_afar(lane: Lane) -> bool:
    """Only what a lane proved counts."""
    name = lane.machine.session_id
    return name is not None and is_far(name)
