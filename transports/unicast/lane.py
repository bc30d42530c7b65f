"""One connection of the server: a socket, its machine, and what is on its way out.

Runs on the lane thread's event loop. Stored frames go from the pack to the socket by `os.sendfile`; the header before
them is held back by the kernel (MSG_MORE) so that it shares their first packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Protocol

from core.connecting import follow_losses, follow_way, packets_sent, retransmit_as_usual, retransmit_soon
from core.errors import OgcastError, RepositoryTroubleError
from core.ids import Digest
from core.losses import Losses
from core.timer import Timer
from images.stores import ChunkReader, StoredChunk
from transports.unicast.proto.frames import Status
from transports.unicast.proto.grants import LookUp, Store
from transports.unicast.proto.server import ServerLane, State

__all__ = ["Lane", "LaneHost"]

READ_BYTES = 256 * 1024
SEND_BYTES_AT_ONCE = 8 * 1024 * 1024
"""What one lane may push in a row before the others are looked at."""

READ_AHEAD_CHUNKS = 4

LINGER_S = 1.0
"""Between the last frame and closing, for a peer that does not close."""


class LaneHost(Protocol):
    """What a lane asks of the server it belongs to."""

    def chunks_of(self, session_id: str) -> ChunkReader | None: ...
    def ask_turn(self, lane: Lane) -> bool: ...
    def spend_turn(self, lane: Lane, count: int) -> None: ...
    def leave_turn(self, lane: Lane) -> None: ...
    def handle_progress(self, lane: Lane) -> None:
        """The lane's machine took a step: it may have joined, locked or ended."""

    def count(self, counter: str, amount: int = 1) -> None: ...
    def do_work(self, lane: Lane, work: LookUp | Store) -> None:
        """Do it elsewhere, then call `lane.finish`."""


class Lane:
    """Owns its socket; the first `pump` starts it. `close` is the only way out and harmless when repeated."""

    def __init__(
        self, sock: socket.socket, address: str, machine: ServerLane, host: LaneHost, number: int, scratch: bytearray
    ) -> None:
        self.machine = machine
        self.address = address
        self.number = number
        self.closed = False
        self.bytes_sent = 0
        self._sock = sock
        self._fd = sock.fileno()
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._scratch = scratch
        self._pending = memoryview(b"")
        self._file: tuple[int, int, int] | None = None
        self._more = False
        self._reading = False
        self._writing = False
        self._timer = Timer(self._loop, self._ring)
        self._working = False
        self._lingering = False
        self._fresh: set[Digest] = set()
        self._way: bytes | None = None
        """How its rate was found before it followed its losses; None: it does not."""
        self._losses = Losses()
        self._hurries = False

    # ------------------------------------------------------------------ events

    def pump(self) -> None:
        """Let the machine speak: send what can be sent, hand out work, re-arm."""
        if self.closed or self._lingering:
            return
        self._host.handle_progress(self)
        try:
            blocked = self._send()
        except OSError as error:
            self.close(str(error))
            return
        if self.machine.state is State.ENDED:
            self._linger()
            return
        self._hand_out_work()
        self._watch(writing=blocked)
        self._timer.ring_by(self.machine.deadline)

    def finish(self, act: Callable[[ServerLane], None]) -> None:
        """Work given to `do_work` is done: `act` tells the machine."""
        self._working = False
        if not self.closed:
            act(self.machine)
            self.pump()

    def end(self, status: Status, text: str) -> None:
        """Tell the peer why, then close."""
        self.machine.handle_break(status, text)
        self.pump()

    def follow_losses(self) -> None:
        """From now on its rate follows its losses, where the kernel allows that, until there are too many of them."""
        self._way = follow_losses(self._sock)

    def hurry(self) -> None:
        """Repeat soon what gets lost, until the first packets say that little does."""
        self._hurries = retransmit_soon(self._sock)

    def close(self, reason: str) -> None:
        """Close the socket and forget everything."""
        if self.closed:
            return
        self.closed = True
        self._timer.cancel()
        self._watch_none()
        self.machine.handle_eof()
        self._host.leave_turn(self)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._host.handle_progress(self)

    def _linger(self) -> None:
        """Closing with bytes unread would reset the connection and take the last frame with it: read until the peer
        closes too, for a short while."""
        if self._lingering:
            return
        self._lingering = True
        self._watch_none()
        self._host.leave_turn(self)
        self._timer.cancel()
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close("")
            return
        self._reading = True
        self._loop.add_reader(self._fd, self._drain)
        self._timer.ring_by(self._loop.time() + LINGER_S)
        self._host.handle_progress(self)

    def _drain(self) -> None:
        try:
            if self._sock.recv_into(self._scratch):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.close("")

    # ------------------------------------------------------------------ input

    def _readable(self) -> None:
        try:
            count = self._sock.recv_into(self._scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(str(error))
            return
        if count:
            self.machine.handle_bytes(memoryview(self._scratch)[:count], self._loop.time())
        else:
            self.close("")
        self.pump()

    def _hand_out_work(self) -> None:
        if not self._working and (work := self.machine.poll_work()) is not None:
            self._working = True
            self._host.do_work(self, work)

    # ------------------------------------------------------------------ output

    def _send(self) -> bool:
        """Send until nothing is left or the socket is full; True in the second case, or when it is others' turn."""
        budget = SEND_BYTES_AT_ONCE
        while True:
            sent = self._send_pending()
            if sent is None:
                self.machine.handle_blocked(self._loop.time())
                return True
            if sent:
                budget -= sent
                self.machine.handle_progress(self._loop.time())
            if self._pending or self._file is not None:
                continue
            if budget <= 0:
                return True
            if not self._next():
                return False

    def _send_pending(self) -> int | None:
        """One system call's worth. None: the socket takes no more now. 0: nothing was pending."""
        try:
            if self._pending:
                flags = socket.MSG_NOSIGNAL | (socket.MSG_MORE if self._more else 0)
                count = self._sock.send(self._pending, flags)
                self._pending = self._pending[count:]
                return count
            if self._file is not None:
                fd, offset, left = self._file
                count = os.sendfile(self._fd, fd, offset, left)
                if not count:
                    raise OSError("a pack is shorter than its index says")
                self.bytes_sent += count
                self._host.count("bytes_sent", count)
                self._file = (fd, offset + count, left - count) if count < left else None
                if self._file is None:
                    self._close_file(fd)
                    self._look_at_losses()
                return count
        except (BlockingIOError, InterruptedError):
            return None
        return 0

    def _next(self) -> bool:
        """Make the next frame ready; False when there is none, or no turn for it."""
        if (control := self.machine.poll_control()) is not None:
            self._pending, self._more = memoryview(control), False
            return True
        if self.machine.turn.held:
            return False
        if not self.machine.has_read and not self.machine.turn.asked:
            self._host.leave_turn(self)
            return False
        if not self._host.ask_turn(self):
            return False
        if self.machine.has_read:
            return self._next_chunk()
        self.machine.handle_turn(self._loop.time())
        return True

    def _next_chunk(self) -> bool:
        polled = self.machine.poll_read()
        session_id = self.machine.session_id
        chunks = None if session_id is None else self._host.chunks_of(session_id)
        if polled is None or chunks is None:
            return False
        read, digest = polled
        try:
            stored = chunks.locate(digest)
            # A lane may be in the middle of a chunk for long; the store closes descriptors of packs it has not used.
            fd = os.dup(stored.fd)
        except (RepositoryTroubleError, OSError) as error:
            # It may pass, and a chunk that is called damaged is not asked for again: the peer comes back later.
            self.machine.handle_break(Status.FAILED, f"chunk {read.chunk}: {error}")
            self._host.count("disk_troubles")
            return True
        except OgcastError as error:
            self.machine.handle_unreadable(read, self.machine.unreadable, str(error))
            self._host.count("chunks_unreadable")
            return True
        header = self.machine.header_for(read, length=stored.length, encoding=stored.encoding)
        if header is None:
            os.close(fd)
            return True
        self._pending, self._more = memoryview(header), True
        self._file = (fd, stored.offset, stored.length)
        self._host.count("chunks_sent")
        self._host.spend_turn(self, stored.length)
        self._read_ahead(chunks)
        return True

    def _read_ahead(self, chunks: ChunkReader) -> None:
        """Ask the disk for what comes next while the network takes this chunk."""
        upcoming = self.machine.upcoming(READ_AHEAD_CHUNKS)
        for digest in upcoming:
            if digest not in self._fresh:
                with contextlib.suppress(OgcastError, OSError):
                    stored: StoredChunk = chunks.locate(digest)
                    os.posix_fadvise(stored.fd, stored.offset, stored.length, os.POSIX_FADV_WILLNEED)
        self._fresh = set(upcoming)

    def _close_file(self, fd: int) -> None:
        self._file = None
        os.close(fd)

    def _look_at_losses(self) -> None:
        """On a bad cable the system's own way may do better than to follow losses, and hardly worse."""
        if self._way is None:
            return
        if not self._losses.handle_sent(*packets_sent(self._sock)):
            if self._losses.judged and self._hurries and not self._losses.lossy:
                self._hurries = False
                retransmit_as_usual(self._sock)
            return
        if not self._losses.lossy:
            follow_losses(self._sock)
            return
        self._host.count("lanes_lossy")
        retransmit_soon(self._sock)
        try:
            follow_way(self._sock, self._way)
        except OSError:
            self._way = None  # one that a route prescribed may be forbidden to who is not root: it goes on as it is

    # ------------------------------------------------------------------ waiting

    def _watch(self, *, writing: bool) -> None:
        reading = self.machine.wants_input
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(self._fd, self._readable)
            else:
                self._loop.remove_reader(self._fd)
        if writing != self._writing:
            self._writing = writing
            if writing:
                self._loop.add_writer(self._fd, self.pump)
            else:
                self._loop.remove_writer(self._fd)

    def _watch_none(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._fd)
        if self._writing:
            self._loop.remove_writer(self._fd)
        self._reading = self._writing = False
        if self._file is not None:
            self._close_file(self._file[0])
        self._pending = memoryview(b"")

    def _ring(self) -> None:
        if self._lingering:
            self.close("")
            return
        self.machine.handle_timer(self._loop.time())
        self.pump()
