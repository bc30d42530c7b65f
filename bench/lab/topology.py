"""What a lab looks like: hosts on subnets, the rate and the loss of each host's path. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from core.errors import UsageError

__all__ = ["INTERFACE", "ROUTER", "SWITCH", "Host", "Link", "Topology", "room"]

INTERFACE = "eth0"
"""The interface of every host. A router has one in each subnet: eth0, eth1, …"""
SWITCH = "switch"
"""Name of the namespace with the bridges."""
ROUTER = "router"
"""Name of the host that joins the subnets."""
MAX_HOSTS_PER_SUBNET = 200
MAX_SUBNETS = 16
_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One host's cable: the same in both directions."""

    rate_bits_per_s: float = 0.0
    """Limit of each direction, Ethernet headers included; 0: none."""
    loss: float = 0.0
    """Part of the packets that is lost on the way to the host, and as many on the way from it; drawn for each packet
    and each path on its own."""

    def __post_init__(self) -> None:
        if self.rate_bits_per_s < 0 or not 0 <= self.loss < 1:
            raise UsageError(f"no such link: {self.rate_bits_per_s} bit/s with loss {self.loss}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A namespace with one interface."""

    name: str
    """At most ten letters and digits; also the name of its port at the switch."""
    subnet: int = 0
    link: Link = Link()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All hosts. With more than one subnet a router, which is the last address of each, joins them."""

    hosts: tuple[Host, ...]
    subnets: int = 1
    multicast_routing: bool = False
    """Whether the router forwards multicast; unicast it always does."""
    segmentation: bool = False
    """Whether a train of UDP packets crosses the switch as one unit (what a NIC with the offload hides from loss)."""
    gro: bool = True
    """Whether hosts merge arriving packets, as a NIC's driver does."""
    snooping: bool = False
    """Whether the switches learn from IGMPv3 who is in a group, and ask for it; else every port hears every group."""
    talker: str = ""
    """The one host that sends more than requests and reports, if there is only one; see `is_shaped`."""

    def __post_init__(self) -> None:
        names = [host.name for host in self.hosts]
        for name in names:
            if not _NAME.fullmatch(name) or name in (SWITCH, ROUTER) or re.fullmatch(r"(br|rt)[0-9]+", name):
                raise UsageError(f"{name!a} cannot be the name of a host in the lab")
        if len(set(names)) != len(names):
            raise UsageError("two hosts of the lab have the same name")
        if not 1 <= self.subnets <= MAX_SUBNETS:
            raise UsageError(f"a lab has 1 to {MAX_SUBNETS} subnets")
        for subnet in range(self.subnets):
            if sum(host.subnet == subnet for host in self.hosts) > MAX_HOSTS_PER_SUBNET:
                raise UsageError(f"a subnet of the lab has at most {MAX_HOSTS_PER_SUBNET} hosts")
        if any(not 0 <= host.subnet < self.subnets for host in self.hosts):
            raise UsageError("a host of the lab is in a subnet that does not exist")
        if self.talker:
            self.host(self.talker)

    def host(self, name: str) -> Host:
        """The host called `name`. UsageError if there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise UsageError(f"no host {name!a} in the lab", hint=f"hosts: {', '.join(host.name for host in self.hosts)}")

    def is_shaped(self, name: str) -> bool:
        """Whether the port towards a host limits its rate.

        What passed one token bucket passes the next of the same rate and size as it came, so that a port holds nothing
        back where all but a trickle comes from one talker whose own cable is no faster.
        """
        if self.talker in ("", name):
            return True
        source, here = self.host(self.talker).link.rate_bits_per_s, self.host(name).link.rate_bits_per_s
        return not source or 0 < here < source

    def address(self, name: str) -> str:
        """The IPv4 address of a host: 10.77.SUBNET.NUMBER, numbers from 1 in the order of `hosts`."""
        return f"10.77.{self.host(name).subnet}.{self._number(name)}"

    def address6(self, name: str) -> str:
        """The IPv6 address of a host, in fd77::/16."""
        return f"fd77:{self.host(name).subnet:x}::{self._number(name):x}"

    def with_link(self, name: str, link: Link) -> Topology:
        """The same lab with another link to one host."""
        self.host(name)
        changed = tuple(replace(host, link=link) if host.name == name else host for host in self.hosts)
        return replace(self, hosts=changed)

    def _number(self, name: str) -> int:
        neighbours = [host.name for host in self.hosts if host.subnet == self.host(name).subnet]
        return neighbours.index(name) + 1


def room(
    clients: int,
    *,
    rate_bits_per_s: float,
    loss: float = 0.0,
    client_rate_bits_per_s: float | None = None,
    subnets: int = 1,
    multicast_routing: bool = False,
    others: tuple[str, ...] = (),
    talker: str = "",
) -> Topology:
    """A server and clients c1, c2, … behind one switch; loss is on every client's path, the server's has none.

    With several subnets the server is in the first and the clients are spread over all. `others` are further hosts
    on the server's subnet with full rate and no loss. `talker` is as in Topology: "server", where the clients give
    nothing to each other.
    """
    to_client = Link(
        rate_bits_per_s=rate_bits_per_s if client_rate_bits_per_s is None else client_rate_bits_per_s, loss=loss
    )
    full = Link(rate_bits_per_s=rate_bits_per_s)
    return Topology(
        hosts=(
            Host(name="server", link=full),
            *(Host(name=f"c{1 + number}", subnet=number % subnets, link=to_client) for number in range(clients)),
            *(Host(name=name, link=full) for name in others),
        ),
        subnets=subnets,
        multicast_routing=multicast_routing,
        talker=talker,
    )
