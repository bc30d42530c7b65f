"""The table [transports.multicast] of repod.toml."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.config import setting
from core.errors import UsageError
from transports.multicast.proto.groups import default_groups, is_source_specific, parse_groups, parse_ports
from transports.multicast.proto.start import StartPolicy, parse_time_of_day
from transports.tables import check_number, read_table

__all__ = ["DEFAULT_PORT", "MulticastSettings"]

DEFAULT_PORT = 8719


@dataclass(frozen=True, slots=True, kw_only=True)
class MulticastSettings:
    """How the server half of multicast behaves. docs/operations.md explains every key."""

    port: int = setting(
        default=DEFAULT_PORT,
        doc="TCP port of the member lanes; 0 takes any free one (offers name it).",
    )
    groups: str = setting(
        default="",
        doc="Range of groups casts are given; empty: 232.194.0.0/16 (ssm), 239.194.0.0/16 (asm), or their\n"
        "like of IPv6.",
    )
    ports: str = setting(default="9000-9098", doc="Range of UDP ports casts are given.")
    mode: str = setting(
        default="ssm",
        doc="ssm: members name the repository as the only source; asm: for networks without IGMPv3 or\nMLDv2.",
    )
    ip: int = setting(default=4, doc="4 or 6: the version groups are sent with.")
    ttl: int = setting(default=1, doc="Routers a packet may cross, and one; 1 stays in the subnet.")
    mtu: int = setting(default=1500, doc="Bytes of the largest IP packet on the way to every member.")
    rate_mbit_per_s: float = setting(
        default=0.0,
        doc="What all casts together may put on the wire; 0: what the interface says it can, at most\n1000.",
    )
    cast_rate_mbit_per_s: float = setting(default=0.0, doc="What one cast may; 0: its fair share of the above.")
    adaptive: bool = setting(
        default=True, doc="Follow loss and disks of the group below the cap; false sends at the cap."
    )
    authenticator: str = setting(
        default="mac", doc="mac: every packet carries a keyed authenticator; off: none, for networks nobody else is on."
    )
    start_clients: int = setting(default=0, doc="A cast begins when so many clients are there; 0: at once.")
    start_wait_s: float = setting(
        default=0.0, doc="… or when the first of them has waited so long; 0 means 60 where start_clients is set."
    )
    start_at: str = setting(default="", doc="… or at this time of the day, `22:30`.")
    linger_s: float = setting(default=30.0, doc="A cast nobody is a member of ends after this long.")
    max_casts: int = setting(
        default=32, doc="Images sent at the same time; sessions of others are offered the next transport."
    )
    max_members: int = setting(default=1024, doc="Members of all casts; further ones are offered the next transport.")
    probe_wait_s: float = setting(default=1.5, doc="How long a member counts probes before it says how many came.")

    @classmethod
    def load(cls, table: Mapping[str, Any]) -> MulticastSettings:
        """Check a table of repod.toml. UsageError for unknown keys, wrong types and values out of bounds."""
        return read_table(cls, table, name="multicast", check=_check)

    def __post_init__(self) -> None:
        for key, allowed in _WORDS.items():
            if getattr(self, key) not in allowed:
                raise UsageError(
                    f"transports.multicast.{key} = {getattr(self, key)!r}",
                    hint=f"one of {', '.join(map(str, allowed))} is expected",
                )
        with _named("groups"):
            network = parse_groups(self.group_range)
        if network.version != self.ip:
            raise UsageError(f"transports.multicast.groups = {self.groups!r} with ip = {self.ip}")
        if not self.ssm and is_source_specific(str(network[0])):
            raise UsageError(
                f"transports.multicast.groups = {self.group_range!r} with mode = 'asm'",
                hint=_NEEDS_SOURCE,
            )
        with _named("ports"):
            parse_ports(self.ports)
        with _named("start_at"):
            parse_time_of_day(self.start_at)

    def check_wish(self, group: str) -> None:
        """UsageError for a group of an option string that casts of these settings cannot have."""
        if ipaddress.ip_address(group).version != self.ip:
            raise UsageError(
                f"group {group} is not of IP version {self.ip}, which repod.toml names",
                hint="leave multicast's option string out, or name a group of that version",
            )
        if not self.ssm and is_source_specific(group):
            raise UsageError(f"group {group} with mode = 'asm', which repod.toml names", hint=_NEEDS_SOURCE)

    @property
    def ssm(self) -> bool:
        """Members join with a source."""
        return self.mode == "ssm"

    @property
    def group_range(self) -> str:
        """`groups`, or the range that fits the other settings."""
        return self.groups or default_groups(ssm=self.ssm, ipv6=self.ip == 6)

    @property
    def start(self) -> StartPolicy:
        """When casts begin, unless an option string says otherwise."""
        return StartPolicy(
            clients=self.start_clients, wait_s=self.start_wait_s, time_of_day_s=parse_time_of_day(self.start_at)
        )


@contextlib.contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise UsageError(f"transports.multicast.{key}: {error}", hint=error.hint) from None


_NEEDS_SOURCE = "switches forward these groups only to members that name a source; take some of 239.0.0.0/8"
_WORDS: dict[str, tuple[object, ...]] = {"mode": ("ssm", "asm"), "ip": (4, 6), "authenticator": ("mac", "off")}
_BOUNDS: dict[str, tuple[float, float]] = {
    "port": (0, 65535),
    "ip": (4, 6),
    "ttl": (1, 255),
    "mtu": (576, 9216),
    "rate_mbit_per_s": (0, 100_000),
    "cast_rate_mbit_per_s": (0, 100_000),
    "start_clients": (0, 4096),
    "start_wait_s": (0, 86_400),
    "linger_s": (0.1, 86_400),
    "max_casts": (1, 1024),
    "max_members": (1, 4096),
    "probe_wait_s": (0.1, 2.5),
}


def _check(key: str, value: Any, default: object) -> object:
    if isinstance(default, bool | str):
        if not isinstance(value, type(default)):
            kind = "true or false" if isinstance(default, bool) else "a text"
            raise UsageError(f"transports.multicast.{key} = {value!r}", hint=f"{kind} is expected")
        return value
    return check_number(f"transports.multicast.{key}", value, _BOUNDS[key], whole=isinstance(default, int))
