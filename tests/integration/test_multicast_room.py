"""Multicast between programs on hosts of their own: joins, fallbacks and everything that goes wrong in a room."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from bench.lab import shell
from bench.lab.plan import Step
from bench.lab.topology import Link, room
from tests.support.rooms import IDLE, PORT, Room, came_by_group, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6


def test_a_room_takes_the_image_from_one_sending(tmp_path: Path) -> None:
    with room_of(room(3, rate_bits_per_s=RATE, loss=0.01), tmp_path, start_clients=3) as lab:
        repod = lab.serve()
        clients = [lab.client(host) for host in ("c1", "c2", "c3")]
        for client in clients:
            done = client.done()
            came_by_group(done)
            assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1", "c2", "c3")
        sent = lab.rig.counters()["server"].from_group_packets * 1490
        assert sent < 1.8 * len(lab.content)  # the cast waits for all three: three sendings would be 3.1
        repod.stop()


def test_where_groups_are_blocked_data_flows_by_other_means(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path) as lab:
        repod = lab.serve()
        lab.rig.block_multicast("c1")
        clients = [lab.client("c1"), lab.client("c2")]
        given_up = clients[0].until("transport-given-up", transport="multicast")
        assert "querier" in given_up["message"]
        done = clients[0].done()
        assert "multicast" not in done["bytes_by_source"]
        assert (done["chunks_fetched"], done["duplicates"]) == (done["chunks"], 0)
        came_by_group(clients[1].done())
        lab.check("c1", "c2")
        probed = next(event for event in repod.events("member_probed") if event["outcome"] == "nothing")
        assert "querier" in probed["reason"]
        repod.stop()


def firewall(lab: Room, host: str, rule: str, *, hook: str = "output") -> None:
    """A rule on the host itself."""
    rules = ["table inet firewall {", "chain one {", f"type filter hook {hook} priority 0;", rule, "}", "}"]
    shell.perform([Step(words=tuple(lab.rig.command(host, ["nft", "-f", "-"])), stdin="\n".join(rules) + "\n")])


@pytest.mark.parametrize("how", ["drop", "reject with tcp reset"])
def test_a_client_whose_lane_is_dropped_takes_the_next_transport(tmp_path: Path, how: str) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path) as lab:
        repod = lab.serve()
        firewall(lab, "c1", f"tcp dport {PORT + 2} {how}")
        client = lab.client("c1")
        assert "8719" in client.until("transport-resting")["message"]
        assert client.done()["bytes_by_source"].keys() == {"repository"}
        lab.check("c1")
        repod.stop()


@pytest.mark.parametrize(("ip", "mode"), [(4, "ssm"), (6, "ssm"), (6, "asm")])
def test_a_firewall_on_the_client_is_told_from_one_on_the_way(tmp_path: Path, ip: int, mode: str) -> None:
    groups = "ip daddr 224.0.0.0/4" if ip == 4 else "ip6 daddr ff00::/8"
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, ip=ip, mode=mode) as lab:
        repod = lab.serve()
        firewall(lab, "c1", f"{groups} udp dport 1-65535 drop", hook="input")
        lab.rig.block_multicast("c2")
        own, foreign = lab.client("c1"), lab.client("c2")
        assert "a firewall here" in own.until("transport-given-up")["message"]
        assert ("MLD" if ip == 6 else "IGMP") in foreign.until("transport-given-up")["message"]
        for client in (own, foreign):
            client.done()
        repod.stop()


@pytest.mark.parametrize(("ttl", "reason"), [(1, "TTL of 1"), (8, "no router forwards")])
def test_another_subnet_is_told_for_groups_of_ipv6_too(tmp_path: Path, ttl: int, reason: str) -> None:
    with room_of(room(2, rate_bits_per_s=RATE, subnets=2), tmp_path, ip=6, ttl=ttl) as lab:
        repod = lab.serve()
        client = lab.client("c2")
        assert reason in client.until("transport-given-up")["message"]
        client.done()
        repod.stop()


def test_a_repository_that_may_not_send_says_so_to_its_operator(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path, image_bytes=48 << 20) as lab:
        lab.rig.set_link("c1", Link(rate_bits_per_s=20e6))
        repod = lab.serve()
        firewall(lab, "server", "ip daddr 224.0.0.0/4 udp dport 1-65535 drop")
        client = lab.client("c1")
        client.until("transport-given-up")
        assert "a firewall on this machine refuses it" in lab.sessions()
        client.process.terminate()
        client.process.wait()
        repod.stop()


def test_a_client_whose_reports_are_dropped_goes_on_by_other_means(tmp_path: Path) -> None:
    rate = 60.0  # so that it has not all before it is noticed that nobody hears it
    with room_of(room(2, rate_bits_per_s=RATE, loss=0.02), tmp_path, image_bytes=48 << 20, rate_mbit_per_s=rate) as lab:
        repod = lab.serve()
        firewall(lab, "c1", f"ip daddr {lab.rig.topology.address('server')} udp dport 1-65535 drop")
        clients = [lab.client("c1"), lab.client("c2")]
        came_by_group(clients[1].done())
        assert "reports" in clients[0].until("transport-resting")["message"]
        done = clients[0].done()
        assert done["bytes_by_source"]["repository"] > 0
        assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1", "c2")
        repod.stop()


def test_without_fallback_a_blocked_group_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path) as lab:
        repod = lab.serve()
        lab.rig.block_multicast("c1")
        error = lab.client("c1", "--no-fallback").failed()
        assert error["code"] == 57
        assert "multicast does not arrive" in error["message"]
        repod.stop()


def test_a_repository_killed_and_started_again_loses_nothing(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=48 << 20, rate_mbit_per_s=60) as lab:
        repod = lab.serve()
        clients = [lab.client(host) for host in ("c1", "c2")]
        for client in clients:
            client.until("multicast-probe")
        while not all(client.named("progress") and client.named("progress")[-1]["chunks_done"] for client in clients):
            time.sleep(0.05)
        repod.kill()
        repod = lab.serve()
        for client in clients:
            done = client.done()
            assert done["reconnects"] >= 1
            assert done["chunks_fetched"] == done["chunks"]  # nothing was taken twice
        lab.check("c1", "c2")
        repod.stop()


def test_a_late_client_takes_the_tail_from_the_group_and_the_head_from_a_peer(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=96 << 20, rate_mbit_per_s=40) as lab:
        repod = lab.serve()
        first = lab.client("c1", before=IDLE)
        first.until_chunks(10)
        late = lab.client("c2", before=IDLE)
        came_by_group(first.done())
        done = late.done()
        assert any(source.startswith("peer ") for source in done["bytes_by_source"])
        assert (done["chunks_fetched"], done["duplicates"]) == (done["chunks"], 0)
        lab.check("c1", "c2")
        # What the peer gave was not sent by the group again.
        assert lab.rig.counters()["server"].from_group_packets * 1400 < 1.9 * len(lab.content)
        repod.stop()


def test_a_client_that_stands_still_for_long_holds_nobody_up(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=32 << 20) as lab:
        repod = lab.serve()
        slow = lab.client("c1")
        slow.until("multicast-probe")
        os.kill(slow.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        came_by_group(lab.client("c2").done())
        time.sleep(max(0.0, began + 6 - time.monotonic()))  # longer than any silence
        os.kill(slow.process.pid, signal.SIGCONT)
        slow.done()
        lab.check("c1", "c2")
        repod.stop()


def test_a_member_killed_midway_is_forgotten(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=32 << 20) as lab:
        repod = lab.serve()
        clients = [lab.client(host) for host in ("c1", "c2")]
        for client in clients:
            client.until("multicast-probe")
        clients[0].process.kill()
        clients[0].process.wait()
        clients[1].done()
        lab.check("c2")
        repod.stop()


def test_a_cable_pulled_midway_and_put_back_costs_no_restart(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path, image_bytes=48 << 20, rate_mbit_per_s=60) as lab:
        repod = lab.serve()
        client = lab.client("c1")
        client.until("multicast-probe")
        lab.rig.set_cable("c1", up=False)
        time.sleep(4.0)  # longer than a silence is borne
        lab.rig.set_cable("c1", up=True)
        done = client.done()
        assert done["chunks_fetched"] == done["chunks"]
        lab.check("c1")
        repod.stop()


def test_two_repositories_on_one_group_and_port_do_not_mix(tmp_path: Path) -> None:
    one = {"groups": "239.77.1.1/32", "ports": "9000", "mode": "asm"}
    topology = room(2, rate_bits_per_s=RATE, others=("second",))
    with room_of(topology, tmp_path, image_bytes=16 << 20, **one) as lab:
        other = tmp_path / "other"
        other.mkdir()
        raw = bytes(reversed(lab.content))
        (other / "raw").write_bytes(raw)
        lab.repod_command("init", other / "repository")
        lab.repod_command("import", other / "repository", other / "raw", "--name", "img")
        lab.configure(other / "repository", {**one, "rate_mbit_per_s": 100})
        daemons = [lab.serve(), lab.serve("second", repository=other / "repository")]
        clients = [lab.client("c1")]
        lab.use(other / "repository" / "client.toml")
        clients.append(lab.client("c2", repo=f"https://{lab.rig.topology.address('second')}:8717"))
        for client in clients:
            assert client.done()["bad_chunks"] == 0
        lab.check("c1")
        assert lab.target("c2").read_bytes() == raw
        for daemon in daemons:
            daemon.stop()


def test_a_client_without_an_address_says_so(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path) as lab:
        repod = lab.serve()
        namespace = lab.rig.command("c1", ["true"])[3]
        shell.perform(
            [Step(words=("ip", "-n", namespace, "link", "add", "bare0", "type", "veth", "peer", "name", "bare1"))]
        )
        shell.perform([Step(words=("ip", "-n", namespace, "link", "set", "bare0", "up"))])
        fault = lab.client("c1", interface="bare0").failed()
        assert (fault["code"], "no IPv4 address" in fault["message"]) == (1, True)
        repod.stop()


def test_the_start_waits_for_so_many_clients_as_the_option_string_says(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path) as lab:
        repod = lab.serve()
        options = ("--options", "9000:full-duplex:239.194.17.36:100M:2:60")
        first = lab.client("c1", *options)
        waiting = first.until("waiting")
        assert "1 of 2" in waiting["message"]
        second = lab.client("c2", *options)
        for client in (first, second):
            came_by_group(client.done())
        assert repod.events("cast_made")[0]["group"] == "239.194.17.36:9000"
        assert lab.client("c1", "--options", "nonsense").failed()["code"] == 1
        repod.stop()


def test_a_relay_casts_in_its_own_subnet_what_it_fetched_once(tmp_path: Path) -> None:
    topology = room(4, rate_bits_per_s=RATE, subnets=2)  # c2 and c4 are in the other subnet
    with room_of(topology, tmp_path) as lab:
        repod = lab.serve()
        far = lab.client("c2")
        assert "TTL of 1" in far.until("transport-given-up")["message"]
        far.done()
        lab.target("c2").unlink()
        store = tmp_path / "relay"
        relay = lab.client(
            "c4", "--store", store, "--serve-interface", "eth0", command="relay", target="", method="UNICAST-CACHE"
        )
        serving = relay.until("relay", seconds=30)
        lab.use(Path(serving["client_settings"]))
        before = lab.rig.counters()["server"].from_bytes
        near = lab.client("c2", repo=f"https://{topology.address('c4')}:8717")
        came_by_group(near.done())
        lab.check("c2")
        assert lab.rig.counters()["server"].from_bytes - before < 100_000
        os.kill(relay.process.pid, signal.SIGTERM)
        assert relay.failed()["code"] == 143
        repod.stop()


def test_the_operator_sees_who_is_slow_and_why(tmp_path: Path) -> None:
    with room_of(room(2, rate_bits_per_s=RATE), tmp_path, image_bytes=32 << 20, rate_mbit_per_s=20) as lab:
        repod = lab.serve()
        lab.rig.set_link("c2", Link(rate_bits_per_s=RATE, loss=0.04))
        clients = [lab.client("c1"), lab.client("c2")]
        for client in clients:
            client.until("multicast-probe")
        deadline = time.monotonic() + 10
        while True:
            table = lab.sessions()
            if "loses packets" in table or "are lost" in table:
                break
            assert time.monotonic() < deadline, table
            time.sleep(0.3)
        assert table.splitlines()[0].split()[:3] == ["HOST", "IMAGE", "BY"]
        for client in clients:
            client.process.terminate()
            client.process.wait()
        repod.stop()
