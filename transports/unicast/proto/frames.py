"""Frames of a unicast lane: the 24-byte header, its codec, and a reader that works at any split of the stream.

The header is checked (magic, version, operation, flags, length against the operation's limit) before a single byte
of payload is awaited or allocated. docs/wire-unicast.md is the specification.
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from collections.abc import Callable

import msgspec

from core.errors import ProtocolError
from images.stores import Encoding
from transports.unicast.proto.limits import (
    MAX_HAVE_DIGESTS,
    MAX_MAP_BYTES,
    MAX_NEWS_CHUNKS,
    MAX_QUEUED_CHUNKS,
    MAX_READ_CHUNKS,
    MAX_SESSION_ID_BYTES,
    MAX_STORED_BYTES,
    MAX_TEXT_BYTES,
    NONCE_BYTES,
    PROOF_BYTES,
    VERSION,
)

__all__ = [
    "HEADER_BYTES",
    "WRITE_HEAD_BYTES",
    "Frame",
    "FrameReader",
    "Header",
    "Op",
    "Status",
    "encode_text",
    "error_reply",
]

HEADER_BYTES = 24
WRITE_HEAD_BYTES = 36
MAGIC = 0x474F  # the bytes "OG"
REPLY = 0x01

_HEADER = struct.Struct("<HBBBBHIIHHI")
_DISCARD_BYTES = 64 * 1024
_AHEAD_BYTES = 4096
"""Taken from a socket at once between two frames: a peer hears hundreds of short ones a second, each of which would be
three calls, for its header, its payload, and to find that there is no more. What is a stored frame of it is copied."""


class Op(enum.IntEnum):
    """What a frame asks for, or answers."""

    NEGOTIATE = 1
    SESSION = 2
    OPEN = 3
    READ = 4
    CANCEL = 5
    LEASE_BREAK = 6
    LOCK = 7
    HAVE = 8
    WRITE = 9
    CLOSE = 10
    ECHO = 11
    WAIT = 12
    GRANT = 13
    MAP = 14
    NEWS = 15
    GONE = 16
    TURN = 17
    PASS = 18


class Status(enum.IntEnum):
    """How a request ended, or why a lease was broken."""

    OK = 0
    VIOLATION = 1
    """The other side broke this protocol; the lane ends."""
    DENIED = 2
    """Unknown session or wrong proof; the two are not told apart."""
    NOT_FOUND = 3
    """The session does not serve that image, or the chunk is not held (any more)."""
    CLOSED = 4
    """The session was closed or aborted; it will not come back."""
    BUSY = 5
    """A limit on lanes was reached; try again later."""
    DAMAGED = 6
    """A chunk that cannot be read, or does not decode to its digest."""
    FULL = 7
    """No space left at the receiver."""
    STOPPING = 8
    """The server goes down; try again later."""
    TIMEOUT = 9
    """The other side was silent, or did not read, for too long."""
    FAILED = 10
    """Trouble inside the sender of this status."""
    TOO_LARGE = 11
    """A stored frame larger than the reader said it accepts."""
    REPLACED = 12
    """A newer lane of the same capture took the lock."""


_OPS = {int(op): op for op in Op}
_ENCODINGS = {int(encoding): encoding for encoding in Encoding}
_STATUSES = {int(status): status for status in Status}
"""To ask an enumeration for its member takes longer than all the rest of a header."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The fixed part of every frame."""

    op: Op
    reply: bool = False
    encoding: Encoding = Encoding.RAW
    """Of the stored frame in a READ reply or a WRITE; RAW elsewhere."""
    credits: int = 0
    """Units of 64 KiB the sender of this frame grants, 0 … 65535."""
    message: int = 0
    """Chosen by whoever asks, repeated in every answer."""
    subject: int = 0
    """Handle in requests, chunk number in READ replies, position in WAIT."""
    status: Status = Status.OK
    length: int = 0
    """Payload bytes that follow."""

    def encode(self) -> bytes:
        """The 24 bytes of this header."""
        kind = (MAGIC, VERSION, self.op, REPLY if self.reply else 0, self.encoding)
        return _HEADER.pack(*kind, self.credits, self.message, self.subject, self.status, 0, self.length)

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview) -> Header:
        """Parse 24 bytes; ProtocolError unless every field is one this version allows."""
        if len(data) != HEADER_BYTES:
            raise ProtocolError(f"frame header of {len(data)} bytes")
        magic, version, op, flags, encoding, credits, message, subject, status, zero, length = _HEADER.unpack(data)
        if magic != MAGIC:
            raise ProtocolError("not a frame of a unicast lane", hint="is this the data port of repod?")
        if version != VERSION:
            raise ProtocolError(f"frame of protocol version {version}, not {VERSION}")
        if flags & ~REPLY or zero:
            raise ProtocolError("frame with reserved bits set")
        try:
            header = cls(
                op=_OPS[op],
                reply=bool(flags),
                encoding=_ENCODINGS[encoding],
                credits=credits,
                message=message,
                subject=subject,
                status=_STATUSES[status],
                length=length,
            )
        except KeyError as error:
            raise ProtocolError(f"frame with an unknown operation, encoding or status: {error}") from None
        _check_length(header)
        return header


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What may follow a header."""

    least: int
    most: int
    head: int | None = None
    """Set when the payload ends in a stored frame: bytes before it. The owner says where the stored frame goes."""


_U32 = 4
# (operation, reply) → payload. What is not listed is not a frame of this protocol. An answer with an error status
# carries a text instead.
_PAYLOADS: dict[tuple[Op, bool], _Payload] = {
    (Op.NEGOTIATE, False): _Payload(least=8 + NONCE_BYTES, most=8 + NONCE_BYTES),
    (Op.NEGOTIATE, True): _Payload(least=16 + NONCE_BYTES, most=16 + NONCE_BYTES),
    (Op.SESSION, False): _Payload(least=PROOF_BYTES + 1, most=PROOF_BYTES + MAX_SESSION_ID_BYTES),
    (Op.SESSION, True): _Payload(least=PROOF_BYTES, most=PROOF_BYTES),
    (Op.OPEN, False): _Payload(least=32, most=32),
    (Op.OPEN, True): _Payload(least=8, most=8),
    (Op.READ, False): _Payload(least=_U32, most=MAX_READ_CHUNKS * _U32),
    (Op.READ, True): _Payload(least=1, most=MAX_STORED_BYTES, head=0),
    (Op.CANCEL, False): _Payload(least=0, most=MAX_QUEUED_CHUNKS * _U32),
    (Op.CANCEL, True): _Payload(least=0, most=MAX_QUEUED_CHUNKS * _U32),
    (Op.LEASE_BREAK, False): _Payload(least=0, most=MAX_TEXT_BYTES),
    (Op.LOCK, False): _Payload(least=0, most=0),
    (Op.LOCK, True): _Payload(least=_U32, most=_U32),
    (Op.HAVE, False): _Payload(least=32, most=MAX_HAVE_DIGESTS * 32),
    (Op.HAVE, True): _Payload(least=1, most=MAX_HAVE_DIGESTS),
    (Op.WRITE, False): _Payload(
        least=WRITE_HEAD_BYTES + 1, most=WRITE_HEAD_BYTES + MAX_STORED_BYTES, head=WRITE_HEAD_BYTES
    ),
    (Op.WRITE, True): _Payload(least=0, most=0),
    (Op.CLOSE, False): _Payload(least=0, most=0),
    (Op.CLOSE, True): _Payload(least=0, most=0),
    (Op.ECHO, False): _Payload(least=0, most=64),
    (Op.ECHO, True): _Payload(least=0, most=64),
    (Op.WAIT, False): _Payload(least=0, most=0),
    (Op.GRANT, False): _Payload(least=0, most=0),
    (Op.MAP, False): _Payload(least=0, most=0),
    (Op.MAP, True): _Payload(least=1, most=MAX_MAP_BYTES),
    (Op.NEWS, False): _Payload(least=_U32, most=MAX_NEWS_CHUNKS * _U32),
    (Op.GONE, False): _Payload(least=_U32, most=MAX_NEWS_CHUNKS * _U32),
    (Op.TURN, False): _Payload(least=0, most=0),
    (Op.TURN, True): _Payload(least=0, most=0),
    (Op.PASS, False): _Payload(least=0, most=0),
}
_TEXT = _Payload(least=0, most=MAX_TEXT_BYTES)


def _payload_of(header: Header) -> _Payload:
    if header.reply and header.status != Status.OK:
        return _TEXT
    try:
        return _PAYLOADS[header.op, header.reply]
    except KeyError:
        raise ProtocolError(f"{header.op.name} is never an answer") from None


def _check_length(header: Header) -> None:
    payload = _payload_of(header)
    if not payload.least <= header.length <= payload.most:
        kind = "answer" if header.reply else "request"
        raise ProtocolError(f"{header.op.name} {kind} with a payload of {header.length} bytes")


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame: a header and what followed it."""

    header: Header
    payload: bytes = b""
    """The payload, or what precedes the stored frame in it."""
    body: memoryview | None = None
    """The stored frame, in memory its owner gave; None when the owner did not want it."""

    @property
    def text(self) -> str:
        """The payload as a text for people: control characters taken out, so that a peer cannot draw on a terminal."""
        text = self.payload.decode("utf-8", "replace")
        return "".join(char if char.isprintable() else "?" for char in text)

    def __repr__(self) -> str:
        header = self.header
        return f"<{header.op.name}{' reply' if header.reply else ''} #{header.message} {header.length} bytes>"


def error_reply(header: Header, status: Status, text: str, *, credits: int = 0) -> bytes:
    """The answer to `header` that says no."""
    payload = encode_text(text)
    reply = Header(
        op=header.op,
        reply=True,
        credits=credits,
        message=header.message,
        subject=header.subject,
        status=status,
        length=len(payload),
    )
    return reply.encode() + payload


def encode_text(text: str) -> bytes:
    """`text` cut to what a frame may carry, never inside a character."""
    return text.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore").encode("utf-8")


class FrameReader:
    """Cuts a byte stream into frames. Feed it one way: `handle_bytes`, or `next_buffer` and `handle_filled`.

    `place(header, head)` is asked where a stored frame goes: a writable view of exactly its length, or None to let it
    pass unread. It may raise ProtocolError. After an error the reader is of no more use.
    """

    def __init__(self, place: Callable[[Header, bytes], memoryview | None]) -> None:
        self._place = place
        self._frames: deque[Frame] = deque()
        self._discard: memoryview | None = None
        self._ahead: memoryview | None = None
        self._rest = memoryview(b"")
        """What came ahead and was not looked at yet."""
        self._memory = memoryview(bytearray(HEADER_BYTES))
        self._header: Header | None = None
        self._target: memoryview | None = None
        self._filled = self._need = 0
        self.body_bytes = 0
        """Bytes of stored frames that came, of those that were let pass as well."""
        self._begin()

    @property
    def between_frames(self) -> bool:
        """True when no frame has been begun: the only place where a stream may end."""
        return self._header is None and self._filled == 0 and not self._rest

    def poll_frame(self) -> Frame | None:
        """The next complete frame. Whoever fills buffers has it before `place` is asked about what follows it. Raises
        ProtocolError."""
        while self._rest and not self._frames:
            self._rest = self._put(self._rest)
        return self._frames.popleft() if self._frames else None

    def next_buffer(self) -> memoryview:
        """Where the next bytes of the stream belong; never empty. To be asked when there is no frame to poll; valid
        until the next call of any method."""
        if self._header is None:
            if self._ahead is None:
                self._ahead = memoryview(bytearray(_AHEAD_BYTES))
            return self._ahead
        left = self._need - self._filled
        if self._target is None:
            return self._discarding[:left]
        return self._target[self._filled : self._need]

    def handle_filled(self, count: int) -> None:
        """`count` bytes were put at the start of `next_buffer()`. Raises ProtocolError."""
        if self._header is None:
            assert self._ahead is not None
            self._rest = self._put(self._ahead[:count])
        else:
            self._note_filled(count)
            self._go_on()

    def handle_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """The same for bytes that lie elsewhere, all of which are looked at now."""
        view = memoryview(data)
        while view:
            view = self._put(view)

    @property
    def _discarding(self) -> memoryview:
        if self._discard is None:
            self._discard = memoryview(bytearray(_DISCARD_BYTES))
        return self._discard

    def _put(self, view: memoryview) -> memoryview:
        """Bring the first bytes of `view` to where they belong; returns the others."""
        count = min(len(view), self._need - self._filled)
        if count == self._need and not self._in_body:
            self._target = view[:count]  # whole, and read at once: no copy
        elif self._target is not None:
            self._target[self._filled : self._filled + count] = view[:count]
        self._note_filled(count)
        self._go_on()
        return view[count:]

    def _note_filled(self, count: int) -> None:
        self._filled += count
        self.body_bytes += count if self._in_body else 0

    def _go_on(self) -> None:
        while self._filled == self._need:
            if self._advance():
                return

    def _begin(self) -> None:
        self._header = None
        self._head = b""
        self._in_body = False
        self._expect(self._memory, HEADER_BYTES)

    def _expect(self, target: memoryview | None, need: int) -> None:
        self._target = target
        self._need = need
        self._filled = 0

    def _advance(self) -> bool:
        """What was awaited is complete: go on to the next part. True when more bytes are needed."""
        if self._header is None:
            assert self._target is not None
            self._header = header = Header.parse(self._target)
            payload = _payload_of(header)
            head = header.length if payload.head is None else payload.head
            self._expect(memoryview(bytearray(head)), head)
            return head > 0
        if not self._in_body:
            assert self._target is not None
            self._head = bytes(self._target)
            left = self._header.length - len(self._head)
            if _payload_of(self._header).head is not None:
                self._in_body = True
                view = self._place(self._header, self._head)
                if view is not None and len(view) != left:
                    raise ValueError(f"{len(view)} bytes of memory for a stored frame of {left}")
                self._expect(view, left)
                return True
        self._frames.append(
            Frame(header=self._header, payload=self._head, body=self._target if self._in_body else None)
        )
        self._begin()
        return True
