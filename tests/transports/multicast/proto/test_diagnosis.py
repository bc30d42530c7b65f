from __future__ import annotations

import msgspec
import pytest

from transports.multicast.proto.diagnosis import Evidence, diagnose

NORMAL = Evidence(
    interface="eth0",
    address="10.1.1.20",
    group="232.194.1.1",
    source="10.1.1.5",
    source_specific=True,
    ttl=1,
    route_interface="eth0",
)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"up": False}, "is down"),
        ({"address": None}, "has no address"),
        ({"route_interface": None}, "no route back"),
        ({"route_interface": "eth1", "reverse_path_filter": 1}, "rp_filter"),
        ({"route_interface": "eth1", "same_subnet": False}, "the way there is eth1"),
        ({"foreign_packets": 9}, "somebody else"),
        ({"igmp_version": 2}, "IGMPv2 querier"),
        ({"multicast_packets": 16}, "firewall"),
        ({"same_subnet": False}, "TTL of 1"),
        ({"same_subnet": False, "ttl": 16}, "no router forwards"),
        ({}, "querier"),
        ({"igmp_version": 2, "source_specific": False}, "without a querier"),
    ],
    ids=str,
)
def test_each_finding_has_its_reason(change: dict[str, object], text: str) -> None:
    reason = diagnose(msgspec.structs.replace(NORMAL, **change))  # type: ignore[arg-type]
    assert text in reason.text
    assert reason.hint
