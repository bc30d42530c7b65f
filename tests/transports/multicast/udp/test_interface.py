"""An interface is named, or the person is told what there is."""

from __future__ import annotations

import socket

import pytest

from core.errors import UsageError
from tests.support.netns import INTERFACE, IPV4, IPV6, ip, namespaces_usable, run_apart
from transports.multicast.udp.interface import Interface, find_interface, interface_of

apart = pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")


def test_loopback_is_found_by_name_and_by_address() -> None:
    interface = find_interface("lo")
    assert interface.up
    assert interface.mtu_bytes >= 1500
    assert interface.source(socket.AF_INET) == "127.0.0.1"
    assert interface_of("127.0.0.1").index == interface.index


@pytest.mark.parametrize("name", ["", "nosuch0", "much-too-long-for-a-name", "nul\0name", "ü0"])
def test_an_unknown_interface_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="no interface") as caught:
        find_interface(name)
    assert "lo" in str(caught.value.hint)


def test_an_address_of_another_machine_has_no_interface() -> None:
    with pytest.raises(UsageError, match=r"no interface here has the address 192\.0\.2\.77"):
        interface_of("192.0.2.77")


def test_a_missing_address_and_a_link_that_is_down_are_told_apart() -> None:
    bare = Interface(name="x0", index=9, up=False, mtu_bytes=1500, ipv4=None, ipv6=())
    with pytest.raises(UsageError, match="no IPv4 address on interface 'x0'"):
        bare.source(socket.AF_INET)
    with pytest.raises(UsageError, match="no IPv6 address"):
        bare.source(socket.AF_INET6)
    with pytest.raises(UsageError, match="is down") as caught:
        bare.check_up()
    assert caught.value.hint == "ip link set x0 up"


@pytest.mark.parametrize(
    ("family", "ipv4", "ipv6", "other"),
    [(socket.AF_INET, None, ("fd00::1",), "ip = 6"), (socket.AF_INET6, "10.0.0.1", (), "ip = 4")],
)
def test_where_there_are_addresses_of_the_other_kind_alone_the_setting_for_them_is_named(
    family: socket.AddressFamily, ipv4: str | None, ipv6: tuple[str, ...], other: str
) -> None:
    interface = Interface(name="x0", index=9, up=True, mtu_bytes=1500, ipv4=ipv4, ipv6=ipv6)
    with pytest.raises(UsageError, match=other):
        interface.source(family)


@pytest.mark.root
@apart
def test_addresses_and_state_are_those_of_the_kernel() -> None:
    def work() -> tuple[Interface, Interface]:
        before = find_interface(INTERFACE)
        ip("link", "set", INTERFACE, "down")
        ip("addr", "flush", "dev", INTERFACE)
        return before, find_interface(INTERFACE)

    before, after = run_apart(work)
    assert (before.up, before.ipv4, before.ipv6[0]) == (True, IPV4, IPV6), "wider scope comes first"
    assert (after.up, after.ipv4, after.ipv6) == (False, None, ())
