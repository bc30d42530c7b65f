"""Messages of a swarm's member lane: the TCP connection a client holds to repod while it is in a swarm.

Frames and maps are those of every member lane (transports/member). repod decides who meets whom and who takes which
chunk from the origin; members say what they have. Closing the connection is leaving.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from transports.p2p.proto.limits import (
    KEY_BYTES,
    MAX_CHUNKS,
    MAX_HOST_CHARS,
    MAX_LIST_CHUNKS,
    MAX_LIST_PEERS,
    MAX_MAP_BYTES,
    MAX_SUBNET_CHARS,
    MAX_TEXT_CHARS,
)

__all__ = [
    "DECODER",
    "Announce",
    "Assign",
    "BadChunk",
    "Banned",
    "Closing",
    "Damaged",
    "Done",
    "Failed",
    "Forget",
    "Gone",
    "Have",
    "Health",
    "Leave",
    "Lost",
    "Meet",
    "Need",
    "PeerAddress",
    "Release",
    "Stop",
    "SwarmMessage",
    "Want",
    "Welcome",
]

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_CHARS)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)]
MemberId = Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
"""0: does not listen."""
Subnet = Annotated[str, msgspec.Meta(max_length=MAX_SUBNET_CHARS)]
Key = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Map = Annotated[bytes, msgspec.Meta(max_length=MAX_MAP_BYTES)]
"""See transports.member.proto.maps."""
Chunk = Annotated[int, msgspec.Meta(ge=0, lt=MAX_CHUNKS)]
Chunks = Annotated[tuple[Chunk, ...], msgspec.Meta(min_length=1, max_length=MAX_LIST_CHUNKS)]
Ids = Annotated[tuple[MemberId, ...], msgspec.Meta(min_length=1, max_length=MAX_LIST_PEERS)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    pass


# ------------------------------------------------------------------ client to repod


class Announce(_Message, frozen=True, kw_only=True, array_like=True, tag="announce"):
    """I am here, or all I said before is to be replaced by this."""

    port: Port
    """Where others may ask me."""
    subnet: Subnet
    """What I am near to; empty: as my address says."""
    mode: Annotated[str, msgspec.Meta(pattern=r"\A(peer|seeder|leecher)\Z")]
    """`leecher` serves nobody; a `seeder` stays when it has everything."""
    wanted: Map
    """Lacked and wanted."""
    held: Map
    """Can be asked for."""


class Have(_Message, frozen=True, kw_only=True, array_like=True, tag="have"):
    """I verified these since I last said so."""

    chunks: Chunks


class Gone(_Message, frozen=True, kw_only=True, array_like=True, tag="gone"):
    """I cannot be asked for these any more, though I had them."""

    chunks: Chunks


class Failed(_Message, frozen=True, kw_only=True, array_like=True, tag="failed"):
    """These were assigned to me, and I shall not bring them."""

    chunks: Chunks
    reason: Text


class Need(_Message, frozen=True, kw_only=True, array_like=True, tag="need"):
    """Nobody I know has these, and nobody seems to be getting them."""

    chunks: Chunks


class Want(_Message, frozen=True, kw_only=True, array_like=True, tag="want"):
    """I want these as well since I announced myself: what was to bring them otherwise does not."""

    chunks: Chunks


class BadChunk(_Message, frozen=True, kw_only=True, array_like=True, tag="bad"):
    """A peer sent something else than the chunk."""

    peer: MemberId
    chunk: Chunk
    expected: Key
    got: Key
    """Digests; `got` is all zero when it did not decode."""


class Lost(_Message, frozen=True, kw_only=True, array_like=True, tag="lost"):
    """A peer does not answer me, or promises and does not send."""

    peer: MemberId
    reason: Text


class Health(_Message, frozen=True, kw_only=True, array_like=True, tag="health"):
    """Every 2 s: how I am doing. Bytes and duplicates are totals since this client took
    part first."""

    missing: Annotated[int, msgspec.Meta(ge=0, le=MAX_CHUNKS)]
    from_same: Count
    """Stored bytes taken from peers of my subnet."""
    from_other: Count
    """… from peers elsewhere."""
    from_origin: Count
    up_same: Count
    """Stored bytes given to peers of my subnet."""
    up_other: Count
    duplicates: Count
    """Chunks that came twice."""
    rate: Count
    """Bytes a second that arrive now."""
    backlog: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """Share of my chunk memory that waits for decoding or disk."""
    ring_chunks: Count
    """Chunks I can give."""
    neighbours: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    """Peers I am connected to."""


class Done(_Message, frozen=True, kw_only=True, array_like=True, tag="done"):
    """I lack nothing any more."""


class Leave(_Message, frozen=True, kw_only=True, array_like=True, tag="leave"):
    """I go."""

    reason: Text


# ------------------------------------------------------------------ repod to client


class Welcome(_Message, frozen=True, kw_only=True, array_like=True, tag="welcome"):
    """Answer to an announcement."""

    member: MemberId
    """Who you are to the others."""
    listen_key: Key
    """From it the credentials of those follow who may ask you (transports/p2p/proto/credentials.py)."""
    subnet: Subnet
    """Where you are taken to be."""
    window: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHUNKS)]
    """Chunks ahead of your lowest missing one that assignments go at most."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    """Receivers you should serve at a time."""
    have_interval_ms: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    """How often to say what you have."""


class PeerAddress(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Somebody to ask."""

    id: MemberId
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_HOST_CHARS)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    credential: Key
    """The key of a peer lane between the two of you, you asking."""
    same_subnet: bool
    bridge: bool
    """Ask it only while repod cannot be reached."""


class Meet(_Message, frozen=True, kw_only=True, array_like=True, tag="meet"):
    """These are neighbours from now on; one known already is to be known by this."""

    peers: Annotated[tuple[PeerAddress, ...], msgspec.Meta(min_length=1, max_length=MAX_LIST_PEERS)]


class Forget(_Message, frozen=True, kw_only=True, array_like=True, tag="forget"):
    """These are neighbours no more."""

    ids: Ids


class Banned(_Message, frozen=True, kw_only=True, array_like=True, tag="banned"):
    """Neither ask these nor serve them."""

    ids: Ids


class Assign(_Message, frozen=True, kw_only=True, array_like=True, tag="assign"):
    """Take these from the origin."""

    chunks: Chunks


class Release(_Message, frozen=True, kw_only=True, array_like=True, tag="release"):
    """These are not yours to take any more."""

    chunks: Chunks


class Damaged(_Message, frozen=True, kw_only=True, array_like=True, tag="damaged"):
    """The origin cannot read a chunk; do not wait for it."""

    chunk: Chunk
    reason: Text


class Stop(_Message, frozen=True, kw_only=True, array_like=True, tag="stop"):
    """Nobody lacks anything: seeding may end."""

    reason: Text


class Closing(_Message, frozen=True, kw_only=True, array_like=True, tag="closing"):
    """Your membership ends."""

    reason: Text
    retry: bool
    """Opening another session makes sense."""


SwarmMessage = (
    Announce
    | Have
    | Gone
    | Failed
    | Need
    | Want
    | BadChunk
    | Lost
    | Health
    | Done
    | Leave
    | Welcome
    | Meet
    | Forget
    | Banned
    | Assign
    | Release
    | Damaged
    | Stop
    | Closing
)

DECODER = msgspec.msgpack.Decoder(SwarmMessage)
