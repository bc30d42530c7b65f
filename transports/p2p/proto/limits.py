"""Every number both sides of a swarm agree on (docs/wire-p2p.md, "Limits")."""

from __future__ import annotations

__all__ = [
    "ASSIGNED_AHEAD",
    "BRIDGES",
    "DEGREE",
    "HAVE_AT_ONCE",
    "HAVE_INTERVAL_S",
    "HEALTH_EVERY_S",
    "KEY_BYTES",
    "MAX_CHUNKS",
    "MAX_HOST_CHARS",
    "MAX_LIST_CHUNKS",
    "MAX_LIST_PEERS",
    "MAX_MAP_BYTES",
    "MAX_MEMBERS",
    "MAX_NEIGHBOURS",
    "MAX_SUBNET_CHARS",
    "MAX_TEXT_CHARS",
    "NEED_AFTER_S",
    "SECONDS_MAX",
]

MAX_CHUNKS = 1 << 22
"""Chunks of the largest image."""

MAX_LIST_CHUNKS = 1024
"""Chunk numbers in one message, and in one NEWS or GONE."""

MAX_MAP_BYTES = 576 * 1024
"""A packed map of MAX_CHUNKS chunks that does not compress."""

MAX_LIST_PEERS = 64
"""Peers in one message."""

MAX_MEMBERS = 4096
"""Of one swarm."""

DEGREE = 30
"""Neighbours a member is given; in a swarm that is not larger, everybody."""

MAX_NEIGHBOURS = 64
"""Neighbours a member has at most, bridges and those that were given others included."""

BRIDGES = 2
"""Peers of other subnets a member knows, for when repod cannot be reached."""

KEY_BYTES = 32
"""Listening keys and credentials."""

MAX_TEXT_CHARS = 512
"""Reasons meant for people."""

MAX_SUBNET_CHARS = 64
MAX_HOST_CHARS = 64
"""An IPv6 address with its zone fits."""

ASSIGNED_AHEAD = 2
"""Chunks a member takes from the origin at a time: one on the way, one asked for."""

HAVE_INTERVAL_S = 0.1
HAVE_AT_ONCE = 16
"""A member says what it has so often, or as soon as it has so many more."""

HEALTH_EVERY_S = 2.0
"""A member says how it is so often."""

NEED_AFTER_S = 2.0
"""A chunk nobody within reach has and nobody is getting is asked for after so long."""

SECONDS_MAX = 30 * 86_400
"""Longest seeding an option string can ask for."""
