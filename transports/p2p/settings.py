"""The table [transports.p2p] of repod.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config import setting
from core.errors import UsageError
from transports.p2p.proto.limits import MAX_SUBNET_CHARS, SECONDS_MAX
from transports.p2p.proto.options import MODES, SwarmOptions
from transports.p2p.proto.rules import SwarmRules
from transports.tables import check_number, read_table

__all__ = ["DEFAULT_PORT", "SwarmSettings"]

DEFAULT_PORT = 8720


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmSettings:
    """How the server half of p2p behaves. docs/operations.md explains every key."""

    port: int = setting(
        default=DEFAULT_PORT, doc="TCP port of the member lanes; 0 takes any free one (offers name it)."
    )
    origin_port: int = setting(
        default=0,
        doc="TCP port chunks are taken from the repository at; 0: ten above `port` where that is free, else\n"
        "any (offers name it).",
    )
    mode: str = setting(default="peer", doc="peer, seeder or leecher: what clients are without an option string.")
    seconds: int = setting(
        default=60, doc="How long a peer gives to others after it has everything itself; a seeder: no end."
    )
    streams: int = setting(default=10, doc="Members of a subnet that take chunks from the repository at the same time.")
    origin_lanes_at_once: int = setting(
        default=0, doc="Members of all subnets that are sent chunks at the same time, the others wait; 0: no limit."
    )
    window: int = setting(
        default=256,
        doc="How many chunks ahead of its lowest missing one a member takes others; 1 GiB of the image at least.",
    )
    slots: int = setting(default=10, doc="Receivers a client gives to at the same time.")
    upload_mbit_per_s: float = setting(default=0.0, doc="What one client may give to others in all; 0: no limit.")
    upload_far_mbit_per_s: float = setting(
        default=0.0, doc="What one client may give to other subnets in all; 0: no limit but that above."
    )
    subnet_mbit_per_s: float = setting(default=0.0, doc="What the repository sends to each subnet in all; 0: no limit.")
    subnets: Mapping[str, float] = setting(
        default={},
        doc='The same for single subnets, by their name: { "10.1.2.0/24" = 50.0 }; 0: no limit there.',
    )
    dscp: int = setting(
        default=0, doc="Class the packets between clients are marked with, 0 to 63; 8 is CS1, background traffic."
    )
    linger_s: float = setting(default=30.0, doc="A swarm nobody has a session of is forgotten after this long.")
    max_swarms: int = setting(
        default=64, doc="Images at the same time; sessions of others are offered the next transport."
    )
    max_members: int = setting(default=1024, doc="Members of one swarm; further ones are offered the next transport.")

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> SwarmSettings:
        """Check a table of repod.toml. UsageError for unknown keys, wrong types and values out of bounds."""
        return read_table(cls, table, name="p2p", check=_check)

    @property
    def rules(self) -> SwarmRules:
        """For the directory of a swarm."""
        return SwarmRules(streams=self.streams, window=self.window, slots=self.slots, max_members=self.max_members)

    @property
    def options(self) -> SwarmOptions:
        """What an option string leaves open."""
        return SwarmOptions(mode=self.mode, seconds=self.seconds)


_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "origin_port": (0, 65535),
    "seconds": (0, SECONDS_MAX),
    "streams": (1, 4096),
    "origin_lanes_at_once": (0, 65536),
    "window": (1, 65536),
    "slots": (1, 1024),
    "upload_mbit_per_s": (0, 100_000),
    "upload_far_mbit_per_s": (0, 100_000),
    "subnet_mbit_per_s": (0, 100_000),
    "dscp": (0, 63),
    "linger_s": (0.1, 86_400),
    "max_swarms": (1, 1024),
    "max_members": (1, 4096),
}


SUBNETS_NAMED_MAX = 4096


def _check(key: str, value: Any, default: object) -> object:
    if key == "subnets":
        return _check_subnets(value)
    if key == "mode":
        if value not in MODES:
            raise UsageError(f"transports.p2p.mode = {value!r}", hint=f"one of {', '.join(MODES)} is expected")
        return value
    return check_number(f"transports.p2p.{key}", value, _BOUNDS[key], whole=isinstance(default, int))


def _check_subnets(value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping) or len(value) > SUBNETS_NAMED_MAX:
        raise UsageError(
            "transports.p2p.subnets is no table of subnets",
            hint=f'such as {{ "10.1.2.0/24" = 50.0 }}, Mbit/s for each, {SUBNETS_NAMED_MAX} at most',
        )
    found: dict[str, float] = {}
    for name, rate in value.items():
        if not 0 < len(str(name)) <= MAX_SUBNET_CHARS:
            raise UsageError(f"transports.p2p.subnets: {name!r} is no name of a subnet", hint="such as 10.1.2.0/24")
        found[str(name)] = check_number(
            f"transports.p2p.subnets.{name}", rate, _BOUNDS["subnet_mbit_per_s"], whole=False
        )
    return found
