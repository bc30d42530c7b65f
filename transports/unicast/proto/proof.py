"""Proof that a peer on a data lane knows the session key, without sending it.

Both sides give a fresh 32-byte nonce; a proof is BLAKE3, keyed with the session key, over a role, both nonces and the
session's id. A proof heard on one lane is worth nothing on another, and a client's proof is not a server's.
"""

from __future__ import annotations

import hmac

from blake3 import blake3

from transports.unicast.proto.limits import NONCE_BYTES, VERSION

__all__ = ["CLIENT", "KEY_BYTES", "SERVER", "proof_matches", "prove"]

KEY_BYTES = 32
CLIENT = b"ogcast unicast %d client\0" % VERSION
SERVER = b"ogcast unicast %d server\0" % VERSION


def prove(key: bytes, role: bytes, *, client_nonce: bytes, server_nonce: bytes, session_id: str) -> bytes:
    """The 32 bytes that prove knowledge of `key` in `role`."""
    if len(key) != KEY_BYTES or len(client_nonce) != NONCE_BYTES or len(server_nonce) != NONCE_BYTES:
        raise ValueError("keys and nonces are 32 bytes long")
    return blake3(role + client_nonce + server_nonce + session_id.encode(), key=key).digest()


def proof_matches(expected: bytes, given: bytes) -> bool:
    """Compare in a time that tells nothing about where they differ."""
    return hmac.compare_digest(expected, given)
