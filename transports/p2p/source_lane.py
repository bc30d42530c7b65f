"""One connection to somebody who has chunks, a neighbour or the origin: bytes between socket, slots and machine."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import cast

from core.arena import Slot
from core.errors import OgcastError, ProtocolError
from core.timer import Timer
from transports.unicast.proto.answers import Event, Received
from transports.unicast.proto.asking import AskingLane

__all__ = ["WAKE_BYTES", "SourceLane"]

WAKE_BYTES = 128 * 1024
"""In the middle of a chunk, so much is taken from the kernel at a time."""


class SourceLane(asyncio.BufferedProtocol):
    """Dial with it as the protocol. `on_step` is called after anything happened; drain `events` then.

    Slots given to `ask` belong to the lane until they come out of an event; `close` gives the rest back.
    """

    def __init__(self, source: int, machine: AskingLane, on_step: Callable[[SourceLane], None]) -> None:
        self.source = source
        self.machine = machine
        self._on_step = on_step
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer = Timer(self._loop, self._ring)
        self._seen: tuple[object, ...] = ()
        self._socket: socket.socket | None = None
        self._wakes_for = 1
        self._violation: ProtocolError | None = None
        self.closed = False
        self.chunks = 0
        """Chunks that came over it."""
        self.opened = False
        """Set by the owner when it has told the swarm of this source."""
        self.ended = asyncio.Event()
        """Set when the lane is closed."""

    # ------------------------------------------------------------------ the swarm's side

    @property
    def failed(self) -> OgcastError | None:
        """Why nothing more will come."""
        return self._violation or self.machine.failed

    @property
    def signs(self) -> int:
        """Grows with every byte of a chunk, and with every word that the turn of this side will come: the other side
        means to send. What it holds, and echoes, it may tell without end."""
        return self.machine.reader.body_bytes + self.machine.waited

    def handle_violation(self, error: ProtocolError) -> None:
        """What came over this lane makes no sense, though the machine could not know: nothing more is taken of it."""
        self._violation = self._violation or error

    def ask(self, chunk: int, slot: Slot | None) -> None:
        """Ask for a chunk, into `slot`, or into one that is spare here; one that was asked for ahead has its slot."""
        if chunk in self.machine.asked or chunk == self.machine.arriving:
            if slot is not None:
                slot.release()
            return
        if slot is not None:
            self.machine.handle_slot(slot)
        self.machine.ask([chunk], self._loop.time())

    def cancel(self, chunk: int) -> None:
        """Take a request back."""
        self.machine.cancel([chunk], self._loop.time())

    def ask_turn(self) -> None:
        """Ask to be told when it is about to send to this peer."""
        self.machine.ask_turn(self._loop.time())

    def pass_turn(self) -> None:
        """Nothing is wanted of it, though the turn has come."""
        self.machine.pass_turn(self._loop.time())

    def ask_map(self) -> None:
        """Ask what it holds."""
        self.machine.ask_map(self._loop.time())

    def poll_event(self) -> Event | None:
        """The next thing that happened."""
        event = self.machine.poll_event()
        self.chunks += isinstance(event, Received)
        return event

    def flush(self) -> None:
        """Send what was asked."""
        transport = None if self.closed else self._transport
        if transport is not None and transport.is_closing():
            transport = None  # uvloop refuses to write to one that broke
        if transport is not None and (data := self.machine.poll_bytes()) is not None:
            transport.write(data)
            self._arm()
        elif not self._timer.is_set:
            self._arm()

    def close(self) -> None:
        """End the connection and give every slot back; repeating is harmless."""
        if self.closed:
            return
        self.closed = True
        self._timer.cancel()
        if self._transport is not None:
            # Before the slots go back: nothing may be received into them any more.
            self._transport.abort()
        if self._socket is not None:
            self._socket.close()
        self.machine.release_all()
        self.ended.set()

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        if self.closed:
            self._transport.abort()
            return
        # uvloop's own makes a socket anew for every option that is set.
        sock = transport.get_extra_info("socket")
        self._socket = socket.socket(fileno=os.dup(sock.fileno())) if sock is not None else None
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.machine.next_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        if self.closed:
            return
        machine = self.machine
        machine.handle_filled(nbytes, self._loop.time())
        # Most of what arrives is the middle of a chunk, and changes nothing.
        seen = (machine.arriving, machine.waiting, machine.opened, machine.failed)
        if seen != self._seen or machine.has_event:
            self._seen = seen
            self._step()
        elif not machine.opened:
            self.flush()  # the handshake goes on by itself
        self._wait_for(WAKE_BYTES if machine.body_left > WAKE_BYTES else 1)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.machine.handle_eof(str(exc or ""))
            self._step()

    def _wait_for(self, count: int) -> None:
        """Have the kernel wake this process for `count` bytes, not for each packet of each of ten neighbours."""
        if count != self._wakes_for and self._socket is not None and not self.closed:
            self._wakes_for = count
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _step(self) -> None:
        self._on_step(self)
        self.flush()

    def _arm(self) -> None:
        if not self.closed:
            self._timer.ring_by(self.machine.deadline)

    def _ring(self) -> None:
        if not self.closed:
            self.machine.handle_timer(self._loop.time())
            self._step()
