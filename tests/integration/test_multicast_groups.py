"""Every kind of group, at a switch that snoops and through a router: real programs on hosts of their own."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.lab import plan, shell
from bench.lab.topology import ROUTER, room
from tests.support.rooms import Room, came_by_group, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6
KINDS = [(4, "ssm", "232."), (4, "asm", "239."), (6, "ssm", "[ff35:"), (6, "asm", "[ff15:")]
PATIENCE_S = 60.0
FLOODED_S = 2.0
"""A bridge floods until its own first question had its time to be answered; longer than that."""


def inside(lab: Room, namespace: str, *words: str) -> str:
    """What a command prints in the router or the switch."""
    line = ["ip", "netns", "exec", plan.namespace(lab.rig.name, namespace), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def until_the_router_listens(lab: Room, version: int) -> None:
    """Wait for the router's daemon to have taken both interfaces."""
    table = "/proc/net/ip_mr_vif" if version == 4 else "/proc/net/ip6_mr_vif"
    deadline = time.monotonic() + PATIENCE_S
    while not {"eth0", "eth1"} <= set(text := inside(lab, ROUTER, "cat", table).split()):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)


@pytest.mark.parametrize(("version", "mode", "prefix"), KINDS)
def test_a_snooping_switch_gives_a_group_to_its_members_alone(
    tmp_path: Path, version: int, mode: str, prefix: str
) -> None:
    topology = replace(room(3, rate_bits_per_s=RATE), snooping=True)
    with room_of(topology, tmp_path, ip=version, mode=mode, image_bytes=16 << 20) as lab:
        time.sleep(FLOODED_S)
        repod = lab.serve()
        clients = [lab.client("c1"), lab.client("c2")]
        for client in clients:
            came_by_group(client.done())
        lab.check("c1", "c2")
        assert repod.events("cast_made")[0]["group"].startswith(prefix)
        moved = lab.rig.counters()
        assert moved["c2"].to_bytes > 0.6 * len(lab.content)
        assert moved["c3"].to_bytes < len(lab.content) / 10, "a bystander hears the group"
        repod.stop()


@pytest.mark.tools("smcrouted")
@pytest.mark.parametrize(("version", "mode", "prefix"), KINDS)
def test_a_router_carries_a_group_to_the_other_subnet(tmp_path: Path, version: int, mode: str, prefix: str) -> None:
    topology = room(2, rate_bits_per_s=RATE, subnets=2, multicast_routing=True)
    with room_of(topology, tmp_path, ttl=8, ip=version, mode=mode) as lab:
        until_the_router_listens(lab, version)
        repod = lab.serve()
        clients = [lab.client("c1"), lab.client("c2")]
        for client in clients:
            came_by_group(client.done())
        lab.check("c1", "c2")
        group = repod.events("cast_made")[0]["group"]
        assert group.startswith(prefix)
        routes = inside(lab, ROUTER, "ip", f"-{version}", "-s", "mroute", "show", "table", "all")
        host, _ = group.rsplit(":", 1)
        route = next(part for part in routes.split("\n(") if f",{host.strip('[]')})" in part)
        assert "Oifs: eth1" in route
        carried = re.search(r"(\d+) packets, (\d+) bytes", route)
        assert carried is not None
        assert int(carried[2]) > 0.6 * len(lab.content)
        repod.stop()


def test_a_cast_that_may_take_a_gigabit_finds_a_narrow_way_before_the_image_is_sent_in_vain(tmp_path: Path) -> None:
    """Whatever its cap: clients on a narrow way must get through to say how narrow it is."""
    narrow = 20e6
    topology = room(2, rate_bits_per_s=1e9, client_rate_bits_per_s=narrow)
    with room_of(topology, tmp_path, image_bytes=24 << 20, rate_mbit_per_s=0) as lab:
        repod = lab.serve()
        clients = [lab.client("c1"), lab.client("c2")]
        clients[0].until("transport", transport="multicast")
        made = repod.events("cast_made")[0]
        assert made["rate_bytes_per_s"] == 125_000_000
        deadline = time.monotonic() + PATIENCE_S
        rates: list[float] = []
        while not rates or min(rates) * 8 > 3 * narrow:  # 0 while the cast rests
            assert time.monotonic() < deadline, rates
            assert clients[0].process.poll() is None, f"it is over, and the rate was {rates}"
            rates += [value for _, value in lab.metrics("ogcast_transport_rate_bytes_per_s") if value]
        for client in clients:
            done = client.done()
            assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1", "c2")
        repod.stop()
