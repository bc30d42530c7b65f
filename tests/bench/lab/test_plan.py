"""The commands of a lab, read as text: what is built, and that every rule of the rig is in it."""

from __future__ import annotations

import pytest

from bench.lab import plan
from bench.lab.topology import Link, Topology, room


def _text(topology: Topology, **options: str) -> str:
    return "\n".join(f"{' '.join(step.words)}\n{step.stdin}" for step in plan.up(topology, lab="x", **options))


def test_every_host_gets_a_cable_a_port_an_address_with_broadcast_and_both_shapers() -> None:
    text = _text(room(2, rate_bits_per_s=2e8))
    for host in ("server", "c1", "c2"):
        assert f"netns add oglab-x-{host}\n" in text
        assert f"link add name eth0 netns oglab-x-{host} type veth peer name {host} netns oglab-x-switch" in text
        assert f"qdisc replace dev {host} root tbf rate 200000000bit burst 100000 limit 524288" in text
    assert text.count("qdisc replace dev eth0 root tbf rate 200000000bit") == 3
    assert text.count("brd +") == 3
    assert text.count("tx-udp-segmentation off tso off gro on") == 3


def test_a_port_that_can_hold_nothing_back_is_not_shaped() -> None:
    text = _text(room(2, rate_bits_per_s=2e8, talker="server"))
    for host in ("c1", "c2"):
        assert f"qdisc replace dev {host} root noqueue" in text
    assert "qdisc replace dev server root tbf" in text
    assert text.count("qdisc replace dev eth0 root tbf rate 200000000bit") == 3, "every host keeps its own shaper"


def test_a_port_that_becomes_slower_than_the_talker_is_shaped() -> None:
    topology = room(2, rate_bits_per_s=2e8, talker="server")
    for rate, expected in ((5e7, "dev c1 root tbf rate 50000000bit"), (2e8, "dev c1 root noqueue")):
        steps = plan.change_rate(topology, "x", topology.host("c1"), Link(rate_bits_per_s=rate))
        assert any(expected in step.stdin for step in steps)


def test_what_comes_to_the_switch_itself_is_dropped_at_once() -> None:
    text = _text(room(1, rate_bits_per_s=2e8))
    assert "add chain bridge lab input { type filter hook input priority 0; policy drop; }" in text


def test_merging_is_asked_of_both_ends_of_a_cable() -> None:
    topology = room(1, rate_bits_per_s=0)
    assert "ethtool -K c1 tso off" in _text(topology)
    assert "ethtool -K c1" not in _text(Topology(hosts=topology.hosts, gro=False))


def test_a_switch_snoops_only_if_asked() -> None:
    topology = room(1, rate_bits_per_s=0)
    assert "mcast_snooping 0" in _text(topology)
    assert "querier" not in _text(topology)
    text = _text(Topology(hosts=topology.hosts, snooping=True))
    assert text.index("mcast_snooping 1") < text.index("mcast_query_response_interval") < text.index("mcast_querier 1")


def test_loss_is_drawn_for_each_path_and_direction() -> None:
    text = _text(room(2, rate_bits_per_s=2e8, loss=0.05))
    for direction in ("to", "from"):
        for host in ("c1", "c2"):
            assert f'numgen random mod 1000000 < 50000 counter name "lost_{direction}_{host}" drop' in text
        assert f'lost_{direction}_server" drop' not in text


def test_what_is_not_lost_is_not_looked_at_on_the_way_to_a_host() -> None:
    whole, lossy = (_text(room(2, rate_bits_per_s=2e8, loss=loss)) for loss in (0.0, 0.01))
    assert "hook egress" not in whole
    assert "bridge-nf-call-iptables=0" in whole
    assert 'to_c1 { type filter hook egress device "c1" priority 0; policy accept; }' in lossy
    assert lossy.count("hook egress") == 2
    assert 'device "server"' not in lossy


def test_nothing_this_kernel_lacks_is_used() -> None:
    text = _text(room(2, rate_bits_per_s=2e8, loss=0.05, subnets=2, multicast_routing=True), smcroute="/run/s.conf")
    assert "netem" not in text
    assert " fq" not in text


def test_a_link_without_limit_has_no_bucket() -> None:
    assert "tbf" not in _text(room(1, rate_bits_per_s=0))


def test_several_subnets_are_joined_by_a_router() -> None:
    topology = room(2, rate_bits_per_s=1e8, subnets=2, multicast_routing=True)
    text = _text(topology, smcroute="/run/s.conf")
    assert "link add name eth1 netns oglab-x-router type veth peer name rt1 netns oglab-x-switch" in text
    assert "net.ipv4.ip_forward=1" in text
    assert "route add default via 10.77.1.254" in text
    assert "smcrouted" in text
    assert "smcrouted" not in _text(room(2, rate_bits_per_s=1e8, subnets=2))
    settings = plan.smcroute_settings(topology)
    assert "mroute from eth0 group 232.0.0.0/8 to eth1" in settings
    assert "mroute from eth1 group 239.0.0.0/8 to eth0" in settings


def test_a_train_crosses_whole_only_if_asked() -> None:
    topology = room(1, rate_bits_per_s=0)
    whole = Topology(hosts=topology.hosts, segmentation=True, gro=False)
    assert "tx-udp-segmentation on tso on gro off" in _text(whole)


@pytest.mark.parametrize(("rate", "size"), [(1e6, 14_745), (1e8, 45_000), (2e8, 65_536), (1e9, 65_536)])
def test_a_whole_train_is_no_longer_than_what_the_bucket_holds(rate: float, size: int) -> None:
    assert plan.train_bytes(rate) == size
    # with the headers of each of its packets
    assert size + size // 1448 * 66 <= plan.bucket_bytes(rate)
    topology = room(1, rate_bits_per_s=rate)
    whole = _text(Topology(hosts=topology.hosts, segmentation=True, gro=False))
    assert whole.count(f"link set eth0 gso_max_size {size}\n") == (2 if size < 65_536 else 0)
    assert "gso_max_size" not in _text(topology)


def test_blocking_multicast_lets_unicast_and_neighbours_pass() -> None:
    host = room(1, rate_bits_per_s=0).host("c1")
    (step,) = plan.block_multicast("x", host, Link(loss=0.01), blocked=True)
    for family, direction in (("netdev", "to"), ("bridge", "from")):
        assert f"flush chain {family} lab {direction}_c1" in step.stdin
        assert f"rule {family} lab {direction}_c1 ip daddr 224.0.0.0/4 ip daddr != 224.0.0.0/24 drop" in step.stdin
        assert f'lost_{direction}_c1" drop' in step.stdin  # the loss stays
    assert "hook egress" in step.stdin  # there may have been none
    (step,) = plan.block_multicast("x", host, Link(), blocked=False)
    assert "drop" not in step.stdin
    assert "delete chain netdev lab to_c1" in step.stdin


def test_packets_are_altered_at_a_port_and_nothing_is_dropped() -> None:
    (step,) = plan.alter_packets("x", room(1, rate_bits_per_s=0).host("c1"), every=500)
    assert "chain netdev lab alter_c1" in step.stdin
    assert "numgen inc mod 500 499 @th,6400,32 set" in step.stdin
    assert 'device "c1"' in step.stdin
    assert "drop" not in step.stdin


def test_a_rate_is_changed_at_both_ends() -> None:
    topology = room(1, rate_bits_per_s=1e8)
    steps = plan.change_rate(topology, "x", topology.host("c1"), Link(rate_bits_per_s=5e7))
    assert [step.words[2] for step in steps] == ["oglab-x-switch", "oglab-x-c1"]
    assert all("rate 50000000bit" in step.stdin for step in steps)


@pytest.mark.parametrize(("rate", "size"), [(5e7, 22_500), (1e9, 65_536), (0, 65_536)])
def test_trains_that_stay_whole_get_the_length_of_the_new_rate(rate: float, size: int) -> None:
    topology = Topology(hosts=room(1, rate_bits_per_s=1e8).hosts, segmentation=True)
    steps = plan.change_rate(topology, "x", topology.host("c1"), Link(rate_bits_per_s=rate))
    assert [step.stdin for step in steps if "gso" in step.stdin] == [f"link set eth0 gso_max_size {size}\n"]


def test_a_cable_is_pulled_at_the_switch() -> None:
    (step,) = plan.link_state("x", room(1, rate_bits_per_s=0).host("c1"), up=False)
    assert step.stdin == "link set c1 down\n"


@pytest.mark.parametrize("loss", [0.0, 0.01])
def test_another_cable_loses_as_much_as_the_one_before(loss: float) -> None:
    topology = room(1, rate_bits_per_s=1e8, loss=loss)
    steps = plan.new_cable(topology, "x", topology.host("c1"), Link(loss=loss))
    for family, direction in (("netdev", "to"), ("bridge", "from")):
        chain = f"chain {family} lab {direction}_c1"
        assert [f"flush {chain}" in step.stdin for step in steps] == [False] * (len(steps) - 1) + [True]
        assert (f'counter name "lost_{direction}_c1" drop' in steps[-1].stdin) is bool(loss)


def test_a_subnet_is_cut_off_at_its_port_to_the_router() -> None:
    (step,) = plan.subnet_state("x", 1, up=False)
    assert step.words[2] == "oglab-x-switch"
    assert step.stdin == "link set rt1 down\n"


def test_nothing_to_take_down_takes_no_command() -> None:
    assert plan.take_down([]) == []


@pytest.mark.parametrize(("rate", "size"), [(1e6, 16_384), (2e8, 100_000), (1e9, 500_000)])
def test_the_bucket_holds_four_milliseconds(rate: float, size: int) -> None:
    assert plan.bucket_bytes(rate) == size
