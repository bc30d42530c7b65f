"""Client half of unicast: one TCP connection, stored frames received straight into the session's arena."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import cast

from core.arena import Arena, Slot
from core.errors import UsageError
from core.ids import SessionId
from core.quota import Quota
from core.timer import Timer
from core.wantmap import WantMap
from images.manifest import Manifest
from transports.base import CaptureLane, ClientContext, Delivery, Offer, Outlook
from transports.unicast.dial import address_of, dial
from transports.unicast.proto.client import FetchLane, Received
from transports.unicast.upload import upload

__all__ = ["STALL_S", "UnicastClient"]

STALL_S = 30.0
"""A repository that owes an answer and is silent for this long has gone."""

SOURCE = "repository"


class UnicastClient:
    """A `ClientTransport` and a `CaptureClient`."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    def fetch(
        self, offer: Offer, *, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AbstractAsyncContextManager[UnicastIncoming]:
        """See ClientTransport."""
        return self._fetch(offer, session_id, key, manifest, want, arena)

    @contextlib.asynccontextmanager
    async def _fetch(
        self, offer: Offer, session_id: SessionId, key: bytes, manifest: Manifest, want: WantMap, arena: Arena
    ) -> AsyncIterator[UnicastIncoming]:
        if arena.slot_bytes < min(manifest.chunk_size, manifest.size):
            raise UsageError(f"slots of {arena.slot_bytes} bytes for chunks of {manifest.chunk_size}")
        host, port = address_of(offer, self._context.repository_host)
        loop = asyncio.get_running_loop()
        lane = FetchLane(
            session_id=session_id,
            key=key,
            nonce=os.urandom(32),
            root=manifest.root,
            raw_length=manifest.raw_length,
            want=want,
            slot_bytes=arena.slot_bytes,
            slots=arena.slots,
            stall_s=STALL_S,
            now=loop.time(),
        )
        incoming = UnicastIncoming(lane, arena, self._context)
        await dial(host, port, lambda: incoming, interface=self._context.interface)
        try:
            yield incoming
        finally:
            await incoming.close()

    def upload(self, offer: Offer, *, session_id: SessionId, key: bytes) -> AbstractAsyncContextManager[CaptureLane]:
        """See CaptureClient."""
        host, port = address_of(offer, self._context.repository_host)
        interface = self._context.interface
        return upload(host, port, session_id=session_id, key=key, stall_s=STALL_S, interface=interface)


class UnicastIncoming(asyncio.BufferedProtocol):
    """An `Incoming`. A thin shell: moves bytes, slots and time between socket, arena and machine."""

    def __init__(self, lane: FetchLane, arena: Arena, context: ClientContext) -> None:
        self._lane = lane
        self._arena = arena
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closed = self._loop.create_future()
        self._ready: deque[Delivery] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._timer = Timer(self._loop, self._ring)
        self._told_waiting = 0
        self._left = False

    # ------------------------------------------------------------------ Incoming

    def __aiter__(self) -> UnicastIncoming:
        return self

    async def __anext__(self) -> Delivery:
        self._change()
        while not self._ready:
            if self._lane.failed is not None:
                raise self._lane.failed
            if self._lane.finished or self._left:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._ready.popleft()

    def accept(self, delivery: Delivery) -> None:
        """See Incoming."""
        self._lane.accept(delivery.chunk)
        self._change()

    def reject(self, delivery: Delivery, reason: str) -> None:
        """See Incoming."""
        self._lane.reject(delivery.chunk, reason)
        self._change()

    def outlook(self) -> Outlook:
        """See Steerable."""
        return Outlook(under_way=self._lane.under_way, begun=self._lane.begun)

    async def close(self) -> None:
        """Cancel what is in flight, give every slot back that no delivery holds, close the connection."""
        self._left = True
        self._timer.cancel()
        if self._feeder is not None:
            self._feeder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feeder
        if self._transport is not None:
            if self._lane.finished:
                self._transport.close()
            else:
                self._transport.abort()
            await self._closed
        self._lane.release_all()
        while self._ready:
            self._ready.popleft().release()

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._pump()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._lane.next_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        if not self._left:
            self._lane.handle_filled(nbytes, self._loop.time())
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lane.handle_eof(str(exc or ""))
        if not self._closed.done():
            self._closed.set_result(None)
        if not self._left:
            self._pump()

    # ------------------------------------------------------------------ between

    def _change(self) -> None:
        if not self._left:
            self._lane.handle_change(self._loop.time())
            self._pump()

    def _pump(self) -> None:
        lane = self._lane
        now = self._loop.time()
        if isinstance(self._arena, Quota):
            while self._arena.excess and (slot := lane.take_slot()) is not None:
                slot.release()
        while lane.wants_slot and (slot := self._arena.try_acquire()) is not None:
            lane.handle_slot(slot, now)
        if lane.wants_slot and (self._feeder is None or self._feeder.done()):
            self._feeder = self._loop.create_task(self._feed())
        while (received := lane.poll_received()) is not None:
            self._ready.append(self._delivery(received))
        transport = self._transport  # one that broke refuses to be written to, with uvloop
        if (data := lane.poll_bytes()) is not None and transport is not None and not transport.is_closing():
            transport.write(data)
        if lane.waiting != self._told_waiting:
            self._told_waiting = lane.waiting
            self._context.on_event("waiting-for-turn", {"position": lane.waiting})
        if lane.ended:
            self._lane_ended()
        if (self._ready or lane.ended) and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._arm()

    def _lane_ended(self) -> None:
        if self._lane.failed is not None and self._transport is not None:
            # Before the slots go back: nothing may be received into them any more.
            self._transport.abort()
        self._lane.release_all()

    async def _feed(self) -> None:
        """Somebody else holds the arena's slots: take the next one that comes back."""
        slot: Slot = await self._arena.acquire()
        if self._left or not self._lane.wants_slot:
            slot.release()
            return
        self._lane.handle_slot(slot, self._loop.time())
        self._loop.call_soon(self._change)

    def _delivery(self, received: Received) -> Delivery:
        return Delivery(
            chunk=received.chunk,  # type: ignore[arg-type]
            encoding=received.encoding,
            frame=received.slot.view[: received.length],
            source=SOURCE,
            release=self._releaser(received),
        )

    def _releaser(self, received: Received) -> Callable[[], None]:
        def release() -> None:
            received.slot.release()
            # The slot pays for another chunk at once.
            if not self._left:
                self._loop.call_soon(self._change)

        return release

    def _arm(self) -> None:
        if not self._left:
            self._timer.ring_by(self._lane.deadline)

    def _ring(self) -> None:
        if not self._left:
            self._lane.handle_timer(self._loop.time())
            self._change()
