"""The serving side of one lane, as a pure machine: repod uses it for clients, a peer for other peers.

States (docs/wire-unicast.md, "States"):

    NEW         nothing heard; only NEGOTIATE is allowed
    NEGOTIATED  versions, limits and nonces agreed; only SESSION is allowed
    JOINED      the peer proved the session key; reads, and LOCK where the session is a capture
    LOCKED      this lane writes the capture
    ENDING      a reason was sent (LEASE_BREAK) or CLOSE answered; nothing is read any more
    ENDED       nothing more to send; the shell closes the socket

Stored frames do not pass through the machine: `poll_read` names a chunk, the shell finds it in the store, takes the
header from `header_for` and sends both, header first and nothing between them.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence

from core.errors import ProtocolError
from core.ids import ChunkIndex, Digest
from images.stores import Encoding
from transports.unicast.proto.admission import Admission
from transports.unicast.proto.frames import Frame, FrameReader, Header, Op, Status, encode_text, error_reply
from transports.unicast.proto.grants import ChunkTable, Grant, LookUp, Store
from transports.unicast.proto.holdings import Holdings, MapTeller
from transports.unicast.proto.limits import CREDIT_BYTES, MAX_HANDLES, MAX_OUTPUT_BYTES, MAX_WORK, credits_for
from transports.unicast.proto.messages import (
    Opened,
    pack_chunks,
    reply_to,
    unpack_chunks,
    unpack_digests,
    unpack_write_head,
)
from transports.unicast.proto.patience import LaneTimes, Patience
from transports.unicast.proto.reads import Read, ReadQueue
from transports.unicast.proto.turn_taking import TurnTaking

__all__ = ["ServerLane", "State"]


class State(enum.Enum):
    """See the module's text."""

    NEW = "new"
    NEGOTIATED = "negotiated"
    JOINED = "joined"
    LOCKED = "locked"
    ENDING = "ending"
    ENDED = "ended"


class ServerLane:
    """One connection's protocol. After every `handle_*` call, drain the `poll_*` methods."""

    def __init__(
        self,
        *,
        find: Callable[[str], Grant | None],
        nonce: bytes,
        times: LaneTimes,
        window_bytes: int,
        now: float,
    ) -> None:
        """`find` names the grant of a session id; `nonce` is 32 fresh random bytes; `window_bytes` bounds what a
        capture may have sent and not stored."""
        self._admission = Admission(find=find, nonce=nonce, idle_s=times.idle_s)
        self._patience = Patience(times, now)
        self._window = min(max(1, window_bytes // CREDIT_BYTES), 0xFFFF)
        self._write_credits = 0
        self._reader = FrameReader(self._place)
        self._output: deque[bytes] = deque()
        self._output_bytes = 0
        self._work: deque[LookUp | Store] = deque()
        self._reads = ReadQueue()
        self.turn = TurnTaking()
        self._images: dict[int, ChunkTable] = {}
        self._next_handle = 1
        self._map = MapTeller()
        self._grant: Grant | None = None
        self.state = State.NEW
        self.session_id: str | None = None
        """Set when the key was proven."""
        self.reason: tuple[Status, str] | None = None
        """Why the lane ended, when it was not asked to by CLOSE or end of stream."""

    # ------------------------------------------------------------------ input

    def handle_bytes(self, data: bytes | memoryview, now: float) -> None:
        """Bytes from the peer. A violation ends the lane with a reason; nothing is raised."""
        if self.state in (State.ENDING, State.ENDED):
            return
        self._patience.handle_heard(now)
        try:
            self._reader.handle_bytes(data)
            while self.state not in (State.ENDING, State.ENDED) and (frame := self._reader.poll_frame()):
                self._handle_frame(frame)
        except ProtocolError as error:
            self.handle_break(Status.VIOLATION, error.message)

    def handle_eof(self) -> None:
        """The peer is gone, or will send nothing more: both end the lane at once."""
        self._clear()
        self._output.clear()
        self._output_bytes = 0
        self.state = State.ENDED

    def handle_break(self, status: Status, text: str) -> None:
        """End the lane and tell the peer why. What is being sent at this moment may be finished by the shell."""
        if self.state in (State.ENDING, State.ENDED):
            return
        self._clear()
        payload = encode_text(text)
        self._send(Header(op=Op.LEASE_BREAK, status=status, length=len(payload)).encode() + payload)
        self.reason = (status, text)
        self._end()

    def handle_progress(self, now: float) -> None:
        """The peer took bytes."""
        self._patience.handle_progress(now)

    def handle_blocked(self, now: float) -> None:
        """There is something to send and the peer takes none."""
        self._patience.handle_blocked(now)

    def handle_timer(self, now: float) -> None:
        """Call when `deadline` is reached; earlier is harmless."""
        if self.turn.handle_timer(now):
            self.handle_break(Status.TIMEOUT, "asks for turns and does not say for what")
        if now < self.deadline:
            return
        if now >= self._patience.write_expired_at:
            self.reason = self.reason or (Status.TIMEOUT, self._patience.write_complaint)
            self.handle_eof()
        else:
            self.handle_break(Status.TIMEOUT, self._patience.complaint)

    @property
    def deadline(self) -> float:
        """When `handle_timer` has something to do."""
        return float("inf") if self.state is State.ENDED else min(self._patience.deadline, self.turn.deadline)

    def handle_looked_up(self, work: LookUp, held: list[bool]) -> None:
        """The answer to a LookUp."""
        if self.state is State.LOCKED:
            self._send(reply_to(work.header, bytes(held)))

    def handle_stored(self, work: Store, status: Status = Status.OK, text: str = "") -> None:
        """The answer to a Store; its credits go back to the peer."""
        if self.state is not State.LOCKED:
            return
        credits = credits_for(len(work.stored))
        self._write_credits += credits
        if status is Status.OK:
            self._send(reply_to(work.header, credits=credits))
        else:
            self._send(error_reply(work.header, status, text, credits=credits))

    def handle_waiting(self, position: int) -> None:
        """The lane waits for its turn at `position`, 1 the next; 0: it is its turn."""
        if self.state in (State.JOINED, State.LOCKED):
            self._send(Header(op=Op.WAIT, subject=position).encode())

    def handle_turn(self, now: float) -> None:
        """It is the lane's turn, for which it asked (`turn`): it may say for what."""
        self._send(reply_to(Header(op=Op.TURN, message=self.turn.give(now))))

    def tell_news(self, chunks: Sequence[int]) -> None:
        """These are held from now on."""
        self._tell(Op.NEWS, chunks)

    def tell_gone(self, chunks: Sequence[int]) -> None:
        """These are not held any more."""
        self._tell(Op.GONE, chunks)

    # ------------------------------------------------------------------ output

    @property
    def wants_input(self) -> bool:
        """False while the peer must first take answers: the shell stops reading, so a peer cannot pile them up."""
        return (
            self.state not in (State.ENDING, State.ENDED)
            and self._output_bytes < MAX_OUTPUT_BYTES
            and len(self._work) < MAX_WORK
        )

    @property
    def has_read(self) -> bool:
        """There is a chunk to send and credit for it."""
        return self._reads.ready

    def poll_control(self) -> bytes | None:
        """Bytes to send next."""
        if not self._output:
            if self.state is State.ENDING:
                self.state = State.ENDED
            return None
        data = b"".join(self._output)
        self._output.clear()
        self._output_bytes = 0
        return data

    def poll_read(self) -> tuple[Read, Digest] | None:
        """The chunk to send next."""
        if not self._reads.ready:
            return None
        read = self._reads.take()
        return read, self._images[read.handle].digest(ChunkIndex(read.chunk))

    def upcoming(self, limit: int) -> list[Digest]:
        """What will be asked of the store soon, for read-ahead."""
        return [self._images[read.handle].digest(ChunkIndex(read.chunk)) for read in self._reads.upcoming(limit)]

    def header_for(self, read: Read, *, length: int, encoding: Encoding) -> bytes | None:
        """The header that goes before `length` stored bytes; None when the peer does not take so many and was told."""
        if length > self._admission.max_stored:
            self.handle_unreadable(read, Status.TOO_LARGE, f"it takes {length} stored bytes")
            return None
        header = Header(
            op=Op.READ, reply=True, encoding=encoding, message=read.message, subject=read.chunk, length=length
        )
        return header.encode()

    def handle_unreadable(self, read: Read, status: Status, text: str) -> None:
        """The store cannot give a chunk; the peer, which knows what it asked for, is told why, and the lane goes on."""
        self._send(error_reply(Header(op=Op.READ, message=read.message, subject=read.chunk), status, text))

    @property
    def unreadable(self) -> Status:
        """What a chunk means that cannot be read: who need not hold everything has just let go of it."""
        return Status.DAMAGED if self._holdings is None else Status.NOT_FOUND

    def poll_work(self) -> LookUp | Store | None:
        """Work on the store, to be done in this order."""
        return self._work.popleft() if self._work else None

    # ------------------------------------------------------------------ frames

    def _send(self, data: bytes) -> None:
        self._output.append(data)
        self._output_bytes += len(data)

    def _tell(self, op: Op, chunks: Sequence[int]) -> None:
        if self.state is not State.JOINED:
            return
        if self._output_bytes > MAX_OUTPUT_BYTES:
            self.handle_break(Status.TIMEOUT, "takes no news of what is held")
            return
        for frame in self._map.tell_change(op, chunks):
            self._send(frame)

    def _end(self) -> None:
        self.state = State.ENDING
        self._patience.ending = True

    def _clear(self) -> None:
        self._reads = ReadQueue()
        self.turn.clear()
        self._work.clear()

    def _place(self, header: Header, head: bytes) -> memoryview | None:
        """Memory for the stored frame of a WRITE: only when locked, and only as far as credits were given."""
        if header.op is not Op.WRITE or self.state is not State.LOCKED:
            raise ProtocolError(f"{header.op.name} in state {self.state.value}")
        _, raw_length = unpack_write_head(head)
        assert self._grant is not None
        if raw_length > self._grant.capture_bytes:
            raise ProtocolError(f"chunk of {raw_length} bytes; at most {self._grant.capture_bytes} are accepted")
        length = header.length - len(head)
        if credits_for(length) > self._write_credits:
            raise ProtocolError("WRITE without credit")
        self._write_credits -= credits_for(length)
        return memoryview(bytearray(length))

    def _handle_frame(self, frame: Frame) -> None:
        header = frame.header
        if header.reply or header.status is not Status.OK:
            raise ProtocolError(f"answer to nothing: {header.op.name}")
        if header.credits and header.op not in (Op.READ, Op.GRANT):
            raise ProtocolError(f"credits in {header.op.name}")
        match self.state, header.op:
            case State.NEW, Op.NEGOTIATE:
                self._send(self._admission.handle_negotiate(frame))
                self.state = State.NEGOTIATED
            case State.NEGOTIATED, Op.SESSION:
                self._handle_session(frame)
            case ((State.JOINED | State.LOCKED), Op.ECHO):
                self._send(reply_to(header, frame.payload))
            case ((State.JOINED | State.LOCKED), Op.CLOSE):
                self._handle_close(header)
            case State.JOINED, Op.OPEN:
                self._handle_open(frame)
            case State.JOINED, Op.READ:
                self._handle_read(frame)
            case State.JOINED, Op.CANCEL:
                self._handle_cancel(frame)
            case State.JOINED, Op.MAP:
                self._image(header.subject)
                self._send(self._map.tell_map(header, self._holdings))
            case State.JOINED, Op.GRANT:
                self._reads.grant(header.credits)
            case State.JOINED, Op.TURN if self._holdings is not None:  # who has everything serves by other rules
                self.turn.handle_asked(header.message)
            case State.JOINED, Op.PASS:
                self.turn.handle_passed()
            case State.JOINED, Op.LOCK:
                self._handle_lock(header)
            case State.LOCKED, Op.HAVE:
                self._work.append(LookUp(header=header, digests=unpack_digests(frame.payload)))
            case State.LOCKED, Op.WRITE:
                digest, raw_length = unpack_write_head(frame.payload)
                assert frame.body is not None
                self._work.append(Store(header=header, digest=digest, raw_length=raw_length, stored=frame.body))
            case _:
                raise ProtocolError(f"{header.op.name} in state {self.state.value}")

    def _handle_session(self, frame: Frame) -> None:
        answer = self._admission.handle_session(frame)
        if answer is None:
            self.handle_break(Status.DENIED, "unknown session or wrong key")
            return
        self._grant = self._admission.grant
        self.session_id = self._admission.session_id
        self._send(answer)
        self._patience.proven = True
        self.state = State.JOINED

    def _handle_open(self, frame: Frame) -> None:
        assert self._grant is not None
        image = self._grant.image
        if image is None or frame.payload != image.root:
            self._send(error_reply(frame.header, Status.NOT_FOUND, "the session does not serve that image"))
            return
        if len(self._images) >= MAX_HANDLES:
            raise ProtocolError(f"more than {MAX_HANDLES} images open")
        handle = self._next_handle
        self._next_handle += 1
        self._images[handle] = image
        opened = Opened(chunks=image.chunk_count, raw_bytes=image.chunk_size)
        self._send(reply_to(frame.header, opened.encode(), subject=handle))

    @property
    def _holdings(self) -> Holdings | None:
        return None if self._grant is None else self._grant.holdings

    def _image(self, handle: int) -> ChunkTable:
        try:
            return self._images[handle]
        except KeyError:
            raise ProtocolError(f"handle {handle} is not open") from None

    def _handle_read(self, frame: Frame) -> None:
        header = frame.header
        image = self._image(header.subject)
        chunks = unpack_chunks(frame.payload, image.chunk_count)
        self.turn.handle_answered()
        self._reads.grant(header.credits)
        costs = [credits_for(image.raw_length(ChunkIndex(chunk))) for chunk in chunks]
        reads = [
            Read(message=header.message, handle=header.subject, chunk=chunk, cost=cost)
            for chunk, cost in zip(chunks, costs, strict=True)
        ]
        holdings = self._holdings
        self._reads.add(read for read in reads if holdings is None or holdings.holds(read.chunk))
        for read in reads:
            if holdings is not None and not holdings.holds(read.chunk):
                self._reads.refuse(read.cost)
                self.handle_unreadable(read, Status.NOT_FOUND, "not held")

    def _handle_cancel(self, frame: Frame) -> None:
        image = self._image(frame.header.subject)
        chunks = frozenset(unpack_chunks(frame.payload, image.chunk_count))
        dropped = self._reads.drop(frame.header.subject, chunks or None)
        self._send(reply_to(frame.header, pack_chunks([read.chunk for read in dropped])))

    def _handle_close(self, header: Header) -> None:
        if header.subject:
            self._image(header.subject)
            self._reads.drop(header.subject)
            del self._images[header.subject]
            self._send(reply_to(header))
            return
        self._clear()
        self._send(reply_to(header))
        self._end()

    def _handle_lock(self, header: Header) -> None:
        assert self._grant is not None
        if not self._grant.capture_bytes:
            self._send(error_reply(header, Status.NOT_FOUND, "the session is no capture"))
            return
        self._reads.drop(0)
        self._write_credits = self._window
        payload = self._grant.capture_bytes.to_bytes(4, "little")
        self._send(reply_to(header, payload, credits=self._window))
        self.state = State.LOCKED
