"""The asking side of a capture, as a pure machine: LOCK, then HAVE and WRITE, several in flight, paid with credits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from core.errors import ConnectionFailedError, OgcastError, ProtocolError, UsageError
from core.ids import Digest
from images.stores import Encoding
from transports.unicast.proto.frames import Frame, FrameReader, Header, Op, Status
from transports.unicast.proto.handshake import Handshake, error_of
from transports.unicast.proto.limits import MAX_HAVE_DIGESTS, MAX_RAW_BYTES, MAX_STORED_BYTES, credits_for
from transports.unicast.proto.messages import pack_digests, pack_write_head, request

__all__ = ["Answer", "UploadLane"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended."""

    message: int
    """What `ask_have` or `ask_write` returned."""
    held: list[bool] | None = None
    """For HAVE."""
    error: OgcastError | None = None


class _Write(msgspec.Struct, frozen=True, kw_only=True):
    header: bytes
    stored: bytes | memoryview
    cost: int


class UploadLane:
    """One connection's protocol on the uploading side. A write's buffer is kept until its bytes were polled."""

    def __init__(self, *, session_id: str, key: bytes, nonce: bytes, stall_s: float, now: float) -> None:
        self._handshake = Handshake(session_id=session_id, key=key, nonce=nonce)
        self._reader = FrameReader(_refuse)
        self._output: deque[bytes | memoryview] = deque([self._handshake.begin()])
        self._writes: deque[_Write] = deque()
        self._asked: dict[int, int] = {}
        self._answers: deque[Answer] = deque()
        self._message = 2
        self._credits = 0
        self._stall_s = stall_s
        self._heard = now
        self._spoke = now
        self._echo: int | None = None
        self.locked = False
        self.failed: OgcastError | None = None

    def ask_have(self, digests: Sequence[Digest], now: float) -> int:
        """Ask which of `digests` are stored; the answer carries the number returned. Call when `locked`."""
        if not 0 < len(digests) <= MAX_HAVE_DIGESTS:
            raise UsageError(f"{len(digests)} digests in one question; 1 to {MAX_HAVE_DIGESTS} are allowed")
        message = self._next_message()
        self._asked[message] = len(digests)
        self._output.append(request(Op.HAVE, message=message, payload=pack_digests(digests)))
        self._spoke = now
        return message

    def ask_write(
        self, digest: Digest, stored: bytes | memoryview, *, encoding: Encoding, raw_length: int, now: float
    ) -> int:
        """Send a chunk as soon as credits allow."""
        if not 0 < len(stored) <= MAX_STORED_BYTES or not 0 < raw_length <= MAX_RAW_BYTES:
            raise UsageError(f"chunk of {raw_length} bytes, stored in {len(stored)}")
        message = self._next_message()
        head = pack_write_head(digest, raw_length)
        header = Header(op=Op.WRITE, encoding=encoding, message=message, length=len(head) + len(stored))
        self._asked[message] = 0
        self._writes.append(_Write(header=header.encode() + head, stored=stored, cost=credits_for(len(stored))))
        self._flush(now)
        return message

    def ask_close(self) -> None:
        """Nothing more will be asked."""
        self._output.append(request(Op.CLOSE, message=self._next_message()))

    def handle_bytes(self, data: bytes | memoryview, now: float) -> None:
        """Bytes from the repository."""
        if self.failed is not None:
            return
        self._heard = now
        self._echo = None
        try:
            self._reader.handle_bytes(data)
            while (frame := self._reader.poll_frame()) is not None:
                self._handle_frame(frame)
        except OgcastError as error:
            self.failed = error
        self._flush(now)

    def handle_eof(self, reason: str = "") -> None:
        """The connection ended or broke."""
        if self.failed is None:
            detail = f": {reason}" if reason else ""
            self.failed = ConnectionFailedError(f"the connection to the repository broke{detail}")

    def handle_timer(self, now: float) -> None:
        """Call when `deadline` is reached; earlier is harmless."""
        if self.failed is not None or now < self.deadline:
            return
        if self._expecting and now >= self._heard + self._stall_s:
            self.failed = ConnectionFailedError(f"the repository has been silent for {self._stall_s:g} s")
        elif self.locked:
            self._echo = self._next_message()
            self._output.append(request(Op.ECHO, message=self._echo))
            self._spoke = now
            if not self._expecting_before_echo:
                self._heard = max(self._heard, now - self._stall_s / 2)
        else:
            self._spoke = now

    @property
    def deadline(self) -> float:
        """When `handle_timer` has something to do."""
        if self.failed is not None:
            return float("inf")
        stalled = self._heard + self._stall_s if self._expecting else float("inf")
        return min(stalled, self._spoke + self._stall_s / 3)

    def poll_bytes(self) -> bytes | memoryview | None:
        """The next bytes to send, in order."""
        return self._output.popleft() if self._output else None

    def poll_answer(self) -> Answer | None:
        """The next request that ended."""
        return self._answers.popleft() if self._answers else None

    @property
    def _expecting_before_echo(self) -> bool:
        return bool(self._asked)

    @property
    def _expecting(self) -> bool:
        return not self.locked or bool(self._asked) or self._echo is not None

    def _next_message(self) -> int:
        self._message = self._message % 0xFFFF_FFFF + 1
        return self._message

    def _flush(self, now: float) -> None:
        while self._writes and self._writes[0].cost <= self._credits and self.failed is None:
            write = self._writes.popleft()
            self._credits -= write.cost
            self._output.append(write.header)
            self._output.append(write.stored)
            self._spoke = now

    def _handle_frame(self, frame: Frame) -> None:
        header = frame.header
        if header.op is Op.LEASE_BREAK:
            raise error_of(header.status, frame.text)
        if not self._handshake.done:
            answer = self._handshake.handle_frame(frame)
            self._output.append(answer or request(Op.LOCK, message=self._next_message()))
            return
        if header.op is Op.WAIT and not header.reply:
            return
        if not header.reply:
            raise ProtocolError(f"{header.op.name} from the serving side")
        if not self.locked:
            if header.op is not Op.LOCK:
                raise ProtocolError(f"{header.op.name} where LOCK was to be answered")
            if header.status is not Status.OK:
                raise error_of(header.status, frame.text)
            self.locked = True
            self._credits = header.credits
            return
        if header.op in (Op.ECHO, Op.CLOSE):
            return
        self._handle_answer(frame)

    def _handle_answer(self, frame: Frame) -> None:
        header = frame.header
        asked = self._asked.pop(header.message, None)
        if asked is None or header.op is not (Op.HAVE if asked else Op.WRITE):
            raise ProtocolError(f"{header.op.name} answered, which was not asked")
        self._credits += header.credits
        if header.status is not Status.OK:
            error = error_of(header.status, frame.text)
            self._answers.append(Answer(message=header.message, error=error))
        elif not asked:
            self._answers.append(Answer(message=header.message))
        elif len(frame.payload) != asked or any(byte > 1 for byte in frame.payload):
            raise ProtocolError(f"HAVE answered with {len(frame.payload)} for {asked} digests")
        else:
            self._answers.append(Answer(message=header.message, held=[bool(byte) for byte in frame.payload]))


def _refuse(header: Header, head: bytes) -> memoryview | None:
    raise ProtocolError(f"{header.op.name} with a stored frame, which was not asked for")
