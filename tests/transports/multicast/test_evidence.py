from __future__ import annotations

from transports.multicast import evidence
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


def test_what_neighbours_of_ipv6_tell_each_other_is_no_sign_of_a_group(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(evidence, "_PROC", tmp_path)
    (tmp_path / "dev_snmp6").mkdir()
    (tmp_path / "dev_snmp6" / "eth0").write_text("ifIndex\t2\nIp6InMcastPkts\t30\nIcmp6InMsgs\t9\n")
    assert multicast_packets(interface="eth0", ipv6=True) == 21
    assert multicast_packets(interface="eth1", ipv6=True) == 0
