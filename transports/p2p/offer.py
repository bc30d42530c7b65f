"""What repod offers a client of a swarm, read with distrust: it may come from a newer repository."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from core.errors import ProtocolError
from transports.base import Offer
from transports.p2p.proto.limits import SECONDS_MAX

__all__ = ["SwarmOffer"]

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class SwarmOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of an offer of p2p."""

    port: Port
    """TCP: the member lane."""
    origin_port: Port
    """TCP: the lane of assigned chunks."""
    host: str = ""
    """Of both; empty: the repository's own."""
    mode: Literal["peer", "seeder", "leecher"] = "peer"
    seconds: Annotated[int, msgspec.Meta(ge=0, le=SECONDS_MAX)] = 60
    """How long to go on giving at the end; 0: a seeder without end, a peer not at all."""
    upload_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    """What a peer may send; 0: as much as it can."""
    upload_far_bytes_per_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    """What of that may go to other subnets; 0: all of it."""
    dscp: Annotated[int, msgspec.Meta(ge=0, le=63)] = 0
    """Mark of what peers send."""

    @classmethod
    def read(cls, offer: Offer) -> SwarmOffer:
        """ProtocolError for parameters that make no sense."""
        try:
            return msgspec.convert(dict(offer.parameters), cls)
        except msgspec.ValidationError as error:
            raise ProtocolError(f"the repository's offer of p2p makes no sense: {error}") from None
