"""Who is near whom."""

from __future__ import annotations

import pytest

from transports.p2p.proto.subnets import subnet_of


@pytest.mark.parametrize(
    ("address", "claimed", "subnet"),
    [
        ("10.1.2.3", "", "10.1.2.0/24"),
        ("10.1.2.3", "10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.2.3", "  lab 3 ", "lab 3"),
        ("10.1.2.3", "a\nb", "10.1.2.0/24"),
        ("10.1.2.3", "x" * 65, "10.1.2.0/24"),
        ("10.1.2.3", "x" * 64, "x" * 64),
        ("somewhere", "", "unknown"),
    ],
)
def test_it_is_what_a_member_says_or_what_its_address_says(address: str, claimed: str, subnet: str) -> None:
    assert subnet_of(address, claimed) == subnet
