"""Announces of BitTorrent clients and the answers to them, as bytes (BEP 3, 7, 23). Pure.

What an announce says of itself is bounded and checked here; where it comes from only the connection tells, so `ip` and
the like are not even read: nobody can send peers to somebody else's address.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import bencode2

from core.errors import ProtocolError

__all__ = [
    "ADDRESS_BYTES",
    "NUMWANT_DEFAULT",
    "NUMWANT_MAX",
    "QUERY_MAX_CHARS",
    "Announce",
    "AnnounceReply",
    "Event",
    "PeerAddress",
    "encode_failure",
    "encode_reply",
    "parse_announce",
]

QUERY_MAX_CHARS = 2048
PARAMETERS_MAX = 64
NUMWANT_DEFAULT = 50
NUMWANT_MAX = 100
"""Peers in one answer: more connections than a client keeps."""
HASH_BYTES = 20
PEER_ID_BYTES = 20
ADDRESS_BYTES = (4, 16)
"""Packed addresses of IPv4 and IPv6."""
_LEFT_MAX = 2**63 - 1
_NUMBER = re.compile(rb"[0-9]{1,19}")


class Event(enum.StrEnum):
    """What an announce is about."""

    NONE = ""
    """A sign of life."""
    STARTED = "started"
    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"
    """Takes nothing more for now (BEP 21): a sign of life here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """One announce, within its bounds."""

    info_hash: bytes
    """20 bytes."""
    peer_id: bytes
    """20 bytes."""
    port: int
    """Where it accepts peers, 1 to 65535."""
    left: int
    """Bytes it lacks; 0: it has the file."""
    event: Event
    numwant: int
    """Peers it asks for, 0 to NUMWANT_MAX."""
    compact: bool
    """It understands the short form."""
    no_peer_id: bool
    """It does not care for peer ids in the long form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAddress:
    """Where a peer accepts others."""

    address: bytes
    """Packed, 4 or 16 bytes."""
    port: int
    peer_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceReply:
    """What an announce is answered."""

    interval_s: int
    """When to announce again."""
    min_interval_s: int
    """Not before."""
    complete: int
    """Peers that have the file."""
    incomplete: int
    """Peers that lack some of it."""
    peers: Sequence[PeerAddress]


def parse_announce(query: bytes) -> Announce:
    """The announce in the query of a URL, as it came. Raises ProtocolError with words for the person at the client."""
    values = _parameters(query)
    event = values.get(b"event", b"")
    try:
        known = Event(event.decode("ascii"))
    except ValueError:
        raise ProtocolError("unknown event") from None
    port = _number(values, b"port", None, 65_535)
    if port == 0:
        raise ProtocolError("port 0 takes no peers")
    return Announce(
        info_hash=_exactly(values, b"info_hash", HASH_BYTES),
        peer_id=_exactly(values, b"peer_id", PEER_ID_BYTES),
        port=port,
        left=_number(values, b"left", 1, _LEFT_MAX),
        event=known,
        numwant=_numwant(values.get(b"numwant", b"")),
        compact=values.get(b"compact") == b"1",
        no_peer_id=values.get(b"no_peer_id") == b"1",
    )


def encode_reply(reply: AnnounceReply, announce: Announce) -> bytes:
    """The answer in the form the client understands."""
    answer: dict[str, Any] = {
        "complete": reply.complete,
        "incomplete": reply.incomplete,
        "interval": reply.interval_s,
        "min interval": reply.min_interval_s,
    }
    if announce.compact:
        short, long = (
            [peer.address + peer.port.to_bytes(2, "big") for peer in reply.peers if len(peer.address) == size]
            for size in ADDRESS_BYTES
        )
        answer["peers"] = b"".join(short)
        if long:
            answer["peers6"] = b"".join(long)
    else:
        answer["peers"] = [
            {"ip": str(ipaddress.ip_address(peer.address)), "port": peer.port}
            | ({} if announce.no_peer_id else {"peer id": peer.peer_id})
            for peer in reply.peers
        ]
    return bencode2.bencode(answer)


def encode_failure(reason: str) -> bytes:
    """The answer that is none; clients show `reason`."""
    return bencode2.bencode({"failure reason": reason})


def _parameters(query: bytes) -> dict[bytes, bytes]:
    if len(query) > QUERY_MAX_CHARS:
        raise ProtocolError(f"announce of more than {QUERY_MAX_CHARS} characters")
    parts = query.split(b"&")
    if len(parts) > PARAMETERS_MAX:
        raise ProtocolError(f"announce of more than {PARAMETERS_MAX} parameters")
    values: dict[bytes, bytes] = {}
    for part in parts:
        name, _, value = part.partition(b"=")
        if name in values:
            raise ProtocolError("announce that says one thing twice")
        values[name] = unquote_to_bytes(value)
    return values


def _exactly(values: dict[bytes, bytes], name: bytes, length: int) -> bytes:
    value = values.get(name, b"")
    if len(value) != length:
        raise ProtocolError(f"{name.decode()} must be {length} bytes")
    return value


def _number(values: dict[bytes, bytes], name: bytes, default: int | None, most: int) -> int:
    value = values.get(name)
    if value is None and default is not None:
        return default
    if value is None or not _NUMBER.fullmatch(value) or int(value) > most:
        raise ProtocolError(f"{name.decode()} must be a number up to {most}")
    return int(value)


def _numwant(value: bytes) -> int:
    """Anything that is no number, such as the -1 of some clients, is taken as not said."""
    return min(int(value), NUMWANT_MAX) if _NUMBER.fullmatch(value) else NUMWANT_DEFAULT
