"""What crossed each cable, from the kernel's own counters: read from the JSON of `tc`, `ip` and `nft`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import msgspec

__all__ = ["PathCounters", "parse_interface", "parse_nft_counters", "parse_qdisc", "path_counters"]


class _Named(msgspec.Struct):
    name: str
    packets: int
    bytes: int


class _Entry(msgspec.Struct):
    counter: _Named | None = None


class _Ruleset(msgspec.Struct):
    nftables: list[_Entry]


class _Qdisc(msgspec.Struct):
    bytes: int = 0
    packets: int = 0
    drops: int = 0
    root: bool = False


class _Sent(msgspec.Struct):
    bytes: int
    packets: int
    dropped: int


class _Counted(msgspec.Struct):
    tx: _Sent


class _Interface(msgspec.Struct):
    stats64: _Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class PathCounters:
    """One host's cable since the lab began; Ethernet headers count, preamble and checksum do not."""

    to_bytes: int
    """What the switch put on the cable to the host."""
    to_packets: int
    to_overflows: int
    """Packets dropped because the port's buffer was full."""
    to_lost: int
    """Packets lost on purpose on the way to the host."""
    from_bytes: int
    """What the host put on its cable."""
    from_packets: int
    from_overflows: int
    """Packets that the host's own queue dropped."""
    from_lost: int
    from_group_packets: int
    """Multicast packets of the host that reached the switch."""
    from_group_bytes: int
    """The same in bytes, without Ethernet headers."""

    def since(self, earlier: PathCounters) -> PathCounters:
        """What was added after `earlier`."""
        return PathCounters(
            **{field.name: getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)}
        )


def parse_nft_counters(text: bytes | str) -> dict[str, tuple[int, int]]:
    """(packets, bytes) of each named counter, from `nft -j list counters`."""
    entries = msgspec.json.decode(text, type=_Ruleset).nftables
    return {one.counter.name: (one.counter.packets, one.counter.bytes) for one in entries if one.counter}


def parse_qdisc(text: bytes | str) -> tuple[int, int, int]:
    """(bytes, packets, drops) of the root queue, from `tc -s -j qdisc show dev D`."""
    for one in msgspec.json.decode(text, type=list[_Qdisc]):
        if one.root:
            return one.bytes, one.packets, one.drops
    return 0, 0, 0


def parse_interface(text: bytes | str) -> tuple[int, int, int]:
    """(bytes, packets, drops) of what one interface sent, from `ip -s -j link show dev D`."""
    (one,) = msgspec.json.decode(text, type=list[_Interface])
    sent = one.stats64.tx
    return sent.bytes, sent.packets, sent.dropped


def path_counters(
    host: str, named: Mapping[str, tuple[int, int]], to_host: tuple[int, int, int], from_host: tuple[int, int, int]
) -> PathCounters:
    """Put together what `nft` and the two ends of one host's cable say."""
    nothing = (0, 0)
    return PathCounters(
        to_bytes=to_host[0],
        to_packets=to_host[1],
        to_overflows=to_host[2],
        to_lost=named.get(f"lost_to_{host}", nothing)[0],
        from_bytes=from_host[0],
        from_packets=from_host[1],
        from_overflows=from_host[2],
        from_lost=named.get(f"lost_from_{host}", nothing)[0],
        from_group_packets=named.get(f"group_from_{host}", nothing)[0],
        from_group_bytes=named.get(f"group_from_{host}", nothing)[1],
    )
