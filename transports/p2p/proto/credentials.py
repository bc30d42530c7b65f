"""Keys of peer lanes: who may ask whom, without the two ever sharing a secret that another pair could use.

repod keeps a secret for each swarm. From it follows a listening key for each member, told to that member only; from
that key and an id follows the credential with which the member of that id may ask. repod tells it to that one, and
the listener works it out when the id is claimed. Who asks from another subnet has a credential of another kind,
so that the listener knows which of its bytes leave the subnet, whatever the asking side says.
"""

from __future__ import annotations

import functools
import re

from blake3 import blake3

from transports.p2p.proto.limits import KEY_BYTES, MAX_NEIGHBOURS

__all__ = ["credential", "is_far", "lane_name", "listen_key", "member_of"]

_LISTEN = b"ogcast p2p 1 listen\0"
_PEER = b"ogcast p2p 1 peer\0"
_FAR = b"ogcast p2p 1 far\0"
_NAME = re.compile(r"([pf])([1-9][0-9]{0,9})")


def listen_key(secret: bytes, member: int) -> bytes:
    """The listening key of a member of the swarm that has this secret."""
    return _derive(secret, _LISTEN, member)


def credential(key: bytes, asking: int, *, far: bool = False) -> bytes:
    """With which member `asking` may ask the listener that has `key`: the key of the handshake of their lane. `far`:
    from another subnet."""
    return _derive(key, _FAR if far else _PEER, asking)


def lane_name(asking: int, *, far: bool = False) -> str:
    """The session id on a peer lane."""
    return f"{'f' if far else 'p'}{asking}"


def is_far(name: str) -> bool:
    """Whether who goes by this name asks from another subnet."""
    return name.startswith("f")


@functools.lru_cache(maxsize=MAX_NEIGHBOURS)
def member_of(name: str) -> int | None:
    """Who claims to ask; None for a name that is none of a peer lane."""
    match = _NAME.fullmatch(name)
    member = int(match[2]) if match is not None else 0
    return member if 0 < member < 1 << 32 else None


def _derive(key: bytes, purpose: bytes, member: int) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"keys are {KEY_BYTES} bytes long")
    return blake3(purpose + member.to_bytes(4, "little"), key=key).digest()
