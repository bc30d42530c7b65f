"""Keys of peer lanes: who may ask whom, without the two ever sharing a secret that another pair could use.

repod keeps a secret for each swarm. From it follows a listening key for each member, told to that member only; from
that key and an id follows the credential with which the member of that id may ask. repod tells it to that one, and
the listener works it out when the id is claimed.
"""

from __future__ import annotations

import re

from blake3 import blake3

from transports.p2p.proto.limits import KEY_BYTES

__all__ = ["credential", "lane_name", "listen_key", "member_of"]

_LISTEN = b"ogcast p2p 1 listen\0"
_PEER = b"ogcast p2p 1 peer\0"
_NAME = re.compile(r"p([1-9][0-9]{0,9})")


def listen_key(secret: bytes, member: int) -> bytes:
    """The listening key of a member of the swarm that has this secret."""
    return _derive(secret, _LISTEN, member)


def credential(key: bytes, asking: int) -> bytes:
    """With which member `asking` may ask the listener that has `key`: the key of the handshake of their lane."""
    return _derive(key, _PEER, asking)


def lane_name(asking: int) -> str:
    """The session id on a peer lane."""
    return f"p{asking}"


def member_of(name: str) -> int | None:
    """Who claims to ask; None for a name that is none of a peer lane."""
    match = _NAME.fullmatch(name)
    member = int(match[1]) if match is not None else 0
    return member if 0 < member < 1 << 32 else None


def _derive(key: bytes, purpose: bytes, member: int) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"keys are {KEY_BYTES} bytes long")
    return blake3(purpose + member.to_bytes(4, "little"), key=key).digest()
