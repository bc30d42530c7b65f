"""Server half of unicast: listens, admits lanes, lends them turns. Data lanes live on a thread of their own.

uvloop has no `sendfile`, and stored frames must not keep repod's loop waiting, so lanes run on a stock selector loop
in one thread; work on captures goes to a small pool. repod's loop only opens and closes sessions.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from core.errors import LocalError, LockedError
from core.ids import SessionId
from images.stores import ChunkReader
from transports.base import CaptureGrant, Offer, ServedSession, ServerContext
from transports.unicast.lane import READ_BYTES, Lane
from transports.unicast.proto.frames import Header, Op, Status, encode_text
from transports.unicast.proto.grants import Grant, LookUp, Store
from transports.unicast.proto.patience import LaneTimes
from transports.unicast.proto.server import ServerLane, State
from transports.unicast.proto.turns import NOTICE_EVERY_S, Turns
from transports.unicast.settings import UnicastSettings
from transports.unicast.store_work import Capture

__all__ = ["UnicastServer"]

BACKLOG = 512
ACCEPTS_AT_ONCE = 64
ACCEPT_PAUSE_S = 1.0
"""Out of descriptors: try again after this long."""


class UnicastServer:
    """A `ServerTransport`. The methods of that contract run on repod's loop, all others on the lane thread."""

    def __init__(self, context: ServerContext) -> None:
        """Raises UsageError for settings that make no sense."""
        self._context = context
        self._settings = UnicastSettings.load(context.settings)
        self._sessions: dict[str, ServedSession] = {}
        self._captures: dict[str, Capture] = {}
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._lanes: dict[int, Lane] = {}
        self._joined: dict[str, set[Lane]] = {}
        self._locked: dict[str, Lane] = {}
        self._addresses: Counter[str] = Counter()
        self._turns = Turns(self._settings.lanes_at_once)
        self._numbers = 0
        self._ticking = False
        self._emptied: asyncio.Event | None = None
        self._scratch = bytearray(READ_BYTES)
        self._counts: Counter[str] = Counter()
        self._times = LaneTimes(
            handshake_s=self._settings.handshake_timeout_s,
            idle_s=self._settings.idle_timeout_s,
            write_s=self._settings.write_timeout_s,
        )

    # ------------------------------------------------------------------ repod's side

    @property
    def port(self) -> int:
        """The port lanes are accepted on. Call after `start`."""
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """See ServerTransport."""
        self._listener = self._listen()
        self._loop = asyncio.SelectorEventLoop()
        self._pool = concurrent.futures.ThreadPoolExecutor(
            max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="unicast-store"
        )
        self._thread = threading.Thread(target=self._run, name="unicast-lanes", daemon=True)
        self._thread.start()

    async def stop(self, *, grace_s: float) -> None:
        """See ServerTransport."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None or self._pool is None:
            return
        self._thread = None
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._stop(grace_s), loop))
        for capture in self._captures.values():
            capture.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)

    def open_session(self, session: ServedSession) -> Offer:
        """See ServerTransport."""
        self._sessions[session.id] = session
        return self._offer()

    def open_capture(self, grant: CaptureGrant) -> Offer:
        """See ServerTransport."""
        self._captures[grant.id] = Capture(grant)
        return self._offer()

    def close_session(self, session_id: SessionId, reason: str) -> None:
        """See ServerTransport. For a capture: its writer is not called any more once this has returned."""
        self._sessions.pop(session_id, None)
        capture = self._captures.pop(session_id, None)
        if capture is not None:
            capture.close()
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._break_session, session_id, reason)

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        """See ServerTransport."""
        lanes = list(self._joined.get(session_id, ()))
        return {"bytes_sent": sum(lane.bytes_sent for lane in lanes)} if lanes else {}

    def counters(self) -> Mapping[str, float]:
        """See ServerTransport."""
        totals: dict[str, float] = dict.fromkeys(
            ("bytes_sent", "chunks_sent", "lanes_opened", "lanes_refused", "violations", "timeouts", "chunks_stored"), 0
        )
        totals.update(self._counts.copy())
        totals["clients"] = len(self._lanes)
        totals["waiting"] = self._turns.waiting
        totals["turns_waited"] = self._turns.waited
        totals["turns_rotated"] = self._turns.rotations
        return totals

    def _offer(self) -> Offer:
        parameters: dict[str, str | int] = {"port": self.port}
        host = self._context.advertise or self._context.host
        if host not in ("", "0.0.0.0", "::"):
            parameters["host"] = host
        return Offer(transport="unicast", parameters=parameters)

    def _listen(self) -> socket.socket:
        host, port = self._context.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LockedError(
                    f"port {port} on {host or 'all addresses'} is in use",
                    hint="another repod may be running; set port in [transports.unicast] of repod.toml",
                ) from error
            raise LocalError(
                f"cannot listen on {host or 'all addresses'} port {port}: {error.strerror or error}",
                hint="check --host and the port in [transports.unicast] of repod.toml",
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
        self._context.on_event("lane_fault", {"error": repr(context.get("exception") or context.get("message"))})

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
                self._context.on_event("accept_failed", {"error": str(error)})
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
        assert self._loop is not None
        machine = ServerLane(
            find=self._find,
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
        lane.pump()

    def _limit_reached(self, address: str) -> str:
        if len(self._lanes) >= self._settings.max_lanes:
            return "max_lanes"
        if self._addresses[address] >= self._settings.max_lanes_per_address:
            return "max_lanes_per_address"
        return ""

    def _find(self, session_id: str) -> Grant | None:
        if (session := self._sessions.get(session_id)) is not None:
            return Grant(key=session.key, image=session.manifest)
        if (capture := self._captures.get(session_id)) is not None:
            return Grant(key=capture.grant.key, capture_bytes=capture.grant.chunk_bytes)
        return None

    def _break_session(self, session_id: str, reason: str) -> None:
        for lane in list(self._joined.get(session_id, ())):
            lane.end(Status.CLOSED, reason)

    # ------------------------------------------------------------------ LaneHost

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """See LaneHost."""
        session = self._sessions.get(session_id)
        return None if session is None else session.chunks

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
                self._context.on_event("lane_opened", {"session": session_id, "peer": lane.address})
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
                self._context.on_event("lane_closed", {"session": session_id, "peer": lane.address})
            if not lanes:
                self._joined.pop(session_id, None)
            if self._locked.get(session_id) is lane:
                del self._locked[session_id]
        if (reason := lane.machine.reason) is not None:
            status, text = reason
            self.count({Status.VIOLATION: "violations", Status.TIMEOUT: "timeouts"}.get(status, "lanes_broken"))
            self._context.on_event(
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
        return has_turn

    def spend_turn(self, lane: Lane, count: int) -> None:
        """See LaneHost."""
        assert self._loop is not None
        self._turns.spend(lane.number, count, self._loop.time())
        self._wake()

    def leave_turn(self, lane: Lane) -> None:
        """See LaneHost."""
        assert self._loop is not None
        self._turns.leave(lane.number, self._loop.time())
        self._wake()

    def _wake(self) -> None:
        assert self._loop is not None
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
        assert self._loop is not None
        assert self._pool is not None
        capture = self._captures.get(lane.machine.session_id or "")
        if capture is None:
            self._loop.call_soon(lane.end, Status.CLOSED, "the capture was closed")
            return
        self._loop.create_task(self._work(lane, work, capture)).add_done_callback(_raise)

    async def _work(self, lane: Lane, work: LookUp | Store, capture: Capture) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(work, LookUp):
            look_up = work
            held = await loop.run_in_executor(self._pool, capture.look_up, look_up)
            if held is None:
                lane.end(Status.FAILED, "the store cannot be read")
            else:
                answer = held
                lane.finish(lambda machine: machine.handle_looked_up(look_up, answer))
            return
        store = work
        status, text = await loop.run_in_executor(self._pool, capture.store, store)
        self.count("chunks_stored" if status is Status.OK else "chunks_not_stored")
        lane.finish(lambda machine: machine.handle_stored(store, status, text))


def _raise(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()
