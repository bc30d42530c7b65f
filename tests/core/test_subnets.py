"""Which addresses are near to each other."""

from __future__ import annotations

import pytest

from core.subnets import subnet_of


@pytest.mark.parametrize(
    ("address", "subnet"),
    [
        ("10.1.2.3", "10.1.2.0/24"),
        ("2001:db8:0:7::9", "2001:db8:0:7::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.1.2.3", "10.1.2.0/24"),
        ("", "unknown"),
        ("somewhere", "unknown"),
    ],
)
def test_it_is_the_network_around_an_address(address: str, subnet: str) -> None:
    assert subnet_of(address) == subnet
