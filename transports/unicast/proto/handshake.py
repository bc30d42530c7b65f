"""The asking side's way into a lane: NEGOTIATE, SESSION, and what a refusal means to a person."""

from __future__ import annotations

from core.errors import (
    AuthenticationError,
    CaptureError,
    ChunkError,
    ConnectionFailedError,
    ProtocolError,
    RemoteError,
    TransferError,
)
from transports.unicast.proto.frames import Frame, Op, Status
from transports.unicast.proto.limits import MAX_STORED_BYTES, VERSION
from transports.unicast.proto.messages import Join, Negotiate, Negotiated, request
from transports.unicast.proto.proof import CLIENT, SERVER, proof_matches, prove

__all__ = ["REPOSITORY", "Handshake", "error_of"]

REPOSITORY = "the repository"
"""What people call the serving side, where that is no peer."""


class Handshake:
    """Two questions, two answers, in lock step. `done` when both sides proved the key."""

    def __init__(
        self,
        *,
        session_id: str,
        key: bytes,
        nonce: bytes,
        max_stored: int = MAX_STORED_BYTES,
        other: str = REPOSITORY,
    ) -> None:
        """`other` is what people call the serving side."""
        self._session_id = session_id
        self._key = key
        self._nonce = nonce
        self._other = other
        self._max_stored = min(max_stored, MAX_STORED_BYTES)
        self.agreed: Negotiated | None = None
        self.done = False

    def begin(self) -> bytes:
        """The first bytes of the lane."""
        payload = Negotiate(nonce=self._nonce, max_stored=self._max_stored).encode()
        return request(Op.NEGOTIATE, message=1, payload=payload)

    def handle_frame(self, frame: Frame) -> bytes:
        """What to send after `frame`; empty when done. Raises ProtocolError, or what a refusal stands for."""
        header = frame.header
        if header.op is Op.LEASE_BREAK or header.status is not Status.OK:
            raise error_of(header.status, frame.text, other=self._other)
        if self.agreed is None:
            if (header.op, header.reply, header.message) != (Op.NEGOTIATE, True, 1):
                raise ProtocolError(f"{header.op.name} where NEGOTIATE was to be answered")
            self.agreed = Negotiated.parse(frame.payload)
            if self.agreed.version != VERSION:
                raise ProtocolError(f"the other side chose version {self.agreed.version}, which was not offered")
            join = Join(session_id=self._session_id, proof=self._prove(CLIENT, self.agreed.nonce))
            return request(Op.SESSION, message=2, payload=join.encode())
        if (header.op, header.reply, header.message) != (Op.SESSION, True, 2):
            raise ProtocolError(f"{header.op.name} where SESSION was to be answered")
        if not proof_matches(self._prove(SERVER, self.agreed.nonce), frame.payload):
            raise AuthenticationError(
                f"what answers there is not {self._other}: it does not know the key of this session",
                hint="something else answers at that address; check the port and the network",
            )
        self.done = True
        return b""

    def _prove(self, role: bytes, server_nonce: bytes) -> bytes:
        return prove(self._key, role, client_nonce=self._nonce, server_nonce=server_nonce, session_id=self._session_id)


def error_of(status: Status, text: str, *, other: str = REPOSITORY) -> RemoteError:
    """What a refusal or a broken lease of `other` means on this side."""
    said = f": {text}" if text else ""
    match status:
        case Status.DENIED:
            return AuthenticationError(
                f"{other} refused the session{said}", hint="open a new session; this one is unknown or expired"
            )
        case Status.STOPPING | Status.BUSY | Status.TIMEOUT | Status.REPLACED:
            return ConnectionFailedError(f"{other} ended the lane{said}", hint="try again; what arrived is kept")
        case Status.CLOSED | Status.NOT_FOUND | Status.TOO_LARGE:
            return TransferError(f"{other} closed the session{said}", hint="open a new session")
        case Status.FULL:
            return CaptureError(f"{other} is full{said}", hint="free space there, then start again")
        case Status.DAMAGED:
            return ChunkError(f"a chunk of {other} is damaged{said}", hint="run `repod verify` at the repository")
        case Status.FAILED:
            return TransferError(f"trouble at {other}{said}", hint="its log says more")
        case _:
            return ProtocolError(f"{other} found a violation{said}")
