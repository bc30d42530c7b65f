"""Server half of unicast: sessions and captures, served by lanes on a thread of their own (`lanes`).

Work on captures goes to a small pool. repod's loop only opens and closes sessions.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Mapping
from typing import Any

from core.ids import SessionId
from images.stores import ChunkReader
from transports.base import CaptureGrant, Offer, ServedSession, ServerContext
from transports.unicast.lane import Lane
from transports.unicast.lanes import LaneServer
from transports.unicast.proto.frames import Status
from transports.unicast.proto.grants import Grant, LookUp, Store
from transports.unicast.settings import UnicastSettings
from transports.unicast.store_work import Capture

__all__ = ["UnicastServer"]


class UnicastServer:
    """A `ServerTransport` and the `LaneBook` of its lanes. What the contract names runs on repod's loop, what the book
    does on the lane thread."""

    def __init__(self, context: ServerContext) -> None:
        """Raises UsageError for settings that make no sense."""
        self._context = context
        self._lanes = LaneServer(
            self, host=context.host, settings=UnicastSettings.load(context.settings), on_event=context.on_event
        )
        self._sessions: dict[str, ServedSession] = {}
        self._captures: dict[str, Capture] = {}
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    # ------------------------------------------------------------------ repod's side

    @property
    def port(self) -> int:
        """The port lanes are accepted on. Call after `start`."""
        return self._lanes.port

    async def start(self) -> None:
        """See ServerTransport."""
        self._pool = concurrent.futures.ThreadPoolExecutor(
            max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="unicast-store"
        )
        self._lanes.start()

    async def stop(self, *, grace_s: float) -> None:
        """See ServerTransport."""
        await self._lanes.stop(grace_s=grace_s)
        for capture in self._captures.values():
            capture.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

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
        self._lanes.break_session(session_id, reason)

    def session_state(self, session_id: SessionId) -> Mapping[str, Any]:
        """See ServerTransport."""
        sent = self._lanes.sent_to(session_id)
        return {} if sent is None else {"bytes_sent": sent}

    def counters(self) -> Mapping[str, float]:
        """See ServerTransport."""
        return {"chunks_stored": 0, **self._lanes.counters()}

    def _offer(self) -> Offer:
        parameters: dict[str, str | int] = {"port": self.port}
        host = self._context.advertise or self._context.host
        if host not in ("", "0.0.0.0", "::"):
            parameters["host"] = host
        return Offer(transport="unicast", parameters=parameters)

    # ------------------------------------------------------------------ LaneBook

    def find(self, session_id: str) -> Grant | None:
        """See LaneBook."""
        if (session := self._sessions.get(session_id)) is not None:
            return Grant(key=session.key, image=session.manifest)
        if (capture := self._captures.get(session_id)) is not None:
            return Grant(key=capture.grant.key, capture_bytes=capture.grant.chunk_bytes)
        return None

    def chunks_of(self, session_id: str) -> ChunkReader | None:
        """See LaneBook."""
        session = self._sessions.get(session_id)
        return None if session is None else session.chunks

    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """See LaneBook."""
        capture = self._captures.get(lane.machine.session_id or "")
        if capture is None:
            self._lanes.loop.call_soon(lane.end, Status.CLOSED, "the capture was closed")
            return
        self._lanes.loop.create_task(self._work(lane, work, capture)).add_done_callback(_raise)

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
        self._lanes.count("chunks_stored" if status is Status.OK else "chunks_not_stored")
        lane.finish(lambda machine: machine.handle_stored(store, status, text))


def _raise(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()
