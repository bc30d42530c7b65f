"""The asking side of one lane, as a pure machine: asks a repository or a peer for chunks that somebody else chooses.

States: joining (handshake), opening (OPEN sent), `opened`, `failed`. Every chunk asked for has a slot waiting for it,
and its credits go out with the request: what the receiver has no memory for is never on its way. Chunks arrive in any
order. What happens comes out of `poll_event`, in the order it happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from core.errors import ConnectionFailedError, OgcastError, ProtocolError
from core.ids import ChunkIndex
from transports.unicast.proto.answers import Event, Gone, Held, Memory, News, Received, Refused, Returned, Turn
from transports.unicast.proto.frames import Frame, FrameReader, Header, Op, Status
from transports.unicast.proto.handshake import REPOSITORY, Handshake, error_of
from transports.unicast.proto.limits import credits_for
from transports.unicast.proto.messages import Opened, pack_chunks, request, unpack_chunks

__all__ = ["AskingLane"]

MAX_MESSAGE = 0xFFFF_FFFF


class AskingLane:
    """One connection's protocol on the receiving side.

    The caller gives slots (`handle_slot`) and asks for no more chunks than there are `spare` ones, moves bytes in by
    `next_buffer`/`handle_filled` (or `handle_bytes`) and out by `poll_bytes`. `release_all` at the end gives every slot
    back that the machine still owns.
    """

    def __init__(
        self,
        *,
        session_id: str,
        key: bytes,
        nonce: bytes,
        root: bytes,
        chunks: int,
        raw_length: Callable[[ChunkIndex], int],
        wanted: Callable[[int], bool],
        slot_bytes: int,
        stall_s: float,
        now: float,
        other: str = REPOSITORY,
    ) -> None:
        """`wanted` is asked when a chunk begins to arrive; `other` is what people call the serving side."""
        self._handshake = Handshake(session_id=session_id, key=key, nonce=nonce, max_stored=slot_bytes, other=other)
        self._slot_bytes = slot_bytes
        self.reader = FrameReader(self._place)
        """Read only: `body_bytes` says what came of chunks."""
        self._root = root
        self._chunks = chunks
        self._raw_length = raw_length
        self._wanted = wanted
        self._other = other
        self._stall_s = stall_s
        self._echo_s = stall_s / 3
        self._heard = now
        self._spoke = now
        self._echoed = False
        self._map_asked = False
        self._turn_asked = False
        self._output: deque[bytes] = deque([self._handshake.begin()])
        self._events: deque[Event] = deque()
        self._slots: list[Memory] = []
        self._asked: set[int] = set()
        self._cancelled: set[int] = set()
        self._message = 2
        self._arriving: Memory | None = None
        self._handle: int | None = None
        self.arriving: int | None = None
        """The chunk whose bytes are coming in now."""
        self.waiting = 0
        """Position in the queue for a turn; 0: not waiting."""
        self.waited = 0
        """Times the lane was told to wait."""
        self.closed = False
        """CLOSE was sent: nothing more is asked or heard."""
        self.failed: OgcastError | None = None

    # ------------------------------------------------------------------ what there is

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.closed or self.failed is not None

    @property
    def opened(self) -> bool:
        """Chunks may be asked for."""
        return self._handle is not None and not self.ended

    @property
    def asked(self) -> frozenset[int]:
        """Chunks asked for and not answered."""
        return frozenset(self._asked)

    @property
    def under_way(self) -> int:
        """How many those are."""
        return len(self._asked)

    @property
    def busy(self) -> bool:
        """A chunk is coming in, or an event was not polled yet."""
        return self._arriving is not None or bool(self._events)

    @property
    def has_event(self) -> bool:
        """`poll_event` has something to say."""
        return bool(self._events)

    @property
    def body_left(self) -> int:
        """Bytes of a stored frame that are still to come before anything else."""
        return len(self.reader.next_buffer()) if self._arriving is not None else 0

    @property
    def slots(self) -> int:
        """Slots given and not filled."""
        return len(self._slots)

    @property
    def spare(self) -> int:
        """Slots that no chunk asked for may yet need."""
        return max(0, len(self._slots) - len(self._asked))

    @property
    def limit(self) -> int:
        """Most chunks that may be asked for at a time."""
        agreed = self._handshake.agreed
        return MAX_MESSAGE if agreed is None else agreed.queued_chunks

    # ------------------------------------------------------------------ asking

    def handle_slot(self, slot: Memory) -> None:
        """A slot to fill; the machine owns it until it comes out of an event, `take_slot` or `release_all`."""
        self._slots.append(slot)

    def take_slot(self, *, hurry: bool = False) -> Memory | None:
        """A spare slot back; in a `hurry` also that of a request that was taken back: if its chunk comes all the same,
        it is dropped."""
        spare = self._beyond_need if hurry else self.spare
        return self._slots.pop() if spare > 0 else None

    def ask(self, chunks: Sequence[int], now: float) -> None:
        """Ask for chunks, each of which has a spare slot. Call when `opened`."""
        if len(chunks) > self.spare:
            raise ValueError(f"{len(chunks)} chunks asked for with {self.spare} slots to spare")
        self.ask_ahead(chunks, now)

    def ask_ahead(self, chunks: Sequence[int], now: float) -> None:
        """Ask for chunks before there are slots. Nothing may be received until as many were given."""
        assert self._handle is not None
        cost = sum(credits_for(self._raw_length(ChunkIndex(chunk))) for chunk in chunks)
        self._asked.update(chunks)
        self._request(Op.READ, now, payload=pack_chunks(chunks), subject=self._handle, credits=cost)

    def hand_to(self, *, raw_length: Callable[[ChunkIndex], int], wanted: Callable[[int], bool]) -> None:
        """Somebody else goes on with it, who knows better what chunks there are."""
        self._raw_length = raw_length
        self._wanted = wanted

    def cancel(self, chunks: Sequence[int], now: float) -> None:
        """Take requests back. Each chunk is either returned or still comes."""
        gone = [chunk for chunk in chunks if chunk in self._asked and chunk not in self._cancelled]
        if gone and self.opened:
            assert self._handle is not None
            self._cancelled.update(gone)
            self._request(Op.CANCEL, now, payload=pack_chunks(gone), subject=self._handle)

    def ask_map(self, now: float) -> None:
        """Ask a peer what it holds, and to be told of changes. Call once, when `opened`."""
        assert self._handle is not None
        self._map_asked = True
        self._request(Op.MAP, now, subject=self._handle)

    def ask_turn(self, now: float) -> None:
        """Ask a peer to say when it is about to send to this side. Call when `opened`, and again only after its answer,
        which is to be followed by `ask` or `pass_turn`."""
        assert self._handle is not None
        self._turn_asked = True
        self._request(Op.TURN, now)

    def pass_turn(self, now: float) -> None:
        """Nothing is wanted now that the turn has come."""
        self._request(Op.PASS, now)

    def close(self) -> None:
        """Nothing more will be asked."""
        if not self.ended:
            self.closed = True
            self._output.append(request(Op.CLOSE, message=self._next_message()))

    def release_all(self) -> None:
        """Give back every slot the machine still owns. The stream must not be fed afterwards."""
        slots = [*self._slots, *(event.slot for event in self._events if isinstance(event, Received))]
        if self._arriving is not None:
            slots.append(self._arriving)
        self._slots, self._asked, self._arriving = [], set(), None
        self._events.clear()
        for slot in slots:
            slot.release()

    # ------------------------------------------------------------------ input

    def next_buffer(self) -> memoryview:
        """Where the next bytes from the socket belong."""
        return self.reader.next_buffer()

    def handle_filled(self, count: int, now: float) -> None:
        """`count` bytes were put there."""
        self._heard = now
        self._echoed = False
        if self.ended:
            return
        try:
            self.reader.handle_filled(count)
            while not self.ended and (frame := self.reader.poll_frame()):
                self._handle_frame(frame)
        except OgcastError as error:
            self._fail(error)

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
        detail = f": {reason}" if reason else ""
        self._fail(ConnectionFailedError(f"the connection to {self._other} broke{detail}"))

    def handle_timer(self, now: float) -> None:
        """Call when `deadline` is reached; earlier is harmless."""
        if self.ended or now < self.deadline:
            return
        if self._expecting and now >= self._heard + self._stall_s:
            self._fail(
                ConnectionFailedError(f"{self._other} has been silent for {self._stall_s:g} s", hint="try again")
            )
            return
        if self._handle is not None:
            self._echoed = True
            self._request(Op.ECHO, now)
        else:
            self._spoke = now

    # ------------------------------------------------------------------ output

    def poll_bytes(self) -> bytes | None:
        """Bytes to send."""
        if not self._output:
            return None
        data = b"".join(self._output)
        self._output.clear()
        return data

    def poll_event(self) -> Event | None:
        """The next thing that happened."""
        return self._events.popleft() if self._events else None

    @property
    def deadline(self) -> float:
        """When `handle_timer` has something to do."""
        if self.ended:
            return float("inf")
        stalled = self._heard + self._stall_s if self._expecting else float("inf")
        echo = float("inf") if self._echoed else max(self._heard, self._spoke) + self._echo_s
        # A receiver whose disk is slow asks for nothing for a while; the other side must still hear of it.
        return min(stalled, echo, self._spoke + self._echo_s)

    @property
    def _expecting(self) -> bool:
        return self._handle is None or bool(self._asked) or self._echoed

    def _next_message(self) -> int:
        self._message = self._message % MAX_MESSAGE + 1
        return self._message

    def _request(self, op: Op, now: float, *, payload: bytes = b"", subject: int = 0, credits: int = 0) -> None:
        self._spoke = now
        self._output.append(
            request(op, message=self._next_message(), payload=payload, subject=subject, credits=credits)
        )

    def _fail(self, error: OgcastError) -> None:
        if not self.ended:
            self.failed = error

    # ------------------------------------------------------------------ frames

    def _place(self, header: Header, head: bytes) -> memoryview | None:
        """Where the stored frame of a READ answer goes: the slot given last, whose memory is the likeliest in cache."""
        if not header.reply or header.op is not Op.READ or header.subject not in self._asked:
            raise ProtocolError(f"{header.op.name} of chunk {header.subject}, which was not asked for")
        if header.length > self._slot_bytes:
            raise ProtocolError(f"stored frame of {header.length} bytes, more than was said to be accepted")
        room = header.subject not in self._cancelled or self._beyond_need > 0
        self._forget(header.subject)
        if not room or not self._wanted(header.subject):
            self._events.append(Returned(chunk=header.subject))
            return None
        slot = self._arriving = self._slots.pop()
        self.arriving = header.subject
        return slot.view[: header.length]

    @property
    def _beyond_need(self) -> int:
        """Slots beyond those of requests that stand."""
        return len(self._slots) - len(self._asked) + len(self._cancelled)

    def _forget(self, chunk: int) -> None:
        self._asked.remove(chunk)
        self._cancelled.discard(chunk)

    def _handle_frame(self, frame: Frame) -> None:
        header = frame.header
        if header.op is Op.LEASE_BREAK:
            raise error_of(header.status, frame.text, other=self._other)
        if not self._handshake.done:
            answer = self._handshake.handle_frame(frame)
            self._output.append(answer or request(Op.OPEN, message=self._next_message(), payload=self._root))
            return
        if header.op is Op.WAIT:
            self.waiting = header.subject
            self.waited += 1
            return
        if header.op in (Op.NEWS, Op.GONE):
            self._handle_change(frame)
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
            case Op.MAP if self._map_asked:
                self._handle_map(frame)
            case Op.TURN if self._turn_asked and header.status is Status.OK:
                self._turn_asked = False
                self._events.append(Turn())
            case Op.ECHO:
                pass
            case _:
                raise ProtocolError(f"{header.op.name} answered, which was not asked")

    def _handle_opened(self, frame: Frame) -> None:
        if frame.header.status is not Status.OK:
            raise error_of(frame.header.status, frame.text, other=self._other)
        opened = Opened.parse(frame.payload)
        if opened.chunks != self._chunks:
            raise ProtocolError(f"{self._other} serves {opened.chunks} chunks of an image of {self._chunks}")
        self._handle = frame.header.subject

    def _handle_chunk(self, frame: Frame) -> None:
        header = frame.header
        self.waiting = 0
        if header.status is not Status.OK:
            if header.subject not in self._asked:
                raise ProtocolError(f"chunk {header.subject} refused, which was not asked for")
            self._forget(header.subject)
            text = frame.text or header.status.name.lower()
            self._events.append(Refused(chunk=header.subject, status=header.status, text=text))
            return
        if frame.body is None:
            return
        assert self._arriving is not None
        slot, self._arriving, self.arriving = self._arriving, None, None
        self._events.append(Received(chunk=header.subject, encoding=header.encoding, length=header.length, slot=slot))

    def _handle_dropped(self, frame: Frame) -> None:
        if frame.header.status is not Status.OK:
            raise error_of(frame.header.status, frame.text, other=self._other)
        for chunk in unpack_chunks(frame.payload, self._chunks):
            if chunk not in self._asked or chunk not in self._cancelled:
                raise ProtocolError(f"chunk {chunk} cancelled, which was not asked")
            self._forget(chunk)
            self._events.append(Returned(chunk=chunk))

    def _handle_map(self, frame: Frame) -> None:
        if frame.header.status is not Status.OK:
            raise error_of(frame.header.status, frame.text, other=self._other)
        self._map_asked = False
        self._events.append(Held(packed=frame.payload))

    def _handle_change(self, frame: Frame) -> None:
        kind = News if frame.header.op is Op.NEWS else Gone
        self._events.append(kind(chunks=unpack_chunks(frame.payload, self._chunks)))
