"""The rig does what its plan says: it carries packets, loses and limits them as told, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.probe import PACKET_BYTES, READY
from bench.lab.rig import Rig
from bench.lab.topology import Link, room
from bench.site import ROOT

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(shell.missing()), reason=shell.missing() or "-")]

GROUP = "239.77.1.1"
RATE = 100e6


def _transfer(rig: Rig, address: str, hosts: list[str], packets: int) -> dict[str, dict[str, float]]:
    """Send from the server to `address`, at which the others listen; what each of them counted."""
    probe = [sys.executable, "-m", "bench.lab.probe"]
    listening = {
        host: rig.start(host, [*probe, "receive", address], cwd=ROOT, stdout=subprocess.PIPE) for host in hosts
    }
    for process in listening.values():
        assert process.stdout is not None
        assert process.stdout.readline().decode().strip() == READY
    assert rig.start("server", [*probe, "send", address, str(packets)], cwd=ROOT).wait() == 0
    return {host: json.loads(process.communicate()[0]) for host, process in listening.items()}


def test_a_room_loses_and_limits_as_told_and_is_gone_afterwards() -> None:
    packets = 4000
    with Rig(room(3, rate_bits_per_s=RATE, loss=0.1)) as rig:
        name = rig.name
        assert shell.namespaces_of(name)
        rig.set_link("c3", Link(rate_bits_per_s=RATE))
        rig.block_multicast("c2")
        before = rig.counters()
        got = _transfer(rig, GROUP, ["c1", "c2", "c3"], packets)
        moved = {host: seen.since(before[host]) for host, seen in rig.counters().items()}
        assert got["c3"]["packets"] == packets  # no loss any more
        assert got["c2"]["packets"] == 0  # blocked
        lost = packets - got["c1"]["packets"]
        assert 0.07 * packets < lost < 0.13 * packets
        assert abs(moved["c1"].to_lost - lost) <= 10  # the hosts' own IGMP and neighbour messages may be lost too
        assert moved["server"].from_group_packets >= packets
        rate = got["c3"]["bytes"] * 8 / got["c3"]["seconds"] * (PACKET_BYTES + 42) / PACKET_BYTES
        assert rate < 1.1 * RATE
        assert rate > 0.5 * RATE  # on a busy machine less may come
        assert _transfer(rig, rig.topology.address("c2"), ["c2"], 100)["c2"]["packets"] > 50  # unicast passes
        rig.set_cable("c2", up=False)
    assert shell.namespaces_of(name) == []


def test_one_talkers_own_shaper_limits_all_and_what_it_sends_is_counted_at_every_port() -> None:
    packets, per_bit = 4000, (PACKET_BYTES + 42) / PACKET_BYTES * 8
    with Rig(room(2, rate_bits_per_s=RATE, talker="server")) as rig:
        before = rig.counters()
        got = _transfer(rig, GROUP, ["c1", "c2"], packets)
        moved = {host: seen.since(before[host]) for host, seen in rig.counters().items()}
        for host in ("c1", "c2"):
            assert got[host]["packets"] == packets
            assert 0.5 * RATE < got[host]["bytes"] / got[host]["seconds"] * per_bit < 1.1 * RATE
            assert moved[host].to_packets >= packets
            assert moved[host].to_bytes >= moved["server"].from_bytes * 0.99
        rig.set_link("c2", Link(rate_bits_per_s=RATE / 4))
        slow = _transfer(rig, GROUP, ["c2"], packets)["c2"]
        assert slow["bytes"] / slow["seconds"] * per_bit < 1.1 * RATE / 4
        assert rig.counters()["c2"].to_overflows > 0, "its port has a queue now, which overflows"


def test_a_switch_that_snoops_gives_a_group_only_to_who_is_in_it() -> None:
    with Rig(replace(room(2, rate_bits_per_s=RATE), snooping=True)) as rig:
        deadline = time.monotonic() + 5
        while True:  # a switch floods until it has asked for the first time: a second, where ten are the default
            before = rig.counters()["c2"]
            assert _transfer(rig, GROUP, ["c1"], 1000)["c1"]["packets"] == 1000
            if rig.counters()["c2"].since(before).to_packets < 100:
                break
            assert time.monotonic() < deadline


@pytest.mark.tools("smcrouted")
def test_a_router_carries_groups_and_unicast_between_subnets() -> None:
    with Rig(room(2, rate_bits_per_s=RATE, subnets=2, multicast_routing=True)) as rig:
        folder = shell.folder_of(rig.name)
        assert rig.topology.address("c2").startswith("10.77.1.")
        got = _transfer(rig, "232.77.1.1", ["c1", "c2"], 1000)
        assert got["c1"]["packets"] == 1000
        assert got["c2"]["packets"] > 500  # the first ones go while the kernel asks for the route
        assert _transfer(rig, rig.topology.address("c2"), ["c2"], 100)["c2"]["packets"] == 100
    assert not Path(folder).exists()


def test_an_error_in_the_block_leaves_nothing_behind() -> None:
    rig = Rig(room(1, rate_bits_per_s=0))

    def fail() -> None:
        with rig:
            sleepers.append(rig.start("c1", ["sleep", "1000"]))
            raise RuntimeError("on purpose")

    sleepers: list[subprocess.Popen[bytes]] = []
    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert sleepers[0].wait() != 0
    assert shell.namespaces_of(rig.name) == []
