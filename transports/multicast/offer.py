"""What repod offers a client of a cast, read with distrust: it may come from a newer repository."""

from __future__ import annotations

import binascii
from typing import Annotated

import msgspec

from core.errors import ProtocolError, UsageError
from transports.base import Offer
from transports.multicast.authenticator import Protection
from transports.multicast.keys import KEY_BYTES
from transports.multicast.proto.groups import check_group
from transports.multicast.proto.limits import MAX_SYMBOL_BYTES, MIN_SYMBOL_BYTES

__all__ = ["CastOffer"]

UNMET_CHARS = 256
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class CastOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of an offer of multicast."""

    cast: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    epoch: Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)]
    member: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    group: str
    group_port: Port
    source: str
    """Address packets come from and reports go to."""
    source_specific: bool
    report_port: Port
    """UDP."""
    port: Port
    """TCP: the member lane."""
    key: bytes
    """Of the group; never travels but over TLS."""
    symbol_bytes: Annotated[int, msgspec.Meta(ge=MIN_SYMBOL_BYTES, le=MAX_SYMBOL_BYTES, multiple_of=8)]
    protection: Protection
    sequence: Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)] = 0
    """Where the sender stood; short numbers of packets are extended by it."""
    ttl: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    probe_wait_s: Seconds = 1.5
    host: str = ""
    """Of the member lane; empty: the repository's own."""
    start_timeout_s: Seconds | None = None
    receive_timeout_s: Seconds | None = None
    unmet: Annotated[str, msgspec.Meta(max_length=UNMET_CHARS)] = ""
    """What the cast has instead of what the client's option string wishes of it, for people."""

    @classmethod
    def read(cls, offer: Offer) -> CastOffer:
        """ProtocolError for parameters that make no sense."""
        try:
            read = msgspec.convert(dict(offer.parameters), cls)
            check_group(read.group)
        except (msgspec.ValidationError, binascii.Error, UsageError) as error:
            raise ProtocolError(f"the repository's offer of multicast makes no sense: {error}") from None
        if len(read.key) != KEY_BYTES:
            raise ProtocolError(f"the repository's offer of multicast has a key of {len(read.key)} bytes")
        return read
