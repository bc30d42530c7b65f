"""The asking side of one lane, as a pure machine: takes the chunks of a want-map, in rising order, many in flight.

States: `joining` (handshake), `opening` (OPEN sent), `fetching`, `ended` (finished or failed).
As many slots are held as chunks are asked for, and their credits go out with the request: what the receiver has no
memory for is never on its way. Chunks arrive in any order; one is either asked, held (delivered, not yet
judged) or done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import ChunkError, ConnectionFailedError, OgcastError, ProtocolError
from core.ids import ChunkIndex
from core.wantmap import WantMap
from images.stores import Encoding
from transports.unicast.proto.frames import Frame, FrameReader, Header, Op, Status
from transports.unicast.proto.handshake import Handshake, error_of
from transports.unicast.proto.limits import credits_for
from transports.unicast.proto.messages import Opened, pack_chunks, request, unpack_chunks
from transports.unicast.proto.picker import Picker

__all__ = ["FetchLane", "Memory", "Received"]

BATCH_CHUNKS = 16
"""Chunk numbers in one READ: few enough that the first is on its way early, and their credits fit the field."""

MAX_MESSAGE = 0xFFFF_FFFF


class Memory(Protocol):
    """A slot of the arena, as far as the machine cares."""

    view: memoryview

    def release(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A chunk that came; the slot belongs to whoever polled this."""

    chunk: int
    encoding: Encoding
    length: int
    """Stored bytes, at the start of the slot."""
    slot: Memory = field(repr=False)


class FetchLane:
    """One connection's protocol on the receiving side.

    The caller gives slots while `wants_slot`, moves bytes in by `next_buffer`/`handle_filled` (or `handle_bytes`) and
    out by `poll_bytes`, and passes each `poll_received` on. `release_all` at the end gives the unused slots back.
    """

    def __init__(
        self,
        *,
        session_id: str,
        key: bytes,
        nonce: bytes,
        root: bytes,
        raw_length: Callable[[ChunkIndex], int],
        want: WantMap,
        slot_bytes: int,
        slots: int,
        stall_s: float,
        now: float,
    ) -> None:
        self._handshake = Handshake(session_id=session_id, key=key, nonce=nonce, max_stored=slot_bytes)
        self._reader = FrameReader(self._place)
        self._root = root
        self._raw_length = raw_length
        self._want = want
        self._picker = Picker(want)
        self._most = slots
        self._stall_s = stall_s
        self._echo_s = stall_s / 3
        self._heard = now
        self._spoke = now
        self._echoed = False
        self._output: deque[bytes] = deque([self._handshake.begin()])
        self._received: deque[Received] = deque()
        self._slots: list[Memory] = []
        self._asked: set[int] = set()
        self._cancelled: set[int] = set()
        self._message = 2
        self._arriving: Memory | None = None
        self._handle: int | None = None
        self.waiting = 0
        """Position in the queue for a turn; 0: not waiting."""
        self.waited = 0
        """Times the lane was told to wait."""
        self.finished = False
        self.failed: OgcastError | None = None

    # ------------------------------------------------------------------ slots

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.finished or self.failed is not None

    @property
    def wants_slot(self) -> bool:
        """True when a further slot would let the lane ask for a further chunk."""
        if self.ended or self._handle is None or len(self._slots) >= self._limit:
            return False
        return self._picker.count(self._spare + 1) > self._spare

    def handle_slot(self, slot: Memory, now: float) -> None:
        """A slot to fill; the machine owns it until it comes out of `poll_received` or `release_all`."""
        self._slots.append(slot)
        self._ask(now)

    def release_all(self) -> None:
        """Give back every slot the machine still owns. The stream must not be fed afterwards."""
        slots = [*self._slots, *(item.slot for item in self._received)]
        if self._arriving is not None:
            slots.append(self._arriving)
        self._slots, self._asked, self._arriving = [], set(), None
        self._received.clear()
        for slot in slots:
            slot.release()

    # ------------------------------------------------------------------ input

    def next_buffer(self) -> memoryview:
        """Where the next bytes from the socket belong."""
        return self._reader.next_buffer()

    def handle_filled(self, count: int, now: float) -> None:
        """`count` bytes were put there."""
        self._heard = now
        self._echoed = False
        if self.ended:
            return
        try:
            self._reader.handle_filled(count)
            while not self.ended and (frame := self._reader.poll_frame()):
                self._handle_frame(frame)
        except OgcastError as error:
            self._fail(error)
        self._ask(now)

    def handle_bytes(self, data: bytes | memoryview, now: float) -> None:
        """The same for bytes that lie elsewhere."""
        view = memoryview(data)
        while view and not self.ended:
            buffer = self.next_buffer()
            count = min(len(buffer), len(view))
            buffer[:count] = view[:count]
            self.handle_filled(count, now)
            view = view[count:]

    def handle_eof(self, reason: str = "") -> None:
        """The connection ended or broke."""
        if not self.ended:
            detail = f": {reason}" if reason else ""
            self._fail(ConnectionFailedError(f"the connection to the repository broke{detail}"))

    def handle_timer(self, now: float) -> None:
        """Call when `deadline` is reached; earlier is harmless."""
        if self.ended or now < self.deadline:
            return
        if self._expecting and now >= self._heard + self._stall_s:
            self._fail(
                ConnectionFailedError(f"the repository has been silent for {self._stall_s:g} s", hint="try again")
            )
            return
        if self._handle is not None:
            self._echoed = True
            self._request(Op.ECHO, now)
        else:
            self._spoke = now

    def handle_change(self, now: float) -> None:
        """The want-map changed, or time passed: ask for, or give up, what follows from it."""
        self._ask(now)

    def accept(self, chunk: int) -> None:
        """The chunk was good."""
        self._picker.accept(chunk)

    def reject(self, chunk: int, reason: str) -> None:
        """The chunk was not what its digest says; it is asked for again, a few times."""
        self._picker.reject(chunk, reason)

    # ------------------------------------------------------------------ output

    def poll_bytes(self) -> bytes | None:
        """Bytes to send."""
        if not self._output:
            return None
        data = b"".join(self._output)
        self._output.clear()
        return data

    def poll_received(self) -> Received | None:
        """The next chunk that came."""
        return self._received.popleft() if self._received else None

    @property
    def deadline(self) -> float:
        """When `handle_timer` has something to do."""
        if self.ended:
            return float("inf")
        stalled = self._heard + self._stall_s if self._expecting else float("inf")
        echo = float("inf") if self._echoed else max(self._heard, self._spoke) + self._echo_s
        # A receiver whose disk is slow asks for nothing for a while; the repository must still hear of it.
        return min(stalled, echo, self._spoke + self._echo_s)

    @property
    def _expecting(self) -> bool:
        return self._handle is None or bool(self._asked) or self._echoed

    # ------------------------------------------------------------------ asking

    @property
    def _spare(self) -> int:
        """Slots that no chunk asked for may yet need."""
        return len(self._slots) - len(self._asked)

    @property
    def _limit(self) -> int:
        agreed = self._handshake.agreed
        return self._most if agreed is None else min(self._most, agreed.queued_chunks)

    def _ask(self, now: float) -> None:
        if self.ended or self._handle is None:
            return
        self._cancel_unwanted(now)
        while self._spare and len(self._asked) < self._limit:
            most = min(self._spare, self._limit - len(self._asked), BATCH_CHUNKS)
            chunks = self._picker.take(most)
            if not chunks:
                break
            cost = sum(credits_for(self._raw_length(ChunkIndex(chunk))) for chunk in chunks)
            self._asked.update(chunks)
            self._request(Op.READ, now, payload=pack_chunks(chunks), subject=self._handle, credits=cost)
        self._settle(now)

    def _cancel_unwanted(self, now: float) -> None:
        assert self._handle is not None
        gone = [chunk for chunk in self._asked if chunk not in self._want and chunk not in self._cancelled]
        if gone:
            self._cancelled.update(gone)
            self._request(Op.CANCEL, now, payload=pack_chunks(gone), subject=self._handle)

    def _settle(self, now: float) -> None:
        """When nothing is under way: go over the map once more, then end."""
        if self._picker.busy or self._received or self._arriving is not None:
            return
        if self._picker.rewind():
            if self._spare:
                self._ask(now)
            return
        if lost := self._picker.lost:
            named = ", ".join(f"{chunk}: {reason}" for chunk, reason in list(lost.items())[:4])
            self._fail(
                ChunkError(
                    f"{len(lost)} chunk(s) cannot be had from the repository; chunk {named}",
                    hint="run `repod verify` at the repository; everything else has arrived",
                )
            )
            return
        self.finished = True
        self._output.append(request(Op.CLOSE, message=self._next_message()))

    def _next_message(self) -> int:
        self._message = self._message % MAX_MESSAGE + 1
        return self._message

    def _request(self, op: Op, now: float, *, payload: bytes = b"", subject: int = 0, credits: int = 0) -> None:
        self._spoke = now
        self._output.append(
            request(op, message=self._next_message(), payload=payload, subject=subject, credits=credits)
        )

    # ------------------------------------------------------------------ frames

    def _fail(self, error: OgcastError) -> None:
        if not self.ended:
            self.failed = error

    def _place(self, header: Header, head: bytes) -> memoryview | None:
        """Where the stored frame of a READ answer goes: the slot given last, whose memory is the likeliest in cache."""
        if not header.reply or header.op is not Op.READ or header.subject not in self._asked:
            raise ProtocolError(f"{header.op.name} of chunk {header.subject}, which was not asked for")
        slot = self._slots[-1]
        if header.length > len(slot.view):
            raise ProtocolError(f"stored frame of {header.length} bytes, more than was said to be accepted")
        self._asked.remove(header.subject)
        self._cancelled.discard(header.subject)
        if header.subject not in self._want:
            self._picker.returned(header.subject)
            return None
        self._arriving = self._slots.pop()
        return slot.view[: header.length]

    def _handle_frame(self, frame: Frame) -> None:
        header = frame.header
        if header.op is Op.LEASE_BREAK:
            raise error_of(header.status, frame.text)
        if not self._handshake.done:
            answer = self._handshake.handle_frame(frame)
            self._output.append(answer or request(Op.OPEN, message=self._next_message(), payload=self._root))
            return
        if header.op is Op.WAIT:
            self.waiting = header.subject
            self.waited += 1
            return
        if not header.reply:
            raise ProtocolError(f"{header.op.name} from the serving side")
        match header.op:
            case Op.READ if self._handle is not None:
                self._handle_chunk(frame)
            case Op.OPEN if self._handle is None:
                self._handle_opened(frame)
            case Op.CANCEL if self._handle is not None:
                self._handle_dropped(frame)
            case Op.ECHO:
                pass
            case _:
                raise ProtocolError(f"{header.op.name} answered, which was not asked")

    def _handle_opened(self, frame: Frame) -> None:
        if frame.header.status is not Status.OK:
            raise error_of(frame.header.status, frame.text)
        opened = Opened.parse(frame.payload)
        if opened.chunks != self._want.count:
            raise ProtocolError(f"the repository serves {opened.chunks} chunks of an image of {self._want.count}")
        self._handle = frame.header.subject

    def _handle_chunk(self, frame: Frame) -> None:
        header = frame.header
        self.waiting = 0
        if header.status is not Status.OK:
            if header.subject not in self._asked:
                raise ProtocolError(f"chunk {header.subject} refused, which was not asked for")
            self._asked.remove(header.subject)
            self._cancelled.discard(header.subject)
            self._picker.give_up(header.subject, frame.text or header.status.name.lower())
            return
        if frame.body is None:
            return
        assert self._arriving is not None
        slot, self._arriving = self._arriving, None
        self._picker.arrived(header.subject)
        self._received.append(Received(chunk=header.subject, encoding=header.encoding, length=header.length, slot=slot))

    def _handle_dropped(self, frame: Frame) -> None:
        if frame.header.status is not Status.OK:
            raise error_of(frame.header.status, frame.text)
        for chunk in unpack_chunks(frame.payload, self._want.count):
            if chunk not in self._asked or chunk not in self._cancelled:
                raise ProtocolError(f"chunk {chunk} cancelled, which was not asked")
            self._cancelled.discard(chunk)
            self._asked.remove(chunk)
            self._picker.returned(chunk)
