"""Messages of the member lane: the TCP connection that a client holds while it is a member of a cast.

Frames and maps are those of every member lane (transports/member). Closing the connection is leaving.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from transports.multicast.proto.limits import MAX_CHUNKS, MAX_MEMBERS

__all__ = [
    "DECODER",
    "Again",
    "Closing",
    "Damaged",
    "Done",
    "Health",
    "Join",
    "Joined",
    "LaneChange",
    "LaneMessage",
    "Leave",
    "Probed",
    "Waiting",
    "Without",
]

Text = Annotated[str, msgspec.Meta(max_length=512)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)]
Chunks = Annotated[int, msgspec.Meta(ge=0, le=MAX_CHUNKS)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    pass


class Join(_Message, frozen=True, kw_only=True, array_like=True, tag="join"):
    """Client: I am here, and lack these chunks."""

    wanted: bytes
    """See transports.member.proto.maps."""
    listened: bool = False
    """All that was sent since the offer was listened to: who lacks everything is a member since then."""


class Without(_Message, frozen=True, kw_only=True, array_like=True, tag="without"):
    """Client: these come another way. What is on its way already comes all the same."""

    chunks: bytes
    """A map, as `wanted`."""


class Again(_Message, frozen=True, kw_only=True, array_like=True, tag="again"):
    """Client: these do not come another way; I lack the whole of each."""

    chunks: bytes
    """A map, as `wanted`."""


class Probed(_Message, frozen=True, kw_only=True, array_like=True, tag="probed"):
    """Client: the verdict of the join probe."""

    outcome: Annotated[str, msgspec.Meta(max_length=16)]
    received: Count
    sent: Count
    loss: Share
    reason: Text = ""


class Health(_Message, frozen=True, kw_only=True, array_like=True, tag="health"):
    """Client, every 2 s: how it is doing, for the operator. Keeps the lane alive."""

    missing_chunks: Chunks
    network_loss: Share
    host_overflow: Share
    rate_bytes_per_s: Count
    write_bytes_per_s: Count
    backlog: Share
    forged: Count = 0
    """Packets that reached its socket and are none of the cast's."""


class Done(_Message, frozen=True, kw_only=True, array_like=True, tag="done"):
    """Client: I have everything."""


class Leave(_Message, frozen=True, kw_only=True, array_like=True, tag="leave"):
    """Client: I give up."""

    reason: Text


class Joined(_Message, frozen=True, kw_only=True, array_like=True, tag="joined"):
    """Server, answer to Join: packets from `sequence` on are for you too."""

    member: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    sequence: Count
    """Number of the last packet sent."""
    report_interval_ms: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
    probes: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    """PROBE packets that follow for this member."""


class Waiting(_Message, frozen=True, kw_only=True, array_like=True, tag="waiting"):
    """Server: the start policy waits."""

    members: Annotated[int, msgspec.Meta(ge=0, le=MAX_MEMBERS)]
    needed: Annotated[int, msgspec.Meta(ge=0, le=MAX_MEMBERS)]
    """0: not waiting for a number."""
    starts_in_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """At the latest; None: no such limit."""

    @property
    def text(self) -> str:
        """For people."""
        parts = [f"{self.members} of {self.needed} clients are there"] if self.needed else []
        if self.starts_in_s is not None:
            parts.append(f"at most {self.starts_in_s:.0f} s more")
        return "; ".join(parts) or "waiting for its time"

    @property
    def news(self) -> tuple[object, ...]:
        """What is worth telling again when it changes: who is there, and every ten seconds how long it takes."""
        return self.members, self.needed, None if self.starts_in_s is None else -(-self.starts_in_s // 10)


class LaneChange(_Message, frozen=True, kw_only=True, array_like=True, tag="lane"):
    """Server: you are served in another way from now on: `multicast`, `late` or `unicast`, and why."""

    lane: Annotated[str, msgspec.Meta(max_length=16)]
    reason: Text


class Damaged(_Message, frozen=True, kw_only=True, array_like=True, tag="damaged"):
    """Server: a chunk of the image cannot be read; do not wait for it."""

    chunk: Chunks
    reason: Text


class Closing(_Message, frozen=True, kw_only=True, array_like=True, tag="closing"):
    """Server: the cast ends."""

    reason: Text
    retry: bool
    """Opening another session makes sense."""


LaneMessage = (
    Join | Without | Again | Probed | Health | Done | Leave | Joined | Waiting | LaneChange | Damaged | Closing
)

DECODER = msgspec.msgpack.Decoder(LaneMessage)
