"""From a topology to the commands that make it: pure, so that every line can be read and tested without root.

    host eth0 ──tbf──▶ veth ──▶ prerouting: loss from the host ──▶ bridge ──▶ egress: loss to the host ──tbf──▶ host

Loss is drawn by nftables for every packet, on the way from a host once (before the bridge copies a multicast packet)
and on the way to a host for each copy: `numgen random` is what this kernel has, `netem` is not. Rates are kept by
`tbf` at both ends of each cable. Packet trains are cut before they cross the cable (`tx-udp-segmentation off`), since
otherwise one draw loses a whole train.

A real switch costs no processor of its hosts, this one does: each packet to a group is copied for each port. So nothing
is looked at on the way to a host that loses nothing, a port that does has a chain of its own instead of one that first
asks which port it is, a port that can hold nothing back has no `tbf` (see Topology.is_shaped), and the bridge hands
nothing to the firewall for IP, nor to its own host, for which nothing is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.lab.topology import INTERFACE, ROUTER, SWITCH, Host, Link, Topology

__all__ = [
    "HOST_QUEUE_BYTES",
    "PORT_QUEUE_BYTES",
    "TABLE",
    "Step",
    "alter_packets",
    "block_multicast",
    "bucket_bytes",
    "change_loss",
    "change_rate",
    "cut_cable",
    "link_state",
    "namespace",
    "new_cable",
    "port_of_router",
    "smcroute_settings",
    "subnet_state",
    "take_down",
    "up",
]

TABLE = "lab"
"""The nftables table in the switch: of the family bridge for what comes from hosts, netdev for what goes to them."""
BUCKET_S = 0.004
"""What a link may send at once, as time of its rate: a late timer on a busy machine must not cost rate, and 4 ms of a
run of ten seconds do not change a figure."""
BUCKET_MIN_BYTES = 16_384
PORT_QUEUE_BYTES = 512 * 1024
"""Buffer of a switch port towards a host: what does not fit is dropped, as in a switch."""
HOST_QUEUE_BYTES = 16 * 1024 * 1024
"""Queue of a host's interface; a socket's send buffer is full before, so that a sender waits and nothing is lost."""
LOSS_GRAIN = 1_000_000
ROUTES = ("224.0.0.0/4",)
SNOOPING = "mcast_snooping 1 mcast_igmp_version 3 mcast_mld_version 2 mcast_query_response_interval 100"
"""A bridge floods until its own first question is answered: that takes a second, not ten, if it is told so before it is
told to ask. Who leaves a group hears it for two seconds more, which is the default of switches too."""
GROUPS = ("239.0.0.0/8", "232.0.0.0/8", "230.0.0.0/8", "234.0.0.0/8", "ff35::/16", "ff15::/16")
"""What the router forwards: administrative scope, SSM, and the defaults of uftp and udpcast; of IPv6 our defaults."""


TRAIN_BYTES = 65_536
"""What the kernel gives a NIC at most."""
TRAIN_SHARE = 0.9
"""Of the bucket, without headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command."""

    words: tuple[str, ...]
    stdin: str = ""


def namespace(lab: str, host: str) -> str:
    """Name of a host's namespace."""
    return f"oglab-{lab}-{host}"


def port_of_router(subnet: int) -> str:
    """Name of the router's port at the bridge of a subnet."""
    return f"rt{subnet}"


def bucket_bytes(rate_bits_per_s: float) -> int:
    """Size of a link's token bucket."""
    return max(BUCKET_MIN_BYTES, int(rate_bits_per_s * BUCKET_S / 8))


def train_bytes(rate_bits_per_s: float) -> int:
    """The longest train that a host sends where trains stay whole: a bucket cuts what it cannot hold, into packets that
    cross the switch one by one. Each packet of a train counts with headers of its own there. A link without a limit
    (0) has no bucket."""
    if not rate_bits_per_s:
        return TRAIN_BYTES
    return min(TRAIN_BYTES, int(TRAIN_SHARE * bucket_bytes(rate_bits_per_s)))


def up(topology: Topology, *, lab: str, smcroute: str = "") -> Iterator[Step]:
    """Commands that make the lab, in order. `smcroute` is the path of the router's configuration to use."""
    switch = namespace(lab, SWITCH)
    names = [SWITCH, *(host.name for host in topology.hosts), *([ROUTER] if topology.subnets > 1 else [])]
    yield _ip(None, [f"netns add {namespace(lab, name)}" for name in names])
    # Before any interface exists, so that it begins with them.
    for name in names:
        yield _sysctl(namespace(lab, name), router=name == ROUTER, switch=name == SWITCH)
    yield _ip(None, list(_cables(topology, lab)))
    bridges = range(topology.subnets)
    groups = SNOOPING if topology.snooping else "mcast_snooping 0"
    lines = [f"link add br{subnet} type bridge forward_delay 0 {groups}" for subnet in bridges]
    lines += [f"link set br{subnet} type bridge mcast_querier 1" for subnet in bridges if topology.snooping]
    lines += [f"link set {host.name} master br{host.subnet} up" for host in topology.hosts]
    if topology.subnets > 1:
        lines += [f"link set {port_of_router(subnet)} master br{subnet} up" for subnet in bridges]
    yield _ip(switch, [*lines, *(f"link set br{subnet} up" for subnet in bridges)])
    yield nft(lab, _table(topology))
    for host in topology.hosts:
        yield from _host(topology, host, lab)
    yield _tc(switch, [_shape_port(topology, host) for host in topology.hosts])
    if topology.subnets > 1:
        yield from _router(topology, lab, smcroute)


def change_rate(topology: Topology, lab: str, host: Host, link: Link) -> list[Step]:
    """Give both ends of a host's cable another rate, and trains the length that goes with it."""
    inside = namespace(lab, host.name)
    return [
        *([_ip(inside, [_train_limit(link)])] if topology.segmentation else []),
        _tc(namespace(lab, SWITCH), [_shape_port(topology.with_link(host.name, link), replace(host, link=link))]),
        _tc(inside, [_shape(INTERFACE, link, HOST_QUEUE_BYTES)]),
    ]


def change_loss(lab: str, host: Host, link: Link, *, multicast: bool = True) -> list[Step]:
    """Give a host's path another loss; with `multicast` False no group reaches the host and none leaves it."""
    lines = [f"flush chain bridge {TABLE} from_{host.name}", *_way_from(host, link, multicast=multicast)]
    return [nft(lab, [*lines, *_way_to(host, link, multicast=multicast)])]


def block_multicast(lab: str, host: Host, link: Link, *, blocked: bool) -> list[Step]:
    """Drop every group at a host's port in both directions, or let them pass again. Unicast is not touched."""
    return change_loss(lab, host, link, multicast=not blocked)


def alter_packets(lab: str, host: Host, *, every: int) -> list[Step]:
    """Change four bytes in the middle of one in so many long packets for groups, on the last stretch to a host: their
    place, order and everything else stay as they were, and no checksum tells."""
    name = f"chain netdev {TABLE} alter_{host.name}"
    hook = f'{{ type filter hook egress device "{host.name}" priority 1; policy accept; }}'
    chosen = f"meta pkttype multicast udp length > 1000 numgen inc mod {every} {every - 1}"
    rule = f"add rule netdev {TABLE} alter_{host.name} {chosen} @th,6400,32 set 0xf0f0f0f0"
    return [nft(lab, [f"add {name} {hook}", f"flush {name}", rule])]


def link_state(lab: str, host: Host, *, up: bool) -> list[Step]:
    """Pull a host's cable out of the switch, or put it back."""
    return [_ip(namespace(lab, SWITCH), [f"link set {host.name} {'up' if up else 'down'}"])]


def cut_cable(lab: str, host: Host) -> list[Step]:
    """Take a host's interface away, as a driver that is unloaded does: nothing that was set on it is left."""
    return [_ip(namespace(lab, host.name), [f"link delete {INTERFACE}"])]


def new_cable(topology: Topology, lab: str, host: Host, link: Link) -> list[Step]:
    """Give a host another interface of the old name and addresses, with the rate and loss of `link`; groups pass."""
    switch = namespace(lab, SWITCH)
    return [
        _ip(None, [_cable(INTERFACE, namespace(lab, host.name), host.name, switch)]),
        _ip(switch, [f"link set {host.name} master br{host.subnet} up"]),
        *_host(topology, host, lab),
        *change_rate(topology, lab, host, link),
        *change_loss(lab, host, link),  # the chain of a port goes with it, or (Linux 6.16) waits for one of its name
    ]


def subnet_state(lab: str, subnet: int, *, up: bool) -> list[Step]:
    """Cut a subnet off from the router, or join it again."""
    return [_ip(namespace(lab, SWITCH), [f"link set {port_of_router(subnet)} {'up' if up else 'down'}"])]


def take_down(names: list[str]) -> list[Step]:
    """Delete namespaces; everything in them goes with them once no process is left inside."""
    return [_ip(None, [f"netns delete {name}" for name in names])] if names else []


def nft(lab: str, lines: list[str]) -> Step:
    """A script for the switch's nftables."""
    words = ("ip", "netns", "exec", namespace(lab, SWITCH), "nft", "-f", "-")
    return Step(words=words, stdin="\n".join(lines) + "\n")


def _cables(topology: Topology, lab: str) -> Iterator[str]:
    switch = namespace(lab, SWITCH)
    for host in topology.hosts:
        yield _cable(INTERFACE, namespace(lab, host.name), host.name, switch)
    if topology.subnets > 1:
        for subnet in range(topology.subnets):
            yield _cable(f"eth{subnet}", namespace(lab, ROUTER), port_of_router(subnet), switch)


def _cable(interface: str, inside: str, port: str, switch: str) -> str:
    return f"link add name {interface} netns {inside} type veth peer name {port} netns {switch}"


def _host(topology: Topology, host: Host, lab: str) -> Iterator[Step]:
    inside = namespace(lab, host.name)
    lines = [
        "link set lo up",
        f"addr add {topology.address(host.name)}/24 brd + dev {INTERFACE}",  # udpcast needs the broadcast address
        f"addr add {topology.address6(host.name)}/64 dev {INTERFACE} nodad",
        f"link set {INTERFACE} up",
        *(f"route add {route} dev {INTERFACE}" for route in ROUTES),
    ]
    if topology.segmentation and train_bytes(host.link.rate_bits_per_s) < TRAIN_BYTES:
        lines += [_train_limit(host.link)]
    if topology.subnets > 1:
        lines += [f"route add default via {_gateway(host.subnet)}", f"route add default via {_gateway6(host.subnet)}"]
    yield _ip(inside, lines)
    yield _tc(inside, [_shape(INTERFACE, host.link, HOST_QUEUE_BYTES)])
    yield _offloads(inside, INTERFACE, topology)
    if topology.gro:
        yield _unmerged(lab, host.name)


def _train_limit(link: Link) -> str:
    return f"link set {INTERFACE} gso_max_size {train_bytes(link.rate_bits_per_s)}"


def _router(topology: Topology, lab: str, smcroute: str) -> Iterator[Step]:
    inside = namespace(lab, ROUTER)
    lines = ["link set lo up"]
    for subnet in range(topology.subnets):
        lines += [
            f"addr add {_gateway(subnet)}/24 brd + dev eth{subnet}",
            f"addr add {_gateway6(subnet)}/64 dev eth{subnet} nodad",
            f"link set eth{subnet} up",
        ]
    yield _ip(inside, lines)
    for subnet in range(topology.subnets):
        yield _offloads(inside, f"eth{subnet}", topology)
        if topology.gro:
            yield _unmerged(lab, port_of_router(subnet))
    if topology.multicast_routing and smcroute:
        daemon = ("smcrouted", "-n", "-N", "-f", smcroute, "-u", f"{smcroute}.sock", "-P", f"{smcroute}.pid")
        yield Step(words=("ip", "netns", "exec", inside, "sh", "-c", f"{' '.join(daemon)} >/dev/null 2>&1 &"))


def smcroute_settings(topology: Topology) -> str:
    """What smcroute is told: every group, from each subnet to all others."""
    lines = [f"phyint eth{subnet} enable ttl-threshold 1" for subnet in range(topology.subnets)]
    for subnet in range(topology.subnets):
        others = " ".join(f"eth{other}" for other in range(topology.subnets) if other != subnet)
        lines += [f"mroute from eth{subnet} group {group} to {others}" for group in GROUPS]
    return "\n".join(lines) + "\n"


def _gateway(subnet: int) -> str:
    return f"10.77.{subnet}.254"


def _gateway6(subnet: int) -> str:
    return f"fd77:{subnet:x}::fe"


def _sysctl(inside: str, *, router: bool, switch: bool) -> Step:
    values = ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", "net.ipv6.conf.all.accept_dad=0"]
    values += ["net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0"]
    if router:
        values += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
    if switch:
        values += [f"net.bridge.bridge-nf-call-{what}tables=0" for what in ("ip", "ip6", "arp")]
    # -e: those of the bridge are there only where its netfilter module is loaded
    return Step(words=("ip", "netns", "exec", inside, "sysctl", "-e", "-q", "-w", *values))


def _offloads(inside: str, interface: str, topology: Topology) -> Step:
    on, off = "on", "off"
    cut = on if topology.segmentation else off
    merge = on if topology.gro else off
    words = ("ethtool", "-K", interface, "tx-udp-segmentation", cut, "tso", cut, "gro", merge)
    return Step(words=("ip", "netns", "exec", inside, *words))


def _unmerged(lab: str, port: str) -> Step:
    """The kernel merges what arrives over a veth only if the end that sends it cannot segment TCP itself.

    See veth_skb_is_eligible_for_gro in drivers/net/veth.c: `gro on` at the receiving end alone does nothing for UDP.
    """
    return Step(words=("ip", "netns", "exec", namespace(lab, SWITCH), "ethtool", "-K", port, "tso", "off"))


def _shape_port(topology: Topology, host: Host) -> str:
    if not topology.is_shaped(host.name):
        return f"qdisc replace dev {host.name} root noqueue"
    return _shape(host.name, host.link, PORT_QUEUE_BYTES)


def _shape(device: str, link: Link, queue_bytes: int) -> str:
    if not link.rate_bits_per_s:
        return f"qdisc replace dev {device} root pfifo limit 1000"
    rate = int(link.rate_bits_per_s)
    return f"qdisc replace dev {device} root tbf rate {rate}bit burst {bucket_bytes(rate)} limit {queue_bytes}"


def _table(topology: Topology) -> list[str]:
    lines = [f"add table bridge {TABLE}", f"add table netdev {TABLE}"]
    for host in topology.hosts:
        lines += [
            f"add counter netdev {TABLE} lost_to_{host.name}",
            f"add counter bridge {TABLE} lost_from_{host.name}",
            f"add counter bridge {TABLE} group_from_{host.name}",
            f"add chain bridge {TABLE} from_{host.name}",
            *_way_from(host, host.link, multicast=True),
        ]
    jumps = ", ".join(f'"{host.name}" : jump from_{host.name}' for host in topology.hosts)
    lines += [f"add chain bridge {TABLE} prerouting {{ type filter hook prerouting priority 0; policy accept; }}"]
    lines += [f"add rule bridge {TABLE} prerouting iifname vmap {{ {jumps} }}"]
    lines += [f"add chain bridge {TABLE} input {{ type filter hook input priority 0; policy drop; }}"]
    for host in topology.hosts:
        if host.link.loss:
            lines += _way_to(host, host.link, multicast=True)
    return lines


def _way_from(host: Host, link: Link, *, multicast: bool) -> list[str]:
    rules = _rules("from", host.name, link, multicast=multicast)
    return [f"add rule bridge {TABLE} from_{host.name} {rule}" for rule in rules]


def _way_to(host: Host, link: Link, *, multicast: bool) -> list[str]:
    """The hook of a host's port that every copy of a packet for it passes: it exists only while there is a rule."""
    name = f"chain netdev {TABLE} to_{host.name}"
    rules = list(_rules("to", host.name, link, multicast=multicast))
    hook = f'{{ type filter hook egress device "{host.name}" priority 0; policy accept; }}'
    lines = [f"add {name} {hook}", f"flush {name}"]
    if not rules:
        return [*lines, f"delete {name}"]
    return [*lines, *(f"add rule netdev {TABLE} to_{host.name} {rule}" for rule in rules)]


def _rules(direction: str, host: str, link: Link, *, multicast: bool) -> Iterator[str]:
    """Rules of one path: first what the wire loses, then what the operator forbade, then the count of groups."""
    if link.loss:
        lost = round(link.loss * LOSS_GRAIN)
        yield f'numgen random mod {LOSS_GRAIN} < {lost} counter name "lost_{direction}_{host}" drop'
    if not multicast:
        # Neighbour discovery and router messages (ff02::/16, 224.0.0.0/24) are what unicast itself needs.
        yield "ip daddr 224.0.0.0/4 ip daddr != 224.0.0.0/24 drop"
        yield "ip6 daddr ff00::/8 ip6 daddr != ff02::/16 drop"
    if direction == "from":
        yield f'meta pkttype multicast counter name "group_from_{host}"'


def _ip(inside: str | None, lines: list[str]) -> Step:
    words = ("ip", "-batch", "-") if inside is None else ("ip", "-n", inside, "-batch", "-")
    return Step(words=words, stdin="\n".join(lines) + "\n")


def _tc(inside: str, lines: list[str]) -> Step:
    return Step(words=("tc", "-n", inside, "-batch", "-"), stdin="\n".join(lines) + "\n")
