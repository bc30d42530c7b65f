"""Why nothing (or too little) of a cast arrives, in words for the person who can change it.

Pure: takes what was found out about this machine, and judges it. The likeliest reason comes first.
"""

from __future__ import annotations

import msgspec

__all__ = ["Evidence", "Reason", "diagnose"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a member found out when its probes did not come."""

    interface: str
    up: bool = True
    address: str | None = None
    """Of the interface, of the group's family."""
    group: str
    source: str
    """The sender's address."""
    source_specific: bool
    ttl: int
    """What the sender sets."""
    same_subnet: bool = True
    """The sender's address is in the subnet of the interface."""
    route_interface: str | None = None
    """Where packets to the sender would leave; None if there is no route."""
    reverse_path_filter: int = 0
    """The kernel's setting for the interface: 1 drops what comes in where it would not go out."""
    igmp_version: int = 3
    """What the kernel speaks on the interface; below 3 because it heard an old querier."""
    multicast_packets: int = 0
    """Multicast packets that came to this machine (of IPv4 on any interface) while the probes were awaited."""
    foreign_packets: int = 0
    """Packets to the group whose authenticator does not hold."""
    probes_sent: int = 16
    probes_received: int = 0


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One explanation and what to do about it."""

    text: str
    hint: str


def diagnose(evidence: Evidence) -> Reason:
    """The likeliest reason."""
    return next(reason for reason in (rule(evidence) for rule in _RULES) if reason is not None)


def _interface(found: Evidence) -> Reason | None:
    if not found.up:
        return Reason(text=f"interface {found.interface} is down", hint=f"ip link set {found.interface} up")
    if found.address is None:
        return Reason(
            text=f"interface {found.interface} has no address",
            hint="give it one, or choose another with --interface",
        )
    return None


def _old_querier(found: Evidence) -> Reason | None:
    if found.source_specific and found.igmp_version < 3:
        return Reason(
            text=f"an IGMPv{found.igmp_version} querier is on this network, so joins that name a source do not work",
            hint='set mode = "asm" in [transports.multicast] of repod.toml, or the querier to IGMPv3',
        )
    return None


def _reached_the_host(found: Evidence) -> Reason | None:
    # three quarters of the probes: hosts that come and go send some multicast as well, of IPv6 a dozen packets
    if found.multicast_packets >= max(1, 3 * found.probes_sent // 4) and not found.probes_received:
        return Reason(
            text="multicast reaches this machine but not the program: a firewall here drops it",
            hint=f"allow UDP to {found.group} (nft, iptables)",
        )
    return None


def _foreign(found: Evidence) -> Reason | None:
    if found.foreign_packets:
        return Reason(
            text=f"only packets of somebody else come to {found.group}: another sender uses the group and port",
            hint="give the repositories different ranges of groups",
        )
    return None


def _reverse_path(found: Evidence) -> Reason | None:
    if found.route_interface is None:
        return Reason(
            text=f"there is no route back to {found.source}, so the kernel drops what comes from there",
            hint=f"ip route add {found.source} dev {found.interface}",
        )
    if found.route_interface != found.interface and found.reverse_path_filter == 1:
        return Reason(
            text=(
                f"packets from {found.source} are expected on {found.route_interface}, "
                f"not on {found.interface}, and rp_filter drops them"
            ),
            hint=f"choose --interface {found.route_interface}",
        )
    if found.route_interface != found.interface and not found.same_subnet:
        return Reason(
            text=(
                f"{found.interface} is not in the subnet of the repository {found.source}: "
                f"the way there is {found.route_interface}"
            ),
            hint=f"choose --interface {found.route_interface}, or none",
        )
    return None


def _other_subnet(found: Evidence) -> Reason | None:
    if found.same_subnet:
        return None
    if found.ttl <= 1:
        return Reason(
            text=f"the repository {found.source} is in another subnet, and its TTL of {found.ttl} stays in its own",
            hint="set ttl in [transports.multicast] and route multicast, or run `ogcast relay` in this subnet",
        )
    return Reason(
        text=f"the repository {found.source} is in another subnet, and no router forwards {found.group} to this one",
        hint="set up PIM or smcroute on the router, or run `ogcast relay` in this subnet",
    )


def _switch(found: Evidence) -> Reason:
    protocol = "MLD" if ":" in found.group else "IGMP"
    return Reason(
        text=(
            f"nothing of {found.group} comes in on {found.interface}: most likely a switch that snoops {protocol} "
            "without a querier, or a filter between here and the repository"
        ),
        hint=f"turn an {protocol} querier on in this network (or snooping off); check --interface on both sides",
    )


_RULES = (_interface, _foreign, _reverse_path, _old_querier, _reached_the_host, _other_subnet, _switch)
