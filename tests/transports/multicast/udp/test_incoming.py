"""A member's socket: joins of every kind, trains, overflow, and coming back."""

from __future__ import annotations

import socket

import pytest

from core.errors import LocalError, UsageError
from tests.support.netns import INTERFACE, IPV4, IPV6, ip, namespaces_usable, run_apart
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import GroupReceiver, Train, look_at_trains, receive_train
from transports.multicast.udp.interface import find_interface
from transports.multicast.udp.membership import member_socket
from transports.multicast.udp.outgoing import GroupSender

apart = pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
ASM = Group(address="239.77.2.1", port=47002)
ROOM = memoryview(bytearray(65536))
QUIET_S = 0.3
"""After which nothing more comes, even on a busy machine."""


def lengths(receiver: GroupReceiver) -> list[int]:
    found = []
    while receiver.wait(QUIET_S) and (length := receiver.receive(ROOM)) is not None:
        found.append(length)
    return found


@pytest.mark.root
@apart
@pytest.mark.parametrize(
    "group",
    [
        ASM,
        Group(address="232.77.2.1", port=47002, source=IPV4),
        Group(address="ff15::77", port=47002),
        Group(address="ff3e::8000:77", port=47002, source=IPV6),
    ],
    ids=["IPv4-any-source", "IPv4-one-source", "IPv6-any-source", "IPv6-one-source"],
)
def test_trains_arrive_in_every_kind_of_group_merged_or_one_by_one(group: Group) -> None:
    def work() -> None:
        interface = find_interface(INTERFACE)
        with (
            GroupReceiver(group, interface) as merged,
            GroupReceiver(group, interface, merge=False) as plain,
            GroupSender(group, interface) as sender,
        ):
            sender.send(memoryview(bytes(44 * 1440)), 1440)
            assert merged.wait(1)
            assert merged.receive(ROOM) in (44 * 1440, 1440)
            assert lengths(plain) == [1440] * 44
            assert merged.rejoin() is None
            sender.send(memoryview(bytes(100)), 1440)
            assert merged.wait(1)

    run_apart(work)


@pytest.mark.root
@apart
def test_a_group_of_one_source_takes_nothing_from_another() -> None:
    def work() -> None:
        interface = find_interface(INTERFACE)
        group = Group(address="232.77.2.1", port=47002, source="192.0.2.99")
        with GroupReceiver(group, interface) as receiver, GroupSender(group, interface) as sender:
            sender.send(memoryview(bytes(1440)), 1440)
            assert not receiver.wait(0.1)

    run_apart(work)


def test_another_group_on_the_same_port_does_not_leak_in() -> None:
    lo = find_interface("lo")
    other = Group(address="239.77.2.2", port=ASM.port)
    with GroupReceiver(ASM, lo) as mine, GroupReceiver(other, lo) as theirs, GroupSender(other, lo) as sender:
        sender.send(memoryview(b"x" * 64), 64)
        assert lengths(theirs) == [64]
        assert not mine.wait(0)


def test_two_senders_on_one_group_and_port_are_both_heard() -> None:
    lo = find_interface("lo")
    with GroupReceiver(ASM, lo) as receiver, GroupSender(ASM, lo) as one, GroupSender(ASM, lo) as other:
        one.send(memoryview(b"1" * 64), 64)
        other.send(memoryview(b"2" * 72), 72)
        assert sorted(lengths(receiver)) == [64, 72]


def test_nothing_there_is_none_and_an_empty_datagram_is_an_empty_train() -> None:
    lo = find_interface("lo")
    with GroupReceiver(ASM, lo) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as odd:
        assert receiver.receive(ROOM) is None
        odd.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        odd.sendto(b"", (ASM.address, ASM.port))
        assert receiver.wait(1)
        assert receiver.receive(ROOM) == 0


@pytest.mark.root
@apart
def test_what_waits_is_looked_at_and_goes_on_waiting() -> None:
    def work() -> None:
        interface = find_interface(INTERFACE)
        with (
            member_socket(
                ASM.address, ASM.port, source=None, index=interface.index, buffer_bytes=1 << 20, merge=False
            ) as member,
            GroupSender(ASM, interface) as sender,
        ):
            for length in (100, 200, 300):
                sender.send(memoryview(bytes([length % 251]) * length), 1440)
            for most, found in ((9, [100, 200, 300]), (2, [100, 200]), (9, [100, 200, 300])):
                seen = []
                for train in look_at_trains(member, ROOM, most):
                    seen.append(train.length)
                    assert ROOM[train.length - 1] == train.length % 251
                assert seen == found
            taken = [receive_train(member, ROOM) for _ in range(4)]
            assert taken == [Train(100, 100), Train(200, 200), Train(300, 300), None]

    run_apart(work)


def test_what_the_socket_had_no_room_for_is_counted_apart() -> None:
    lo = find_interface("lo")
    with GroupReceiver(ASM, lo, merge=False) as receiver, GroupSender(ASM, lo, segment=False) as sender:
        receiver._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(64):
            sender.send(memoryview(bytes(1400)), 1400)
        arrived = len(lengths(receiver))
        assert arrived < 64
        assert receiver.overflows() == 64 - arrived
        assert receiver.overflows() == 0, "what was told is not told again"


def test_what_waits_in_the_socket_is_told() -> None:
    lo = find_interface("lo")
    with GroupReceiver(ASM, lo) as receiver, GroupSender(ASM, lo) as sender:
        assert receiver.queued_bytes() == 0
        for _ in range(10):
            sender.send(memoryview(bytes(14000)), 1400)
        assert receiver.wait(1)
        assert 140_000 <= receiver.queued_bytes() <= 2_000_000
        assert sum(lengths(receiver)) == 140_000
        assert receiver.queued_bytes() == 0
    assert receiver.queued_bytes() == 0


def test_a_port_held_by_a_program_that_does_not_share_is_reported() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((ASM.address, ASM.port))
        with pytest.raises(LocalError, match="cannot join") as caught:
            GroupReceiver(ASM, find_interface("lo"))
    assert "another program" in str(caught.value.hint)


@pytest.mark.root
@apart
def test_an_interface_gone_midway_is_said_in_words_by_rejoining() -> None:
    def work() -> None:
        interface = find_interface(INTERFACE)
        with GroupReceiver(ASM, interface) as receiver:
            ip("link", "del", INTERFACE)
            assert receiver.receive(ROOM) is None
            error = receiver.rejoin()
            assert error is not None
            assert "again" in error.message
            assert "ip link" in str(error.hint)

    run_apart(work)


@pytest.mark.root
@apart
def test_an_interface_that_is_down_is_refused() -> None:
    def work() -> None:
        ip("link", "set", INTERFACE, "down")
        with pytest.raises(UsageError, match="is down"):
            GroupReceiver(ASM, find_interface(INTERFACE))

    run_apart(work)


def test_the_kernels_count_of_what_it_dropped_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = iter([2**32 - 2, 2**32 - 2, 3])
    monkeypatch.setattr("transports.multicast.udp.incoming.dropped", lambda sock: next(marks))
    with GroupReceiver(ASM, find_interface("lo")) as receiver:
        assert [receiver.overflows() for _ in range(3)] == [2**32 - 2, 0, 5]
