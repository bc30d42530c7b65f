"""The sender's socket, on loopback and in a namespace of its own."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

import pytest

from core.errors import LocalError, UsageError
from tests.support.netns import INTERFACE, ip, namespaces_usable, run_apart
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver, receive_train
from transports.multicast.udp.interface import find_interface
from transports.multicast.udp.outgoing import SEGMENTS_MAX, TRAIN_MAX_BYTES, WRITABLE_WAIT_S, GroupSender

apart = pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
GROUP = Group(address="239.77.1.1", port=47001)
TRAIN = memoryview(bytes(range(40)) * 1400)


def drain(receiver: GroupReceiver) -> list[tuple[bytes, int]]:
    """Everything waiting: (bytes, length of a packet)."""
    room = memoryview(bytearray(65536))
    found = []
    while receiver.wait(0.3) and (train := receive_train(receiver._socket, room)) is not None:
        found.append((bytes(room[: train.length]), train.packet_bytes))
    return found


class Stubborn(GroupSender):
    """A sender whose driver refuses what the test says."""

    refusal = errno.EIO
    refuse_plain = False

    def _send_one(self, data: memoryview, ancillary: tuple[tuple[int, int, bytes], ...]) -> int:
        if ancillary or self.refuse_plain:
            raise OSError(self.refusal, "refused by the test")
        return super()._send_one(data, ancillary)


@pytest.mark.parametrize("segment", [True, False])
def test_a_train_arrives_whole_with_and_without_segmentation(segment: bool) -> None:
    lo = find_interface("lo")
    with GroupReceiver(GROUP, lo) as receiver, GroupSender(GROUP, lo, segment=segment) as sender:
        assert sender.send(TRAIN, 1400) == 40
        assert b"".join(data for data, _ in drain(receiver)) == TRAIN
        assert sender.counters.packets == 40
        assert sender.counters.bytes == len(TRAIN)
        assert sender.counters.calls == (1 if sender.segmenting else 40)


@pytest.mark.parametrize("packet_bytes", [1400, 9000])
def test_more_than_a_train_goes_in_several(packet_bytes: int) -> None:
    lo = find_interface("lo")
    packets = memoryview(bytes(range(150)) * packet_bytes)
    with GroupReceiver(GROUP, lo) as receiver, GroupSender(GROUP, lo) as sender:
        assert sender.send(packets, packet_bytes) == 150
        assert b"".join(data for data, _ in drain(receiver)) == packets
        assert sender.counters.packets == 150
        assert sender.counters.bytes == len(packets)
        most = min(SEGMENTS_MAX, TRAIN_MAX_BYTES // packet_bytes)
        assert sender.counters.calls == (-(-150 // most) if sender.segmenting else 150)


def test_packets_of_another_length_are_cut_at_theirs() -> None:
    lo = find_interface("lo")
    with GroupReceiver(GROUP, lo, merge=False) as receiver, GroupSender(GROUP, lo) as sender:
        sender.send(TRAIN, 1400)
        drain(receiver)
        sender.send(TRAIN[: 4 * 700], 700)
        assert [len(data) for data, _ in drain(receiver)] == [700] * 4


@pytest.mark.parametrize("refusal", [errno.EIO, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_driver_that_cannot_segment_costs_one_failed_call_and_no_packet(refusal: int) -> None:
    lo = find_interface("lo")
    with GroupReceiver(GROUP, lo, merge=False) as receiver, Stubborn(GROUP, lo) as sender:
        sender.refusal = refusal
        sender.segmenting = True
        assert sender.send(TRAIN, 1400) == 40
        assert not sender.segmenting
        assert sender.counters.fallbacks == 1
        assert b"".join(data for data, _ in drain(receiver)) == TRAIN


def test_an_interface_that_is_gone_is_raised_and_does_not_end_segmentation() -> None:
    with Stubborn(GROUP, find_interface("lo")) as sender:
        sender.segmenting = sender.refuse_plain = True
        with pytest.raises(OSError, match="refused by the test"):
            sender.send(TRAIN, 1400)
        assert sender.segmenting


def test_packets_the_kernel_has_no_room_for_are_counted_as_lost() -> None:
    class Full(GroupSender):
        def _send_one(self, data: memoryview, ancillary: tuple[tuple[int, int, bytes], ...]) -> int:
            return 0

    with Full(GROUP, find_interface("lo"), segment=False) as sender:
        assert sender.send(TRAIN, 1400) == 0
        assert (sender.counters.packets, sender.counters.packets_lost, sender.counters.bytes) == (0, 40, 0)


def test_where_no_room_comes_a_train_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def sendmsg(self, *arguments: object) -> int:
            raise BlockingIOError

    waits: list[float] = []
    with GroupSender(GROUP, find_interface("lo")) as sender:
        sender.segmenting = True
        with monkeypatch.context() as patched:
            patched.setattr(sender, "_socket", Full())
            patched.setattr(sender, "_writable", SimpleNamespace(poll=waits.append))
            assert sender.send(TRAIN, 1400) == 0
    assert waits == [WRITABLE_WAIT_S * 1000]
    assert sender.counters.packets_lost == 40


def test_reports_come_back_to_the_address_packets_leave_from() -> None:
    with GroupSender(GROUP, find_interface("lo")) as sender:
        room = memoryview(bytearray(2048))
        assert sender.receive(room) is None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
            member.sendto(b"report", sender.address)
            assert sender.receive(room) == (6, ("127.0.0.1", member.getsockname()[1]))
        assert room[:6] == b"report"


def test_a_taken_port_and_an_odd_ttl_are_the_operators_errors() -> None:
    lo = find_interface("lo")
    with GroupSender(GROUP, lo) as sender, pytest.raises(LocalError, match="cannot send to") as caught:
        GroupSender(GROUP, lo, port=sender.address[1])
    assert "another program" in str(caught.value.hint)
    with pytest.raises(UsageError, match="TTL of 256"):
        GroupSender(GROUP, lo, ttl=256)


def test_closing_twice_is_harmless() -> None:
    sender = GroupSender(GROUP, find_interface("lo"))
    sender.close()
    sender.close()
    assert sender.fileno() == -1


@pytest.mark.root
@apart
def test_an_interface_that_goes_down_midway_fails_and_recovers() -> None:
    def work() -> None:
        with GroupSender(GROUP, find_interface(INTERFACE)) as sender:
            assert sender.send(TRAIN, 1400) == 40
            ip("link", "set", INTERFACE, "down")
            with pytest.raises(OSError, match=r"."):
                sender.send(TRAIN, 1400)
            ip("link", "set", INTERFACE, "up")
            assert sender.send(TRAIN, 1400) == 40
            assert sender.segmenting
            ip("link", "del", INTERFACE)
            with pytest.raises(OSError, match=r"."):
                sender.send(TRAIN, 1400)

    run_apart(work)


@pytest.mark.root
@apart
def test_an_interface_that_is_down_or_bare_is_refused_at_the_start() -> None:
    def work() -> None:
        ip("addr", "flush", "dev", INTERFACE)
        with pytest.raises(UsageError, match="no IPv4 address"):
            GroupSender(GROUP, find_interface(INTERFACE))
        ip("link", "set", INTERFACE, "down")
        with pytest.raises(UsageError, match="is down"):
            GroupSender(GROUP, find_interface(INTERFACE))

    run_apart(work)
