"""A member lane that speaks the messages of a cast (docs/wire-multicast.md, "Member lane")."""

from __future__ import annotations

import asyncio

from transports.member.lane import MemberLane as Lane
from transports.multicast.proto.lane import DECODER, LaneMessage

__all__ = ["MemberLane"]


class MemberLane(Lane[LaneMessage]):
    """Either end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer, DECODER)
