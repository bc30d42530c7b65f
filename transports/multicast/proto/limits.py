"""Every number both sides of a cast agree on (docs/wire-multicast.md, "Limits")."""

from __future__ import annotations

__all__ = [
    "BURST_PACKETS",
    "HEADER_BYTES",
    "MAX_BLOCK_SYMBOLS",
    "MAX_CHUNKS",
    "MAX_MEMBERS",
    "MAX_REPORT_ENTRIES",
    "MAX_STORED_BYTES",
    "MAX_SYMBOL_BYTES",
    "MIN_SYMBOL_BYTES",
    "SEQUENCE_LIMIT",
    "TAG_BYTES",
    "TRAINS_DECIDED",
    "TRAINS_TOGETHER",
    "TRAIN_PACKETS",
    "VERSION",
    "WHOLE_CHUNK",
    "WIRE_OVERHEAD_BYTES",
    "symbol_bytes_for",
]

VERSION = 1

HEADER_BYTES = 16
TAG_BYTES = 8
"""The authenticator, the last bytes of every packet to the group."""

MIN_SYMBOL_BYTES = 64
MAX_SYMBOL_BYTES = 8960
"""Fits a frame of 9000 bytes."""

MAX_BLOCK_SYMBOLS = 188
"""Symbols coded together: 68 parities are left of the 256 the code has, and 1 % loss costs 100 clients 3.3 % more."""

MAX_STORED_BYTES = 16 * 1024 * 1024 + 64 * 1024
"""Largest stored frame, as in packs."""

WHOLE_CHUNK = 255
"""Block number in a report: nothing of the chunk is here."""

MAX_CHUNKS = 1 << 24
"""Chunk numbers are 24 bits wide in headers and reports; the largest image has 2^22."""

SEQUENCE_LIMIT = 1 << 48
"""A cast ends before its packets reach it: no number is used twice under one key."""

TRAIN_PACKETS = 44
"""Packets of one train: 44 of 1472 bytes are what one segmented send carries."""

TRAINS_TOGETHER = 4
"""Trains that leave together where the rate is high: more at a time than a switch has room for would be lost."""

TRAINS_DECIDED = 8
"""Trains decided, built and sealed in one go there, though half of them leave later: what that costs is mostly by the
call."""

BURST_PACKETS = TRAIN_PACKETS * TRAINS_DECIDED
"""Packets of one burst at most."""

MAX_MEMBERS = 4096

MAX_REPORT_ENTRIES = 256
"""Deficits in one report, which so fits one packet."""

WIRE_OVERHEAD_BYTES = 42
"""Ethernet, IPv4 and UDP headers: what a packet takes on the wire beside its payload. The pace counts it."""


def symbol_bytes_for(mtu_bytes: int, *, ipv6: bool = False) -> int:
    """The largest symbol that fits one packet of a link, a multiple of 8 so that the code can work on words."""
    room = mtu_bytes - (48 if ipv6 else 28) - HEADER_BYTES - TAG_BYTES
    return min(MAX_SYMBOL_BYTES, room // 8 * 8)
