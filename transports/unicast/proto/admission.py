"""The serving side's way into a lane: answers to NEGOTIATE and SESSION. Its counterpart is `handshake`."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import ProtocolError
from transports.unicast.proto.frames import Frame
from transports.unicast.proto.grants import Grant
from transports.unicast.proto.limits import MAX_QUEUED_CHUNKS, MAX_READ_CHUNKS, VERSION
from transports.unicast.proto.messages import Join, Negotiate, Negotiated, reply_to
from transports.unicast.proto.proof import CLIENT, SERVER, proof_matches, prove

__all__ = ["Admission"]

_NO_KEY = bytes(32)


class Admission:
    """Two answers in this order. `grant` and `session_id` are set when the key was proven."""

    def __init__(self, *, find: Callable[[str], Grant | None], nonce: bytes, idle_s: float) -> None:
        """`find` names the grant of a session id; `nonce` is 32 fresh random bytes."""
        self._find = find
        self._nonce = nonce
        self._idle_s = idle_s
        self._client_nonce = b""
        self.max_stored = 0
        """Largest stored frame the other side takes."""
        self.grant: Grant | None = None
        self.session_id: str | None = None

    def handle_negotiate(self, frame: Frame) -> bytes:
        """The answer. ProtocolError for a version this side does not speak."""
        offer = Negotiate.parse(frame.payload)
        if not offer.lowest <= VERSION <= offer.highest:
            raise ProtocolError(f"this side speaks version {VERSION} only")
        self._client_nonce = offer.nonce
        self.max_stored = offer.max_stored
        answer = Negotiated(
            nonce=self._nonce,
            read_chunks=MAX_READ_CHUNKS,
            queued_chunks=MAX_QUEUED_CHUNKS,
            idle_timeout_ms=max(1, int(self._idle_s * 1000)),
        )
        return reply_to(frame.header, answer.encode())

    def handle_session(self, frame: Frame) -> bytes | None:
        """The answer; None for an unknown session or a wrong proof, which are not told apart."""
        join = Join.parse(frame.payload)
        grant = self._find(join.session_id)
        key = _NO_KEY if grant is None else grant.key
        nonces = {"client_nonce": self._client_nonce, "server_nonce": self._nonce}
        expected = prove(key, CLIENT, session_id=join.session_id, **nonces)
        # Compared even when the session is unknown, so that the time taken does not tell which ids exist.
        proven = proof_matches(expected, join.proof)
        if grant is None or not proven:
            return None
        self.grant, self.session_id = grant, join.session_id
        return reply_to(frame.header, prove(key, SERVER, session_id=join.session_id, **nonces))
