"""Interfaces by name."""

from __future__ import annotations

import socket

import pytest

from core.errors import UsageError
from core.netif import bind_to_interface, check_up, index_towards, interface_address
from tests.support.netns import INTERFACE, ip, namespaces_usable, run_apart


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


def test_the_interface_towards_an_address_is_known_by_its_number() -> None:
    assert index_towards("127.0.0.1") == socket.if_nametoindex("lo")
    assert index_towards("no address") is None


@pytest.mark.root
@pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
def test_an_interface_that_is_down_is_told_with_the_way_to_bring_it_up() -> None:
    def work() -> None:
        check_up(INTERFACE)
        ip("link", "set", INTERFACE, "down")
        with pytest.raises(UsageError, match="is down") as caught:
            check_up(INTERFACE)
        assert caught.value.hint == f"ip link set {INTERFACE} up"
        with pytest.raises(UsageError, match="no network interface"):
            check_up("nosuch0")

    run_apart(work)
