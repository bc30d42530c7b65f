"""Interfaces by name."""

from __future__ import annotations

import socket

import pytest

from core.errors import UsageError
from core.netif import bind_to_interface, check_usable, check_zone, index_towards, interface_address, ip_version
from tests.support.netns import INTERFACE, IPV4, IPV6, ip, namespaces_usable, run_apart


def test_loopback_has_its_address() -> None:
    assert interface_address("lo") == "127.0.0.1"


@pytest.mark.parametrize("name", ["", "nosuch0", "x" * 16, "a\0b"])
def test_an_unknown_interface_is_refused_naming_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match="no network interface") as caught:
        interface_address(name)
    assert caught.value.hint is not None
    assert "lo" in caught.value.hint
    with socket.socket() as sock, pytest.raises(UsageError) as caught:
        bind_to_interface(sock, name)
    assert caught.value.hint is not None
    assert "lo" in caught.value.hint


def test_an_address_of_a_link_that_is_not_there_is_refused() -> None:
    for host in ("10.0.0.1", "repo.example", "fe80::1", "fe80::1%lo", "fe80::1%1"):
        check_zone(host)
    with pytest.raises(UsageError, match="nosuch0"):
        check_zone("fe80::1%nosuch0")


def test_addresses_have_a_version_and_names_have_none() -> None:
    hosts = ("10.0.0.5", "::", "fe80::1%eth0", "images.example.org", "10.0.0.5%x", "")
    assert [ip_version(host) for host in hosts] == [4, 6, 6, 0, 0, 0]


def test_the_interface_towards_an_address_is_known_by_its_number() -> None:
    assert index_towards("127.0.0.1") == socket.if_nametoindex("lo")
    assert index_towards("no address") is None


@pytest.mark.root
@pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
def test_an_interface_that_is_down_is_told_with_the_way_to_bring_it_up() -> None:
    def work() -> None:
        check_usable(INTERFACE, IPV4)
        ip("link", "set", INTERFACE, "down")
        with pytest.raises(UsageError, match="is down") as caught:
            check_usable(INTERFACE, IPV4)
        assert caught.value.hint == f"ip link set {INTERFACE} up"
        with pytest.raises(UsageError, match="no network interface"):
            check_usable("nosuch0", IPV4)

    run_apart(work)


@pytest.mark.root
@pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
def test_an_interface_without_an_address_is_of_no_use_unless_a_route_leads_there() -> None:
    def work() -> None:
        for host in (IPV4, IPV6, "images.example.org"):
            check_usable(INTERFACE, host)
        ip("-4", "addr", "flush", "dev", INTERFACE)
        with pytest.raises(UsageError, match=f"'{INTERFACE}' has no IPv4 address") as caught:
            check_usable(INTERFACE, IPV4)
        assert INTERFACE in str(caught.value.hint)
        check_usable(INTERFACE, "images.example.org")
        check_usable(INTERFACE, f"{IPV6}%{INTERFACE}")
        ip("-6", "addr", "flush", "dev", INTERFACE)
        for host, what in ((IPV6, "IPv6 address"), ("images.example.org", "address")):
            with pytest.raises(UsageError, match=f"has no {what}"):
                check_usable(INTERFACE, host)
        ip("route", "add", "198.51.100.0/24", "dev", INTERFACE)
        check_usable(INTERFACE, "198.51.100.1")

    run_apart(work)
