"""Lanes on a port: a listener, a thread for the lanes it admits, and their turns.

uvloop has no `sendfile`, and stored frames must not keep repod's loop waiting, so lanes run on a stock selector loop in
one thread. Whose sessions they are and where their chunks lie is handed in: unicast and p2p both serve by such lanes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from core.connecting import retransmit_soon
from core.errors import LocalError, LockedError
from images.stores import ChunkReader
from transports.unicast.gate import LaneGate
from transports.unicast.lane import READ_BYTES, Lane
from transports.unicast.proto.frames import Header, Op, Status, encode_text
from transports.unicast.proto.grants import Grant, LookUp, Store
from transports.unicast.proto.patience import LaneTimes
from transports.unicast.proto.server import ServerLane, State
from transports.unicast.proto.turns import NOTICE_EVERY_S, Turns
from transports.unicast.settings import UnicastSettings

__all__ = ["LaneBook", "LaneServer"]

BACKLOG = 512
ACCEPTS_AT_ONCE = 64
ACCEPT_PAUSE_S = 1.0
"""Out of descriptors: try again after this long."""


class LaneBook(Protocol):
    """What lanes serve. All methods are called on the lane thread."""

    def find(self, session_id: str) -> Grant | None:
        """What a session allows; None if there is none of this id."""

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """Where its chunks lie; None if it was closed meanwhile."""

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """Work of a capture: do it elsewhere, then call `lane.finish`."""


class LaneServer:
    """A `LaneHost`. `start`, `stop`, `break_session` and what reads figures are called from any one other thread or
    loop; everything else runs on the lane thread."""

    def __init__(
        self,
        book: LaneBook,
        *,
        host: str,
        settings: UnicastSettings,
        on_event: Callable[[str, Mapping[str, Any]], None],
        where: str = "port in [transports.unicast]",
        gate: LaneGate | None = None,
        follow_losses: bool = False,
    ) -> None:
        """`where` names the setting of the port, for hints. With `follow_losses` the rate of each lane does."""
        self._follow_losses = follow_losses
        self._gate = gate
        self._opening: asyncio.TimerHandle | None = None
        self._book = book
        self._host = host
        self._settings = settings
        self._on_event = on_event
        self._where = where
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lanes: dict[int, Lane] = {}
        self._joined: dict[str, set[Lane]] = {}
        self._locked: dict[str, Lane] = {}
        self._addresses: Counter[str] = Counter()
        self._turns = Turns(settings.lanes_at_once)
        self._numbers = 0
        self._ticking = False
        self._emptied: asyncio.Event | None = None
        self._scratch = bytearray(READ_BYTES)
        self._counts: Counter[str] = Counter()
        self._times = LaneTimes(
            handshake_s=settings.handshake_timeout_s, idle_s=settings.idle_timeout_s, write_s=settings.write_timeout_s
        )

    @property
    def port(self) -> int:
        """The port lanes are accepted on. Call after `start`."""
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Of the lane thread. Call after `start`."""
        assert self._loop is not None
        return self._loop

    def start(self) -> None:
        """Listen, and begin to serve. Raises a LocalError with a hint."""
        self._listener = self._listen()
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name="unicast-lanes", daemon=True)
        self._thread.start()

    async def stop(self, *, grace_s: float) -> None:
        """Tell the peers, let what is being sent end within `grace_s`, close. Repeating is harmless."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        self._thread = None
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._stop(grace_s), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)

    def break_session(self, session_id: str, reason: str) -> None:
        """End its lanes with the reason."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._break_session, session_id, reason)

    def sent_to(self, session_id: str) -> int | None:
        """Stored bytes sent on the lanes a session has now; None if it has none."""
        lanes = list(self._joined.get(session_id, ()))
        return sum(lane.bytes_sent for lane in lanes) if lanes else None

    def counters(self) -> dict[str, float]:
        """Running totals."""
        totals: dict[str, float] = dict.fromkeys(
            ("bytes_sent", "chunks_sent", "lanes_opened", "lanes_refused", "violations", "timeouts"), 0
        )
        totals.update(self._counts.copy())
        totals["clients"] = len(self._lanes)
        totals["waiting"] = self._turns.waiting
        totals["turns_waited"] = self._turns.waited
        totals["turns_rotated"] = self._turns.rotations
        return totals

    def _listen(self) -> socket.socket:
        host, port = self._host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LockedError(
                    f"port {port} on {host or 'all addresses'} is in use",
                    hint=f"another repod may be running; set {self._where} of repod.toml",
                ) from error
            raise LocalError(
                f"cannot listen on {host or 'all addresses'} port {port}: {error.strerror or error}",
                hint=f"check --host, and {self._where} of repod.toml",
            ) from error
        listener.setblocking(False)
        return listener

    # ------------------------------------------------------------------ the lane thread

    def _run(self) -> None:
        assert self._loop is not None
        assert self._listener is not None
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(self._failed)
        self._loop.add_reader(self._listener, self._accept)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """A fault of ours on the lane thread: said aloud, while other lanes go on."""
        self.count("faults")
        self._on_event("lane_fault", {"error": repr(context.get("exception") or context.get("message"))})

    async def _stop(self, grace_s: float) -> None:
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._emptied = asyncio.Event()
        for lane in list(self._lanes.values()):
            lane.end(Status.STOPPING, "the repository stops")
        if self._lanes:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), grace_s)
        for lane in list(self._lanes.values()):
            lane.close("stopped")

    def _accept(self) -> None:
        assert self._listener is not None
        assert self._loop is not None
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self.count("accept_failures")
                self._on_event("accept_failed", {"error": str(error)})
                self._loop.remove_reader(self._listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self._accept_again)
                return
            self._admit(sock, str(peer[0]))

    def _accept_again(self) -> None:
        assert self._listener is not None
        assert self._loop is not None
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _admit(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        limit = self._limit_reached(address)
        if limit:
            self.count("lanes_refused")
            self.count(f"limit_{limit}")
            text = encode_text("too many connections")
            with contextlib.suppress(OSError), sock:
                sock.send(Header(op=Op.LEASE_BREAK, status=Status.BUSY, length=len(text)).encode() + text)
            return
        # Answers to small requests must not wait for the acknowledgement of a chunk's last packet.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        retransmit_soon(sock)
        assert self._loop is not None
        machine = ServerLane(
            find=self._book.find,
            nonce=os.urandom(32),
            times=self._times,
            window_bytes=self._settings.capture_window_bytes,
            now=self._loop.time(),
        )
        self._numbers += 1
        self._addresses[address] += 1
        self.count("lanes_opened")
        lane = Lane(sock, address, machine, self, self._numbers, self._scratch)
        self._lanes[self._numbers] = lane
        if self._follow_losses:
            lane.follow_losses()
        lane.pump()

    def _limit_reached(self, address: str) -> str:
        if len(self._lanes) >= self._settings.max_lanes:
            return "max_lanes"
        if self._addresses[address] >= self._settings.max_lanes_per_address:
            return "max_lanes_per_address"
        return ""

    def _break_session(self, session_id: str, reason: str) -> None:
        for lane in list(self._joined.get(session_id, ())):
            lane.end(Status.CLOSED, reason)

    # ------------------------------------------------------------------ LaneHost

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """See LaneHost."""
        return self._book.chunks_of(session_id)

    def count(self, counter: str, amount: int = 1) -> None:
        """See LaneHost."""
        self._counts[counter] += amount

    def handle_progress(self, lane: Lane) -> None:
        """See LaneHost."""
        session_id = lane.machine.session_id
        if lane.closed:
            self._forget(lane)
        elif session_id is not None:
            lanes = self._joined.setdefault(session_id, set())
            if lane not in lanes:
                lanes.add(lane)
                self._on_event("lane_opened", {"session": session_id, "peer": lane.address})
            if lane.machine.state is State.LOCKED:
                before = self._locked.get(session_id)
                self._locked[session_id] = lane
                # The client came back before its broken connection was noticed here: the newest lane has the lock.
                if before is not None and before is not lane:
                    before.end(Status.REPLACED, "a newer connection took the lock")

    def _forget(self, lane: Lane) -> None:
        if self._lanes.pop(lane.number, None) is None:
            return
        self._addresses[lane.address] -= 1
        if not self._addresses[lane.address]:
            del self._addresses[lane.address]
        session_id = lane.machine.session_id
        if session_id is not None:
            lanes = self._joined.get(session_id, set())
            if lane in lanes:
                lanes.discard(lane)
                self._on_event("lane_closed", {"session": session_id, "peer": lane.address})
            if not lanes:
                self._joined.pop(session_id, None)
            if self._locked.get(session_id) is lane:
                del self._locked[session_id]
        if (reason := lane.machine.reason) is not None:
            status, text = reason
            self.count({Status.VIOLATION: "violations", Status.TIMEOUT: "timeouts"}.get(status, "lanes_broken"))
            self._on_event(
                "lane_broken",
                {"peer": lane.address, "session": session_id, "status": status.name.lower(), "reason": text},
            )
        if not self._lanes and self._emptied is not None:
            self._emptied.set()

    def ask_turn(self, lane: Lane) -> bool:
        """See LaneHost."""
        assert self._loop is not None
        has_turn = self._turns.ask(lane.number, self._loop.time())
        if not has_turn and not self._ticking:
            self._ticking = True
            self._loop.call_soon(self._tick)
        if has_turn and self._gate is not None and not self._gate.ask(lane, self._loop.time()):
            # Others may use the turn meanwhile.
            self._turns.leave(lane.number, self._loop.time())
            self._wake()
            self._watch_gate()
            return False
        return has_turn

    def spend_turn(self, lane: Lane, count: int) -> None:
        """See LaneHost."""
        assert self._loop is not None
        self._turns.spend(lane.number, count, self._loop.time())
        if self._gate is not None:
            self._gate.spend(lane, count, self._loop.time())
        self._wake()

    def leave_turn(self, lane: Lane) -> None:
        """See LaneHost."""
        assert self._loop is not None
        self._turns.leave(lane.number, self._loop.time())
        if self._gate is not None:
            self._gate.leave(lane, self._loop.time())
        self._wake()

    def _watch_gate(self) -> None:
        """Whoever the gate lets in goes on; the timer is for those it holds back."""
        assert self._loop is not None
        assert self._gate is not None
        while (number := self._gate.poll_granted()) is not None:
            if (lane := self._lanes.get(number)) is not None:
                self._loop.call_soon(lane.pump)
        if self._opening is None and self._gate.opens_at < float("inf"):
            self._opening = self._loop.call_at(self._gate.opens_at, self._open_gate)

    def _open_gate(self) -> None:
        assert self._loop is not None
        assert self._gate is not None
        self._opening = None
        self._gate.handle_timer(self._loop.time())
        self._watch_gate()

    def _wake(self) -> None:
        assert self._loop is not None
        if self._gate is not None:
            self._watch_gate()
        while (number := self._turns.poll_granted()) is not None:
            if (lane := self._lanes.get(number)) is not None:
                self._loop.call_soon(lane.pump)

    def _tick(self) -> None:
        """While somebody waits: end turns by time, tell positions."""
        assert self._loop is not None
        now = self._loop.time()
        self._turns.handle_timer(now)
        self._wake()
        for number, position in self._turns.poll_notices(now):
            if (lane := self._lanes.get(number)) is not None:
                lane.machine.handle_waiting(position)
                lane.pump()
        self._ticking = self._turns.waiting > 0
        if self._ticking:
            self._loop.call_later(NOTICE_EVERY_S, self._tick)

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """See LaneHost."""
        self._book.do_work(lane, work)
