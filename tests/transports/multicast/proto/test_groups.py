from __future__ import annotations

import random

import pytest

from core.errors import BusyError, UsageError
from transports.multicast.proto.groups import (
    Endpoint,
    GroupRange,
    check_group,
    default_groups,
    is_source_specific,
    parse_groups,
    parse_ports,
)


def _range(groups: str = "239.194.1.0/30", ports: str = "9000-9001", seed: int = 1) -> GroupRange:
    return GroupRange(groups, ports, rng=random.Random(seed))


def test_no_endpoint_is_given_twice_and_the_last_is_found() -> None:
    ranges = _range()
    found = {ranges.acquire() for _ in range(8)}
    assert len(found) == 8
    with pytest.raises(BusyError):
        ranges.acquire()
    one = next(iter(found))
    ranges.release(one)
    ranges.release(one)
    assert ranges.acquire() == one


def test_a_wish_is_granted_if_it_is_free() -> None:
    ranges, wish = _range(), Endpoint("239.194.17.36", 9000)
    assert ranges.acquire(wish) == wish
    assert ranges.acquire(wish) != wish


@pytest.mark.parametrize(
    "text", ["", "10.1.1.5", "224.0.0.5", "300.1.1.1", "::1", "ff02::5", "ff15::1%eth0", "239.1.1.1/33"]
)
def test_what_is_no_group_for_data_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        check_group(text)


@pytest.mark.parametrize("text", ["224.0.0.0/4", "10.0.0.0/8", "239.0.0.1/8", "nonsense", "ff02::/112"])
def test_a_range_must_be_multicast_altogether(text: str) -> None:
    with pytest.raises(UsageError):
        parse_groups(text)


@pytest.mark.parametrize("text", ["", "-", "9000-", "80-90", "9001-9000", "9000-70000", "9000-9001-9002", "९०००"])
def test_ports_out_of_bounds_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ports(text)


@pytest.mark.parametrize("ipv6", [False, True])
def test_default_ranges_fit_their_mode(ipv6: bool) -> None:
    for ssm in (False, True):
        network = parse_groups(default_groups(ssm=ssm, ipv6=ipv6))
        assert is_source_specific(str(network[0])) == ssm


def test_an_endpoint_reads_as_an_address() -> None:
    assert str(Endpoint("239.1.2.3", 9000)) == "239.1.2.3:9000"
    assert str(Endpoint("ff15::1", 9000)) == "[ff15::1]:9000"
