from __future__ import annotations

import pytest

from core.errors import BusyError, ProtocolError
from transports.multicast.proto.limits import MAX_MEMBERS
from transports.multicast.proto.members import HELD_PACKETS, STILL_S, Members
from transports.multicast.proto.reports import Report, ReportFlags

KEY = bytes(32)


def report(number: int, span: int, received: int, overflow: int = 0, **more: int) -> Report:
    return Report(
        cast_id=1, member=1, number=number, as_of=span, span=span, received=received, overflow=overflow, **more
    )


def test_network_loss_and_a_full_socket_are_told_apart() -> None:
    member = Members().add(1, KEY, 0.0)
    assert member.handle_report(report(1, 1000, 900, 60), 1.0)
    assert member.loss == pytest.approx(0.04)  # a first report of many packets is no average of what was before
    assert member.overflow == pytest.approx(0.06)
    assert member.handle_report(report(2, 2000, 1900, 60, backlog=255, missing_chunks=4), 2.0)
    assert (member.backlog, member.missing_chunks) == (1.0, 4)
    assert member.loss == pytest.approx(0.02)  # the mean of both, as long as there are few
    assert member.handle_report(report(3, 3000, 2900, 60), 3.0)
    assert member.handle_report(report(4, 4000, 3900, 60), 4.0)
    assert member.loss == pytest.approx(0.7 * 0.04 / 3)


def test_what_a_full_socket_dropped_is_no_loss_of_the_network_when_it_misses_later() -> None:
    member = Members().add(1, KEY, 0.0)
    member.handle_report(report(1, 1000, 1000, 300), 1.0)  # a whole buffer is still to be taken before the gap
    assert (member.loss, member.overflow) == (0, 0)
    member.handle_report(report(2, 1500, 1300, 300), 2.0)
    member.handle_report(report(3, 3000, 2700, 300), 3.0)
    assert member.loss == 0
    assert member.overflow == pytest.approx(0.1)


def test_what_was_dropped_by_estimate_hides_no_loss_of_the_network_for_long() -> None:
    member = Members().add(1, KEY, 0.0)
    member.handle_report(report(1, 1000, 900, 100_000), 1.0)
    last = 1000 + HELD_PACKETS
    member.handle_report(report(2, last, last - 200, 100_000), 2.0)
    assert member.loss == 0
    member.handle_report(report(3, last + 1000, last + 300, 100_000), 3.0)
    assert member.loss == pytest.approx(0.3 * 0.5)


def test_a_first_report_of_few_packets_is_no_measure() -> None:
    member = Members().add(1, KEY, 0.0)
    assert member.handle_report(report(1, 100, 50), 1.0)
    assert member.loss == pytest.approx(0.3 * 0.5)


def test_a_report_says_whether_its_member_has_memory_to_wait() -> None:
    member = Members().add(1, KEY, 0.0)
    member.handle_report(report(1, 100, 100, flags=ReportFlags.PATIENT | ReportFlags.MORE), 1.0)
    assert member.patient
    member.handle_report(report(2, 200, 200), 2.0)
    assert not member.patient


def test_a_repeated_report_changes_nothing() -> None:
    member = Members().add(1, KEY, 0.0)
    member.handle_report(report(5, 1000, 900), 1.0)
    before = member.loss
    assert not member.handle_report(report(5, 2000, 0), 2.0)
    assert not member.handle_report(report(4, 2000, 0), 2.0)
    assert member.loss == before


def test_figures_do_not_run_backwards() -> None:
    member = Members().add(1, KEY, 0.0)
    member.handle_report(report(1, 1000, 900), 1.0)
    with pytest.raises(ProtocolError):
        member.handle_report(report(2, 999, 900), 2.0)


def test_the_round_trip_leaves_out_the_time_the_member_waited() -> None:
    members = Members()
    member = members.add(1, KEY, 0.0)
    assert members.round_trip_s() == 0.02
    member.handle_report(report(1, 10, 10, status_time_us=5_000_000, held_us=90_000), 5.1)
    assert member.round_trip_s == pytest.approx(0.01)
    member.handle_report(report(2, 10, 10, status_time_us=9_000_000), 5.2)  # a clock that jumped
    assert members.round_trip_s() == pytest.approx(0.01)
    member.handle_report(report(3, 10, 10, status_time_us=5_200_000), 5.218)
    assert member.round_trip_s == pytest.approx(0.011)


def test_places_are_used_again() -> None:
    members = Members()
    assert [members.add(n, KEY, 0.0).place for n in (10, 11, 12)] == [0, 1, 2]
    members.remove(11)
    assert members.remove(11) is None
    assert members.add(13, KEY, 0.0).place == 1
    assert sorted(member.place for member in members) == [0, 1, 2]
    assert members.get(11) is None


def test_quantiles_leave_out_who_is_not_served_by_the_group() -> None:
    members = Members()
    for number in range(5):
        members.add(number, KEY, 0.0).loss = 0.01 * number
    assert members.quantile("loss", 0.75) == pytest.approx(0.03)
    for member in members:
        member.lane = "unicast"
    assert members.quantile("loss", 0.75) == 0.0


def test_who_is_done_lacks_nothing() -> None:
    members = Members()
    members.add(1, KEY, 0.0).done = True
    members.add(2, KEY, 0.0)
    assert (len(members), members.lacking) == (2, 1)
    members.charge({1: 7})
    members.charge({})
    assert [member.sole_packets for member in members] == [0, 7]


def test_there_are_only_so_many() -> None:
    members = Members()
    for number in range(MAX_MEMBERS):
        members.add(number, KEY, 0.0)
    with pytest.raises(BusyError):
        members.add(MAX_MEMBERS, KEY, 0.0)


@pytest.mark.parametrize(("member", "key"), [(1, b"short"), (-1, KEY), (1 << 32, KEY)])
def test_a_member_that_cannot_be_is_a_mistake_of_the_caller(member: int, key: bytes) -> None:
    with pytest.raises(ValueError, match="member"):
        Members().add(member, key, 0.0)


def test_fresh_loss_is_that_of_the_members_since_the_count_began() -> None:
    members = Members()
    for number in range(4):
        members.add(number, KEY, 0.0).handle_report(report(1, 1000, 100), 0.5)
    members.count_anew(1.0)
    for number, came in ((0, 1900), (1, 1600), (2, 1100)):
        member = members.get(number)
        assert member is not None
        member.handle_report(report(2, 3000, came), 1.5)
    late = members.add(9, KEY, 1.4)
    late.handle_report(report(1, 10, 1), 1.5)
    # 10 %, 25 %, 50 %, and none for the one that said nothing; the joiner's ten packets are no measure yet
    assert members.fresh_loss(0.0) == 0.0
    assert members.fresh_loss(1.0) == pytest.approx(0.5)
    assert members.fresh_loss(0.75) == pytest.approx(0.25)


def test_the_lower_quantile_is_somebodys_figure() -> None:
    members = Members()
    members.add(1, KEY, 0.0).loss = 0.4
    members.add(2, KEY, 0.0)
    assert members.quantile("loss", 0.75) == pytest.approx(0.3)
    assert members.quantile("loss", 0.75, lower=True) == 0.0


def test_whose_disk_has_stopped_holds_nobody_up_who_gets_on() -> None:
    members = Members()

    def tell(number: int, missing: int, backlog: int, now: float) -> None:
        member = members.get(number) or members.add(number, KEY, now)
        assert member.handle_report(report(member.number + 1, 0, 0, missing_chunks=missing, backlog=backlog), now)

    for number in (1, 2, 3):
        tell(number, 9, 255, 0.0)
    tell(4, 9, 51, 0.0)
    assert members.backlog(0.75, 1.0) == 1.0
    for second in range(1, 21):
        for number in (1, 2, 3):
            tell(number, 9, 255, second)
        tell(4, 29 - second, 51, second)
    assert members.backlog(0.75, STILL_S - 0.1) == 1.0
    assert members.backlog(0.75, 20.0) == 0.2
    tell(1, 8, 255, 20.5)
    tell(2, 8, 255, 20.5)
    assert members.backlog(0.75, 20.5) == 1.0  # they write again
    assert members.backlog(0.75, 99.0) == 1.0  # where nobody gets on, all do count
    done = members.get(4)
    assert done is not None
    done.done = True
    assert members.backlog(0.75, 99.0) == 0.2


def test_of_those_who_are_done_or_served_otherwise_no_report_is_waited_for() -> None:
    members = Members()
    assert members.heard == 1.0
    one, other, done, moved = (members.add(number, KEY, 0.0) for number in range(1, 5))
    done.done, moved.lane = True, "unicast"
    assert members.heard == 0.0
    one.handle_report(report(1, 10, 10), 1.0)
    assert members.heard == 0.5
    other.handle_report(report(1, 10, 10), 1.0)
    assert members.heard == 1.0
