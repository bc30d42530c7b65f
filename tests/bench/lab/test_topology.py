"""A topology is checked when it is made, and gives every host an address of its own."""

from __future__ import annotations

import pytest

from bench.lab.topology import Host, Link, Topology, room
from core.errors import UsageError


def test_a_room_has_loss_on_the_clients_paths_only() -> None:
    topology = room(3, rate_bits_per_s=2e8, loss=0.01, others=("mallory",))
    assert [host.name for host in topology.hosts] == ["server", "c1", "c2", "c3", "mallory"]
    assert [host.link.loss for host in topology.hosts] == [0, 0.01, 0.01, 0.01, 0]
    assert {host.link.rate_bits_per_s for host in topology.hosts} == {2e8}


def test_addresses_differ_and_name_the_subnet() -> None:
    topology = room(4, rate_bits_per_s=0, subnets=2)
    addresses = [topology.address(host.name) for host in topology.hosts]
    assert addresses == ["10.77.0.1", "10.77.0.2", "10.77.1.1", "10.77.0.3", "10.77.1.2"]
    assert len({topology.address6(host.name) for host in topology.hosts}) == 5


def test_one_link_is_replaced() -> None:
    slow = Link(rate_bits_per_s=1e6)
    topology = room(2, rate_bits_per_s=1e8).with_link("c2", slow)
    assert topology.host("c2").link == slow
    assert topology.host("c1").link.rate_bits_per_s == 1e8


def test_a_port_is_shaped_unless_one_talker_is_no_faster() -> None:
    every = room(2, rate_bits_per_s=1e8, others=("mallory",))
    assert all(every.is_shaped(host.name) for host in every.hosts)
    one = room(2, rate_bits_per_s=1e8, talker="server").with_link("c2", Link(rate_bits_per_s=1e7))
    assert [one.is_shaped(name) for name in ("server", "c1", "c2")] == [True, False, True]
    assert not one.with_link("c2", Link()).is_shaped("c2")
    assert one.with_link("server", Link()).is_shaped("c1"), "who has no limit may send more than a cable carries"


def test_a_talker_is_one_of_the_hosts() -> None:
    with pytest.raises(UsageError):
        room(1, rate_bits_per_s=1e8, talker="c2")


@pytest.mark.parametrize(
    "hosts",
    [
        (Host(name="a"), Host(name="a")),
        (Host(name="switch"),),
        (Host(name="br0"),),
        (Host(name="Upper"),),
        (Host(name="averylongname"),),
        (Host(name="a;reboot"),),
        (Host(name="a", subnet=1),),
    ],
)
def test_hosts_that_cannot_be_are_refused(hosts: tuple[Host, ...]) -> None:
    with pytest.raises(UsageError):
        Topology(hosts=hosts)


@pytest.mark.parametrize(("rate", "loss"), [(-1, 0), (0, 1), (0, -0.1)])
def test_links_that_cannot_be_are_refused(rate: float, loss: float) -> None:
    with pytest.raises(UsageError):
        Link(rate_bits_per_s=rate, loss=loss)


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        room(1, rate_bits_per_s=0).host("c7")
    assert "c1" in (caught.value.hint or "")
