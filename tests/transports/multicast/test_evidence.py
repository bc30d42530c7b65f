from __future__ import annotations

from transports.multicast.evidence import gather, interface_towards, multicast_packets
from transports.multicast.proto.diagnosis import diagnose


def test_the_way_to_this_machine_is_the_loopback() -> None:
    assert interface_towards("127.0.0.1") == "lo"


def test_counters_never_fall() -> None:
    before = multicast_packets()
    assert multicast_packets() >= before >= 0


def test_an_interface_that_does_not_exist_is_found_out() -> None:
    found = gather(
        interface="nowhere0",
        group="232.1.1.1",
        source="127.0.0.1",
        source_specific=True,
        ttl=1,
        probes_sent=16,
        probes_received=0,
        multicast_before=multicast_packets(),
    )
    assert not found.up
    assert "nowhere0" in diagnose(found).text
