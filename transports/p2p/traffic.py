"""Where chunks came from: names of sources, totals for repod, and what a bad chunk really was."""

from __future__ import annotations

from core.errors import ChunkError
from images.codec import decode_into
from images.digest import digest_of
from transports.base import Delivery
from transports.p2p.proto.messages import Health
from transports.p2p.proto.requests import ORIGIN

__all__ = ["Traffic", "digest_received", "source_name", "source_of"]

_REPOSITORY = "repository"
_PEER = "peer "


def source_name(source: int) -> str:
    """What a source is called in deliveries: `repository`, or `peer <id>`."""
    return _REPOSITORY if source == ORIGIN else f"{_PEER}{source}"


def source_of(name: str) -> int:
    """The source that is called so."""
    return ORIGIN if name == _REPOSITORY else int(name.removeprefix(_PEER))


def digest_received(delivery: Delivery, raw_length: int) -> bytes:
    """The digest of what was delivered; zeros if it does not decode to `raw_length` bytes."""
    raw = bytearray(raw_length)
    try:
        decode_into(delivery.frame, delivery.encoding, memoryview(raw))
    except ChunkError:
        return bytes(32)
    return digest_of(raw)


class Traffic:
    """Stored bytes that came in this membership, by where from."""

    def __init__(self, *, now: float) -> None:
        self._same = self._other = self._origin = 0
        self._looked = (now, 0)

    def note(self, source: int, count: int, *, near: bool) -> None:
        """A chunk of `count` stored bytes came; `near`: from the same subnet."""
        if source == ORIGIN:
            self._origin += count
        elif near:
            self._same += count
        else:
            self._other += count

    def health(
        self,
        *,
        now: float,
        missing: int,
        sent: int,
        sent_far: int,
        duplicates: int,
        backlog: float,
        held: int,
        neighbours: int,
    ) -> Health:
        """What to tell repod; the rate is that since the last time. `sent_far` is the part of `sent` that went to other
        subnets."""
        total = self._same + self._other + self._origin
        (since, before), self._looked = self._looked, (now, total)
        return Health(
            missing=missing,
            from_same=self._same,
            from_other=self._other,
            from_origin=self._origin,
            up_same=max(0, sent - sent_far),
            up_other=sent_far,
            duplicates=duplicates,
            rate=int((total - before) / (now - since)) if now > since else 0,
            backlog=min(1.0, max(0.0, backlog)),
            ring_chunks=held,
            neighbours=neighbours,
        )
