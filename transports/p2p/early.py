"""Being a member before the rest of the program is imported: the origin sends meanwhile, into a socket's buffer.

Importing a client takes a few tenths of a second, and where eight start on two cores a tenth of the time that the image
takes on the wire. Everything here blocks, on a thread of its own, and needs little more than the handshake: the member
lane is entered and announced on, a port for peers is open, the origin's lane as well, and the first chunks that repod
assigns are asked for. What comes then is left to the kernel; a `SwarmClient` goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import zstandard

from core.connecting import plain_name
from core.errors import ProtocolError
from core.netif import bind_to_interface
from transports.base import Offer
from transports.control import ImageInfo, SessionOpened
from transports.member.proto.framing import MessageReader, encode_message
from transports.p2p.offer import SwarmOffer
from transports.p2p.proto.messages import DECODER, Announce, Assign, SwarmMessage
from transports.unicast.proto.asking import AskingLane
from transports.unicast.proto.frames import HEADER_BYTES, Frame, Header
from transports.unicast.proto.handshake import Handshake
from transports.unicast.proto.limits import MAX_HANDSHAKE_BYTES

__all__ = ["EarlyMember", "listen"]

TIMEOUT_S = 1.0
"""For each answer. Whatever takes longer is left to the command."""
ASSIGNED_WITHIN_S = 0.15
"""In a crowd the first chunks are others', and the command, which imports the rest meanwhile, waits for the end of
this; an answer that comes later waits for it on the lane."""
BUFFER_BYTES = 32 * 1024 * 1024
"""For what the origin sends meanwhile, where this process may have so much; it is held only while it is filled."""
SLACK_BYTES = 64 * 1024
"""How much longer than its chunk a stored frame may be (docs/image-format.md 3.1)."""
READ_BYTES = 64 * 1024
STALL_S = 15.0
"""As a lane of the command has it."""

_SO_RCVBUFFORCE = 33


class EarlyMember:
    """Sockets and what was heard on them. Whoever takes it owns all of it; `close` gives everything up."""

    def __init__(
        self,
        *,
        session_id: str,
        root: bytes,
        chunks: int,
        member: socket.socket,
        heard: bytes,
        listener: socket.socket | None,
        origin: socket.socket,
        machine: AskingLane,
        frame_bytes: int,
    ) -> None:
        self.session_id = session_id
        self.root = root
        self.chunks = chunks
        self.member = member
        """The member lane, announced on."""
        self.heard = heard
        """What came over it."""
        self.listener = listener
        """Where peers connect; nobody was accepted yet. None for one that gives nothing."""
        self.origin = origin
        self.frame_bytes = frame_bytes
        """The longest stored frame the origin was told to send."""
        self.machine = machine
        """Of the origin's lane, opened; it has asked for chunks and has no slots."""

    @property
    def jams(self) -> bool:
        """See Early: no more is sent to it than what was asked for."""
        return False

    @property
    def hears(self) -> bool:
        """See Early: what was asked for will come."""
        return True

    def loss(self) -> float:
        """See Early: TCP loses nothing."""
        return 0.0

    def close(self) -> None:
        """See Early."""
        for sock in (self.member, self.origin, self.listener):
            if sock is not None:
                sock.close()


def listen(parameters: Mapping[str, Any], *, interface: str | None, session: bytes, host: str) -> EarlyMember:
    """Enter the swarm of an offer (see SwarmOffer) as one that lacks everything. Raises OSError, OgcastError or
    MsgspecError."""
    opened = msgspec.json.decode(session, type=SessionOpened)
    offer = SwarmOffer.read(Offer(transport="p2p", parameters=parameters))
    where, image = offer.host or host, opened.image
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(_connect(where, offer.origin_port, interface=interface, buffer=BUFFER_BYTES))
        machine = _open(origin, opened)
        member = stack.enter_context(_connect(where, offer.port))
        _enter(member, opened)
        listener = None
        if offer.mode != "leecher":
            listener = stack.enter_context(_listener(str(member.getsockname()[0]), member.family))
        port = 0 if listener is None else int(listener.getsockname()[1])
        flags = _flags(image.chunks, wanted=False)
        wanted = _flags(image.chunks, wanted=True)
        member.sendall(encode_message(Announce(port=port, subnet="", mode=offer.mode, wanted=wanted, held=flags)))
        assigned, heard = _hear(member)
        if assigned:
            machine.ask_ahead(assigned, time.monotonic())
            origin.sendall(machine.poll_bytes() or b"")
        stack.pop_all()
    return EarlyMember(
        session_id=opened.session,
        root=bytes.fromhex(image.root),
        chunks=image.chunks,
        member=member,
        heard=heard,
        listener=listener,
        origin=origin,
        machine=machine,
        frame_bytes=image.chunk_size + SLACK_BYTES,
    )


def _connect(host: str, port: int, *, interface: str | None = None, buffer: int = 0) -> socket.socket:
    found = socket.getaddrinfo(plain_name(host), port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if buffer:  # before the connection is there: the window that can be told depends on it
            _enlarge(sock, buffer)
        if interface:
            bind_to_interface(sock, interface)
        sock.settimeout(TIMEOUT_S)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _enlarge(sock: socket.socket, size: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except OSError:  # not root: the system's limit holds
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _listener(host: str, family: int) -> socket.socket:
    sock = socket.create_server((host, 0), family=family)
    sock.setblocking(False)
    return sock


def _enter(sock: socket.socket, session: SessionOpened) -> None:
    handshake = Handshake(session_id=session.session, key=session.key, nonce=os.urandom(32))
    sock.sendall(handshake.begin())
    while not handshake.done:
        header = Header.parse(_read(sock, HEADER_BYTES))
        if header.length > MAX_HANDSHAKE_BYTES:
            raise ProtocolError(f"{header.op.name} of {header.length} bytes in a handshake")
        sock.sendall(handshake.handle_frame(Frame(header=header, payload=_read(sock, header.length))))


def _read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("the member lane ended")
        data += more
    return data


def _open(sock: socket.socket, session: SessionOpened) -> AskingLane:
    image = session.image
    machine = AskingLane(
        session_id=session.session,
        key=session.key,
        nonce=os.urandom(32),
        root=bytes.fromhex(image.root),
        chunks=image.chunks,
        raw_length=lambda chunk: _raw_length(image, chunk),
        wanted=lambda chunk: True,
        slot_bytes=image.chunk_size + SLACK_BYTES,
        stall_s=STALL_S,
        now=time.monotonic(),
    )
    while not machine.opened:
        if (data := machine.poll_bytes()) is not None:
            sock.sendall(data)
        data = sock.recv(READ_BYTES)
        if data:
            machine.handle_bytes(data, time.monotonic())
        else:
            machine.handle_eof()
        if machine.failed is not None:
            raise machine.failed
    return machine


def _raw_length(image: ImageInfo, chunk: int) -> int:
    return min(image.chunk_size, image.size - chunk * image.chunk_size)


def _hear(sock: socket.socket) -> tuple[list[int], bytes]:
    """The chunks of the first assignment, and all that was said until then."""
    reader: MessageReader[SwarmMessage] = MessageReader(DECODER)
    heard, until = b"", time.monotonic() + ASSIGNED_WITHIN_S
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data = sock.recv(READ_BYTES)
        except TimeoutError:
            break
        if not data:
            raise ConnectionError("the member lane ended")
        heard += data
        reader.handle_bytes(data)
        assigned: list[int] = []
        while (message := reader.poll_message()) is not None:
            assigned += message.chunks if isinstance(message, Assign) else ()
        if assigned:
            return assigned, heard
    return [], heard


def _flags(chunks: int, *, wanted: bool) -> bytes:
    """A map of all chunks, or of none, as transports.member.proto.maps packs them, without NumPy."""
    bits = (1 << chunks) - 1 if wanted else 0
    return zstandard.ZstdCompressor().compress(bits.to_bytes(-(-chunks // 8), "little"))
